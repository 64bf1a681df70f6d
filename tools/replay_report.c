// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The report for an operator: what was replayed under which limits, what came of it, who lost
 * most, the time line, and what a replay cannot know.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "classes.h"
#include "config_values.h"
#include "names.h"
#include "replay.h"
#include "text.h"

#define LABEL "%-11s"
#define WORST 5
#define WIDTH 100

/* 1,234,567 */
static const char *grouped(uint64_t n, char text[static 32])
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, n), used = 0;

	for (int i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			text[used++] = ',';
		text[used++] = digits[i];
	}
	text[used] = '\0';
	return text;
}

static double percent(uint64_t part, uint64_t all)
{
	return all ? 100.0 * (double)part / (double)all : 0;
}

/* Words behind a label, wrapped. */
static void paragraph(const char *label, const char *text)
{
	const size_t width = WIDTH - 11;

	while (*text) {
		size_t length = strlen(text);

		if (length > width) {
			for (length = width; length && text[length] != ' '; length--)
				;
			length = length ? length : width;
		}
		printf(LABEL "%.*s\n", label, (int)length, text);
		text += length;
		text += strspn(text, " ");
		label = "";
	}
}

/* --- what was asked ---------------------------------------------------------------------------- */

void replay_subject(const struct replay_report *r, char *text, size_t size)
{
	const struct replay_options *o = r->options;
	char name[SHOWN_MAX], rate[32], span[48];

	if (o->capture) {
		snprintf(text, size, "the capture %s", value_shown(o->capture, name));
		return;
	}
	format_rate(&o->burst, rate, sizeof(rate));
	text_span(span, sizeof(span), o->for_s);
	snprintf(text, size, "a storm of %s for %s, from %u sources in %u subnets", rate, span,
		 o->sources, o->subnets);
}

static void add_limit(char *text, size_t size, const char *name, const struct rate *r,
		      uint32_t burst)
{
	size_t used = strlen(text);
	char rate[32];

	format_rate(r, rate, sizeof(rate));
	if (r->count)
		snprintf(text + used, size - used, "%s%s %s burst %u", used ? ", " : "", name, rate,
			 burst);
	else
		snprintf(text + used, size - used, "%s%s off", used ? ", " : "", name);
}

static void print_asked(const struct replay_report *r)
{
	const struct config *c = r->config;
	char text[1024], name[SHOWN_MAX];

	replay_subject(r, text, sizeof(text));
	paragraph("replay", text);
	paragraph("clients", r->options->client->sentence);
	snprintf(text, sizeof(text), "%s%s, tier %s%s%s%s%s%s",
		 value_shown(r->config_name ? r->config_name : "the built-in limits", name),
		 c->mode == MODE_ENFORCE ? "" : ", as if in mode enforce",
		 r->options->tiers ? "" : "normal", r->options->tiers & TIER_DELAY ? "delay" : "",
		 r->options->tiers & TIER_DELAY && r->options->tiers > TIER_DELAY ? "," : "",
		 r->options->tiers & TIER_QUEUE ? "queue" : "",
		 r->options->tiers & TIER_REFUSE && r->options->tiers & TIER_QUEUE ? "," : "",
		 r->options->tiers & TIER_REFUSE ? "refuse" : "");
	paragraph("under", text);
	text[0] = '\0';
	if (r->options->tiers & TIER_QUEUE)
		add_limit(text, sizeof(text), "queue-rate", &c->queue_rate, c->connection_burst);
	else
		add_limit(text, sizeof(text), "connection-rate", &c->connection_rate,
			  c->connection_burst);
	add_limit(text, sizeof(text), "source-rate", &c->source_rate, c->source_burst);
	add_limit(text, sizeof(text), "subnet-rate", &c->subnet_rate, c->subnet_burst);
	if (c->pace_horizon_ns) {
		format_duration(c->pace_horizon_ns, name, sizeof(name));
		strcat(strcat(text, ", pace-horizon "), name); /* far from full */
	}
	paragraph("", text);
	puts("");
}

/* --- the capture ------------------------------------------------------------------------------- */

static void print_dests(const struct capture_summary *c)
{
	char text[1024] = "to ", address[64];
	size_t used = 3;

	if (c->dests < 2)
		return;
	for (uint32_t i = 0; i < c->dests && used < sizeof(text); i++) {
		format_address(&c->dest[i], address, sizeof(address));
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? ", " : "",
					 address);
	}
	if (used < sizeof(text))
		snprintf(text + used, sizeof(text) - used,
			 "%s: if some are not yours, what your machine itself has opened is in it; "
			 "name yours with -o gate.address=",
			 c->dests == CAPTURE_DESTS ? " and perhaps more" : "");
	paragraph("", text);
}

static void print_capture(const struct capture_summary *c)
{
	char text[1024], count[2][32], span[48];
	size_t used;

	used = (size_t)snprintf(text, sizeof(text), "%s frames, %s SYNs to guarded ports",
				grouped(c->frames, count[0]),
				grouped(c->kinds[FRAME_SYN], count[1]));
	for (int k = FRAME_LAST_NOT_OURS + 1; k < FRAME_KINDS && used < sizeof(text); k++)
		if (c->kinds[k])
			used += (size_t)snprintf(text + used, sizeof(text) - used, ", %s %s",
						 grouped(c->kinds[k], count[0]), name_frame(k));
	if (c->outgoing && used < sizeof(text))
		snprintf(text + used, sizeof(text) - used,
			 ", %s that the machine itself has sent left out",
			 grouped(c->outgoing, count[0]));
	paragraph("capture", text);
	print_dests(c);
	if (c->backwards) {
		text_span(span, sizeof(span), (double)c->back_most_ns / 1e9);
		snprintf(text, sizeof(text),
			 "%s frames are older than the one before them, by up to %s: they were "
			 "taken as of the same moment",
			 grouped(c->backwards, count[0]), span);
		paragraph("", text);
	}
}

/* --- what came of it --------------------------------------------------------------------------- */

static void print_waits(const struct tally *t)
{
	static const double share[] = {0.5, 0.9, 0.99, 1};
	double s[4];

	if (!t->fate[FATE_ADMITTED])
		return;
	for (int i = 0; i < 4; i++)
		s[i] = tally_waited(t, share[i]) / 1000.0;
	printf(LABEL
	       "of the admitted half %.1f s or less, 90 %% %.1f s, 99 %% %.1f s, all %.1f s\n",
	       "waited", s[0], s[1], s[2], s[3]);
}

/* "connection-rate 1,234, source-rate 12", the most first. */
static void name_reasons(char *text, size_t size, const uint64_t by_reason[REASONS])
{
	bool named[REASONS] = {false};
	size_t used = 0;
	char count[32];

	text[0] = '\0';
	for (int n = 0; n < REASONS; n++) {
		int most = -1;

		for (int i = 0; i < REASONS; i++)
			if (!named[i] && by_reason[i] &&
			    (most < 0 || by_reason[i] > by_reason[most]))
				most = i;
		if (most < 0 || used >= size)
			return;
		named[most] = true;
		used += (size_t)snprintf(text + used, size - used, "%s%s %s", n ? ", " : "",
					 name_reason(most), grouped(by_reason[most], count));
	}
}

static void print_left_out(const struct replay_report *r, enum fate fate, const char *label)
{
	const struct tally *t = r->tally;
	char reasons[512], text[768], count[32], when[64] = "at once";

	name_reasons(reasons, sizeof(reasons), t->fate_reason[fate]);
	if (fate == FATE_LOST && r->options->client->gives_up_ms)
		snprintf(when, sizeof(when), "after %u s", r->options->client->gives_up_ms / 1000);
	snprintf(text, sizeof(text), "%s (%.1f %%)%s%s%s%s", grouped(t->fate[fate], count),
		 percent(t->fate[fate], t->attempts), t->fate[fate] ? ", " : "",
		 t->fate[fate] ? when : "", *reasons ? ": " : "", reasons);
	paragraph(label, text);
}

static void print_syns(const struct tally *t)
{
	uint64_t deferred = 0;
	char reasons[512], text[768], count[32];

	for (int i = 0; i < REASONS; i++)
		deferred += t->syns[VERDICT_DEFER][i];
	name_reasons(reasons, sizeof(reasons), t->syns[VERDICT_DEFER]);
	if (deferred) {
		snprintf(text, sizeof(text), "%s SYNs: %s", grouped(deferred, count), reasons);
		paragraph("deferred", text);
	}
	if (t->copies || t->replaced) {
		snprintf(text, sizeof(text), "%s of admitted attempts, judged as they are",
			 grouped(t->copies, count));
		if (t->replaced) {
			size_t used = strlen(text);

			snprintf(text + used, sizeof(text) - used,
				 "; %s others, which those of the client model stand for",
				 grouped(t->replaced, count));
		}
		paragraph("repeated", text);
	}
}

/* What went wrong on the way, as status says it. */
static void print_faults(const struct counters *c)
{
	char text[512], count[32];

	for (size_t i = 0; i < fault_count; i++) {
		__u64 n = *(const __u64 *)((const char *)c + faults[i].offset);

		if (!n)
			continue;
		snprintf(text, sizeof(text), "%s %s", grouped(n, count), faults[i].sentence);
		paragraph("noted", text);
	}
}

static void print_classes(const struct tally *t)
{
	char count[4][32];
	bool listed = false;

	for (int c = CLASS_UNKNOWN + 1; c < CLASSES; c++)
		for (int o = 0; o < FATES; o++)
			listed |= t->fate_class[o][c] != 0;
	if (!listed)
		return;
	printf("\n" LABEL "%-10s %12s %12s %12s %12s\n", "by class", "", "attempts", "admitted",
	       "gave up", "refused");
	for (int c = 0; c < CLASSES; c++) {
		uint64_t admitted = t->fate_class[FATE_ADMITTED][c];
		uint64_t lost = t->fate_class[FATE_LOST][c];
		uint64_t refused = t->fate_class[FATE_REFUSED][c];

		if (admitted + lost + refused)
			printf(LABEL "%-10s %12s %12s %12s %12s\n", "", class_name(c),
			       grouped(admitted + lost + refused, count[0]),
			       grouped(admitted, count[1]), grouped(lost, count[2]),
			       grouped(refused, count[3]));
	}
}

static void print_came_of(const struct replay_report *r)
{
	const struct tally *t = r->tally;
	char count[2][32], span[48];

	text_span(span, sizeof(span), (double)t->arrived_ns / 1e9);
	printf(LABEL "%s in %s, %s in the busiest second\n", "attempts",
	       grouped(t->attempts, count[0]), span, grouped(t->busiest_second, count[1]));
	printf(LABEL "%s (%.1f %%), %s of them by their first SYN\n", "admitted",
	       grouped(t->fate[FATE_ADMITTED], count[0]),
	       percent(t->fate[FATE_ADMITTED], t->attempts), grouped(t->at_once, count[1]));
	if (t->held)
		printf(LABEL "%s of them, as pace-horizon allows\n", "held",
		       grouped(t->held, count[0]));
	print_waits(t);
	print_left_out(r, FATE_LOST, "gave up");
	print_left_out(r, FATE_REFUSED, "refused");
	print_syns(t);
	print_faults(r->counters);
	print_classes(t);
}

/* --- who lost most ----------------------------------------------------------------------------- */

void replay_prefix(const struct prefix_key *key, char *text, size_t size)
{
	bool v4 = key->addr.word[2] == V4_MAPPED_WORD && !key->addr.half[0];
	char address[64];

	format_address(&key->addr, address, sizeof(address));
	snprintf(text, size, "%s/%u", address, (unsigned int)key->bits - (v4 ? 96 : 0));
}

static void print_places(const char *title, const struct tally_places *p, unsigned int most)
{
	const struct tally_place *worst[WORST];
	unsigned int count = tally_worst(p, worst, most);
	uint64_t beyond = p->beyond[FATE_ADMITTED] + p->beyond[FATE_REFUSED] + p->beyond[FATE_LOST];
	char name[80], text[32];

	if (!count)
		return;
	printf("\n%-42s %10s %9s %9s %9s  %s\n", title, "attempts", "admitted", "gave up",
	       "refused", "last for");
	for (unsigned int i = 0; i < count; i++) {
		const uint32_t *fate = worst[i]->fate;

		replay_prefix(&worst[i]->key, name, sizeof(name));
		printf("%-42s %10u %9u %9u %9u  %s\n", name,
		       fate[FATE_ADMITTED] + fate[FATE_LOST] + fate[FATE_REFUSED],
		       fate[FATE_ADMITTED], fate[FATE_LOST], fate[FATE_REFUSED],
		       name_reason(worst[i]->reason));
	}
	if (beyond)
		printf("%s attempts are of others: so many are not told apart\n",
		       grouped(beyond, text));
}

/* --- what it cannot know ----------------------------------------------------------------------- */

static void print_unknown(const struct replay_report *r)
{
	puts("");
	paragraph(
		"not known",
		"how long sessions last and how full the accept queue is, so max-sessions, limits "
		"of one source's sessions and the backlog have no say here; what the load would be "
		"(--tier tries one); which clients stop before their system does (Postfix: 30 s)"
		"; who came from elsewhere meanwhile.");
	if (r->capture)
		paragraph("",
			  "Whether the capture shows all that came: those whom a limit or a full "
			  "queue kept away then are in it as whoever came back. Nobody new comes "
			  "after its end.");
	else
		paragraph("",
			  "Storms of senders who know of each other come less evenly than this.");
}

void replay_report_text(const struct replay_report *r)
{
	print_asked(r);
	if (r->capture)
		print_capture(r->capture);
	if (!r->tally->attempts) {
		puts("There is no attempt in it: nothing was judged.");
		return;
	}
	print_came_of(r);
	print_places("sources that lost most", &r->tally->sources, WORST);
	print_places("subnets that lost most", &r->tally->subnets, WORST);
	puts("");
	replay_chart(r->tally);
	print_unknown(r);
}
