/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stages.h - the steps of the flood path, in their order.
 */
#ifndef STAGES_H
#define STAGES_H

#define STAGE_TABLE(X)                                               \
	X(ENTRY, "entered")                                          \
	X(STATE, "its words of state and the policy found")          \
	X(PARSE, "parsed: Ethernet, IPv4, TCP, a SYN, the port")     \
	X(CLOCK, "not from the waiting room; the clock")             \
	X(MODE, "address and mode; the SYN counted")                 \
	X(PRESENCE, "certainly nobody that is known")                \
	X(FLOOD, "no room in the global bucket")                     \
	X(BUDGET, "no room in the budget of those to be remembered") \
	X(COUNT, "the verdict counted, and perhaps told of as an event")

enum stage {
#define X(id, sentence) STAGE_##id,
	STAGE_TABLE(X)
#undef X
		STAGES
};

#endif
