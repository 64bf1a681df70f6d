// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * stages.bpf.c - the flood path of the gate, cut short after one of its steps.
 *
 * The gate's own code, in the gate's own order (sluice_gate and gate_run); what lies behind the cut
 * is dead, as stop_after is a constant by then. What two cuts differ by is what a step costs.
 */
#include "gate.bpf.c"

#include "stages.h"

const volatile __u32 stop_after = STAGES;

/* A result that nothing needs would not be computed. */
#define NEEDED(x) __asm__ volatile("" : : "r"(x))

SEC("xdp")
int sluice_stages(struct xdp_md *ctx)
{
	struct seen *seen;
	struct state st;
	__u32 mode;
	int flood;

	if (stop_after == STAGE_ENTRY)
		return XDP_DROP;
	if (state_load_words(&st))
		return XDP_PASS;
	NEEDED(st.policy);
	if (stop_after == STAGE_STATE)
		return XDP_DROP;
	seen = state_seen(&st);
	if (frame_parse((void *)(long)ctx->data, (void *)(long)ctx->data_end, st.policy,
			&seen->frame) != FRAME_SYN)
		return XDP_PASS;
	if (stop_after == STAGE_PARSE)
		return XDP_DROP;
	if (gate_came_back(ctx, st.control))
		return XDP_PASS;
	seen->now_ns = gate_clock(ctx, seen);
	if (stop_after == STAGE_CLOCK)
		return XDP_DROP;
	mode = gate_mode(st.policy, seen->now_ns);
	if (!frame_address_guarded(st.policy, &seen->frame.attempt.dest) || mode == MODE_OFF)
		return XDP_PASS;
	st.counters->frames[FRAME_SYN]++;
	if (stop_after == STAGE_MODE)
		return XDP_DROP;
	seen->maybe = state_maybe(&st, &seen->frame.attempt, seen->now_ns);
	if (stop_after == STAGE_PRESENCE)
		return XDP_DROP;
	flood = gate_is_flood(&st, seen->maybe, seen->now_ns);
	NEEDED(flood);
	if (!flood)
		return XDP_PASS;
	seen->decision = gate_flood();
	if (stop_after == STAGE_FLOOD)
		return XDP_DROP;
	if (!state_budget(&st, seen->now_ns))
		return XDP_PASS;
	if (stop_after == STAGE_BUDGET)
		return XDP_DROP;
	gate_count(st.counters, &seen->decision, mode, seen->frame.attempt.family);
	events_note(st.control, seen, &seen->decision, mode);
	return XDP_DROP;
}
