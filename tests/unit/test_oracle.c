// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The gate against a model of its design in another language (gate_model.py), SYN by SYN: traces
 * of random traffic, with senders that retransmit as Linux does, at random or never, from listed
 * and unlisted sources of both families, under policies and tiers that change on the way. What is
 * admitted may become a session, which ends at some time; the listener's queue fills and empties;
 * senders are learned and forgotten.
 */
#include <arpa/inet.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rig.h"

#define TICK_NS	     MS(4)
#define TRACE_SYNS   16000
#define ENTRIES	     65536
#define WAITING_MAX  65536
#define RETRANSMITS  9
#define ANSWER_BYTES 256

enum event { EVENT_SYN, EVENT_BEGIN, EVENT_END };

/* A SYN that is on its way, or the begin or the end of a session that is to come. */
struct flying {
	__u64 at_ns, first_ns;
	struct attempt attempt;
	enum event event;
	int sent; /* how often before */
	int habit;
	struct prefix_key source; /* of a session: as its holder was called when it began */
};

enum habit { HABIT_LINUX, HABIT_RANDOM, HABIT_NEVER, HABITS };

struct trace {
	struct rig *r;
	__u64 random;
	FILE *out; /* the trace, as the model reads it */
	char (*answer)[ANSWER_BYTES];
	int answers;
	struct flying *heap;
	int waiting;
	int seen[REASONS];
};

/* --- the SYNs on their way: a binary heap by time --------------------------------------------- */

static void heap_swap(struct flying *a, struct flying *b)
{
	struct flying t = *a;

	*a = *b;
	*b = t;
}

static void heap_push(struct trace *t, const struct flying *f)
{
	int i = t->waiting;

	if (t->waiting == WAITING_MAX)
		return; /* a SYN lost on the way */
	t->heap[t->waiting++] = *f;
	for (; i && t->heap[i].at_ns < t->heap[(i - 1) / 2].at_ns; i = (i - 1) / 2)
		heap_swap(&t->heap[i], &t->heap[(i - 1) / 2]);
}

static struct flying heap_pop(struct trace *t)
{
	struct flying top = t->heap[0];
	int i = 0;

	t->heap[0] = t->heap[--t->waiting];
	for (;;) {
		int child = 2 * i + 1;

		if (child + 1 < t->waiting && t->heap[child + 1].at_ns < t->heap[child].at_ns)
			child++;
		if (child >= t->waiting || t->heap[i].at_ns <= t->heap[child].at_ns)
			return top;
		heap_swap(&t->heap[i], &t->heap[child]);
		i = child;
	}
}

/* --- traffic ---------------------------------------------------------------------------------- */

/* A few subnets with a few hosts each, both families; classes are lists over them. */
static struct attempt random_attempt(__u64 *random)
{
	__u32 net = rig_below(random, 12), host = rig_below(random, rig_below(random, 2) ? 4 : 200);
	struct attempt a = rig_v4(0x0a000000 + net * 256 + host, rig_random(random));

	if (net % 3 == 2)
		a = rig_v6(0x20010db800000000ULL + ((__u64)net << 16) + host % 8, host,
			   rig_random(random));
	a.source_port = rig_random(random);
	return a;
}

static void list_classes(struct trace *t)
{
	static const struct {
		__u32 family, bits;
		__u64 high, low;
		int class;
		const char *name;
	} rows[] = {
		{FAMILY_V4, 24, 0, 0x0a000100, CLASS_KNOWN, "known"},
		{FAMILY_V4, 24, 0, 0x0a000300, CLASS_THROTTLED, "throttled"},
		{FAMILY_V4, 24, 0, 0x0a000400, CLASS_BLOCKED, "blocked"},
		{FAMILY_V4, 31, 0, 0x0a000400, CLASS_KNOWN, "known"}, /* out of the blocked net */
		{FAMILY_V4, 24, 0, 0x0a000600, CLASS_TRUSTED, "trusted"},
		{FAMILY_V4, 32, 0, 0x0a000601, CLASS_BLOCKED, "blocked"},
		{FAMILY_V6, 48, 0x20010db800050000ULL, 0, CLASS_KNOWN, "known"},
		{FAMILY_V6, 64, 0x20010db800050001ULL, 0, CLASS_TRUSTED, "trusted"},
	};

	_Static_assert(sizeof(rows) / sizeof(rows[0]) <= RIG_CLASSES, "the rig's list is short");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		union addr a = rows[i].family == FAMILY_V4 ? rig_addr_v4(rows[i].low)
							   : rig_addr_v6(rows[i].high, rows[i].low);

		rig_class(t->r, &a, rows[i].family, rows[i].bits, rows[i].class);
		fprintf(t->out, "class %s ", rows[i].name);
		for (int b = 0; b < 16; b++)
			fprintf(t->out, "%02x", a.byte[b]);
		fprintf(t->out, " %u\n", rows[i].bits + (rows[i].family == FAMILY_V4 ? 96 : 0));
	}
}

/* When a SYN comes again, if it does. */
static bool next_try(struct trace *t, struct flying *f)
{
	/* Linux with tcp_syn_linear_timeouts 4 (ms after the first), and jitter of its timers. */
	static const __u32 linux_ms[RETRANSMITS] = {1020, 2050,	 3070,	4100, 5120,
						    7140, 11300, 19500, 35600};

	if (f->habit == HABIT_NEVER || f->sent >= RETRANSMITS + 4 * (f->habit == HABIT_RANDOM))
		return false;
	if (f->habit == HABIT_LINUX)
		f->at_ns = f->first_ns + MS(linux_ms[f->sent]) + rig_below(&t->random, MS(8));
	else if (rig_below(&t->random, 20))
		f->at_ns += rig_below(&t->random, MS(1500));
	else
		f->at_ns += rig_below(&t->random, SEC(80)); /* beyond all memory, perhaps */
	f->sent++;
	return true;
}

/* Does the client ask again? Admitted ones do when their SYN-ACK was lost. */
static bool asks_again(struct trace *t, struct decision d)
{
	switch (d.verdict) {
	case VERDICT_PASS:
		return rig_below(&t->random, 3) == 0;
	case VERDICT_REFUSE:
		return rig_below(&t->random, 10) == 0;
	}
	return true;
}

static void write_attempt(struct trace *t, const char *what, const struct attempt *a, __u64 now_ns)
{
	fprintf(t->out, "%s %llu %d ", what, now_ns, a->family == FAMILY_V4 ? 4 : 6);
	for (int i = 0; i < 32; i++)
		fprintf(t->out, "%s%02x", i == 16 ? " " : "",
			i < 16 ? a->source.byte[i] : a->dest.byte[i - 16]);
	fprintf(t->out, " %u %u %u\n", ntohs(a->source_port), ntohs(a->dest_port), a->isn);
}

static struct holder *holder_of(struct trace *t, const struct attempt *a, struct prefix_key *key)
{
	state_slot_key(&t->r->st, TABLE_HOLDER, a, key);
	return state_find(&t->r->st, TABLE_HOLDER, key);
}

static void judge_one(struct trace *t, struct flying *f)
{
	__u64 now_ns = f->at_ns / TICK_NS * TICK_NS;
	struct decision d = rig_judge(t->r, &f->attempt, now_ns);
	struct prefix_key key;
	const struct holder *h = holder_of(t, &f->attempt, &key), none = {};

	h = h ? h : &none;
	write_attempt(t, "syn", &f->attempt, now_ns);
	snprintf(t->answer[t->answers++], ANSWER_BYTES,
		 "%s %s %u %llu %llu %llu %llu sessions %lld %u holder %llu %llu %llu",
		 rig_verdict_name(d.verdict), rig_reason_name(d.reason), d.again,
		 t->r->control.global_tat_ns, t->r->control.trusted_tat_ns,
		 rig_source_tat(t->r, &f->attempt), rig_subnet_tat(t->r, &f->attempt),
		 t->r->live.sessions, coming_count(&t->r->live.everybody, now_ns), h->tat_ns,
		 h->since_ns, h->sessions);
	t->seen[d.reason]++;
	if (asks_again(t, d)) {
		if (next_try(t, f))
			heap_push(t, f);
	} else if (d.verdict == VERDICT_PASS && rig_below(&t->random, 4)) {
		f->event = EVENT_BEGIN;
		f->at_ns += rig_below(&t->random, rig_below(&t->random, 8) ? MS(300) : SEC(20));
		heap_push(t, f);
	}
}

/* --- sessions, as sessions.bpf.c keeps them: on the fine clock -------------------------------- */

static void begin_session(struct trace *t, struct flying *f)
{
	struct attempt session = f->attempt;
	__u64 now_ns = f->at_ns;
	struct holder *h = holder_of(t, &f->attempt, &f->source), fresh = {.since_ns = now_ns};

	write_attempt(t, "begin", &f->attempt, now_ns);
	state_arrived(&t->r->st, &session, session.isn);
	t->r->live.sessions++;
	if (!h) {
		state_add(&t->r->st, TABLE_HOLDER, &f->source, &fresh);
		h = state_find(&t->r->st, TABLE_HOLDER, &f->source);
	}
	holder_settle(h, &t->r->policy.sessions, now_ns);
	holder_add(h, 1);
	f->event = EVENT_END;
	f->at_ns += rig_below(&t->random, rig_below(&t->random, 4) ? SEC(5) : SEC(200));
	heap_push(t, f);
}

static void end_session(struct trace *t, const struct flying *f)
{
	struct holder *h = state_find(&t->r->st, TABLE_HOLDER, &f->source);

	write_attempt(t, "end", &f->attempt, f->at_ns);
	t->r->live.sessions--;
	holder_settle(h, &t->r->policy.sessions, f->at_ns);
	holder_add(h, -1);
}

/* --- policies --------------------------------------------------------------------------------- */

static struct rate random_rate(__u64 *random, __u64 most)
{
	return (struct rate){1 + rig_below(random, most),
			     rig_below(random, 2) ? NSEC_PER_SEC : NSEC_PER_SEC * 3};
}

/* Of each limit: off now and then, and else so that it bites at the rates of the trace. */
static void random_session_limits(__u64 *random, struct config *c, __u64 size)
{
	static const __u64 minutes[] = {SEC(1), SEC(7), SEC(12), SEC(60), SEC(60), SEC(3600)};

	c->max_sessions = rig_below(random, 2) ? 1 + rig_below(random, 60 * size) : 0;
	c->known_share_percent = rig_below(random, 91);
	c->max_sessions_per_source = rig_below(random, 3) ? 1 + rig_below(random, 8) : 0;
	c->source_session_time_ns = rig_below(random, 4) ? minutes[rig_below(random, 6)] : 0;
}

static struct config random_config(__u64 *random)
{
	static const __u64 sizes[] = {3, 20, 200};
	struct config c = rig_config();
	__u64 size = sizes[rig_below(random, 3)];

	c.connection_rate = random_rate(random, size);
	c.queue_rate = (struct rate){c.connection_rate.count, c.connection_rate.period_ns * 2};
	c.connection_burst = 1 + rig_below(random, 2 * size);
	c.retry_burst = rig_below(random, 2 * size);
	c.known_burst = rig_below(random, 2 * size);
	c.trusted_rate = random_rate(random, 3);
	c.trusted_burst = 1 + rig_below(random, 8);
	c.source_rate = random_rate(random, 3);
	c.source_rate.count *= rig_below(random, 4) != 0; /* off now and then */
	c.source_burst = 1 + rig_below(random, 25);
	c.subnet_rate = random_rate(random, 9);
	c.subnet_rate.count *= rig_below(random, 4) != 0;
	c.subnet_burst = 1 + rig_below(random, 20);
	c.refuse_rate = random_rate(random, 40);
	c.defer_budget_per_s = 1 + rig_below(random, rig_below(random, 2) ? 20 : 4000);
	c.source_prefix_v4 = rig_below(random, 3) ? 32 : 30;
	c.subnet_prefix_v6 = rig_below(random, 3) ? 48 : 32;
	c.pace_horizon_ns = rig_below(random, 3) ? rig_below(random, MS(3000)) : 0;
	random_session_limits(random, &c, size);
	return c;
}

#define RATE(name) (c->name).count, (c->name).count ? (c->name).period_ns : 1

static void write_policy(struct trace *t, const struct config *c)
{
	fprintf(t->out,
		"policy connection=%lu/%lu burst=%u retry=%u known=%u queue=%lu/%lu "
		"trusted=%lu/%lu trusted_burst=%u source=%lu/%lu source_burst=%u "
		"subnet=%lu/%lu subnet_burst=%u refuse=%lu/%lu budget=%u "
		"source_v4=%u source_v6=%u subnet_v4=%u subnet_v6=%u hold=%lu "
		"sessions=%u share=%u per_source=%u minute=%lu\n",
		RATE(connection_rate), c->connection_burst, c->retry_burst, c->known_burst,
		RATE(queue_rate), RATE(trusted_rate), c->trusted_burst, RATE(source_rate),
		c->source_burst, RATE(subnet_rate), c->subnet_burst, RATE(refuse_rate),
		c->defer_budget_per_s, c->source_prefix_v4, c->source_prefix_v6,
		c->subnet_prefix_v4, c->subnet_prefix_v6, c->pace_horizon_ns, c->max_sessions,
		c->known_share_percent, c->max_sessions_per_source, c->source_session_time_ns);
}

/* The controller's hand: tiers by load or by order, with leases and ends that run out on the way. */
static void change_tiers(struct trace *t, __u64 now_ns)
{
	struct override *o = &t->r->policy.tier_override;

	t->r->policy.tiers = rig_below(&t->random, 2) ? 0 : rig_below(&t->random, TIER_ALL + 1);
	t->r->control.lease_until_ns = now_ns + rig_below(&t->random, SEC(40));
	o->value = rig_below(&t->random, TIER_ALL + 1);
	switch (rig_below(&t->random, 4)) {
	case 0:
		o->until_ns = now_ns + rig_below(&t->random, SEC(10));
		break;
	case 1:
		o->until_ns = NEVER_NS;
		break;
	default:
		o->until_ns = 0;
	}
	fprintf(t->out, "force %u %llu %u %llu\n", t->r->policy.tiers, t->r->control.lease_until_ns,
		o->value, o->until_ns);
}

/* The waiting room is there for a while, and sometimes slower than those in it were told. */
static void change_room(struct trace *t, __u64 now_ns)
{
	struct control *c = &t->r->control;

	c->hold_until_ns = rig_below(&t->random, 4) ? now_ns + rig_below(&t->random, SEC(40)) : 0;
	c->hold_drained_ns = rig_below(&t->random, 2) ? now_ns + rig_below(&t->random, SEC(4)) : 0;
	fprintf(t->out, "room %llu %llu\n", c->hold_until_ns, c->hold_drained_ns);
}

/* The MTA falls behind or catches up; or listens elsewhere, where nobody can ask. */
static void change_backlog(struct trace *t)
{
	static const __u32 most[] = {0, 1, 2, 10, 128, 4096};
	struct backlog *b = &t->r->backlog;

	t->r->st.backlog = rig_below(&t->random, 3) ? b : NULL;
	b->most = most[rig_below(&t->random, 6)];
	b->waiting = rig_below(&t->random, b->most + 3);
	if (rig_below(&t->random, 2))
		b->waiting /= 4;
	b->young = rig_below(&t->random, 2) ? rig_below(&t->random, b->most / 4 + 2) : 0;
	b->blind = rig_below(&t->random, 3) == 0;
	if (t->r->st.backlog)
		fprintf(t->out, "backlog %u %u %u %u\n", b->waiting, b->young, b->most, b->blind);
	else
		fprintf(t->out, "backlog none\n");
}

/* The daemon's hand: a sender is learned or marked for a while, listed or not. */
static void learn_one(struct trace *t, __u64 now_ns)
{
	struct attempt a = random_attempt(&t->random);
	struct learned l = {.until_ns = now_ns + rig_below(&t->random, SEC(60)),
			    .class = rig_below(&t->random, 3) ? CLASS_KNOWN : CLASS_THROTTLED};
	struct learned *found;
	struct prefix_key key;

	state_slot_key(&t->r->st, TABLE_LEARNED, &a, &key);
	rig_learned(t->r, &key);
	found = state_find(&t->r->st, TABLE_LEARNED, &key);
	if (found)
		*found = l;
	else
		plain_add(&t->r->st.table[TABLE_LEARNED], &key, &l);
	fprintf(t->out, "learned %s %d ", l.class == CLASS_KNOWN ? "known" : "throttled",
		a.family == FAMILY_V4 ? 4 : 6);
	for (int i = 0; i < 16; i++)
		fprintf(t->out, "%02x", a.source.byte[i]);
	fprintf(t->out, " %llu\n", l.until_ns);
}

static void change_policy(struct trace *t)
{
	struct override o = t->r->policy.tier_override;
	struct config c = random_config(&t->random);

	rig_switch(t->r, &c);
	t->r->policy.tier_override = o;
	write_policy(t, &c);
}

/* --- one trace -------------------------------------------------------------------------------- */

static void trace_open(struct trace *t, FILE *out, __u64 seed)
{
	struct config c;

	*t = (struct trace){.random = seed, .out = out};
	t->heap = malloc(WAITING_MAX * sizeof(*t->heap));
	t->answer = malloc(TRACE_SYNS * sizeof(*t->answer));
	if (!t->heap || !t->answer) {
		fprintf(stderr, "oracle: no memory\n");
		exit(1);
	}
	c = random_config(&t->random);
	t->r = rig_open_sized(&c, ENTRIES);
	t->r->control.hold_until_ns = NEVER_NS;
	write_policy(t, &c);
	list_classes(t);
}

static void trace_close(struct trace *t)
{
	rig_close(t->r);
	free(t->heap);
	free(t->answer);
}

static void act_on(struct trace *t, struct flying *f)
{
	switch (f->event) {
	case EVENT_SYN:
		judge_one(t, f);
		break;
	case EVENT_BEGIN:
		begin_session(t, f);
		break;
	case EVENT_END:
		end_session(t, f);
		break;
	}
}

/* changing: new policies and tiers on the way; else one policy, no tiers, all the time. */
static void trace_run(struct trace *t, bool changing)
{
	__u64 next_ns = RIG_START_NS, gap_ns = MS(20);

	while (t->answers < TRACE_SYNS) {
		struct flying f;

		while (!t->waiting || t->heap[0].at_ns >= next_ns) {
			f = (struct flying){.at_ns = next_ns, .first_ns = next_ns};
			f.attempt = random_attempt(&t->random);
			f.habit = rig_below(&t->random, HABITS);
			heap_push(t, &f);
			if (rig_below(&t->random, 200) == 0) /* storms and lulls */
				gap_ns = MS(1) << rig_below(&t->random, 9);
			next_ns += rig_below(&t->random, 2 * gap_ns);
		}
		f = heap_pop(t);
		act_on(t, &f);
		if (rig_below(&t->random, 100) == 0)
			change_backlog(t);
		if (rig_below(&t->random, 40) == 0)
			learn_one(t, f.at_ns);
		if (changing && rig_below(&t->random, 150) == 0)
			change_tiers(t, f.at_ns);
		if (changing && rig_below(&t->random, 150) == 0)
			change_room(t, f.at_ns);
		if (changing && rig_below(&t->random, 800) == 0)
			change_policy(t);
	}
}

/* --- the model -------------------------------------------------------------------------------- */

/* Beside this file, or beside the tree that this program was built in. Returns 0 or -1. */
static int find_model(char *path, size_t size)
{
	char here[] = __FILE__, self[512];
	ssize_t n;

	snprintf(path, size, "%s/gate_model.py", dirname(here));
	if (!access(path, R_OK))
		return 0;
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return -1;
	self[n] = 0;
	snprintf(path, size, "%s/../../tests/unit/gate_model.py", dirname(self));
	return access(path, R_OK);
}

static void compare(const struct trace *t, FILE *model, __u64 seed)
{
	char line[ANSWER_BYTES];
	int n = 0;

	for (; n < t->answers && fgets(line, sizeof(line), model); n++) {
		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, t->answer[n]))
			continue;
		unit_fail(__FILE__, __LINE__, "seed %llu, SYN %d: gate %s; model %s", seed, n + 1,
			  t->answer[n], line);
		while (fgets(line, sizeof(line), model)) /* what follows differs by this */
			;
		return;
	}
	CHECK(n == t->answers, "seed %llu: the model answered %d of %d", seed, n, t->answers);
}

/* Returns -1 when the trace could not be written or the model not be started. */
static int trace_compare(bool changing, __u64 seed, const char *model_path, int *seen)
{
	char name[] = "/tmp/sluice-trace-XXXXXX", command[1200];
	int fd = mkstemp(name), err = -1;
	struct trace t;
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w"), *model;

	if (!file)
		return -1;
	trace_open(&t, file, seed);
	trace_run(&t, changing);
	for (int i = 0; i < REASONS; i++)
		seen[i] += t.seen[i];
	fclose(file);
	snprintf(command, sizeof(command), "python3 '%s' < %s", model_path, name);
	model = popen(command, "r");
	if (model) {
		compare(&t, model, seed);
		err = pclose(model);
		CHECK(err == 0, "the model ended with status %d", err);
		err = 0;
	}
	unlink(name);
	trace_close(&t);
	return err;
}

static void run_traces(bool changing, int traces)
{
	char path[1024];
	int seen[REASONS] = {};

	if (system("command -v python3 >/dev/null 2>&1")) {
		unit_skip("the model needs python3, which is not here");
		return;
	}
	if (find_model(path, sizeof(path))) {
		unit_fail(__FILE__, __LINE__, "gate_model.py was not found: run from the tree");
		return;
	}
	for (int i = 0; i < traces; i++)
		CHECK(!trace_compare(changing, 100 * changing + i, path, seen),
		      "trace %d could not be written or compared", i);
	for (int i = 0; i < REASONS; i++)
		CHECK(seen[i] || i == REASON_CONTENDED ||
			      (!changing && (i == REASON_LOAD || i == REASON_FIRST_TIME)),
		      "no SYN of the traces was %s", rig_reason_name(i));
}

static void test_steady(void)
{
	run_traces(false, 5);
}

static void test_changing(void)
{
	run_traces(true, 4);
}

void suite_oracle(void)
{
	static CU_TestInfo tests[] = {
		{"80,000 SYNs, a steady policy each", test_steady},
		{"64,000 SYNs, policies and tiers that change", test_changing},
		CU_TEST_INFO_NULL,
	};

	unit_suite("oracle", tests);
}
