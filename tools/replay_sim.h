/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay_sim.h - attempts through the gate in virtual time, with clients that come back. Pure.
 *
 * A trace says when attempts began. In the traffic that it was taken from nobody was deferred, so
 * what a deferred client would have sent is not in it: the client model says that. Retransmits in
 * the trace belong to their attempt. Before its admission the model sends in their place; behind
 * it they are judged as they are, for then their SYN-ACK was lost.
 *
 * All clients of a replay wait alike, so those who wait for their nth SYN are served in the order
 * in which they began: a ring for each n, and the next to happen is at the head of one of them.
 */
#ifndef REPLAY_SIM_H
#define REPLAY_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "replay_clients.h"
#include "replay_gate.h"
#include "replay_tally.h"

/* Attempts that wait at a time, 64 bytes each: the bound of what a replay may hold. */
#define SIM_WAITING_MAX (1U << 22)

/* Attempts of which a later copy in the trace is recognised, the youngest: 40 bytes each. */
#define SIM_RECENT (1U << 20)

/* Told of every SYN that was judged, in order. */
typedef void sim_observer(void *ctx, uint64_t now_ns, const struct attempt *a,
			  struct replay_decision d);

struct sim_setup {
	struct replay_gate *gate; /* the caller's */
	const struct client_model *client;
	uint64_t tick_ns;      /* the gate's clock moves in steps of this; at least 1 */
	bool copies;	       /* the trace can hold retransmits */
	sim_observer *observe; /* or NULL */
	void *ctx;
};

struct sim;

/* Returns 0 with *sim (sim_close), or -ENOMEM. */
int sim_open(const struct sim_setup *setup, struct sim **sim);
void sim_close(struct sim *sim);

/*
 * A SYN of the trace, at_ns from its beginning, not before the one before it. All that waits until
 * then happens first. Returns 0, -ENOSPC when more than SIM_WAITING_MAX attempts wait, or -ENOMEM.
 */
int sim_syn(struct sim *sim, uint64_t at_ns, const struct attempt *a);

/*
 * Behind the end of the trace: nobody new comes, those who wait go on until they are let in or
 * give up. Does at most `most` SYNs. Returns 1 while somebody waits, 0 at the end, or as sim_syn().
 */
int sim_drain(struct sim *sim, uint32_t most);

/* Lives as long as the simulation. */
const struct tally *sim_tally(const struct sim *sim);

#endif
