// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * steps.c - runs a row step by step, and says every difference from what the row says.
 */
#include "packet.h"

#include "coming.h"
#include "mark.h"

#include <stdio.h>
#include <stdlib.h>
#include <linux/if_ether.h>
#include <string.h>

/* The words in which a counter is named: its place in the struct. */
static void counter_name(size_t i, char *name, size_t size)
{
	static const char *const modes[] = {"off", "monitor", "enforce"};
	static const char *const ranks[] = {"unknown", "trusted", "known", "throttled", "blocked"};
	static const char *const verdicts[] = {"pass", "defer", "hold", "refuse", "drop"};
	static const char *const faults[] = {"trusted_over",  "refuse_over",  "reset_failed",
					     "remember_over", "refund_lost",  "insert_failed",
					     "word_repaired", "backlog_asked"};
	static const char *const reasons[] = {
#define X(id, verdict, name, sentence) name,
		REASON_TABLE(X)
#undef X
	};
	static const char *const kinds[] = {
#define X(id, name, sentence) name,
		FRAME_TABLE(X)
#undef X
	};
	const size_t judged = sizeof(((struct counters *)0)->judged) / 8;

	if (i < judged)
		snprintf(name, size, "judged %s %s %s %s %s",
			 modes[i / REASONS / VERDICTS / CLASSES / FAMILIES],
			 i / REASONS / VERDICTS / CLASSES % FAMILIES ? "v6" : "v4",
			 ranks[i / REASONS / VERDICTS % CLASSES], verdicts[i / REASONS % VERDICTS],
			 reasons[i % REASONS]);
	else if ((i -= judged) < FAMILIES * VERDICTS)
		snprintf(name, size, "again %s %s", i / VERDICTS ? "v6" : "v4",
			 verdicts[i % VERDICTS]);
	else if ((i -= FAMILIES * VERDICTS) < FRAME_KINDS)
		snprintf(name, size, "frames %s", kinds[i]);
	else if ((i -= FRAME_KINDS) < sizeof(faults) / sizeof(faults[0]))
		snprintf(name, size, "%s", faults[i]);
	else
		snprintf(name, size, "number %zu behind %s", i, faults[0]);
}

/* What the counters must be after a step, given what they were. */
static void expect_counters(struct counters *c, const struct step *step, uint32_t family,
			    uint32_t frames)
{
	const struct want *w = &step->want;

	if (w->kind < FRAME_KINDS)
		c->frames[w->kind] += frames;
	if (w->kind == FRAME_SYN)
		c->judged[w->mode][family][w->rank][w->verdict][w->reason] += frames;
	if (step->again)
		c->again[family][w->verdict] += frames;
	c->trusted_over += step->counts.trusted_over;
	c->refuse_over += step->counts.refuse_over;
	c->reset_failed += step->counts.reset_failed;
	c->remember_over += step->counts.remember_over;
	c->refund_lost += step->counts.refund_lost;
	c->insert_failed += step->counts.insert_failed;
	c->word_repaired += step->counts.word_repaired;
	c->hold_back += step->counts.hold_back;
	c->backlog_asked += step->counts.backlog_asked;
	c->hold_marked += w->marked ? frames : 0;
	for (uint32_t n = 0; w->verdict == VERDICT_HOLD && n < frames; n++) {
		uint64_t wait_ns = step->waits.first_ns + n * step->waits.more_ns, below_ms = 1;
		uint32_t bucket = 0;

		for (; wait_ns / NSEC_PER_MSEC >= below_ms; below_ms *= 2)
			bucket++;
		c->held[bucket]++;
		c->held_ns += wait_ns;
	}
}

static int compare_counters(const struct counters *want, const struct counters *before)
{
	static struct counters now;
	const uint64_t *w = (const uint64_t *)want, *b = (const uint64_t *)before;
	const uint64_t *n = (const uint64_t *)&now;
	char name[128];
	int wrong = 0;

	if (bench_counters(&now)) {
		complain("the counters cannot be read");
		return 1;
	}
	for (size_t i = 0; i < sizeof(now) / sizeof(*n); i++) {
		if (n[i] == w[i])
			continue;
		counter_name(i, name, sizeof(name));
		complain("counter '%s': expected +%ld, got +%ld", name, (long)(w[i] - b[i]),
			 (long)(n[i] - b[i]));
		wrong++;
	}
	return wrong;
}

static const char *action_name(uint32_t action)
{
	static const char *const names[] = {"XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX",
					    "XDP_REDIRECT"};

	return action < sizeof(names) / sizeof(names[0]) ? names[action] : "no action";
}

static void complain_bytes(const char *what, const uint8_t *byte, size_t bytes)
{
	char hex[3 * 128 + 1] = "";

	for (size_t i = 0; i < bytes && i < 128; i++)
		sprintf(hex + 3 * i, " %02x", byte[i]);
	complain("%s, %zu bytes:%s", what, bytes, hex);
}

/* BPF_PROG_TEST_RUN lets frames come in by the loopback device of its network namespace. */
#define TEST_RUN_IFINDEX 1

/* A refused SYN comes back as its RST; everything else is left as it came. */
static int compare_bytes(const struct spec *s, bool v6, const struct want *w, const uint8_t *in,
			 size_t in_bytes, const struct outcome *out)
{
	uint8_t reset[FRAME_MAX];
	const uint8_t *want = in;
	size_t bytes = in_bytes;
	const char *wrong = NULL;

	if (w->action == XDP_TX) {
		bytes = reset_expect(s, v6, reset);
		want = reset;
		wrong = checksums_wrong(out->frame, out->bytes);
	}
	if (w->anonymous) {
		static const uint8_t anonymous[ETH_ALEN] = HOLD_ANONYMOUS;

		memcpy(reset, in, in_bytes);
		memcpy(reset + ETH_ALEN, anonymous, ETH_ALEN);
		want = reset;
	}
	if (wrong)
		complain("the %s checksum of the RST is wrong", wrong);
	if (out->bytes == bytes && !memcmp(out->frame, want, bytes))
		return wrong ? 1 : 0;
	complain_bytes("expected", want, bytes);
	complain_bytes("got", out->frame, out->bytes);
	return 1;
}

static int run_frame(const struct step *step, const struct spec *s, bool v6, uint64_t now_ns)
{
	uint8_t frame[FRAME_MAX];
	size_t bytes = frame_build(s, v6, frame);
	struct outcome out;
	int err = bench_frame(now_ns, frame, bytes, &out);

	if (err) {
		complain("the frame of %zu bytes could not be run: %s", bytes, strerror(-err));
		return 1;
	}
	if (out.action != step->want.action) {
		complain("expected %s, got %s", action_name(step->want.action),
			 action_name(out.action));
		return 1;
	}
	if (out.marked != step->want.marked) {
		complain("expected it %s, got it %s", step->want.marked ? "marked" : "unmarked",
			 out.marked ? "marked" : "unmarked");
		return 1;
	}
	return compare_bytes(s, v6, &step->want, frame, bytes, &out);
}

/* The frame of the step's n-th time. The text of another address goes into the room given. */
static struct spec vary_frame(const struct step *step, uint32_t n, char text[32])
{
	struct spec s = step->frame;
	unsigned int a[4];

	if (step->vary == VARY_ISN)
		s.isn += n;
	if (step->vary != VARY_SOURCE && step->vary != VARY_SUBNET)
		return s;
	if (sscanf(s.from, "%u.%u.%u.%u", &a[0], &a[1], &a[2], &a[3]) != 4)
		abort(); /* a row that is none: only IPv4 addresses (and their twins) can count */
	a[step->vary == VARY_SOURCE ? 3 : 2] += n;
	snprintf(text, 32, "%u.%u.%u.%u", a[0], a[1], a[2], a[3]);
	s.from = text;
	return s;
}

static struct prefix_key key_of(const union addr *a, uint32_t family, uint32_t bits)
{
	struct prefix_key key = {.bits = family == FAMILY_V4 ? 96 + bits : bits};

	for (uint32_t i = 0; i < key.bits; i++)
		key.addr.byte[i / 8] |= a->byte[i / 8] & 0x80 >> i % 8;
	return key;
}

static int compare_debt(const char *word, uint64_t want_ns, uint64_t got_ns)
{
	if (want_ns == got_ns)
		return 0;
	complain("the %s word: expected it to owe %.9f s, got %.9f s", word, want_ns / 1e9,
		 got_ns / 1e9);
	return 1;
}

/* What the source of a frame is called in the tables. */
static struct prefix_key source_of(const struct row *row, const struct spec *s, bool v6)
{
	const char *text = bench.control->active && row->other ? row->other : row->policy;
	static struct policy p;
	struct config c;
	union addr a;
	uint32_t family;

	twin_address(s->from ? s->from : "192.0.2.1", v6, &a, &family);
	setup_policy(text, &c, &p, row->cpus);
	return key_of(&a, family, family == FAMILY_V6 ? c.source_prefix_v6 : c.source_prefix_v4);
}

/* Reads the words back from the maps. */
static int compare_words(const struct row *row, const struct step *step, const struct spec *s,
			 bool v6, uint64_t now_ns)
{
	const char *text = bench.control->active && row->other ? row->other : row->policy;
	uint64_t tat_ns = bench.control->global_tat_ns;
	const struct owes *o = &step->owes;
	static struct policy p;
	struct prefix_key source, subnet;
	struct config c;
	union addr a;
	uint32_t family;

	twin_address(s->from ? s->from : "192.0.2.1", v6, &a, &family);
	setup_policy(text, &c, &p, row->cpus);
	source = source_of(row, s, v6);
	v6 = family == FAMILY_V6;
	subnet = key_of(&a, family, v6 ? c.subnet_prefix_v6 : c.subnet_prefix_v4);
	return compare_debt("global", o->global_ns, tat_ns > now_ns ? tat_ns - now_ns : 0) +
	       compare_debt("subnet", o->subnet_ns, bench_debt(SUBNETS, &subnet, now_ns)) +
	       compare_debt("source", o->source_ns, bench_debt(SOURCES, &source, now_ns));
}

/* As if so many attempts had been let in within this step, and so many in vain in each before. */
static void make_coming(struct coming *c, uint64_t now_ns, uint32_t coming, uint32_t lost)
{
	for (uint32_t i = 0; i < COMING_STEPS; i++) {
		uint32_t step = coming_step(now_ns) - i;

		c->word[step % COMING_RING] = coming_head(step) | COMING_ONE * (i ? lost : coming);
	}
}

/* What the kernel's events and the daemon would have written into the maps. */
static int make_sessions(const struct row *row, const struct step *step, bool v6)
{
	const struct change *change = &step->first;
	uint64_t now_ns = BENCH_START_NS + step->at_ns;
	struct prefix_key key = source_of(row, &step->frame, v6);
	struct live l = {.sessions = change->sessions};
	struct holder h = {.tat_ns = now_ns + change->holds.owes_ns,
			   .since_ns = now_ns,
			   .sessions = change->holds.sessions};
	struct learned known = {.until_ns = BENCH_START_NS + change->learned.until_ns,
				.class = change->learned.rank};
	int err = 0;

	make_coming(&l.everybody, now_ns, change->coming, change->lost);
	if (change->sessions || change->coming)
		err = bench_live(&l);
	if (!err && (change->holds.sessions || change->holds.owes_ns))
		err = bench_holder(&key, &h);
	if (!err && change->learned.rank)
		err = bench_learned(&key, &known);
	if (err)
		complain("the sessions of the step could not be set up: %s", strerror(-err));
	return err ? 1 : 0;
}

static void make_change(const struct change *change)
{
	if (change->flip)
		bench.control->active ^= 1;
	if (change->lease_ns)
		bench.control->lease_until_ns = BENCH_START_NS + change->lease_ns;
	if (change->seed)
		bench.control->seed[0] = change->seed;
	if (change->global_owes_ns)
		bench.control->global_tat_ns = BENCH_START_NS + change->global_owes_ns;
	if (change->room_ns)
		bench.control->hold_until_ns = BENCH_START_NS + change->room_ns;
	if (change->drained_ns)
		bench.control->hold_drained_ns = BENCH_START_NS + change->drained_ns;
	if (change->untagged)
		bench.control->untagged[UNTAGGED_MOST - 1] = TEST_RUN_IFINDEX;
	if (change->untagged_elsewhere)
		bench.control->untagged[0] = TEST_RUN_IFINDEX + 1;
	if (change->tag) {
		bench.control->hold_tag = frame_source_mac();
		bench.control->hold_generic[0] = change->native ? 0 : TEST_RUN_IFINDEX;
	}
}

int step_run(const struct row *row, const struct step *step, bool v6)
{
	static struct counters before, want;
	uint32_t times = step->times ? step->times : 1;
	uint64_t now_ns = BENCH_START_NS + step->at_ns;
	struct spec s = step->frame;
	uint32_t family;
	union addr a;
	char text[32];
	int wrong = 0;

	make_change(&step->first);
	if (make_sessions(row, step, v6))
		return 1;
	twin_address(s.from ? s.from : "192.0.2.1", v6, &a, &family);
	if (bench_counters(&before))
		return 1;
	for (uint32_t n = 0; n < times && !wrong; n++) {
		now_ns = BENCH_START_NS + step->at_ns + n * step->every_ns;
		s = vary_frame(step, n, text);
		wrong += run_frame(step, &s, v6, now_ns);
		if (wrong && times > 1)
			complain("that was frame %u of %u", n + 1, times);
	}
	want = before;
	expect_counters(&want, step, family, times);
	wrong += compare_counters(&want, &before);
	if (step->owes.asked)
		wrong += compare_words(row, step, &s, v6, now_ns);
	return wrong;
}

static bool is_end(const struct step *step)
{
	static const struct step none;

	return !memcmp(step, &none, sizeof(none));
}

static int run_steps(const struct row *row, bool v6)
{
	int err = setup_row(row, v6), wrong = 0;

	if (err) {
		complain("the row could not be set up: %s", strerror(-err));
		return 1;
	}
	for (int i = 0; i < ROW_STEPS && !is_end(&row->step[i]) && !wrong; i++) {
		wrong = step_run(row, &row->step[i], v6);
		if (wrong)
			complain("that was step %d, at %.9f s, %s", i + 1, row->step[i].at_ns / 1e9,
				 v6 ? "IPv6" : "as written");
	}
	return wrong;
}

int row_run(const struct row *row)
{
	int wrong = 0;

	if (row->run)
		return row->run(row);
	if (row->families != ONLY_V6)
		wrong += run_steps(row, false);
	if (row->families != ONLY_V4)
		wrong += run_steps(row, true);
	return wrong;
}
