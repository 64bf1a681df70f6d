/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * foresee.h - what the gate would say of a source: the very gate of bpf/gate.h, natively, over a
 * copy of the state that it would find (look.h). Pure.
 *
 * Nobody else connects meanwhile, nothing ends and the load does not move: what is foreseen for
 * later is what would be if all stays as it is.
 */
#ifndef FORESEE_H
#define FORESEE_H

#include <stdbool.h>
#include <stdint.h>

#include "look.h"
#include "sluice.h"

/* What the gate says of one SYN. */
struct foresight {
	uint32_t verdict, reason, class;
	bool again;
	uint64_t hold_ns; /* of a held one: it is let out so much later */
};

struct foresee;

/*
 * A state of its own for a source. Where an attempt is to be known to the gate, `seen` is what is
 * remembered of it; NULL: it is new. lives: the controller does, and goes on to renew its lease.
 * Returns NULL when there is no memory; foresee_close() frees it.
 */
struct foresee *foresee_open(const struct look *l, const struct attempt *a,
			     const struct look_attempt *seen, bool lives);
void foresee_close(struct foresee *f);

/* Judges a SYN of the attempt; charges and remembers as the gate does. Time must not go back. */
struct foresight foresee_syn(struct foresee *f, const struct attempt *a, uint64_t now_ns);

#define FORESEE_NEVER	UINT64_MAX
#define FORESEE_MOST_NS (1ULL << 47) /* 39 h */

/*
 * When the first SYN of a new attempt would be let in: at l->now_ns or later, to about a
 * millisecond; FORESEE_NEVER: not by waiting up to FORESEE_MOST_NS, or there was no memory.
 */
uint64_t foresee_when(const struct look *l, const struct attempt *a, bool lives);

/* One bucket as a newcomer's SYN of this source finds it. */
struct foresee_bucket {
	uint64_t t_ns;	  /* 0: the gate is off */
	uint64_t burst;	  /* connections at once when it is full, of an unknown source */
	uint64_t debt_ns; /* what it owes */
	uint64_t may_ns;  /* what this source may owe there */
	uint64_t cost_ns; /* of one connection of it */
	uint64_t free;	  /* connections of it that fit now */
	uint64_t next_ns; /* until one fits; 0: now */
};

enum { FORESEE_GLOBAL, FORESEE_SUBNET, FORESEE_SOURCE, FORESEE_TRUSTED, FORESEE_BUCKETS };

struct foresee_state {
	uint32_t mode, tiers;
	uint32_t class; /* by the lists, or learned */
	bool leased;	/* the controller's lease holds */
	bool pressure;
	uint64_t sessions, slot_debt_ns; /* of the source */
	uint32_t pending;		 /* attempts on their way, of all */
	struct foresee_bucket bucket[FORESEE_BUCKETS];
};

/* The numbers behind a verdict. */
void foresee_state(const struct look *l, const struct attempt *a, struct foresee_state *s);

/* Would a SYN to this destination be judged at all? */
bool foresee_guards(const struct look *l, const union addr *dest, uint16_t port);

#endif
