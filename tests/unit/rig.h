/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rig.h - a gate over plain tables, with a policy made from a config as the daemon makes it.
 *
 * The config of rig_config() leaves every limit out of the way but connection-rate; a test names
 * the ones that it is about.
 */
#ifndef RIG_H
#define RIG_H

#include <stdbool.h>

#include "config.h"
#include "policy.h"
#include "sluice.h"
#include "tables.h"

#include "gate.h"
#include "unit.h"

#define RIG_ENTRIES 4096
#define RIG_CLASSES 8

#define MS(n)  ((n)*NSEC_PER_MSEC)
#define SEC(n) ((n)*NSEC_PER_SEC)

/* When the tests begin: not zero, as no machine's clock is, and a whole tick of 4 ms. */
#define RIG_START_NS SEC(1000ULL)

struct rig {
	struct config config;
	struct policy policy;
	struct control control;
	struct counters counters;
	__u64 remember_tat_ns;
	struct live live;
	struct backlog backlog; /* of the listener; st.backlog is NULL until a test has one */
	struct plain_class classes[RIG_CLASSES];
	uint64_t listed_units;
	struct presence presence; /* st.presence is NULL in tests that go without it */
	struct state st;
};

/* connection-rate 10/s, burst 5, retry 4, known 3; no source and no subnet limit. */
struct config rig_config(void);

/* Never fails: a test without memory ends the program. The rig is the caller's, rig_close. */
struct rig *rig_open(const struct config *c);
struct rig *rig_open_sized(const struct config *c, __u32 entries);
void rig_close(struct rig *r);

/* Puts another config in force, with the state as it is. */
void rig_switch(struct rig *r, const struct config *c);

/* Lists a prefix: bits are of the address's own family. */
void rig_class(struct rig *r, const union addr *a, __u32 family, __u32 bits, int class);

/* A source is about to be learned: the presence filter has it from now on. */
void rig_learned(struct rig *r, const struct prefix_key *key);

union addr rig_addr_v4(__u32 host);
union addr rig_addr_v6(__u64 high, __u64 low);

/* An attempt from this source to port 25 of the guarded host; isn tells attempts apart. */
struct attempt rig_v4(__u32 host, __u32 isn);
struct attempt rig_v6(__u64 high, __u64 low, __u32 isn);

struct decision rig_judge(struct rig *r, const struct attempt *a, __u64 now_ns);

/* How many of so many different attempts of a source pass at this moment as admitted. */
int rig_pass_v4(struct rig *r, __u32 host, int attempts, __u64 now_ns);

/* The words of a source and of its subnet: 0 when the table does not have them. */
__u64 rig_source_tat(struct rig *r, const struct attempt *a);
__u64 rig_subnet_tat(struct rig *r, const struct attempt *a);

const char *rig_verdict_name(unsigned int verdict);
const char *rig_reason_name(unsigned int reason);

#define CHECK_DECISION(d, v, r) check_decision(__FILE__, __LINE__, d, VERDICT_##v, REASON_##r)
void check_decision(const char *file, unsigned int line, struct decision d, unsigned int verdict,
		    unsigned int reason);

#define CHECK_U64(got, expected) check_u64(__FILE__, __LINE__, #got, got, expected)
void check_u64(const char *file, unsigned int line, const char *what, unsigned long long got,
	       unsigned long long expected);

/* A small generator of its own (splitmix64), so that every machine runs the same numbers. */
__u64 rig_random(__u64 *state);
__u64 rig_below(__u64 *state, __u64 n); /* 0 to n - 1 */

#endif
