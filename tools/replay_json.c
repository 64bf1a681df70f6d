// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The report for a program: one JSON object. version is raised when a member changes its meaning
 * or goes; members may be added. Times are seconds.
 *
 *	version		1
 *	subject		what was replayed, in words
 *	client		the client model's name
 *	config		the config file, or null: the built-in limits
 *	tiers		["delay", ...], in force all the while
 *	complete	false: the capture ends early, damage says how
 *	capture		null, or {frames, syns, outgoing, backwards, unjudged: {kind: count},
 *			destinations: [address, ...], damage: null or a sentence}
 *	attempts	{count, last_s, busiest_second}
 *	admitted	{count, at_once, held}
 *	gave_up		{count, after_s, reasons: {reason: attempts}}: by their last SYN
 *	refused		{count, reasons: {reason: attempts}}
 *	waited		of the admitted: {p50_s, p90_s, p99_s, most_s}; null when none was admitted
 *	syns		{verdict: {reason: SYNs}}
 *	again		SYNs among these that were recognised as retransmits of a deferred attempt
 *	copies		{judged, replaced}: of the capture, of attempts that were admitted, or not yet
 *	classes		{class: {admitted, gave_up, refused}}
 *	sources		the worst, at most 20: {prefix, class, admitted, gave_up, refused, reason}
 *	subnets		likewise
 *	timeline	{step_s, attempts: [..], admitted: [..], gave_up: [..], refused: [..],
 *			deferred_syns: [..]}: counts of each step
 *	faults		{counter: SYNs}, those of sluice status that are not 0
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "classes.h"
#include "config_values.h"
#include "names.h"
#include "replay.h"

#define VERSION 1
#define WORST	20
#define STEPS	512

static const char *const fates[FATES] = {"admitted", "refused", "gave_up"};

static json_t *reasons(const uint64_t by_reason[REASONS])
{
	json_t *o = json_object();

	for (int i = 0; i < REASONS; i++)
		if (by_reason[i])
			json_object_set_new(o, name_reason(i),
					    json_integer((json_int_t)by_reason[i]));
	return o;
}

static json_t *address(const union addr *a)
{
	char text[64];

	format_address(a, text, sizeof(text));
	return json_string(text);
}

static json_t *tiers(uint32_t set)
{
	static const char *const names[] = {"delay", "queue", "refuse"};
	json_t *a = json_array();

	for (int i = 0; i < 3; i++)
		if (set & 1U << i)
			json_array_append_new(a, json_string(names[i]));
	return a;
}

static json_t *capture(const struct capture_summary *c)
{
	json_t *unjudged = json_object(), *dests = json_array();

	for (int k = 0; k < FRAME_KINDS; k++)
		if (k != FRAME_SYN && c->kinds[k])
			json_object_set_new(unjudged, name_frame(k),
					    json_integer((json_int_t)c->kinds[k]));
	for (uint32_t i = 0; i < c->dests; i++)
		json_array_append_new(dests, address(&c->dest[i]));
	return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o, s:s?}", "frames", (json_int_t)c->frames,
			 "syns", (json_int_t)c->kinds[FRAME_SYN], "outgoing",
			 (json_int_t)c->outgoing, "backwards", (json_int_t)c->backwards, "unjudged",
			 unjudged, "destinations", dests, "damage", c->damaged ? c->damage : NULL);
}

static json_t *waited(const struct tally *t)
{
	if (!t->fate[FATE_ADMITTED])
		return json_null();
	return json_pack("{s:f, s:f, s:f, s:f}", "p50_s", tally_waited(t, 0.5) / 1e3, "p90_s",
			 tally_waited(t, 0.9) / 1e3, "p99_s", tally_waited(t, 0.99) / 1e3, "most_s",
			 tally_waited(t, 1) / 1e3);
}

static json_t *syns(const struct tally *t)
{
	json_t *o = json_object();

	for (int v = 0; v < VERDICTS; v++) {
		json_t *by_reason = reasons(t->syns[v]);

		if (json_object_size(by_reason))
			json_object_set_new(o, name_verdict(v), by_reason);
		else
			json_decref(by_reason);
	}
	return o;
}

static json_t *classes(const struct tally *t)
{
	json_t *o = json_object();

	for (int c = 0; c < CLASSES; c++) {
		json_t *one = json_object();
		uint64_t sum = 0;

		for (int i = 0; i < FATES; i++) {
			sum += t->fate_class[i][c];
			json_object_set_new(one, fates[i],
					    json_integer((json_int_t)t->fate_class[i][c]));
		}
		if (sum)
			json_object_set(o, class_name(c), one);
		json_decref(one);
	}
	return o;
}

static json_t *places(const struct tally_places *p)
{
	const struct tally_place *worst[WORST];
	unsigned int count = tally_worst(p, worst, WORST);
	json_t *a = json_array();
	char text[80];

	for (unsigned int i = 0; i < count; i++) {
		replay_prefix(&worst[i]->key, text, sizeof(text));
		json_array_append_new(a,
				      json_pack("{s:s, s:s, s:I, s:I, s:I, s:s}", "prefix", text,
						"class", class_name(worst[i]->class), "admitted",
						(json_int_t)worst[i]->fate[FATE_ADMITTED],
						"gave_up", (json_int_t)worst[i]->fate[FATE_LOST],
						"refused", (json_int_t)worst[i]->fate[FATE_REFUSED],
						"reason", name_reason(worst[i]->reason)));
	}
	return a;
}

static json_t *timeline(const struct tally *t)
{
	json_t *attempts = json_array(), *deferred = json_array(), *ended[FATES], *o;
	uint32_t each, columns = tally_columns(t, STEPS, &each);

	o = json_pack("{s:f, s:o, s:o}", "step_s", (double)each * (double)t->bin_ns / 1e9,
		      "attempts", attempts, "deferred_syns", deferred);
	for (int i = 0; i < FATES; i++) {
		ended[i] = json_array();
		json_object_set_new(o, fates[i], ended[i]);
	}
	for (uint32_t n = 0; o && n < columns; n++) {
		struct tally_bin b = tally_column(t, each, n);

		json_array_append_new(attempts, json_integer(b.attempts));
		json_array_append_new(deferred, json_integer(b.deferred));
		for (int i = 0; i < FATES; i++)
			json_array_append_new(ended[i], json_integer(b.fate[i]));
	}
	return o;
}

static json_t *fault_counts(const struct counters *c)
{
	json_t *o = json_object();

	for (size_t i = 0; i < fault_count; i++) {
		__u64 n = *(const __u64 *)((const char *)c + faults[i].offset);

		if (n)
			json_object_set_new(o, faults[i].name, json_integer((json_int_t)n));
	}
	return o;
}

/* Members whose making failed are missing: then there is no report. */
static json_t *build(const struct replay_report *r)
{
	const struct replay_options *options = r->options;
	const struct tally *t = r->tally;
	char subject[1024], shown[SHOWN_MAX];
	const char *name = r->config_name ? value_shown(r->config_name, shown) : NULL;

	replay_subject(r, subject, sizeof(subject));
	return json_pack(
		"{s:i, s:s, s:s, s:s?, s:o, s:b, s:o, s:{s:I, s:f, s:I}, s:{s:I, s:I, s:I}, "
		"s:{s:I, s:f, s:o}, s:{s:I, s:o}, s:o, s:o, s:I, s:{s:I, s:I}, s:o, s:o, s:o, s:o, s:o}",
		"version", VERSION, "subject", subject, "client", options->client->name, "config",
		name, "tiers", tiers(options->tiers), "complete",
		!(r->capture && r->capture->damaged), "capture",
		r->capture ? capture(r->capture) : json_null(), "attempts", "count",
		(json_int_t)t->attempts, "last_s", (double)t->arrived_ns / 1e9, "busiest_second",
		(json_int_t)t->busiest_second, "admitted", "count",
		(json_int_t)t->fate[FATE_ADMITTED], "at_once", (json_int_t)t->at_once, "held",
		(json_int_t)t->held, "gave_up", "count", (json_int_t)t->fate[FATE_LOST], "after_s",
		options->client->gives_up_ms / 1e3, "reasons", reasons(t->fate_reason[FATE_LOST]),
		"refused", "count", (json_int_t)t->fate[FATE_REFUSED], "reasons",
		reasons(t->fate_reason[FATE_REFUSED]), "waited", waited(t), "syns", syns(t),
		"again", (json_int_t)t->again, "copies", "judged", (json_int_t)t->copies,
		"replaced", (json_int_t)t->replaced, "classes", classes(t), "sources",
		places(&t->sources), "subnets", places(&t->subnets), "timeline", timeline(t),
		"faults", fault_counts(r->counters));
}

int replay_report_json(const struct replay_report *r)
{
	json_t *report = build(r);

	if (!report)
		return -ENOMEM;
	json_dumpf(report, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
	putchar('\n');
	json_decref(report);
	return 0;
}
