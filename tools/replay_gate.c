// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The state is that of tables.h, but for what is slow there. Its class list is searched from end to
 * end, which is enough for tests: those of an operator can have a million prefixes. Its tables are
 * plain, and an hour of a storm asks them more than a hundred million times.
 */
#include "replay_gate.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define state_class plain_state_class
#define state_find  plain_state_find
#define state_add   plain_state_add
#include "tables.h"
#undef state_class
#undef state_find
#undef state_add

#include "listed.h"
#include "replay_table.h"

#define NO_PARENT UINT32_MAX

struct replay_gate {
	struct state st;   /* first: the look-ups find the rest behind it */
	__u64 fingerprint; /* of the attempt that is being judged */
	struct replay_table table[TABLES];
	struct policy policy;
	struct control control;
	struct counters counters;
	__u64 remember_tat_ns;
	struct presence presence;	 /* as in the kernel: most of a storm never meets a table */
	const struct class_entry *entry; /* as classes.h sorts them: family, address, length */
	uint32_t *parent;		 /* the prefix around it, or NO_PARENT */
	uint32_t first[FAMILIES + 1];	 /* where the entries of a family begin */
};

/* Does the prefix hold the address? */
static bool holds(const struct class_entry *e, const union addr *a)
{
	unsigned int bits = e->family == FAMILY_V4 ? 96U + e->bits : e->bits;
	unsigned int bytes = bits / 8;

	if (memcmp(e->addr.byte, a->byte, bytes))
		return false;
	return !(bits % 8) || !((e->addr.byte[bytes] ^ a->byte[bytes]) >> (8 - bits % 8));
}

/*
 * The last entry that begins at or before the address lies in every prefix that holds it, or is
 * one: prefixes nest or are apart. So the longest of them is that entry or one around it.
 */
static inline __u32 state_class(struct state *st, const struct attempt *a)
{
	const struct replay_gate *g = (const struct replay_gate *)st;
	uint32_t low = g->first[a->family & 1], high = g->first[(a->family & 1) + 1];
	uint32_t i, start = low;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (memcmp(&g->entry[middle].addr, &a->source, sizeof(a->source)) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (i = low > start ? low - 1 : NO_PARENT; i != NO_PARENT; i = g->parent[i])
		if (holds(&g->entry[i], &a->source))
			return g->entry[i].class;
	return CLASS_UNKNOWN;
}

static inline struct replay_table *table_of(struct state *st, enum table table)
{
	return &((struct replay_gate *)st)->table[table];
}

/* Words of a table's keys: a fingerprint, or a prefix_key. Known when this is compiled. */
#define KEY_WORDS(table) ((table) == TABLE_ADMITTED || (table) == TABLE_DEFERRED ? 1 : 3)

static __always_inline void *state_find(struct state *st, enum table table, const void *key)
{
	return replay_table_find(table_of(st, table), key, KEY_WORDS(table));
}

static __always_inline int state_add(struct state *st, enum table table, const void *key,
				     const void *value)
{
	return replay_table_add(table_of(st, table), key, KEY_WORDS(table), value);
}

/* Who asks the gate knows the fingerprint already: it is the same for all SYNs of an attempt. */
#define state_fingerprint(st, a) ((void)(a), ((const struct replay_gate *)(st))->fingerprint)
#include "state.h"

#include "gate.h"

_Static_assert(sizeof(struct prefix_key) == 3 * sizeof(__u64), "the longer key");

/* Sorted as they are, a prefix stands before all that lie in it. Returns 0 or -ENOMEM. */
static int index_classes(struct replay_gate *g, const struct class_list *classes)
{
	uint32_t count = classes ? (uint32_t)classes->count : 0;

	if (!count)
		return 0;
	g->entry = classes->entry;
	g->parent = malloc(count * sizeof(*g->parent));
	if (!g->parent)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		const struct class_entry *e = &g->entry[i];
		uint32_t around = i ? i - 1 : NO_PARENT;

		while (around != NO_PARENT && (g->entry[around].family != e->family ||
					       !holds(&g->entry[around], &e->addr)))
			around = g->parent[around];
		g->parent[i] = around;
		g->first[FAMILY_V6] += e->family == FAMILY_V4;
	}
	g->first[FAMILIES] = count;
	return 0;
}

/* The four tables that a SYN can write, each as large as in the kernel; the others stay empty. */
static int open_tables(struct replay_gate *g, const struct policy_tables *sizes)
{
	struct replay_table *t = g->table;

	if (replay_table_open(&t[TABLE_SOURCE], sizes->sources, 3, sizeof(__u64)) ||
	    replay_table_open(&t[TABLE_SUBNET], sizes->subnets, 3, sizeof(__u64)) ||
	    replay_table_open(&t[TABLE_ADMITTED], sizes->admitted, 1, sizeof(struct admitted)) ||
	    replay_table_open(&t[TABLE_DEFERRED], sizes->deferred, 1, sizeof(__u64)))
		return -ENOMEM;
	return 0;
}

int replay_gate_open(const struct policy *p, const struct policy_tables *sizes, uint32_t tiers,
		     const struct class_list *classes, struct replay_gate **gate)
{
	struct replay_gate *g = calloc(1, sizeof(*g));

	*gate = NULL;
	if (!g)
		return -ENOMEM;
	g->policy = *p;
	g->policy.tiers = tiers;
	g->policy.sessions = (struct session_limits){0};
	g->control.abi = SLUICE_ABI;
	g->control.lease_until_ns = NEVER_NS;
	g->control.hold_until_ns = NEVER_NS;
	g->control.seed[0] = 0x7265706c61790001ULL; /* the same replay, the same verdicts */
	g->control.seed[1] = 0x736c756963650002ULL;
	g->st.policy = &g->policy;
	g->st.control = &g->control;
	g->st.counters = &g->counters;
	g->st.remember_tat_ns = &g->remember_tat_ns;
	g->st.presence = &g->presence;
	if (classes)
		listed_fill(&g->presence, g->policy.class_slot, classes, g->control.seed[1]);
	g->control.present = classes && classes->count ? ~0U : 0;
	if (open_tables(g, sizes) || index_classes(g, classes)) {
		replay_gate_close(g);
		return -ENOMEM;
	}
	*gate = g;
	return 0;
}

void replay_gate_close(struct replay_gate *gate)
{
	if (!gate)
		return;
	for (int i = 0; i < TABLES; i++)
		replay_table_close(&gate->table[i]);
	free(gate->parent);
	free(gate);
}

/* The gate notes the turn of a held attempt in its entry, to 256 ns. */
static uint64_t held_for_ns(struct replay_gate *g, uint64_t now_ns)
{
	const struct admitted *entry = state_find(&g->st, TABLE_ADMITTED, &g->fingerprint);
	__u64 turn_ns = entry ? REPLAY_TIME(entry->passes) : 0;

	return turn_ns > now_ns ? turn_ns - now_ns : 0;
}

struct replay_decision replay_gate_judge(struct replay_gate *gate, const struct attempt *a,
					 uint64_t fingerprint, uint64_t now_ns)
{
	struct replay_decision out;
	struct decision d;

	gate->fingerprint = fingerprint;
	d = gate_judge(&gate->st, a, now_ns);
	out = (struct replay_decision){d.verdict, d.reason, d.class, d.again, 0};
	if (d.verdict == VERDICT_HOLD)
		out.hold_ns = held_for_ns(gate, now_ns);
	return out;
}

uint64_t replay_gate_fingerprint(const struct replay_gate *gate, const struct attempt *a)
{
	return attempt_fingerprint(gate->control.seed, a);
}

const struct policy *replay_gate_policy(const struct replay_gate *gate)
{
	return &gate->policy;
}

const struct counters *replay_gate_counters(const struct replay_gate *gate)
{
	return &gate->counters;
}
