// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * status.c - sluice status: the whole state on one screen, from one answer of the daemon.
 *
 * In monitor mode every word about a verdict says that it would have been: nobody shall think
 * that mail is held up when it is not.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "command.h"
#include "override.h"
#include "screen.h"
#include "text.h"

#define STATUS_SHAPE 1
#define STALE_S	     5.0 /* the controller samples once a second */
#define REASONS_MAX  8	 /* shown: two in a line */

/* The verdicts in the order of the columns: the daemon's word, and ours in the past and as would. */
static const struct verdict_words {
	const char *name;
	const char *past;
	const char *would;
} verdicts[] = {
	{"pass", "admitted", "would pass"},   {"hold", "held", "would hold"},
	{"defer", "deferred", "would defer"}, {"refuse", "refused", "would refuse"},
	{"drop", "dropped", "would drop"},
};

#define VERDICT_WORDS (sizeof(verdicts) / sizeof(verdicts[0]))

struct view {
	const json_t *answer;
	const char *mode;
	bool monitor, off;
	struct screen screen;
	json_error_t error;
};

/* Fails unless every named field is there and has its type: a default here would be a lie. */
#define TAKE(v, ...) json_unpack_ex((json_t *)(v)->answer, &(v)->error, 0, __VA_ARGS__)

/* 12345678 or 123.5M: eight columns at most. */
static const char *amount(char out[16], double value)
{
	static const char units[] = "MGTPE";
	size_t i = 0;

	if (value < 1e8) {
		snprintf(out, 16, "%.0f", value);
		return out;
	}
	for (value /= 1e6; value >= 1e4 && units[i + 1]; value /= 1e3)
		i++;
	snprintf(out, 16, "%.1f%c", value, units[i]);
	return out;
}

/* A controller that is stuck makes all the rest old news, so this stands on top. */
static void warn_of_age(struct view *v, double age, double lease)
{
	struct words w = {.used = 0};
	char span[48];

	text_span(span, sizeof(span), lease);
	if (lease <= 0)
		words_add(&w, "the lease of the controller has lapsed: load tiers are void, only "
			      "static limits hold");
	else if (age > STALE_S)
		words_add(&w,
			  "the controller is stale: in %s its lease ends, then load tiers lapse "
			  "and only static limits hold",
			  span);
	if (w.used)
		screen_paragraph(&v->screen, "WARNING", 2, w.text);
}

static int show_head(struct view *v)
{
	const char *version, *instance;
	double uptime, age, lease;
	char span[48];

	if (TAKE(v, "{s:s, s:s, s:F, s:F, s:F}", "version", &version, "instance", &instance,
		 "uptime_s", &uptime, "age_s", &age, "lease_s", &lease))
		return -EPROTO;
	text_span(span, sizeof(span), uptime);
	screen_line(&v->screen, "sluiced %s, instance %s, up %s, updated %.1f s ago", version,
		    instance, span, age);
	warn_of_age(v, age, lease);
	return 0;
}

static int show_mode(struct view *v)
{
	struct words w = {.used = 0};
	json_t *mode;
	char origin[160];

	if (TAKE(v, "{s:{s:s}}", "mode", "name", &v->mode) || TAKE(v, "{s:o}", "mode", &mode) ||
	    override_origin(mode, "by the configuration", origin, sizeof(origin)))
		return -EPROTO;
	v->monitor = !strcmp(v->mode, "monitor");
	v->off = !strcmp(v->mode, "off");
	words_add(&w, "%s, %s", v->mode, origin);
	if (v->monitor)
		words_add(&w, ": all SYNs pass, what enforce would do is counted");
	else if (v->off)
		words_add(&w, ": all SYNs pass, none is judged");
	screen_paragraph(&v->screen, "mode", 2, w.text);
	return 0;
}

static int show_tier(struct view *v)
{
	const char *reason;
	struct words w = {.used = 0};
	json_t *tier, *active, *member;
	char origin[160];
	size_t i;

	if (TAKE(v, "{s:o, s:{s:o, s:s}}", "tier", &tier, "tier", "active", &active, "reason",
		 &reason) ||
	    !json_is_array(active) || override_origin(tier, "by the load", origin, sizeof(origin)))
		return -EPROTO;
	if (!json_array_size(active))
		words_add(&w, "normal");
	json_array_foreach (active, i, member)
		words_add(&w, "%s%s", i ? "," : "", json_string_value(member) ?: "?");
	words_add(&w, ", %s", origin);
	if ((v->monitor || v->off) && json_array_size(active))
		words_add(&w, ", without effect in mode %s", v->mode);
	words_add(&w, ": %s", reason);
	screen_paragraph(&v->screen, "tier", 2, w.text);
	return 0;
}

static void add_threshold(struct words *w, const char *name, double load, bool readable, double la)
{
	if (la <= 0)
		words_add(w, ", %s off", name);
	else
		words_add(w, ", %s %.2f%s", name, la, readable && load >= la ? " (reached)" : "");
}

static int show_load(struct view *v)
{
	double value, delay, queue, refuse;
	struct words w = {.used = 0};
	int readable, running, blocked;
	const char *file;

	if (TAKE(v, "{s:{s:b, s:s, s:F, s:F, s:F}}", "load", "readable", &readable, "file", &file,
		 "delay_la", &delay, "queue_la", &queue, "refuse_la", &refuse))
		return -EPROTO;
	value = json_number_value(json_object_get(json_object_get(v->answer, "load"), "value"));
	if (!readable)
		words_add(&w, "UNREADABLE, which counts as normal");
	else
		words_add(&w, "%.2f", value);
	add_threshold(&w, "delay-la", value, readable, delay);
	add_threshold(&w, "queue-la", value, readable, queue);
	add_threshold(&w, "refuse-la", value, readable, refuse);
	if (readable &&
	    !TAKE(v, "{s:{s:i, s:i}}", "load", "running", &running, "blocked", &blocked))
		words_add(&w, "; %d running, %d blocked", running, blocked);
	words_add(&w, " (%s)", file);
	screen_paragraph(&v->screen, "load", 2, w.text);
	return 0;
}

static int show_bucket(struct view *v)
{
	double debt, burst;
	int pressure;

	if (TAKE(v, "{s:{s:F, s:F, s:b}}", "bucket", "debt_ms", &debt, "burst_ms", &burst,
		 "pressure", &pressure))
		return -EPROTO;
	screen_line(&v->screen, "%-*sowes %.1f ms of %.1f ms%s", SCREEN_LABEL, "bucket", debt,
		    burst, pressure ? ", under pressure: more than half of its burst is used" : "");
	return 0;
}

/* Whether SYNs are held, and how they fare; nothing where it is off. */
static int show_hold(struct view *v)
{
	const char *state, *device;
	struct words w = {.used = 0};
	double horizon, wait, waits;
	json_int_t held, swallowed, overflowed;
	int waiting, room;
	json_t *problem;

	if (TAKE(v, "{s:{s:s, s:o, s:s, s:F, s:F, s:i, s:i, s:I, s:I, s:I, s:F}}", "hold", "state",
		 &state, "problem", &problem, "device", &device, "horizon_ms", &horizon, "wait_ms",
		 &wait, "waiting", &waiting, "room", &room, "held", &held, "swallowed", &swallowed,
		 "overflowed", &overflowed, "held_ms", &waits))
		return -EPROTO;
	if (!strcmp(state, "off"))
		return 0;
	if (strcmp(state, "on"))
		words_add(&w, "NOT HELD but deferred: %s",
			  json_string_value(problem) ?: "the waiting room is being made");
	else
		words_add(&w, "%d waiting, a newcomer %.0f ms of at most %.0f ms", waiting, wait,
			  horizon);
	if (held)
		words_add(&w,
			  "; %" JSON_INTEGER_FORMAT " held so far for %.0f ms each, "
			  "%" JSON_INTEGER_FORMAT " of their retransmits swallowed",
			  held, waits / (double)held, swallowed);
	if (overflowed)
		words_add(&w, "; %" JSON_INTEGER_FORMAT " found no place in %s", overflowed,
			  device);
	screen_paragraph(&v->screen, "hold", 3, w.text);
	return 0;
}

/* What limits now. Lengths of prefixes, sizes of tables and what is off: --json has them. */
static bool is_limit(const char *key, const char *value)
{
	return value && strcmp(value, "off") && *value != '0' && !strstr(key, "-prefix") &&
	       !strstr(key, "-table");
}

/* The queue tier puts queue-rate in the place of connection-rate: shown is the one in force. */
static int show_limits(struct view *v)
{
	const char *key, *not_in_force = "queue-rate";
	json_t *limits, *active, *value;
	struct words w = {.used = 0};
	size_t i;

	if (TAKE(v, "{s:o, s:{s:o}}", "limits", &limits, "tier", "active", &active) ||
	    !json_is_object(limits))
		return -EPROTO;
	json_array_foreach (active, i, value) {
		if (!strcmp(json_string_value(value) ?: "", "queue"))
			not_in_force = "connection-rate";
	}
	if (strcmp(not_in_force, "queue-rate") && json_object_get(limits, "queue-rate"))
		words_add(&w, "queue-rate=%s",
			  json_string_value(json_object_get(limits, "queue-rate")) ?: "?");
	json_object_foreach (limits, key, value) {
		if (strcmp(key, "queue-rate") && strcmp(key, not_in_force) &&
		    is_limit(key, json_string_value(value)))
			words_add(&w, "%s%s=%s", w.used ? ", " : "", key, json_string_value(value));
	}
	screen_paragraph(&v->screen, "limits", 3, w.text);
	return 0;
}

static int add_row(struct view *v, const char *label, const char *object, const char *format)
{
	struct words w = {.used = 0};
	char number[16], shown[32];
	double value;
	size_t i;

	words_add(&w, "%-16s", label);
	for (i = 0; i <= VERDICT_WORDS; i++) {
		if (TAKE(v, "{s:{s:F}}", object, i < VERDICT_WORDS ? verdicts[i].name : "judged",
			 &value))
			return -EPROTO;
		snprintf(shown, sizeof(shown), format, value);
		words_add(&w, "%10s", value < 1e8 ? shown : amount(number, value));
	}
	screen_line(&v->screen, "%s", w.text);
	return 0;
}

static int show_table(struct view *v)
{
	struct words w = {.used = 0};
	char label[32];
	double over;
	size_t i;

	if (TAKE(v, "{s:{s:F}}", "rates", "over_s", &over))
		return -EPROTO;
	words_add(&w, "%-16s", v->monitor ? "would have been" : "SYNs");
	for (i = 0; i < VERDICT_WORDS; i++)
		words_add(&w, "%10s", verdicts[i].past);
	words_add(&w, "%10s", "of judged");
	screen_line(&v->screen, "%s", w.text);
	snprintf(label, sizeof(label), "a second (%.0f s)", over);
	if (add_row(v, label, "rates", "%.1f"))
		return -EPROTO;
	return add_row(v, "in total", "totals", "%.0f");
}

struct reason_row {
	const char *name;
	const char *verdict;
	double count, per_s;
};

/* Inserts into rows, which are the greatest so far, the greatest first. */
static void keep_greatest(struct reason_row *rows, size_t *used, const struct reason_row *row)
{
	size_t i = *used;

	if (i == REASONS_MAX && row->count <= rows[i - 1].count)
		return;
	if (i < REASONS_MAX)
		(*used)++;
	else
		i--;
	for (; i && rows[i - 1].count < row->count; i--)
		rows[i] = rows[i - 1];
	rows[i] = *row;
}

static void format_reason(const struct view *v, const struct reason_row *row, struct words *w)
{
	const char *verdict = row->verdict;
	char number[16], rate[16], per_s[16];
	size_t i;

	for (i = 0; i < VERDICT_WORDS; i++)
		if (!strcmp(verdicts[i].name, row->verdict))
			verdict = v->monitor ? verdicts[i].would : verdicts[i].past;
	if (row->per_s < 1e5)
		snprintf(rate, sizeof(rate), "%.1f", row->per_s);
	else
		amount(rate, row->per_s);
	snprintf(per_s, sizeof(per_s), "%.12s/s", rate);
	words_add(w, "%-16s%-13s%8s %10s", row->name, verdict, amount(number, row->count), per_s);
}

static int show_reasons(struct view *v)
{
	struct reason_row rows[REASONS_MAX], row;
	json_t *reasons, *member;
	const char *mode;
	size_t used = 0, i;

	if (TAKE(v, "{s:o}", "reasons", &reasons) || !json_is_array(reasons))
		return -EPROTO;
	json_array_foreach (reasons, i, member) {
		if (json_unpack_ex(member, &v->error, 0, "{s:s, s:s, s:s, s:F, s:F}", "mode", &mode,
				   "reason", &row.name, "verdict", &row.verdict, "count",
				   &row.count, "per_s", &row.per_s))
			return -EPROTO;
		if (strcmp(mode, v->mode))
			continue; /* counted in another mode, where the words would be others */
		keep_greatest(rows, &used, &row);
	}
	for (i = 0; i < used; i += 2) {
		struct words w = {.used = 0};

		format_reason(v, &rows[i], &w);
		if (i + 1 < used) {
			words_add(&w, "  ");
			format_reason(v, &rows[i + 1], &w);
		}
		screen_line(&v->screen, "  %s", w.text);
	}
	return 0;
}

/* Only frames that were not understood: that others pass is no news. */
static int show_frames(struct view *v)
{
	struct words w = {.used = 0};
	json_t *frames, *member;
	const char *kind;
	char number[16];
	int understood;
	double count;
	size_t i;

	if (TAKE(v, "{s:o}", "frames", &frames) || !json_is_array(frames))
		return -EPROTO;
	json_array_foreach (frames, i, member) {
		if (json_unpack_ex(member, &v->error, 0, "{s:s, s:b, s:F}", "kind", &kind,
				   "understood", &understood, "count", &count))
			return -EPROTO;
		if (!understood && count > 0)
			words_add(&w, "%s %s, ", kind, amount(number, count));
	}
	if (!w.used)
		return 0;
	words_add(&w, "frames not understood: passed, not judged");
	screen_paragraph(&v->screen, "unjudged", 1, w.text);
	return 0;
}

static int show_faults(struct view *v)
{
	struct words w = {.used = 0};
	json_t *faults, *value;
	const char *key;
	char number[16];

	if (TAKE(v, "{s:o}", "faults", &faults) || !json_is_object(faults))
		return -EPROTO;
	json_object_foreach (faults, key, value) {
		if (json_number_value(value) != 0)
			words_add(&w, "%s%s %s", w.used ? ", " : "", key,
				  amount(number, json_number_value(value)));
	}
	if (w.used)
		screen_paragraph(&v->screen, "faults", 1, w.text);
	return 0;
}

static int add_interface(struct view *v, const json_t *interface, struct words *w, bool troubled,
			 unsigned *attached)
{
	const char *name, *mode, *problem;
	int is_attached;

	if (json_unpack_ex((json_t *)interface, &v->error, 0, "{s:s, s:b}", "name", &name,
			   "attached", &is_attached))
		return -EPROTO;
	mode = json_string_value(json_object_get(interface, "mode"));
	problem = json_string_value(json_object_get(interface, "problem"));
	if (troubled != (problem || !is_attached))
		return 0;
	words_add(w, "%s%s ", w->used ? ", " : "", name);
	if (is_attached) {
		words_add(w, "%s", mode ? mode : "attached");
		(*attached)++;
	} else {
		words_add(w, "NOT ATTACHED");
	}
	if (problem)
		words_add(w, " (%s)", problem);
	return 0;
}

/* Those with a problem come first: the list may be cut. */
static int show_interfaces(struct view *v)
{
	struct words w = {.used = 0};
	json_t *interfaces, *member;
	unsigned attached = 0;
	int troubled;
	size_t i;

	if (TAKE(v, "{s:o}", "interfaces", &interfaces) || !json_is_array(interfaces))
		return -EPROTO;
	for (troubled = 1; troubled >= 0; troubled--) {
		json_array_foreach (interfaces, i, member) {
			if (add_interface(v, member, &w, troubled, &attached))
				return -EPROTO;
		}
	}
	if (!attached)
		words_add(&w, "%snothing is guarded", w.used ? ": " : "none: ");
	screen_paragraph(&v->screen, "interfaces", 2, w.text);
	return 0;
}

static void show_problem(struct view *v, const char *label, const json_t *problem)
{
	if (json_string_value(problem))
		screen_paragraph(&v->screen, label, 2, json_string_value(problem));
}

static int show_sessions(struct view *v)
{
	json_int_t live, pending, most, most_unknown, holding, dry;
	struct words w = {.used = 0};
	json_t *problem;
	int counted;

	if (TAKE(v, "{s:{s:b, s:o, s:I, s:I, s:I, s:I, s:I, s:I}}", "sessions", "counted", &counted,
		 "problem", &problem, "live", &live, "pending", &pending, "most", &most,
		 "most_unknown", &most_unknown, "sources_holding", &holding, "sources_dry", &dry))
		return -EPROTO;
	if (!counted) {
		show_problem(v, "sessions", problem);
		return 0;
	}
	words_add(&w, "%lld live", (long long)live);
	if (most)
		words_add(&w, " of %lld (unknown senders: of %lld), %lld on their way",
			  (long long)most, (long long)most_unknown, (long long)pending);
	words_add(&w, "; %lld sources hold some or owe slot time", (long long)holding);
	if (dry)
		words_add(&w, ", %lld have used it up", (long long)dry);
	screen_paragraph(&v->screen, "sessions", 2, w.text);
	show_problem(v, "sessions", problem);
	return 0;
}

static int show_queue(struct view *v)
{
	json_int_t listeners, waiting, most, count;
	struct words w = {.used = 0};
	json_t *problem, *banner;
	double p50, p99;

	if (TAKE(v, "{s:{s:o, s:I, s:I, s:I}, s:{s:o, s:I}}", "accept_queue", "problem", &problem,
		 "listeners", &listeners, "waiting", &waiting, "most", &most, "banner", "problem",
		 &banner, "count", &count))
		return -EPROTO;
	if (listeners)
		words_add(&w, "%lld of %lld waiting", (long long)waiting, (long long)most);
	else
		words_add(&w, "nobody listens on the guarded ports");
	if (listeners > 1)
		words_add(&w, " (the fullest of %lld)", (long long)listeners);
	if (!TAKE(v, "{s:{s:F, s:F}}", "banner", "p50_s", &p50, "p99_s", &p99))
		words_add(&w, "; the banner came within %g ms for half, %g ms for 99 %%", p50 * 1e3,
			  p99 * 1e3);
	screen_paragraph(&v->screen, "queue", 2, w.text);
	show_problem(v, "queue", problem);
	show_problem(v, "banner", banner);
	return 0;
}

/* What an operator has set by hand, which a start would forget. */
static int show_settings(struct view *v)
{
	json_t *settings = json_object_get(v->answer, "settings"), *one;
	struct words w = {.used = 0};
	char moment[96];
	size_t i;

	json_array_foreach (settings, i, one) {
		const json_t *left = json_object_get(one, "until_s");

		words_add(&w, "%s%s", i ? "; " : "",
			  json_string_value(json_object_get(one, "text")) ?: "?");
		if (json_is_number(left)) {
			text_moment(moment, sizeof(moment), json_number_value(left));
			words_add(&w, " until %s", moment);
		} else {
			words_add(&w, " until the next start");
		}
	}
	if (w.used)
		screen_paragraph(&v->screen, "by hand", 3, w.text);
	return 0;
}

static int show_flood(struct view *v)
{
	struct words w = {.used = 0};
	int spoofed, percent;

	if (TAKE(v, "{s:{s:b, s:i}}", "flood", "spoofed", &spoofed, "established_percent",
		 &percent))
		return -EPROTO;
	words_add(&w,
		  "spoofed flood: of the attempts admitted in the last ten seconds only %d %% were "
		  "completed",
		  percent);
	if (spoofed)
		screen_paragraph(&v->screen, "WARNING", 2, w.text);
	return 0;
}

static int show_known(struct view *v)
{
	json_int_t candidates, known, good, added, bad;
	struct words w = {.used = 0};
	json_t *problem;

	if (TAKE(v, "{s:{s:o, s:I, s:I, s:I, s:I, s:I}}", "known", "problem", &problem,
		 "candidates", &candidates, "known", &known, "good", &good, "added", &added, "bad",
		 &bad))
		return -EPROTO;
	words_add(&w, "%lld senders, %lld of them by hand; %lld candidates",
		  (long long)(known + good + added), (long long)(good + added),
		  (long long)candidates);
	if (bad)
		words_add(&w, "; %lld marked bad", (long long)bad);
	screen_paragraph(&v->screen, "known", 2, w.text);
	show_problem(v, "known", problem);
	return 0;
}

static int show_status(const json_t *answer)
{
	static int (*const sections[])(struct view * v) = {
		show_head,   show_mode,	    show_tier,	 show_load,	show_bucket,	 show_hold,
		show_limits, show_settings, show_flood,	 show_sessions, show_queue,	 show_known,
		show_table,  show_reasons,  show_frames, show_faults,	show_interfaces,
	};
	struct view v = {.answer = answer};
	size_t i;

	for (i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		if (!sections[i](&v))
			continue;
		text_complain(
			"the daemon's status is not understood (%s); --json shows it as it is",
			*v.error.text ? v.error.text : "a field is missing or of another type");
		return EXIT_FAILED;
	}
	screen_print(&v.screen);
	return EXIT_DONE;
}

int command_status(const struct options *o, int argc, char **argv)
{
	json_int_t shape;
	json_t *answer, *clean;
	int status;

	(void)argc;
	(void)argv;
	if (client_talk(o, json_pack("{s:s}", "command", "status"), &answer))
		return EXIT_FAILED;
	shape = json_integer_value(json_object_get(answer, "shape"));
	if (o->json) {
		client_print(answer);
		status = EXIT_DONE;
	} else if (shape != STATUS_SHAPE) {
		text_complain("the daemon's status is of shape %lld, and %d is known here; --json "
			      "shows it as it is",
			      (long long)shape, STATUS_SHAPE);
		status = EXIT_FAILED;
	} else {
		clean = text_escaped(answer);
		status = show_status(clean);
		json_decref(clean);
	}
	json_decref(answer);
	return status;
}
