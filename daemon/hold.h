/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hold.h - the room in which a SYN waits for its turn: an ifb device of our own.
 *
 * The gate charges a SYN that comes too early and marks it; a tc program on the interface
 * (bpf/hold.bpf.c) sends it through the device, whose queue lets out one each 1/connection-rate, in
 * the order in which they came, and gives it back to the interface as if it had just arrived.
 *
 *	root  HTB, handle 51:       (the shaper that every kernel has; there need not be sch_fq)
 *	  class 51:10               rate and ceil; each frame counts as HOLD_WEIGHT bytes, so
 *	                            that all SYNs weigh the same, whatever their options or payload
 *	    pfifo, handle 52:       in order, with a limit
 *
 * The device is called slu-<instance> (or a hash of it, where that is longer than a name may be)
 * and is known by its alias "sluice <instance>" and by its address. It stays when the daemon ends,
 * as the filter does: what waits there is still let out. Whoever takes it away closes the gate's
 * HOLD first and lets the queue run empty, as a SYN that is lost there costs its sender a second.
 */
#ifndef HOLD_H
#define HOLD_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "sluice.h"

#define HOLD_WEIGHT 65000U /* bytes that each SYN counts as in the queue */

struct mnl_socket;

/* How the room is to be: kept, or taken away. */
struct hold_plan {
	uint64_t t_ns;	     /* between two SYNs: the interval of the global bucket in force */
	uint64_t horizon_ns; /* the longest wait that the gate grants; 0: no room is wanted */
};

/* What was found at the last look. */
struct hold_seen {
	uint32_t ifindex;    /* 0: there is no device */
	uint32_t waiting;    /* SYNs in the queue */
	uint32_t limit;	     /* SYNs that have room */
	uint64_t t_ns;	     /* between two of them, as the class is set */
	uint64_t released;   /* since the start, and before it as long as the device is the same */
	uint64_t overflowed; /* dropped for want of room; likewise */
};

struct hold {
	char instance[64];
	char name[IFNAMSIZ];
	struct mnl_socket *netlink; /* of the network namespace in which it was opened */
	struct hold_seen seen;
	uint64_t former_released, former_overflowed; /* of devices that are gone */
	uint64_t last_released, last_overflowed;     /* as the present one has counted so far */
};

/* Opens the socket and makes the names; touches nothing. Returns 0, or -errno with a sentence. */
int hold_open(struct hold *h, const char *instance, struct config_error *err);

/* Lets go; the device stays. */
void hold_close(struct hold *h);

/*
 * Looks at the room and puts right what is not as planned: makes the device, brings it up, makes
 * queue and class, changes rate and limit in place, also for those that wait. Returns 0 when it now
 * stands as planned, with h->seen as found before; or -errno with a sentence: no privilege, no ifb
 * or HTB in this kernel, a device of the name that is not ours (which is left alone).
 */
int hold_keep(struct hold *h, const struct hold_plan *plan, struct config_error *err);

/* Fills h->seen; a room that is not there is empty. Returns 0 or -errno with a sentence. */
int hold_look(struct hold *h, struct config_error *err);

/* Deletes the device, if it is ours; what waits there is lost. Returns 0 or -errno. */
int hold_remove(struct hold *h);

/* What the device of an instance is called. name has IFNAMSIZ bytes. */
void hold_name(const char *instance, char *name);

#endif
