// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * replay.c - what sluice replay says is what the program does: the same trace at the same injected
 * times, SYN by SYN the same verdict, reason, class and memory, over all that a trace can hold.
 *
 * The replay runs the trace, with clients that come back, and every SYN that it has judged goes
 * through the loaded program at once. Traces stay far below the size of the tables: which entry
 * makes room is the one thing in which the kernel's LRU and plain tables differ.
 */
#include "packet.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "replay_sim.h"

#define ENTRIES	       16384 /* as the bench has */
#define TICK_NS	       MS(4)
#define ATTEMPTS       2500
#define COPIES	       700
#define CLASSES_LISTED 8

_Static_assert(REPLAY_START_NS == BENCH_START_NS, "both begin at the same moment");

/* Sorted as classes.h sorts: prefixes within prefixes, of both families. */
static const struct {
	const char *text;
	uint8_t bits, class;
} listed[CLASSES_LISTED] = {
	{"10.0.1.0", 24, CLASS_KNOWN},	   {"10.0.3.0", 24, CLASS_THROTTLED},
	{"10.0.4.0", 24, CLASS_BLOCKED},   {"10.0.4.0", 25, CLASS_KNOWN},
	{"10.0.6.0", 24, CLASS_TRUSTED},   {"10.0.6.1", 32, CLASS_BLOCKED},
	{"2001:db8:5::", 48, CLASS_KNOWN}, {"2001:db8:5:1::", 64, CLASS_TRUSTED},
};

#define CLASS_WORDS                                                                      \
	"10.0.1.0/24=known 10.0.3.0/24=throttled 10.0.4.0/24=blocked 10.0.4.0/25=known " \
	"10.0.6.0/24=trusted 10.0.6.1/32=blocked 2001:db8:5::/48=known 2001:db8:5:1::/64=trusted"

/* A SYN of the trace before it is run. */
struct trace_syn {
	uint64_t at_ns;
	struct attempt attempt;
};

/* Held beside the replay: what the program's counters must be. */
struct beside {
	struct counters want;
	uint64_t judged;
	bool seen[REASONS];
	bool seen_verdict[VERDICTS];
	int wrong;
};

static uint64_t draw(uint64_t *random)
{
	uint64_t z = *random += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static struct attempt draw_attempt(uint64_t *random)
{
	uint64_t net = draw(random) % 9, host = draw(random) % (draw(random) % 2 ? 4 : 200);
	char from[64], to[64];
	struct attempt a = {.source_port = (uint16_t)draw(random),
			    .dest_port = htons(SMTP),
			    .isn = (uint32_t)draw(random)};

	if (draw(random) % 3) {
		snprintf(from, sizeof(from), "10.0.%u.%u", (unsigned int)net, (unsigned int)host);
		snprintf(to, sizeof(to), "198.51.100.25");
	} else {
		snprintf(from, sizeof(from), "2001:db8:%u:%u::%x", (unsigned int)net,
			 (unsigned int)host % 5, (unsigned int)host);
		snprintf(to, sizeof(to), "2001:db8:ffff::25");
	}
	twin_address(from, false, &a.source, &a.family);
	twin_address(to, false, &a.dest, &a.family);
	return a;
}

static int by_time(const void *a_, const void *b_)
{
	const struct trace_syn *a = a_, *b = b_;

	return (a->at_ns > b->at_ns) - (a->at_ns < b->at_ns);
}

/*
 * Attempts in bursts and pauses, and copies of some of them, from at once to beyond all memory.
 * Returns how many SYNs.
 */
static size_t make_trace(uint64_t random, struct trace_syn *syn)
{
	for (size_t i = 0; i < ATTEMPTS; i++) {
		uint64_t second = draw(&random) % 4 ? draw(&random) % 6 * 5 : draw(&random) % 30;

		syn[i].at_ns = S(second) + draw(&random) % S(1);
		syn[i].attempt = draw_attempt(&random);
	}
	for (size_t i = ATTEMPTS; i < ATTEMPTS + COPIES; i++) {
		syn[i] = syn[draw(&random) % ATTEMPTS];
		syn[i].at_ns += draw(&random) % (draw(&random) % 4 ? S(3) : S(90));
	}
	qsort(syn, ATTEMPTS + COPIES, sizeof(*syn), by_time);
	return ATTEMPTS + COPIES;
}

static void make_classes(struct class_list *list, struct class_entry entry[CLASSES_LISTED])
{
	for (int i = 0; i < CLASSES_LISTED; i++) {
		uint32_t family;

		twin_address(listed[i].text, false, &entry[i].addr, &family);
		entry[i].family = (uint8_t)family;
		entry[i].bits = listed[i].bits;
		entry[i].class = listed[i].class;
	}
	*list = (struct class_list){entry, CLASSES_LISTED};
}

/* --- one SYN beside the replay ----------------------------------------------------------------- */

static size_t frame_of(const struct attempt *a, uint8_t *frame)
{
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
	int domain = a->family == FAMILY_V4 ? AF_INET : AF_INET6, at = domain == AF_INET ? 12 : 0;
	struct spec s = {.from = from,
			 .to = to,
			 .from_port = ntohs(a->source_port),
			 .to_port = ntohs(a->dest_port),
			 .isn = ntohl(a->isn)};

	inet_ntop(domain, a->source.byte + at, from, sizeof(from));
	inet_ntop(domain, a->dest.byte + at, to, sizeof(to));
	return frame_build(&s, false, frame);
}

static uint32_t action_of(uint8_t verdict)
{
	switch (verdict) {
	case VERDICT_DEFER:
	case VERDICT_DROP:
		return XDP_DROP;
	case VERDICT_REFUSE:
		return XDP_TX;
	}
	return XDP_PASS;
}

/* Counts of verdicts and of retransmits: what the replay has said, and nothing else. */
static bool counted_alike(const struct counters *want)
{
	static struct counters now;

	return !bench_counters(&now) && !memcmp(now.judged, want->judged, sizeof(now.judged)) &&
	       !memcmp(now.again, want->again, sizeof(now.again));
}

static void compare(void *ctx, uint64_t now_ns, const struct attempt *a, struct replay_decision d)
{
	struct beside *b = ctx;
	uint8_t frame[FRAME_MAX];
	struct outcome out;
	int err;

	if (b->wrong)
		return;
	b->judged++;
	b->seen[d.reason] = b->seen_verdict[d.verdict] = true;
	b->want.judged[MODE_ENFORCE][a->family][d.class][d.verdict][d.reason]++;
	b->want.again[a->family][d.verdict] += d.again;
	err = bench_frame(now_ns, frame, frame_of(a, frame), &out);
	/* One that is to wait comes back with a mark in front of it. */
	if (err == -EPROTO && (d.verdict == VERDICT_HOLD || d.verdict == VERDICT_PASS)) {
		out.action = XDP_PASS;
		err = 0;
	}
	if (!err && out.action == action_of(d.verdict) && counted_alike(&b->want))
		return;
	b->wrong++;
	complain(
		"SYN %lu, at %.9f s: the replay says verdict %u, reason %u, class %u, again %u; the "
		"program did otherwise: action %u, error %d",
		(unsigned long)b->judged, (double)(now_ns - BENCH_START_NS) / 1e9, d.verdict,
		d.reason, d.class, d.again, out.action, err);
}

/* --- a row ------------------------------------------------------------------------------------- */

/* What differs between the rows, beside their policies. */
static const struct variant {
	const char *client;
	uint32_t tiers;
	uint64_t hold_ns;
	int verdict; /* one that must have come up */
	int reason;
} variants[] = {
	{"linux", 0, 0, VERDICT_DEFER, REASON_CONNECTION_RATE},
	{"linux-old", 0, 0, VERDICT_DEFER, REASON_SUBNET_RATE},
	{"windows", TIER_DELAY, 0, VERDICT_DEFER, REASON_FIRST_TIME},
	{"linux", TIER_QUEUE | TIER_DELAY, 0, VERDICT_DROP, REASON_REPLAY},
	{"spoofed", TIER_REFUSE, 0, VERDICT_REFUSE, REASON_LOAD},
	{"linux", 0, 0, VERDICT_DEFER, REASON_SOURCE_RATE},
	{"linux", 0, S(3), VERDICT_HOLD, REASON_WAITING},
};

static int run_trace(struct sim *sim, struct beside *b)
{
	static struct trace_syn syn[ATTEMPTS + COPIES];
	const char *seed_text = getenv("SEED");
	uint64_t seed = seed_text ? strtoul(seed_text, NULL, 10) : (uint64_t)time(NULL);
	size_t count = make_trace(seed, syn);
	int err = 0;

	for (size_t i = 0; i < count && !err; i++)
		err = sim_syn(sim, syn[i].at_ns, &syn[i].attempt);
	while (!err && (err = sim_drain(sim, 1024)) > 0)
		err = 0;
	if (err)
		complain("the replay ended with %s", strerror(-err));
	if (b->wrong)
		complain("SEED=%lu repeats it", (unsigned long)seed);
	return err ? 1 : b->wrong;
}

/* Sets both up alike. Returns 0, or 1 with a complaint. */
static int set_up(const struct row *row, const struct variant *v, struct replay_gate **gate)
{
	const struct policy_tables sizes = {ENTRIES, ENTRIES, ENTRIES, ENTRIES};
	static struct class_entry entry[CLASSES_LISTED];
	static struct class_list list;
	static struct policy p;
	struct config c;

	make_classes(&list, entry);
	if (setup_row(row, false) || setup_policy(row->policy, &c, &p, 1))
		return 1;
	p.tiers = v->tiers;
	p.hold_ns = v->hold_ns;
	bench.control->hold_until_ns = NEVER_NS;
	if (bench_policy(0, &p) || replay_gate_open(&p, &sizes, v->tiers, &list, gate)) {
		complain("the row could not be set up");
		return 1;
	}
	return 0;
}

static int side_by_side(const struct row *row)
{
	const struct variant *v = &variants[row - rows_replay];
	static struct beside b;
	struct sim_setup setup = {.client = client_find(v->client),
				  .tick_ns = TICK_NS,
				  .copies = true,
				  .observe = compare,
				  .ctx = &b};
	struct sim *sim = NULL;
	int wrong = 1;

	b = (struct beside){.wrong = 0};
	if (!set_up(row, v, &setup.gate) && !sim_open(&setup, &sim))
		wrong = run_trace(sim, &b);
	if (!wrong && (!b.seen_verdict[v->verdict] || !b.seen[v->reason] || b.judged < ATTEMPTS)) {
		complain("the trace is too thin: %lu SYNs, and not what the row is about",
			 (unsigned long)b.judged);
		wrong++;
	}
	sim_close(sim);
	replay_gate_close(setup.gate);
	return wrong;
}

/* T = 50 ms and a burst of 10: a storm several times the rate */
#define STORM "connection-rate=20/s connection-burst=10 retry-burst=10 known-burst=10"

const struct row rows_replay[] = {
	{"A replay of a storm is what the program does, SYN by SYN.", STORM, .classes = CLASS_WORDS,
	 .run = side_by_side},
	{"A replay knows the limits of subnets as the program does.",
	 "connection-rate=200/s connection-burst=100 subnet-rate=60/min subnet-burst=10 "
	 "retry-burst=5 known-burst=5",
	 .classes = CLASS_WORDS, .run = side_by_side},
	{"A replay in the delay tier is what the program does.", STORM " defer-budget=40",
	 .classes = CLASS_WORDS, .run = side_by_side},
	{"A replay in the tiers delay and queue is what the program does.",
	 STORM " queue-rate=10/s trusted-rate=1/s trusted-burst=2", .classes = CLASS_WORDS,
	 .run = side_by_side},
	{"A replay in the refuse tier is what the program does, beyond refuse-rate too.",
	 STORM " refuse-rate=20/s trusted-rate=1/s trusted-burst=2", .classes = CLASS_WORDS,
	 .run = side_by_side},
	{"A replay knows all three limits at once as the program does.",
	 STORM " source-rate=30/min source-burst=3 subnet-rate=60/min subnet-burst=20",
	 .classes = CLASS_WORDS, .run = side_by_side},
	{"A replay holds whom the program holds.", STORM, .classes = CLASS_WORDS,
	 .run = side_by_side},
	{},
};
