/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay_gate.h - the gate of bpf/gate.h, natively, over plain tables as large as the kernel's.
 *
 * One CPU: the whole of defer-budget is its share, and no word is ever contended. What a replay
 * cannot know has no opinion: live sessions, slot time, the accept queue, what was learned. The
 * waiting room of HOLD stands, and lets everybody out in time.
 */
#ifndef REPLAY_GATE_H
#define REPLAY_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "classes.h"
#include "policy.h"
#include "sluice.h"

/* Virtual time begins here: not at zero, as no machine's clock does. */
#define REPLAY_START_NS (1000 * NSEC_PER_SEC)

/* What the gate says of one SYN. */
struct replay_decision {
	uint8_t verdict;  /* enum verdict */
	uint8_t reason;	  /* enum reason */
	uint8_t class;	  /* enum class */
	uint8_t again;	  /* a retransmit of a remembered attempt */
	uint64_t hold_ns; /* of VERDICT_HOLD: it is let out so much later */
};

struct replay_gate;

/*
 * Makes a gate of a policy. tiers (a set of TIER_) hold from beginning to end. The class list may
 * be NULL; it is the caller's and must outlive the gate. Returns 0 with *gate (replay_gate_close),
 * or -ENOMEM.
 */
int replay_gate_open(const struct policy *p, const struct policy_tables *sizes, uint32_t tiers,
		     const struct class_list *classes, struct replay_gate **gate);
void replay_gate_close(struct replay_gate *gate);

/* What the gate calls an attempt: the same for all its SYNs. */
uint64_t replay_gate_fingerprint(const struct replay_gate *gate, const struct attempt *a);

/* Judges one SYN now. Time must not go back. */
struct replay_decision replay_gate_judge(struct replay_gate *gate, const struct attempt *a,
					 uint64_t fingerprint, uint64_t now_ns);

/* Frames are parsed, and addresses compared, by this. */
const struct policy *replay_gate_policy(const struct replay_gate *gate);

/* What went wrong on the way; lives as long as the gate. */
const struct counters *replay_gate_counters(const struct replay_gate *gate);

#endif
