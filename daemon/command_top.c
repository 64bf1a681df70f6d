// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * command_top.c - the last seconds, and who attempts: what `sluice top` shows.
 */
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "classes.h"
#include "explain.h"
#include "kernel_events.h"
#include "kernel_sessions.h"
#include "log.h"
#include "names.h"
#include "recent.h"

#define ROWS_USUAL    10
#define SECONDS_USUAL 60

static json_t *tiers_json(uint32_t tiers)
{
	static const char *const names[] = {"delay", "queue", "refuse"};
	json_t *list = json_array();

	for (int i = 0; i < 3; i++)
		if (tiers & 1U << i)
			json_array_append_new(list, json_string(names[i]));
	return list;
}

static void add_verdicts(json_t *to, const uint64_t verdict[VERDICTS])
{
	for (int v = 0; v < VERDICTS; v++)
		json_object_set_new(to, name_verdict(v), json_integer((json_int_t)verdict[v]));
}

static json_t *second_json(const struct recent_second *s, uint64_t now_ns)
{
	json_t *one = json_pack(
		"{s:f, s:f, s:I, s:o, s:o, s:o, s:s}", "ago_s",
		now_ns > s->at_ns ? (double)(now_ns - s->at_ns) / NSEC_PER_SEC : 0.0, "took_s",
		(double)s->took_ns / NSEC_PER_SEC, "attempts", (json_int_t)s->attempts, "load",
		s->load_readable ? json_real(s->load_centi / 100.0) : json_null(), "sessions",
		s->sessions >= 0 ? json_integer(s->sessions) : json_null(), "tiers",
		tiers_json(s->tiers), "mode", name_mode(s->mode));

	add_verdicts(one, s->verdict);
	return one;
}

/* The oldest first. */
static json_t *line_json(struct daemon *d, uint32_t seconds, uint64_t now_ns)
{
	json_t *line = json_array();

	for (uint32_t age = seconds; age; age--) {
		const struct recent_second *s = recent_second(d->recent, age - 1);

		if (s)
			json_array_append_new(line, second_json(s, now_ns));
	}
	return line;
}

static json_t *rows_json(struct daemon *d, enum recent_kind kind, uint32_t most, uint64_t all,
			 uint64_t now_ns)
{
	static struct recent_row row[RECENT_ROWS];
	size_t count = recent_rows(d->recent, kind, now_ns, row, most);
	json_t *rows = json_array();

	for (size_t i = 0; i < count; i++) {
		const char *class = class_name(row[i].class);
		char prefix[80];
		json_t *one;

		explain_prefix(&row[i].key, row[i].family, prefix, sizeof(prefix));
		one = json_pack("{s:s, s:s, s:I, s:f}", "prefix", prefix, "class",
				class ? class : "mixed", "attempts", (json_int_t)row[i].attempts,
				"share", all ? (double)row[i].attempts / (double)all : 0.0);
		add_verdicts(one, row[i].verdict);
		json_array_append_new(rows, one);
	}
	return rows;
}

/* The parts that are under the lock. */
static void add_state(struct daemon *d, json_t *answer, uint64_t now_ns)
{
	const struct session_limits *s = &d->policy.sessions;
	uint32_t tiers = controller_tiers(d, now_ns);
	const struct bucket *b = tiers & TIER_QUEUE ? &d->policy.global_queue : &d->policy.global;
	uint32_t mode =
		now_ns < d->mode_override.until_ns ? d->mode_override.value : d->policy.mode;

	json_object_set_new(answer, "mode", json_string(name_mode(mode)));
	json_object_set_new(answer, "tiers", tiers_json(tiers));
	json_object_set_new(
		answer, "load",
		json_pack("{s:o, s:f, s:f, s:f}", "value",
			  d->load.readable ? json_real(d->load.load_centi / 100.0) : json_null(),
			  "delay_la", d->config.delay_la_centi / 100.0, "queue_la",
			  d->config.queue_la_centi / 100.0, "refuse_la",
			  d->config.refuse_la_centi / 100.0));
	json_object_set_new(
		answer, "sessions",
		json_pack("{s:o, s:i, s:i}", "live",
			  kernel_watch(d->kernel)->counting
				  ? json_integer((json_int_t)kernel_sessions_live(d->kernel))
				  : json_null(),
			  "most", (int)s->most, "pending",
			  (int)kernel_sessions_pending(d->kernel)));
	json_object_set_new(answer, "bucket",
			    json_pack("{s:f, s:f, s:f}", "per_s",
				      b->t_ns ? (double)NSEC_PER_SEC / (double)b->t_ns : 0.0,
				      "debt_ms", (double)kernel_debt_ns(d->kernel) / NSEC_PER_MSEC,
				      "burst_ms", (double)b->tau1_ns / NSEC_PER_MSEC));
}

static void add_storm(struct daemon *d, json_t *answer, uint32_t rows, uint64_t now_ns)
{
	struct kernel_events_count count;
	struct recent_row all;
	uint64_t events, syns = 0;
	double over_s;
	json_t *sum;

	recent_sum(d->recent, now_ns, &all, &events, &over_s);
	kernel_events_count(d->events, &count);
	for (int v = 0; v < VERDICTS; v++)
		syns += all.verdict[v];
	sum = json_pack("{s:f, s:I, s:I, s:I, s:I}", "over_s", over_s, "events", (json_int_t)events,
			"syns", (json_int_t)syns, "attempts", (json_int_t)all.attempts, "lost",
			(json_int_t)count.lost);
	add_verdicts(sum, all.verdict);
	json_object_set_new(answer, "storm", sum);
	json_object_set_new(answer, "wide", rows_json(d, RECENT_WIDE, rows, all.attempts, now_ns));
	json_object_set_new(answer, "subnets",
			    rows_json(d, RECENT_SUBNET, rows, all.attempts, now_ns));
	json_object_set_new(answer, "sources",
			    rows_json(d, RECENT_SOURCE, rows, all.attempts, now_ns));
}

/* A number of a request within bounds. Returns 0, or -EINVAL with a sentence. */
static int number_of(const json_t *request, const char *name, uint32_t usual, uint32_t most,
		     uint32_t *number, struct config_error *err)
{
	const json_t *given = json_object_get(request, name);
	json_int_t value = json_integer_value(given);

	*number = usual;
	if (!given)
		return 0;
	if (!json_is_integer(given) || value < 0 || value > most)
		return fail(err, -EINVAL, "%s: a number from 0 to %u was expected", name, most);
	*number = (uint32_t)value;
	return 0;
}

json_t *command_top(struct daemon *d, const json_t *request, struct config_error *err)
{
	uint64_t now_ns = kernel_now_ns();
	uint32_t rows, seconds;
	json_t *answer;

	if (number_of(request, "rows", ROWS_USUAL, RECENT_ROWS, &rows, err) ||
	    number_of(request, "seconds", SECONDS_USUAL, RECENT_SECONDS, &seconds, err))
		return NULL;
	observing_read(d);
	answer = json_pack("{s:b, s:i, s:s, s:s, s:s, s:I}", "ok", 1, "shape", 1, "from", "daemon",
			   "version", SLUICE_VERSION, "instance", d->instance, "time_ms",
			   (json_int_t)time(NULL) * 1000);
	pthread_mutex_lock(&d->lock);
	add_state(d, answer, now_ns);
	pthread_mutex_unlock(&d->lock);
	json_object_set_new(answer, "line", line_json(d, seconds, now_ns));
	add_storm(d, answer, rows, now_ns);
	return answer;
}
