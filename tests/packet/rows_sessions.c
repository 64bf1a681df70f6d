// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * rows_sessions.c - slots that are held: of all sources, of one, for how long; who was learned to
 * behave; and the accept queue of a real listener.
 */
#include "packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* 100 slots, 80 of them for senders that are not known */
#define SLOTS "max-sessions=100 known-share=20"
#define LISTS                                                                        \
	.classes = "192.0.9.0/24=known 192.0.8.0/24=blocked 192.0.6.0/24=throttled " \
		   "192.0.7.0/24=trusted"

#define FILLED 100 /* clients that have connected at the most: the bound of every wait here */

/* --- real listeners on port 25 of the network namespace ------------------------------------------ */

/* Bound to any address. only_v6: else an IPv6 one has IPv4 clients too. Returns it or -1. */
static int listen_at(int family, bool only_v6, bool shared, int backlog)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(SMTP)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(SMTP)};
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, only = only_v6;
	bool bound;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (shared)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
	bound = family == AF_INET ? !bind(fd, (struct sockaddr *)&v4, sizeof(v4))
				  : !bind(fd, (struct sockaddr *)&v6, sizeof(v6));
	if (bound && !listen(fd, backlog))
		return fd;
	close(fd);
	return -1;
}

static int loopback_up(void)
{
	struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &r);

	if (fd >= 0)
		close(fd);
	return err;
}

/* So many clients connect over IPv4 or IPv6, and nobody accepts them. Returns how many did. */
static int fill(int family, int clients, int fd[FILLED])
{
	struct sockaddr_in v4 = {.sin_family = AF_INET,
				 .sin_port = htons(SMTP),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
				  .sin6_port = htons(SMTP),
				  .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int n = 0;

	for (; n < clients && n < FILLED; n++) {
		fd[n] = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd[n] < 0)
			return n;
		if (family == AF_INET ? connect(fd[n], (struct sockaddr *)&v4, sizeof(v4))
				      : connect(fd[n], (struct sockaddr *)&v6, sizeof(v6))) {
			close(fd[n]);
			return n;
		}
	}
	return n;
}

static void empty(int fd[FILLED], int clients)
{
	/* With an RST: no TIME_WAIT is in the way of the next listener. */
	struct linger hard = {.l_onoff = 1};

	for (int i = 0; i < clients; i++) {
		setsockopt(fd[i], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		close(fd[i]);
	}
}

/* Who may be let in with so many in the queue. */
struct room {
	int waiting;
	bool newcomer, waited, known;
};

/* One second of its own for each look, so that what one lets in is no matter to the next. */
static int look_at(const struct row *row, const struct room *r, bool v6)
{
	static uint64_t second;
	uint64_t at_ns = S(second += 10);
	const struct step new_pass = {at_ns, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN),
				      .counts.backlog_asked = 1};
	const struct step new_waits = {at_ns, FROM("192.0.2.1"), DEFER(BACKLOG, UNKNOWN),
				       .counts.backlog_asked = 1};
	const struct step known_passes = {at_ns + MS(500), FROM("192.0.9.1"), PASS(ADMITTED, KNOWN),
					  .counts.backlog_asked = 1};
	const struct step known_waits = {at_ns + MS(500), FROM("192.0.9.1"), DEFER(BACKLOG, KNOWN),
					 .counts.backlog_asked = 1};
	const struct step again_passes = {at_ns + S(1), FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN),
					  .again = true, .counts.backlog_asked = 1};
	const struct step again_waits = {at_ns + S(1), FROM("192.0.2.1"), DEFER(BACKLOG, UNKNOWN),
					 .again = true, .counts.backlog_asked = 1};
	int wrong = setup_row(row, v6) ? 1 : 0;

	wrong += step_run(row, r->newcomer ? &new_pass : &new_waits, v6);
	wrong += step_run(row, r->known ? &known_passes : &known_waits, v6);
	if (!r->newcomer)
		wrong += step_run(row, r->waited ? &again_passes : &again_waits, v6);
	if (wrong)
		complain("that was with %d in the queue, %s", r->waiting, v6 ? "IPv6" : "IPv4");
	return wrong;
}

/* A queue of ten takes eleven: newcomers up to six, who has waited nine, who is known all. */
static int fill_and_look(const struct row *row, int listener, int family, bool v6)
{
	static const struct room rooms[] = {{0, true, true, true},    {5, true, true, true},
					    {6, false, true, true},   {8, false, true, true},
					    {9, false, false, true},  {10, false, false, true},
					    {11, false, false, false}};
	int wrong = 0;

	if (listener < 0 || loopback_up()) {
		complain("no listener: %s", strerror(errno));
		return 1;
	}
	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]) && !wrong; i++) {
		int fd[FILLED], filled = fill(family, rooms[i].waiting, fd), accepted;

		if (filled != rooms[i].waiting) {
			complain("only %d of %d clients could connect", filled, rooms[i].waiting);
			wrong = 1;
		}
		wrong += wrong ? 0 : look_at(row, &rooms[i], v6);
		empty(fd, filled);
		for (int n = 0; n < filled; n++) {
			accepted = accept(listener, NULL, NULL);
			if (accepted >= 0)
				close(accepted);
		}
	}
	close(listener);
	return wrong;
}

static int queue_v4(const struct row *row)
{
	return fill_and_look(row, listen_at(AF_INET, false, false, 10), AF_INET, false);
}

static int queue_v6(const struct row *row)
{
	return fill_and_look(row, listen_at(AF_INET6, true, false, 10), AF_INET6, true);
}

static int queue_dual(const struct row *row)
{
	/* Filled over one family, asked over the other: it is one queue. */
	return fill_and_look(row, listen_at(AF_INET6, false, false, 10), AF_INET6, false) +
	       fill_and_look(row, listen_at(AF_INET6, false, false, 10), AF_INET, true);
}

/* Of a group of two the one is full: those whose listener it is wait, the others pass. */
static int queue_group(const struct row *row)
{
	int full = listen_at(AF_INET, false, true, 10), fd[FILLED], filled, idle, wrong = 0;
	static struct counters c;
	uint64_t passed, waiting;

	if (full < 0 || loopback_up() || setup_row(row, false)) {
		complain("no listener: %s", strerror(errno));
		return 1;
	}
	filled = fill(AF_INET, 11, fd);
	idle = listen_at(AF_INET, false, true, 4096);
	for (uint32_t n = 0; n < 200 && !wrong; n++) {
		struct spec s = {.from = "192.0.2.1", .from_port = 2000 + n, .isn = n};
		uint8_t frame[FRAME_MAX];
		struct outcome out;
		size_t bytes = frame_build(&s, false, frame);

		wrong = bench_frame(BENCH_START_NS + n * MS(10), frame, bytes, &out) ? 1 : 0;
	}
	bench_counters(&c);
	passed = c.judged[MODE_ENFORCE][FAMILY_V4][CLASS_UNKNOWN][VERDICT_PASS][REASON_ADMITTED];
	waiting = c.judged[MODE_ENFORCE][FAMILY_V4][CLASS_UNKNOWN][VERDICT_DEFER][REASON_BACKLOG];
	if (idle < 0 || filled != 11 || wrong || passed + waiting != 200 || passed < 50 ||
	    waiting < 50 || c.backlog_asked != 200) {
		complain("of 200 SYNs to a group %lu passed and %lu waited, %lu asked; %d filled",
			 passed, waiting, (uint64_t)c.backlog_asked, filled);
		wrong = 1;
	}
	empty(fd, filled);
	close(full);
	close(idle);
	return wrong;
}

/* SYNs that are polled together, before the queue has seen one of them. */
static int queue_burst(const struct row *row)
{
	int listener = listen_at(AF_INET, false, false, 10), wrong;
	const struct step six = {0,	   FROM("192.0.2.1"),	      PASS(ADMITTED, UNKNOWN), 6,
				 VARY_ISN, .counts.backlog_asked = 6, OWES(MS(6), 0, 0)};
	const struct step more = {0,	    FROM("192.0.3.1"),		DEFER(BACKLOG, UNKNOWN), 50,
				  VARY_ISN, .counts.backlog_asked = 50, OWES(MS(6), 0, 0)};
	const struct step next = {MS(4), FROM("192.0.4.1"), PASS(ADMITTED, UNKNOWN),
				  .counts.backlog_asked = 1};

	if (listener < 0 || setup_row(row, false)) {
		complain("no listener: %s", strerror(errno));
		return 1;
	}
	wrong = step_run(row, &six, false) + step_run(row, &more, false) +
		step_run(row, &next, false);
	close(listener);
	return wrong;
}

/* A listener of the other family only, or elsewhere, has no opinion. */
static int queue_of_others(const struct row *row)
{
	int listener = listen_at(AF_INET6, true, false, 0), wrong;
	const struct step pass = {0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), 50, VARY_ISN};

	if (listener < 0 || setup_row(row, false)) {
		complain("no listener: %s", strerror(errno));
		return 1;
	}
	wrong = step_run(row, &pass, false);
	close(listener);
	return wrong;
}

/* --- the rows ------------------------------------------------------------------------------------ */

const struct row rows_sessions[] = {
	/* Slots */
	{"With as many sessions as unknown senders may have they are refused, known ones are not.",
	 SLOTS, LISTS,
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), .first.sessions = 79},
		  {0, FROM("192.0.2.2"), REFUSE(SESSIONS, UNKNOWN), .first.sessions = 80},
		  {0, FROM("192.0.6.1"), REFUSE(SESSIONS, THROTTLED)},
		  {0, FROM("192.0.9.1"), PASS(ADMITTED, KNOWN), .first.sessions = 99},
		  {0, FROM("192.0.9.2"), REFUSE(SESSIONS, KNOWN), .first.sessions = 100},
		  {0, FROM("192.0.7.1"), PASS(TRUSTED, TRUSTED)}}},
	{"A refusal for want of a slot charges nothing, and ends with the session that ends.",
	 SLOTS,
	 .step = {{0, FROM("192.0.2.1"), REFUSE(SESSIONS, UNKNOWN), 20, VARY_ISN, OWES(0, 0, 0),
		   .first.sessions = 80},
		  {0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), OWES(MS(1), 0, 0),
		   .first.sessions = 79}}},
	{"Beyond refuse-rate a refusal for want of a slot acts as DEFER.", SLOTS " refuse-rate=2/s",
	 .step = {{0, FROM("192.0.2.1"), REFUSE(SESSIONS, UNKNOWN), 2, VARY_ISN,
		   .first.sessions = 80},
		  {0, FROM("192.0.2.9"), DEFER(SESSIONS, UNKNOWN), .counts.refuse_over = 1}}},
	{"Attempts on their way to a slot make newcomers wait, and are never a reason for an RST.",
	 SLOTS, LISTS,
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), .first.sessions = 60,
		   .first.coming = 19},
		  {0, FROM("192.0.2.2"), DEFER(SESSIONS, UNKNOWN), 50, VARY_ISN},
		  {0, FROM("192.0.9.1"), PASS(ADMITTED, KNOWN)},
		  {S(1), FROM("192.0.2.2"), DEFER(SESSIONS, UNKNOWN), .again = true},
		  {S(8), FROM("192.0.2.3"), DEFER(SESSIONS, UNKNOWN)},
		  {S(10), FROM("192.0.2.3"), PASS(ADMITTED, UNKNOWN), .again = true}}},
	{"A spoofed flood of them counts as a quarter of the slots, however many they are.", SLOTS,
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), 100, VARY_ISN,
		   .first.sessions = 54, .first.coming = 1000000, .first.lost = 1000000},
		  {0, FROM("192.0.2.2"), DEFER(SESSIONS, UNKNOWN), .first.sessions = 55,
		   .first.coming = 1000000, .first.lost = 1000000}}},
	{"At its begin it keeps newcomers waiting for as long as its SYNs could yet be clients'.",
	 SLOTS, LISTS,
	 .step = {{0, FROM("192.0.2.1"), DEFER(SESSIONS, UNKNOWN), .first.coming = 1000},
		  {0, FROM("192.0.9.1"), PASS(ADMITTED, KNOWN)},
		  {S(3), FROM("192.0.2.2"), PASS(ADMITTED, UNKNOWN)}}},
	{"Of known senders, too, no more are let in at once than there are slots.", SLOTS, LISTS,
	 .step = {{0, FROM("192.0.9.1"), PASS(ADMITTED, KNOWN), 100, VARY_ISN},
		  {0, FROM("192.0.9.1", .isn = 100), DEFER(SESSIONS, KNOWN)},
		  {0, FROM("192.0.2.1"), DEFER(SESSIONS, UNKNOWN)}}},
	{"Each admitted SYN is one on its way, for ten seconds.", "max-sessions=10 known-share=0",
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), 2, VARY_ISN, .first.sessions = 8},
		  {0, FROM("192.0.2.2"), DEFER(SESSIONS, UNKNOWN)},
		  {S(10), FROM("192.0.2.3"), PASS(ADMITTED, UNKNOWN)}}},
	{"A number below zero, of missed events, is as good as none.", SLOTS,
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), .first.sessions = -1},
		  {0, FROM("192.0.2.2"), PASS(ADMITTED, UNKNOWN), .first.sessions = INT64_MIN,
		   .first.coming = 1000}}},
	{"max-sessions off: any number of them is no matter.", "",
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), .first.sessions = 1000000,
		   .first.coming = 1000000}}},

	/* What one source holds */
	{"A source with as many sessions as one may hold waits; a known one may hold twice as many.",
	 "max-sessions-per-source=3", LISTS,
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), .first.holds.sessions = 2},
		  {0, FROM("192.0.2.1", .isn = 1), DEFER(SOURCE_SESSIONS, UNKNOWN),
		   .first.holds.sessions = 3},
		  {0, FROM("192.0.2.2"), PASS(ADMITTED, UNKNOWN)},
		  {0, FROM("192.0.9.1"), PASS(ADMITTED, KNOWN), .first.holds.sessions = 5},
		  {0, FROM("192.0.9.1", .isn = 1), DEFER(SOURCE_SESSIONS, KNOWN),
		   .first.holds.sessions = 6},
		  {0, FROM("192.0.7.1"), PASS(TRUSTED, TRUSTED), .first.holds.sessions = 100}}},
	{"Its attempts on their way count with its sessions, also before it ever had one.",
	 "max-sessions-per-source=3", LISTS,
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), 3, VARY_ISN},
		  {0, FROM("192.0.2.1", .isn = 9), DEFER(SOURCE_SESSIONS, UNKNOWN)},
		  {0, FROM("192.0.2.2"), PASS(ADMITTED, UNKNOWN), 2, VARY_ISN,
		   .first.holds.sessions = 1},
		  {0, FROM("192.0.2.2", .isn = 9), DEFER(SOURCE_SESSIONS, UNKNOWN)},
		  {0, FROM("192.0.9.1"), PASS(ADMITTED, KNOWN), 6, VARY_ISN},
		  {0, FROM("192.0.9.1", .isn = 9), DEFER(SOURCE_SESSIONS, KNOWN)},
		  {S(5), FROM("192.0.2.1", .isn = 10), PASS(ADMITTED, UNKNOWN)}}},
	{"A source that has used up its slot time waits until it owes two minutes' worth or less.",
	 "source-session-time=60s", LISTS,
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), .first.holds.owes_ns = S(120)},
		  {0, FROM("192.0.2.1", .isn = 1), DEFER(SOURCE_TIME, UNKNOWN),
		   .first.holds.owes_ns = S(120) + 1},
		  {1, FROM("192.0.2.1", .isn = 2), PASS(ADMITTED, UNKNOWN)},
		  {1, FROM("192.0.9.1"), PASS(ADMITTED, KNOWN), .first.holds.owes_ns = S(240)}}},
	{"Its open sessions are charged when it asks for another one.", "source-session-time=12s",
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), .first.holds.sessions = 1,
		   .first.holds.owes_ns = S(116)},
		  {MS(990), FROM("192.0.2.1", .isn = 1), PASS(ADMITTED, UNKNOWN)},
		  {MS(1010), FROM("192.0.2.1", .isn = 2), DEFER(SOURCE_TIME, UNKNOWN)}}},
	{"source-session-time off: nothing that is owed is asked for.", "source-session-time=0",
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), .first.holds = {1000, S(240)}}}},
	{"The sessions of a /64 are one source's.", "max-sessions-per-source=3",
	 .families = ONLY_V6,
	 .step = {{0, FROM("2001:db8:1:2::1"), DEFER(SOURCE_SESSIONS, UNKNOWN),
		   .first.holds.sessions = 3},
		  {0, FROM("2001:db8:1:2:ffff::2"), DEFER(SOURCE_SESSIONS, UNKNOWN)},
		  {0, FROM("2001:db8:1:3::1"), PASS(ADMITTED, UNKNOWN)}}},

	/* Learned senders */
	{"Who was learned is known until then, and not a nanosecond longer.", SLOTS,
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, KNOWN), .first.sessions = 90,
		   .first.learned = {CLASS_KNOWN, S(60)}},
		  {S(60) - 1, FROM("192.0.2.1", .isn = 1), PASS(ADMITTED, KNOWN)},
		  {S(60), FROM("192.0.2.1", .isn = 2), REFUSE(SESSIONS, UNKNOWN)},
		  {S(60), FROM("192.0.2.2"), REFUSE(SESSIONS, UNKNOWN)}}},
	{"Who was marked bad is throttled until then.", "source-rate=60/min source-burst=1",
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, THROTTLED), OWES(MS(1), 0, S(10)),
		   .first.learned = {CLASS_THROTTLED, S(60)}},
		  {S(10) - 1, FROM("192.0.2.1", .isn = 1), DEFER(SOURCE_RATE, THROTTLED)},
		  {S(60), FROM("192.0.2.1", .isn = 2), PASS(ADMITTED, UNKNOWN)}}},
	{"What the lists say of a source wins over what was learned of it.", SLOTS, LISTS,
	 .step = {{0, FROM("192.0.8.1"), REFUSE(BLOCKED, BLOCKED),
		   .first.learned = {CLASS_KNOWN, S(60)}},
		  {0, FROM("192.0.6.1"), REFUSE(SESSIONS, THROTTLED), .first.sessions = 90,
		   .first.learned = {CLASS_KNOWN, S(60)}},
		  {0, FROM("192.0.9.1"), PASS(ADMITTED, KNOWN),
		   .first.learned = {CLASS_THROTTLED, S(60)}},
		  {0, FROM("192.0.7.1"), PASS(TRUSTED, TRUSTED),
		   .first.learned = {CLASS_THROTTLED, S(60)}}}},
	{"A class that is none was never learned.", "",
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN),
		   .first.learned = {CLASSES, S(60)}}}},

	/* The order of the gates */
	{"Want of a slot is said before what the source holds, and that before what it opens.",
	 SLOTS " max-sessions-per-source=3 source-session-time=60s source-rate=1/min tiers=delay",
	 .step = {{0, FROM("192.0.2.1"), REFUSE(SESSIONS, UNKNOWN), .first.sessions = 80,
		   .first.holds = {3, S(240)}},
		  {0, FROM("192.0.2.1"), DEFER(SOURCE_SESSIONS, UNKNOWN), .first.sessions = -1},
		  {0, FROM("192.0.2.1", .isn = 1), DEFER(SOURCE_TIME, UNKNOWN),
		   .first.holds = {2, S(240)}},
		  {0, FROM("192.0.2.2"), DEFER(FIRST_TIME, UNKNOWN)}}},

	/* The accept queue */
	{"The accept queue of an IPv4 listener: SYNs that it has no room for are not let in.", "",
	 LISTS, .run = queue_v4},
	{"The accept queue of an IPv6 listener.", "", LISTS, .run = queue_v6},
	{"A dual-stack listener has one queue for both families.", "", LISTS, .run = queue_dual},
	{"In a group of listeners on one port the one that the kernel would choose is asked.", "",
	 .run = queue_group},
	{"SYNs that are polled together count before the queue has seen one of them.", "",
	 .run = queue_burst},
	{"No listener here, no opinion.", "",
	 .step = {{0, FROM("192.0.2.1"), PASS(ADMITTED, UNKNOWN), 50, VARY_ISN}}},
	{"A listener of the other family has no opinion.", "", .run = queue_of_others},
	{},
};
