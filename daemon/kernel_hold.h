/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel_hold.h - the kernel room's part of HOLD: the tc program on each interface that sends marked
 * SYNs into the waiting room (hold.h), and the words by which the gate knows that the room stands.
 */
#ifndef KERNEL_HOLD_H
#define KERNEL_HOLD_H

#include "kernel.h"

/*
 * Loads the tc program at the first call and sees to it that every interface with a filter has it,
 * for the XDP mode of that filter and the room of that interface index. Returns 0, or -errno with a
 * sentence: then not all of them have.
 */
int kernel_hold_attach(struct kernel *k, uint32_t room, struct config_error *err);

/* Takes the tc program off everywhere. SYNs that the gate still marks pass at once. */
void kernel_hold_detach(struct kernel *k);

/* The gate may hold until then, in the room of that interface index. */
void kernel_hold_open(struct kernel *k, uint32_t ifindex, uint64_t until_ns);

/* It may no longer; what waits in the room is let out by it. */
void kernel_hold_close(struct kernel *k);

/*
 * What waits now has left by then: the rate was lowered while SYNs waited, and their retransmits
 * are to be swallowed for longer than they were told.
 */
void kernel_hold_drained(struct kernel *k, uint64_t at_ns);

/* The global bucket owes no less than that: the queue is longer than the bucket knew. */
void kernel_owe(struct kernel *k, uint64_t debt_ns);

#endif
