/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sockets.h - the kernel's own list of sockets against what was counted, and what it says of the
 * accept queues. The main thread's: a netlink dump may take a moment on a busy machine.
 */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel.h"
#include "sluice.h"

/* Two checks see a missed event at the latest: it is put right within 20 s. */
#define SOCKETS_CHECK_NS (10 * NSEC_PER_SEC)

/* What was seen at the last look. */
struct sessions_view {
	bool seen;		   /* there was one */
	uint32_t listeners;	   /* listening sockets on the guarded ports */
	uint32_t waiting;	   /* of the fullest: connections that nobody has accepted yet */
	uint32_t most;		   /* and for how many it has room */
	uint32_t sockets;	   /* live by the kernel's list */
	uint32_t holders;	   /* sources that hold a session, or owe slot time */
	uint32_t dry;		   /* of these: used up their slot time */
	uint64_t healed;	   /* sessions and counts put right since the start */
	uint32_t uncounted;	   /* live, and the table of sessions has no room for them */
	char queue_problem[128];   /* why the listeners cannot be looked at; empty: they can */
	char session_problem[128]; /* the same of the sessions */
};

/* Looks at the listeners: how full are their accept queues? Every second. */
void sockets_look(struct kernel *k, const struct policy *p, struct sessions_view *v);

/* Is it time for sockets_check(), or are other ports and addresses guarded than at the last one? */
bool sockets_check_is_due(const struct policy *p, uint64_t now_ns);

/*
 * Compares the table of sessions, the counts of the sources and the total with the kernel's list,
 * and puts right what differs twice running (the first time after a start, or after other ports or
 * addresses are guarded, at once: what began before has not been seen). Every SOCKETS_CHECK_NS.
 */
void sockets_check(struct kernel *k, const struct policy *p, struct sessions_view *v);

#endif
