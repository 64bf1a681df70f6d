// SPDX-License-Identifier: GPL-2.0-or-later
#include "names.h"

static const struct {
	const char *name, *sentence;
	enum verdict verdict;
} reasons[REASONS] = {
#define X(id, v, name, sentence) [REASON_##id] = {name, sentence, VERDICT_##v},
	REASON_TABLE(X)
#undef X
};

static const struct {
	const char *name, *sentence;
} frames[FRAME_KINDS] = {
#define X(id, name, sentence) [FRAME_##id] = {name, sentence},
	FRAME_TABLE(X)
#undef X
};

static const char *const verdicts[VERDICTS] = {"pass", "defer", "hold", "refuse", "drop"};
static const char *const families[FAMILIES] = {"ipv4", "ipv6"};
static const char *const modes[MODES] = {"off", "monitor", "enforce"};

const struct fault faults[] = {
	{"trusted_over", offsetof(struct counters, trusted_over),
	 "SYNs of trusted sources beyond trusted-rate, judged as unknown"},
	{"refuse_over", offsetof(struct counters, refuse_over),
	 "refusals beyond refuse-rate, dropped without an RST"},
	{"reset_failed", offsetof(struct counters, reset_failed),
	 "refusals whose RST could not be built, dropped"},
	{"remember_over", offsetof(struct counters, remember_over),
	 "deferred attempts not remembered, because defer-budget was spent"},
	{"refund_lost", offsetof(struct counters, refund_lost),
	 "charges that were not given back; each costs a bucket one connection at most"},
	{"insert_failed", offsetof(struct counters, insert_failed),
	 "entries that found no room in a table; the other limits decided"},
	{"word_repaired", offsetof(struct counters, word_repaired),
	 "debts left over from an earlier policy, put right"},
	{"hold_unmarked", offsetof(struct counters, hold_unmarked),
	 "SYNs that were to be held and passed early: the driver leaves no room for the mark"},
	{"hold_no_room", offsetof(struct counters, hold_no_room),
	 "SYNs that were to be held and passed early: the waiting room was gone"},
	{"sessions_untracked", offsetof(struct counters, sessions_untracked),
	 "sessions that the full table had no room for: they hold slots that were not counted"},
	{"end_lost", offsetof(struct counters, end_lost),
	 "ends of good sessions that came faster than they were read: nobody was learned by them"},
};
const size_t fault_count = sizeof(faults) / sizeof(faults[0]);

const char *name_verdict(enum verdict v)
{
	return verdicts[v];
}

const char *name_reason(enum reason r)
{
	return reasons[r].name;
}

const char *sentence_reason(enum reason r)
{
	return reasons[r].sentence;
}

enum verdict reason_verdict(enum reason r)
{
	return reasons[r].verdict;
}

const char *name_frame(enum frame_kind k)
{
	return frames[k].name;
}

const char *sentence_frame(enum frame_kind k)
{
	return frames[k].sentence;
}

const char *name_family(enum family f)
{
	return families[f];
}

const char *name_mode(enum mode m)
{
	return modes[m];
}
