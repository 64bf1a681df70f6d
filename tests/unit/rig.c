// SPDX-License-Identifier: GPL-2.0-or-later
#include "rig.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "listed.h"

struct config rig_config(void)
{
	struct config c = {
		.ports = 1,
		.port_host = {25},
		.mode = MODE_ENFORCE,
		.connection_rate = {10, NSEC_PER_SEC},
		.queue_rate = {5, NSEC_PER_SEC},
		.trusted_rate = {1000, NSEC_PER_SEC},
		.refuse_rate = {10000, NSEC_PER_SEC},
		.connection_burst = 5,
		.retry_burst = 4,
		.known_burst = 3,
		.trusted_burst = 2000,
		.source_burst = 1,
		.subnet_burst = 1,
		.defer_budget_per_s = 4000,
		.source_prefix_v4 = 32,
		.source_prefix_v6 = 64,
		.subnet_prefix_v4 = 24,
		.subnet_prefix_v6 = 48,
		.source_table = 65536,
		.subnet_table = 65536,
	};

	return c;
}

struct rig *rig_open_sized(const struct config *c, __u32 entries)
{
	struct rig *r = calloc(1, sizeof(*r));

	if (!r || state_open_tables(&r->st, entries)) {
		fprintf(stderr, "rig: no memory\n");
		exit(1);
	}
	r->control.abi = SLUICE_ABI;
	r->control.lease_until_ns = NEVER_NS;
	r->control.seed[0] = 0x0706050403020100ULL;
	r->control.seed[1] = 0x0f0e0d0c0b0a0908ULL;
	r->st.policy = &r->policy;
	r->st.control = &r->control;
	r->st.counters = &r->counters;
	r->st.remember_tat_ns = &r->remember_tat_ns;
	r->st.live = &r->live;
	r->st.classes = r->classes;
	r->st.presence = &r->presence;
	rig_switch(r, c);
	return r;
}

struct rig *rig_open(const struct config *c)
{
	return rig_open_sized(c, RIG_ENTRIES);
}

void rig_close(struct rig *r)
{
	state_close_tables(&r->st);
	free(r);
}

void rig_switch(struct rig *r, const struct config *c)
{
	__u32 tiers = r->policy.tiers;

	r->config = *c;
	if (policy_make(c, 1, &r->policy)) {
		fprintf(stderr, "rig: a config of the tests does not make a policy\n");
		exit(1);
	}
	r->policy.tiers = tiers;
}

void rig_class(struct rig *r, const union addr *a, __u32 family, __u32 bits, int class)
{
	struct plain_class *c = &r->classes[r->st.class_count++];

	struct class_entry entry = {.addr = *a, .bits = (uint8_t)bits, .family = (uint8_t)family};

	/* Of both slots: a test may switch between them. */
	listed_add(&r->presence, 0, &entry, r->control.seed[1], &r->listed_units);
	listed_add(&r->presence, 1, &entry, r->control.seed[1], &r->listed_units);
	r->control.present |= 1U << PRESENCE_LISTED(0) | 1U << PRESENCE_LISTED(1);
	*c = (struct plain_class){.addr = *a, .class = class};
	c->prefix.bits = family == FAMILY_V4 ? bits + 96 : bits;
	for (__u32 i = 0; i < c->prefix.bits; i++)
		c->prefix.mask.byte[i / 8] |= 0x80 >> i % 8;
}

void rig_learned(struct rig *r, const struct prefix_key *key)
{
	listed_learn(&r->presence, key, r->control.seed[1]);
	r->control.present |= 1U << PRESENCE_LEARNED;
}

union addr rig_addr_v4(__u32 host)
{
	union addr a = {.byte = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}};

	a.word[3] = htonl(host);
	return a;
}

union addr rig_addr_v6(__u64 high, __u64 low)
{
	union addr a;

	for (int i = 0; i < 8; i++) {
		a.byte[i] = high >> (56 - 8 * i);
		a.byte[8 + i] = low >> (56 - 8 * i);
	}
	return a;
}

static struct attempt attempt_to(union addr source, union addr dest, __u32 family, __u32 isn)
{
	return (struct attempt){.source = source,
				.dest = dest,
				.source_port = htons(40000),
				.dest_port = htons(25),
				.isn = isn,
				.family = family};
}

struct attempt rig_v4(__u32 host, __u32 isn)
{
	return attempt_to(rig_addr_v4(host), rig_addr_v4(0xc0000219), FAMILY_V4, isn);
}

struct attempt rig_v6(__u64 high, __u64 low, __u32 isn)
{
	return attempt_to(rig_addr_v6(high, low), rig_addr_v6(0x20010db800000000ULL, 25), FAMILY_V6,
			  isn);
}

struct decision rig_judge(struct rig *r, const struct attempt *a, __u64 now_ns)
{
	return gate_judge(&r->st, a, now_ns);
}

int rig_pass_v4(struct rig *r, __u32 host, int attempts, __u64 now_ns)
{
	static __u32 isn = 0x10000000;
	int passed = 0;

	for (int i = 0; i < attempts; i++) {
		struct attempt a = rig_v4(host, isn++);
		struct decision d = rig_judge(r, &a, now_ns);

		passed += d.verdict == VERDICT_PASS && d.reason == REASON_ADMITTED;
	}
	return passed;
}

static __u64 table_tat(struct rig *r, enum table table, const union addr *a, const struct prefix *p)
{
	struct prefix_key key;
	__u64 *word;

	state_prefix_key(&key, a, p);
	word = state_find(&r->st, table, &key);
	return word ? *word : 0;
}

__u64 rig_source_tat(struct rig *r, const struct attempt *a)
{
	return table_tat(r, TABLE_SOURCE, &a->source, &r->policy.source[a->family]);
}

__u64 rig_subnet_tat(struct rig *r, const struct attempt *a)
{
	return table_tat(r, TABLE_SUBNET, &a->source, &r->policy.subnet[a->family]);
}

const char *rig_verdict_name(unsigned int verdict)
{
	static const char *const names[VERDICTS] = {"PASS", "DEFER", "HOLD", "REFUSE", "DROP"};

	return verdict < VERDICTS ? names[verdict] : "?";
}

const char *rig_reason_name(unsigned int reason)
{
	static const char *const names[REASONS] = {
#define X(id, verdict, name, sentence) name,
		REASON_TABLE(X)
#undef X
	};

	return reason < REASONS ? names[reason] : "?";
}

void check_decision(const char *file, unsigned int line, struct decision d, unsigned int verdict,
		    unsigned int reason)
{
	if (d.verdict != verdict || d.reason != reason)
		unit_fail(file, line, "%s %s, expected %s %s", rig_verdict_name(d.verdict),
			  rig_reason_name(d.reason), rig_verdict_name(verdict),
			  rig_reason_name(reason));
}

void check_u64(const char *file, unsigned int line, const char *what, unsigned long long got,
	       unsigned long long expected)
{
	if (got != expected)
		unit_fail(file, line, "%s is %llu, expected %llu", what, got, expected);
}

__u64 rig_random(__u64 *state)
{
	__u64 z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

__u64 rig_below(__u64 *state, __u64 n)
{
	return rig_random(state) % n;
}
