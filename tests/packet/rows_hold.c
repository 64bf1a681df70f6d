// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * rows_hold.c - HOLD: who waits, for how long, who does not, and what becomes of retransmits.
 */
#include "packet.h"

/* 100 ms apart, five at once, and half a second of waiting. */
#define LIMITS " connection-rate=10/s connection-burst=5 retry-burst=2 known-burst=2"
#define WAITS  LIMITS " pace-horizon=500ms"

/* The burst: the last of it goes through the room, so that the next is spaced from it. */
#define BURST                                                                       \
	{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), 4},                         \
	{                                                                           \
		0, FROM("192.0.2.1", .isn = 50), PACE(UNKNOWN), OWES(MS(500), 0, 0) \
	}
#define AND_FIVE_WAIT                                                                      \
	{                                                                                  \
		0, FROM("192.0.3.1"), HOLD(UNKNOWN, MS(100), MS(100)), 5, OWES(S(1), 0, 0) \
	}

const struct row rows_hold[] = {
	{"Newcomers beyond the burst wait for their turn, one interval each; beyond pace-horizon "
	 "they are deferred.",
	 WAITS, .room = true,
	 .step = {BURST,
		  AND_FIVE_WAIT,
		  {0, FROM("192.0.4.1"), DEFER(CONNECTION_RATE, UNKNOWN), 3, OWES(S(1), 0, 0)}}},
	{"Time takes the queue away: who comes later waits for less.", WAITS, .room = true,
	 .step = {BURST,
		  AND_FIVE_WAIT,
		  {MS(250), FROM("192.0.4.1"), HOLD(UNKNOWN, MS(350), MS(100)), 2},
		  {MS(250), FROM("192.0.4.1", .isn = 9), DEFER(CONNECTION_RATE, UNKNOWN)}}},
	{"Far below the rate nobody goes through the room.", WAITS, .room = true,
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), 50, .every_ns = MS(100)}}},
	{"Without a room SYNs are deferred as if there were no horizon.", WAITS,
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), 5},
		  {0, FROM("192.0.3.1"), DEFER(CONNECTION_RATE, UNKNOWN), 5}}},
	{"Nobody is held from the moment on to which the room was said to stand.", WAITS,
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), 4, .first.room_ns = S(1)},
		  {0, FROM("192.0.2.1", .isn = 9), PACE(UNKNOWN)},
		  {S(1) - 1, FROM("192.0.3.1"), PASS(ADMITTED, UNKNOWN), 4},
		  {S(1) - 1, FROM("192.0.3.2"), PACE(UNKNOWN)},
		  {S(1) - 1, FROM("192.0.4.1"), HOLD(UNKNOWN, MS(100), 0)},
		  {S(1), FROM("192.0.5.1"), DEFER(CONNECTION_RATE, UNKNOWN)}}},
	{"Nobody is held by a dead controller: the lease must be fresh too.", WAITS, .room = true,
	 .lease_ns = MS(10),
	 .step = {{MS(10), FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), 5},
		  {MS(10), FROM("192.0.3.1"), DEFER(CONNECTION_RATE, UNKNOWN)}}},
	{"With a pace-horizon of 0 the room is not used.", LIMITS, .room = true,
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), 5},
		  {0, FROM("192.0.3.1"), DEFER(CONNECTION_RATE, UNKNOWN)}}},

	{"Where one interval is longer than pace-horizon nobody is held, and nobody sets a pace.",
	 " connection-rate=60/min connection-burst=3 retry-burst=0 pace-horizon=999ms",
	 .room = true,
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), 3},
		  {MS(500), FROM("192.0.3.1"), DEFER(CONNECTION_RATE, UNKNOWN)}}},

	/* Who does not queue behind others */
	{"A known sender passes at once, ahead of all that wait.", WAITS, .room = true,
	 .classes = "192.0.9.0/24=known",
	 .step = {BURST,
		  AND_FIVE_WAIT,
		  {0, FROM("192.0.9.1"), PASS(ADMITTED, KNOWN), 4},
		  {0, FROM("192.0.9.1", .isn = 98), DEFER(CONNECTION_RATE, KNOWN)}}},
	{"A trusted source passes at once.", WAITS, .room = true, .classes = "192.0.9.0/24=trusted",
	 .step = {BURST, AND_FIVE_WAIT, {0, FROM("192.0.9.1"), PASS(TRUSTED, TRUSTED), 20}}},
	{"The retransmit of a deferred SYN passes at once: it has waited.", WAITS, .room = true,
	 .step = {BURST,
		  AND_FIVE_WAIT,
		  {0, FROM("192.0.4.1"), DEFER(CONNECTION_RATE, UNKNOWN)},
		  {MS(500), FROM("192.0.5.1"), HOLD(UNKNOWN, MS(100), MS(100)), 5},
		  {MS(500), FROM("192.0.4.1"), PASS(ADMITTED, UNKNOWN), .again = true}}},
	{"A throttled source has no tolerance of its own: it waits like a newcomer.", WAITS,
	 .room = true, .classes = "192.0.9.0/24=throttled",
	 .step = {BURST, {0, FROM("192.0.9.1"), HOLD(THROTTLED, MS(100), MS(100)), 5}}},
	{"Beyond its own limit a source is deferred, not held.",
	 WAITS " source-rate=60/min source-burst=2", .room = true,
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), 2},
		  {0, FROM("192.0.2.1", .isn = 9), DEFER(SOURCE_RATE, UNKNOWN)}}},

	/* Retransmits of those who wait */
	{"Retransmits of a held SYN are swallowed until a second after its turn; then one passes "
	 "free, as of every attempt that is charged.",
	 WAITS, .room = true,
	 .step = {BURST,
		  {0, FROM("192.0.3.1", .isn = 7), HOLD(UNKNOWN, MS(100), 0), OWES(MS(600), 0, 0)},
		  {1, FROM("192.0.3.1", .isn = 7), DROP(WAITING, UNKNOWN), 3, VARY_NOTHING},
		  {MS(1099), FROM("192.0.3.1", .isn = 7), DROP(WAITING, UNKNOWN)},
		  {MS(1100), FROM("192.0.3.1", .isn = 7), PASS(RETRANSMIT, UNKNOWN), OWES(0, 0, 0)},
		  {MS(1101), FROM("192.0.3.1", .isn = 7), DROP(REPLAY, UNKNOWN)},
		  {MS(1600), FROM("192.0.3.1", .isn = 7), PASS(RETRANSMIT, UNKNOWN)}}},
	{"So are those of the one that sets the pace, whose turn was at once.", WAITS, .room = true,
	 .step = {BURST,
		  {MS(999), FROM("192.0.2.1", .isn = 50), DROP(WAITING, UNKNOWN)},
		  {S(1), FROM("192.0.2.1", .isn = 50), PASS(RETRANSMIT, UNKNOWN)}}},
	{"Intervals of more than a second make the second longer: the room may be late by one.",
	 " connection-rate=30/min connection-burst=2 retry-burst=0 pace-horizon=4000ms",
	 .room = true,
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN)},
		  {0, FROM("192.0.2.1", .isn = 50), PACE(UNKNOWN)},
		  {0, FROM("192.0.3.1", .isn = 7), HOLD(UNKNOWN, S(2), 0)},
		  {S(4) - 1000, FROM("192.0.3.1", .isn = 7), DROP(WAITING, UNKNOWN)},
		  {S(4), FROM("192.0.3.1", .isn = 7), PASS(RETRANSMIT, UNKNOWN)}}},
	{"When the queue has become slower, they are swallowed until it has run empty and a second "
	 "more.",
	 WAITS, .room = true,
	 .step = {BURST,
		  {0, FROM("192.0.3.1", .isn = 7), HOLD(UNKNOWN, MS(100), 0)},
		  {MS(2999), FROM("192.0.3.1", .isn = 7), DROP(WAITING, UNKNOWN),
		   .first.drained_ns = S(2)},
		  {S(3), FROM("192.0.3.1", .isn = 7), PASS(RETRANSMIT, UNKNOWN)}}},
	{"What was admitted without waiting is not concerned by that.", WAITS, .room = true,
	 .step = {{0, FROM("192.0.3.1", .isn = 7), PASS(ADMITTED, UNKNOWN)},
		  {MS(500), FROM("192.0.3.1", .isn = 7), PASS(RETRANSMIT, UNKNOWN),
		   .first.drained_ns = S(9)}}},
	{"HOLD that has ended is no reason to let those who still wait in twice.", WAITS,
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), 4, .first.room_ns = MS(1)},
		  {0, FROM("192.0.2.1", .isn = 50), PACE(UNKNOWN)},
		  {0, FROM("192.0.3.1", .isn = 7), HOLD(UNKNOWN, MS(100), 0)},
		  {S(1), FROM("192.0.3.1", .isn = 7), DROP(WAITING, UNKNOWN)}}},

	/* Modes, tiers, and the way back */
	{"Monitor counts who would wait, and marks nobody.", "mode=monitor" WAITS, .room = true,
	 .step = {{0, FROM("192.0.2.1"), MONITOR(PASS, ADMITTED, UNKNOWN), 5},
		  {0, FROM("192.0.3.1"), MONITOR(HOLD, CONNECTION_RATE, UNKNOWN), 5,
		   .waits = {MS(100), MS(100)}},
		  {0, FROM("192.0.4.1"), MONITOR(DEFER, CONNECTION_RATE, UNKNOWN)}}},
	{"In the queue tier they wait by queue-rate.", WAITS " queue-rate=4/s tiers=queue",
	 .room = true,
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), 4},
		  {0, FROM("192.0.2.1", .isn = 50), PACE(UNKNOWN)},
		  {0, FROM("192.0.3.1"), HOLD(UNKNOWN, MS(250), MS(250)), 2},
		  {0, FROM("192.0.4.1"), DEFER(CONNECTION_RATE, UNKNOWN)}}},
	{"A frame that comes back from the room passes, and is neither judged nor charged.", WAITS,
	 .room = true,
	 .step = {{0, FROM("192.0.2.1"), CAME_BACK, 9, .first.tag = true, .counts.hold_back = 9,
		   OWES(0, 0, 0)}}},
	{"Whoever claims its address where XDP is native is judged as anybody.", WAITS,
	 .room = true,
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), .first.tag = true,
		   .first.native = true}}},
	{}};
