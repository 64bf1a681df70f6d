// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Exchanges lost to other CPUs, on purpose: in this file the gate's compare-and-exchange lets
 * another charge the word first, as often as a test says.
 */
#include "sluice.h"

static __u64 *contended_word; /* NULL: all of them */
static int contended_times;

static __u64 contended_exchange(__u64 *word, __u64 old, __u64 next)
{
	if (contended_times > 0 && (!contended_word || contended_word == word)) {
		contended_times--;
		__sync_fetch_and_add(word, 1); /* a nanosecond: no tolerance notices */
	}
	return __sync_val_compare_and_swap(word, old, next);
}

#define __sync_val_compare_and_swap(word, old, next) contended_exchange(word, old, next)
#include "rig.h"
#undef __sync_val_compare_and_swap

#define NOW  RIG_START_NS
#define HOST 0x0a000001

/* A source with words in both tables, so that no insert comes between. */
static struct rig *open_warm(struct attempt *a)
{
	struct config c = rig_config();
	struct prefix_key key;
	__u64 empty = NOW;
	struct rig *r;

	c.source_rate = c.subnet_rate = (struct rate){1, NSEC_PER_SEC};
	c.source_burst = c.subnet_burst = 10;
	r = rig_open(&c);
	*a = rig_v4(HOST, 1);
	state_prefix_key(&key, &a->source, &r->policy.source[FAMILY_V4]);
	plain_add(&r->st.table[TABLE_SOURCE], &key, &empty);
	state_prefix_key(&key, &a->source, &r->policy.subnet[FAMILY_V4]);
	plain_add(&r->st.table[TABLE_SUBNET], &key, &empty);
	r->control.global_tat_ns = NOW;
	return r;
}

static __u64 *word_of(struct rig *r, const struct attempt *a, enum table table)
{
	struct prefix_key key;

	state_prefix_key(&key, &a->source,
			 table == TABLE_SOURCE ? &r->policy.source[FAMILY_V4]
					       : &r->policy.subnet[FAMILY_V4]);
	return state_find(&r->st, table, &key);
}

static struct decision contend(struct rig *r, const struct attempt *a, __u64 *word, int times)
{
	struct decision d;

	contended_word = word;
	contended_times = times;
	d = gate_judge(&r->st, a, NOW);
	CHECK(times > GCRA_TRIES || contended_times == 0, "%d exchanges not asked for",
	      contended_times);
	contended_times = 0;
	return d;
}

static void test_up_to_three_losses(void)
{
	for (int times = 0; times < GCRA_TRIES; times++)
		for (int which = 0; which < 3; which++) {
			struct attempt a;
			struct rig *r = open_warm(&a);
			__u64 *word = which == 0   ? &r->control.global_tat_ns
				      : which == 1 ? word_of(r, &a, TABLE_SUBNET)
						   : word_of(r, &a, TABLE_SOURCE);
			__u64 t = which ? SEC(1) : MS(100);

			CHECK_DECISION(contend(r, &a, word, times), PASS, ADMITTED);
			CHECK_U64(*word, NOW + times + t); /* the others' charges are in it */
			rig_close(r);
		}
}

static void test_global_contended(void)
{
	struct attempt a;
	struct rig *r = open_warm(&a);

	CHECK_DECISION(contend(r, &a, &r->control.global_tat_ns, 4), DEFER, CONTENDED);
	CHECK_U64(r->control.global_tat_ns, NOW + 4);
	CHECK_U64(*word_of(r, &a, TABLE_SUBNET), NOW);
	CHECK_U64(*word_of(r, &a, TABLE_SOURCE), NOW);
	CHECK_U64(gate_judge(&r->st, &a, NOW + SEC(1)).again, 1); /* remembered like any other */
	rig_close(r);
}

static void test_subnet_contended(void)
{
	struct attempt a;
	struct rig *r = open_warm(&a);

	CHECK_DECISION(contend(r, &a, word_of(r, &a, TABLE_SUBNET), 4), DEFER, CONTENDED);
	CHECK_U64(r->control.global_tat_ns, NOW); /* given back */
	CHECK_U64(*word_of(r, &a, TABLE_SUBNET), NOW + 4);
	CHECK_U64(*word_of(r, &a, TABLE_SOURCE), NOW);
	CHECK_U64(r->counters.refund_lost, 0);
	rig_close(r);
}

static void test_source_contended(void)
{
	struct attempt a;
	struct rig *r = open_warm(&a);

	CHECK_DECISION(contend(r, &a, word_of(r, &a, TABLE_SOURCE), 4), DEFER, CONTENDED);
	CHECK_U64(r->control.global_tat_ns, NOW);
	CHECK_U64(*word_of(r, &a, TABLE_SUBNET), NOW);
	CHECK_U64(*word_of(r, &a, TABLE_SOURCE), NOW + 4);
	CHECK_U64(r->counters.refund_lost, 0);
	rig_close(r);
}

/* A refusal that cannot be charged to its budget is not sent. */
static void test_refusal_contended(void)
{
	struct attempt a;
	struct rig *r = open_warm(&a);

	r->policy.tiers = TIER_REFUSE;
	CHECK_DECISION(contend(r, &a, &r->control.refuse_tat_ns, 4), DEFER, LOAD);
	CHECK_DECISION(contend(r, &a, &r->control.refuse_tat_ns, 3), REFUSE, LOAD);
	rig_close(r);
}

/* A trusted source that loses four times is judged as unknown; it was not over its rate. */
static void test_trusted_contended(void)
{
	struct attempt a;
	struct rig *r = open_warm(&a);

	rig_class(r, &a.source, FAMILY_V4, 32, CLASS_TRUSTED);
	CHECK_DECISION(contend(r, &a, &r->control.trusted_tat_ns, 4), PASS, ADMITTED);
	CHECK_U64(r->counters.trusted_over, 0);
	rig_close(r);
}

/* Two CPUs with copies of one admitted SYN: one of them passes. */
static void test_replay_contended(void)
{
	struct attempt a;
	struct rig *r = open_warm(&a);
	__u64 fingerprint = state_fingerprint(&r->st, &a);
	struct admitted *seen;

	CHECK_DECISION(gate_judge(&r->st, &a, NOW), PASS, ADMITTED);
	seen = state_find(&r->st, TABLE_ADMITTED, &fingerprint);
	CU_ASSERT_PTR_NOT_NULL_FATAL(seen);
	seen->at_ns -= SEC(1); /* that was a second ago: a retransmit may pass */
	seen->passes -= SEC(1);
	CHECK_DECISION(contend(r, &a, &seen->passes, 1), DROP, REPLAY);
	CHECK_DECISION(contend(r, &a, &seen->passes, 0), PASS, RETRANSMIT);
	rig_close(r);
}

/* An attempt that is not counted as pending counts when it is a session. */
static void test_pending_contended(void)
{
	__u32 step = coming_step(NOW), times;
	struct coming c = {};
	__u64 *word = &c.word[step % COMING_RING];

	contended_word = word;
	for (times = 0; times <= COMING_TRIES; times++) {
		*word = coming_head(step) + 10 * COMING_ONE;
		contended_times = times;
		CHECK_U64(coming_add(&c, NOW), times < COMING_TRIES ? 0 : -1ULL);
		CHECK_U64(coming_count(&c, NOW), 10 + times + (times < COMING_TRIES));
		*word = coming_head(step) + 10 * COMING_ONE;
		contended_times = times;
		CHECK_U64(coming_arrived(&c, step), times < COMING_TRIES ? 0 : -1ULL);
		CHECK_U64(coming_count(&c, NOW), 10 + times - (times < COMING_TRIES));
	}
	contended_times = 0;
}

static struct holder two_for_a_minute(const struct rig *r, __u64 *(*word)(struct holder *h),
				      int times)
{
	struct holder h = {.tat_ns = NOW + SEC(70), .since_ns = NOW, .sessions = 2};

	contended_word = word(&h);
	contended_times = times;
	holder_settle(&h, &r->policy.sessions, NOW + SEC(60));
	contended_times = 0;
	return h;
}

static __u64 *tat_word(struct holder *h)
{
	return &h->tat_ns;
}

static __u64 *since_word(struct holder *h)
{
	return &h->since_ns;
}

/*
 * Two CPUs that settle a source at once: the one that moves the time on charges for it, so that
 * nothing is charged twice; a charge that loses four times is in the source's favour.
 */
static void test_slot_time_contended(void)
{
	struct config c = rig_config();
	struct rig *r;
	struct holder h;

	c.source_session_time_ns = SEC(60);
	r = rig_open(&c);
	for (int times = 0; times <= SESSIONS_TRIES; times++) {
		__u64 charge = times < SESSIONS_TRIES ? SEC(120) : 0;

		h = two_for_a_minute(r, tat_word, times);
		CHECK(h.tat_ns <= NOW + SEC(70) + charge + times &&
			      h.tat_ns + MS(1) >= NOW + SEC(70) + charge,
		      "%d losses: the word is at %llu", times, h.tat_ns - NOW);
		CHECK_U64(h.since_ns, NOW + SEC(60));
	}
	h = two_for_a_minute(r, since_word, 1);
	CHECK_U64(h.tat_ns, NOW + SEC(70));
	CHECK_U64(h.since_ns, NOW + 1);
	rig_close(r);
}

/* A begin or an end is lost after four others meanwhile; the daemon's check puts it right. */
static void test_holder_contended(void)
{
	for (int times = 0; times <= SESSIONS_TRIES; times++)
		for (int change = -1; change <= 1; change += 2) {
			struct holder h = {.sessions = 10};

			contended_word = &h.sessions;
			contended_times = times;
			holder_add(&h, change);
			CHECK_U64(h.sessions, 10 + times + (times < SESSIONS_TRIES ? change : 0));
		}
	contended_times = 0;
}

/* Lost places of sessions to come do not change what the SYN at hand is told. */
static void test_admission_with_pending_contended(void)
{
	struct attempt a;
	struct rig *r = open_warm(&a);

	r->policy.sessions =
		(struct session_limits){.most = 100, .most_unknown = 80, .pending_most = 25};
	CHECK_DECISION(contend(r, &a, &r->live.everybody.word[coming_step(NOW) % COMING_RING], 4),
		       PASS, ADMITTED);
	rig_close(r);
}

void suite_contended(void)
{
	static CU_TestInfo tests[] = {
		{"up to three exchanges lost: admitted", test_up_to_three_losses},
		{"four on the global word", test_global_contended},
		{"four on the subnet's: global is given back", test_subnet_contended},
		{"four on the source's: both are given back", test_source_contended},
		{"a refusal beyond contention is not sent", test_refusal_contended},
		{"a trusted source is judged as unknown", test_trusted_contended},
		{"of two copies of an admitted SYN one passes", test_replay_contended},
		{"an attempt that is to be a session", test_pending_contended},
		{"slot time is charged once, or given", test_slot_time_contended},
		{"a session more or less", test_holder_contended},
		{"admitted, whatever becomes of pending", test_admission_with_pending_contended},
		CU_TEST_INFO_NULL,
	};

	unit_suite("contended", tests);
}
