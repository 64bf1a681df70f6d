// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * explain.c - sluice explain ADDRESS: what the gate would do with a SYN of it now, and why.
 *
 * The daemon runs the very gate over what the kernel's tables say of the source. Where no daemon
 * runs, the same is done here over the pinned maps, and what only a daemon knows is named.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "command.h"
#include "explain.h"
#include "paint.h"
#include "pinned.h"
#include "pins.h"
#include "screen.h"
#include "text.h"

/* The answer, and what every sentence needs of it. */
struct view {
	const json_t *answer;
	const char *mode, *verdict, *reason, *class;
	bool acts; /* it is not only counted what would be done */
	bool guarded;
	struct screen screen;
	json_error_t error;
};

/* Fails unless every named field is there and has its type: a default here would be a lie. */
#define TAKE(v, ...) json_unpack_ex((json_t *)(v)->answer, &(v)->error, 0, __VA_ARGS__)

/* "340 ms", "2.5 s", "3 min 20 s" */
static const char *format_wait(char out[48], double ms)
{
	if (ms < 1000)
		snprintf(out, 48, "%.0f ms", ms);
	else if (ms < 60000)
		snprintf(out, 48, "%.1f s", ms / 1000);
	else
		text_span(out, 48, ms / 1000);
	return out;
}

static const char *format_rate(char out[48], double per_s)
{
	if (per_s >= 1)
		snprintf(out, 48, "%.4g/s", per_s);
	else
		snprintf(out, 48, "%.4g/min", per_s * 60);
	return out;
}

static const char *what_becomes(const char *verdict)
{
	static const char *const words[][2] = {
		{"pass", "let in"},	     {"hold", "held"},	  {"defer", "deferred"},
		{"refuse", "refused (RST)"}, {"drop", "dropped"},
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(verdict, words[i][0]))
			return words[i][1];
	return verdict;
}

static bool is_let_in(const char *verdict)
{
	return !strcmp(verdict, "pass") || !strcmp(verdict, "hold");
}

static int show_head(struct view *v)
{
	const char *address, *source, *subnet;
	int guarded;

	if (TAKE(v, "{s:s, s:s, s:s, s:b, s:{s:s}, s:{s:s, s:s}, s:{s:s}}", "address", &address,
		 "source", &source, "subnet", &subnet, "guarded", &guarded, "mode", "name",
		 &v->mode, "now", "verdict", &v->verdict, "reason", &v->reason, "class", "name",
		 &v->class))
		return -EPROTO;
	v->guarded = guarded;
	v->acts = guarded && !strcmp(v->mode, "enforce");
	screen_line(&v->screen, "%s: source %s, subnet %s", address, source, subnet);
	return 0;
}

/* Which gate decides, and what becomes of the SYN. */
static int show_now(struct view *v)
{
	struct words w = {.used = 0};
	const char *sentence;
	json_t *hold;
	char wait[48];

	if (TAKE(v, "{s:{s:s, s:o}}", "now", "sentence", &sentence, "hold_ms", &hold))
		return -EPROTO;
	if (!v->guarded)
		words_add(&w, "A SYN now would pass unjudged: no address of its family is guarded. "
			      "To a guarded one it ");
	else if (!strcmp(v->mode, "off"))
		words_add(&w, "A SYN now would pass unjudged, as the mode is off. Judged, it ");
	else if (!v->acts)
		words_add(&w,
			  "A SYN now would pass, as the mode is monitor. With mode enforce it ");
	else
		words_add(&w, "A SYN now ");
	words_add(&w, "would be %s", what_becomes(v->verdict));
	if (json_is_number(hold))
		words_add(&w, " for %s", format_wait(wait, json_number_value(hold)));
	if (!strcmp(v->verdict, "pass"))
		words_add(&w, " as %s: %s.", v->reason, sentence);
	else
		words_add(&w, ", by the gate %s: %s.", v->reason, sentence);
	screen_paragraph(&v->screen, "now", 3, w.text);
	return 0;
}

/* What ends the wait where time alone does not. */
static const char *way_out(const struct view *v)
{
	static const char *const ways[][2] = {
		{"blocked", "as long as a list has it as blocked"},
		{"load", "as long as the refuse tier lasts"},
		{"sessions", "before sessions have ended"},
		{"source-sessions", "before it has ended a session"},
		{"source-time", "before its open sessions have ended"},
		{"first-time", "with its first SYN as long as the delay tier lasts"},
		{"backlog", "before the MTA has accepted what waits"},
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (!strcmp(v->reason, ways[i][0]))
			return ways[i][1];
	return "as things are";
}

static int show_next(struct view *v)
{
	struct words w = {.used = 0};
	json_t *next, *client, *one;
	const char *verdict, *reason, *last = "";
	json_int_t at_s = 0;
	char wait[48];
	size_t i;

	if (TAKE(v, "{s:o, s:o}", "next_ms", &next, "client", &client) || !json_is_array(client))
		return -EPROTO;
	if (is_let_in(v->verdict))
		return 0;
	if (json_is_number(next))
		words_add(&w,
			  "A new connection would be let in after %s, if nobody else comes first.",
			  format_wait(wait, json_number_value(next)));
	else
		words_add(&w, "No new connection is let in %s.", way_out(v));
	json_array_foreach (client, i, one) {
		if (json_unpack(one, "{s:I, s:s, s:s}", "at_s", &at_s, "verdict", &verdict,
				"reason", &reason))
			return -EPROTO;
		last = verdict;
	}
	if (i > 1 && is_let_in(last))
		words_add(&w,
			  " A client that sends its SYN again after 1, 3, 7, 15 s gets in "
			  "%lld s after its first.",
			  (long long)at_s);
	else if (i > 1)
		words_add(&w, " A client that sends its SYN again does not get in within %lld s.",
			  (long long)at_s);
	screen_paragraph(&v->screen, "next", 3, w.text);
	return 0;
}

/* "candidate: good mail on 2 of 3 days, last 3 h 0 min ago" */
static void add_history(struct words *w, const json_t *known)
{
	const char *state = json_string_value(json_object_get(known, "state"));
	const json_t *seen = json_object_get(known, "seen_s"),
		     *until = json_object_get(known, "until_s");
	json_int_t days = json_integer_value(json_object_get(known, "days"));
	char span[48];

	if (!state || !strcmp(state, "none")) {
		words_add(w, "nothing is known of its mail");
		return;
	}
	if (!strcmp(state, "candidate"))
		words_add(w, "a candidate: good mail on %lld of the %lld days that make it known",
			  (long long)days,
			  (long long)json_integer_value(json_object_get(known, "days_needed")));
	else if (!strcmp(state, "known"))
		words_add(w, "known by good mail on %lld days", (long long)days);
	else if (!strcmp(state, "added"))
		words_add(w, "known by hand, until it is forgotten by hand");
	else
		words_add(w, "marked %s by hand", state);
	if (json_is_number(seen)) {
		text_span(span, sizeof(span), json_number_value(seen));
		words_add(w, ", last %s ago", span);
	}
	if (json_is_number(until)) {
		text_span(span, sizeof(span), json_number_value(until));
		words_add(w, "; that ends in %s", span);
	}
}

static int show_class(struct view *v)
{
	const char *by, *prefix, *file;
	struct words w = {.used = 0};
	json_t *class, *until;
	char span[48];

	if (TAKE(v, "{s:o, s:{s:s, s:o}}", "class", &class, "class", "by", &by, "until_s", &until))
		return -EPROTO;
	prefix = json_string_value(json_object_get(class, "prefix"));
	file = json_string_value(json_object_get(class, "file"));
	words_add(&w, "%s: ", v->class);
	if (!strcmp(by, "list") && file)
		words_add(&w, "%s in line %lld of %s", prefix ? prefix : "listed",
			  (long long)json_integer_value(json_object_get(class, "line")), file);
	else if (!strcmp(by, "list") && prefix)
		words_add(&w, "%s is listed, and stands in no file of this class any more", prefix);
	else if (!strcmp(by, "list"))
		words_add(&w, "a list has it");
	else if (!strcmp(by, "learned"))
		words_add(&w, "it was learned");
	else
		words_add(&w, "no list has it, and it was not learned to be anything else");
	if (json_is_number(until)) {
		text_span(span, sizeof(span), json_number_value(until));
		words_add(&w, ", for another %s", span);
	}
	screen_paragraph(&v->screen, "class", 3, w.text);
	return 0;
}

static int show_history(struct view *v)
{
	const json_t *known = json_object_get(v->answer, "known");
	struct words w = {.used = 0};

	if (!json_is_object(known))
		return 0;
	add_history(&w, known);
	screen_paragraph(&v->screen, "history", 2, w.text);
	return 0;
}

static int show_bucket(struct view *v, const char *name)
{
	double per_s, debt_ms, may_ms, next_ms;
	struct words w = {.used = 0};
	char rate[48], wait[48];
	json_int_t burst, free;
	json_t *bucket;

	if (TAKE(v, "{s:{s:o}}", "buckets", name, &bucket))
		return -EPROTO;
	if (json_is_null(bucket))
		return 0;
	if (json_unpack(bucket, "{s:F, s:I, s:F, s:F, s:I, s:F}", "per_s", &per_s, "burst", &burst,
			"debt_ms", &debt_ms, "may_ms", &may_ms, "free", &free, "next_ms", &next_ms))
		return -EPROTO;
	words_add(&w, "%s, burst %lld: owes %.1f connections of %.1f that this source may; ",
		  format_rate(rate, per_s), (long long)burst, debt_ms * per_s / 1000,
		  may_ms * per_s / 1000 + 1);
	if (free)
		words_add(&w, "%lld more at once", (long long)free);
	else
		words_add(&w, "none now, the next in %s", format_wait(wait, next_ms));
	screen_paragraph(&v->screen, name, 2, w.text);
	return 0;
}

static int show_buckets(struct view *v)
{
	if (!strcmp(v->class, "trusted") && show_bucket(v, "trusted"))
		return -EPROTO;
	return show_bucket(v, "source") || show_bucket(v, "subnet") || show_bucket(v, "global")
		       ? -EPROTO
		       : 0;
}

static int show_sessions(struct view *v)
{
	json_int_t held, most_of_source, live, most, pending;
	struct words w = {.used = 0};
	double debt_ms, may_ms;
	int slot_time;

	if (TAKE(v, "{s:{s:I, s:I, s:b, s:F, s:F, s:I, s:I, s:I}}", "sessions", "held", &held,
		 "most_of_source", &most_of_source, "slot_time", &slot_time, "slot_debt_ms",
		 &debt_ms, "slot_may_ms", &may_ms, "live", &live, "most", &most, "pending",
		 &pending))
		return -EPROTO;
	words_add(&w, "it holds %lld", (long long)held);
	if (most_of_source)
		words_add(&w, " of %lld that it may", (long long)most_of_source);
	if (slot_time)
		words_add(&w, ", and has used %.0f %% of its slot time",
			  may_ms > 0 ? 100 * debt_ms / may_ms : 0);
	words_add(&w, "; %lld of all are live", (long long)live);
	if (most)
		words_add(&w, " of %lld that its class may have, %lld on their way",
			  (long long)most, (long long)pending);
	screen_paragraph(&v->screen, "sessions", 2, w.text);
	return 0;
}

static int show_tiers(struct view *v)
{
	struct words w = {.used = 0};
	json_t *tiers, *one;
	int pressure, leased;
	size_t i;

	if (TAKE(v, "{s:o, s:b, s:b}", "tiers", &tiers, "pressure", &pressure, "leased", &leased))
		return -EPROTO;
	json_array_foreach (tiers, i, one)
		words_add(&w, "%s%s", i ? ", " : "", json_string_value(one));
	if (!w.used)
		words_add(&w, "normal");
	if (pressure)
		words_add(&w, "; under pressure: the global bucket is past half of its burst");
	if (!leased)
		words_add(&w, "; no controller lives: load tiers are void, nothing is held");
	screen_paragraph(&v->screen, "tier", 2, w.text);
	return 0;
}

/* "port 40001 2.1 s ago: defer, connection-rate, remembered: a retransmit now would be let in" */
static int add_attempt(struct words *w, const json_t *one)
{
	const char *verdict, *reason, *remembered, *again;
	json_int_t port;
	double ago;

	if (json_unpack((json_t *)one, "{s:I, s:F, s:s, s:s, s:s, s:{s:s}}", "source_port", &port,
			"ago_s", &ago, "verdict", &verdict, "reason", &reason, "remembered",
			&remembered, "again", "verdict", &again))
		return -EPROTO;
	words_add(w, "%sport %lld %.1f s ago: %s, %s", w->used ? "; " : "", (long long)port, ago,
		  verdict, reason);
	if (!strcmp(remembered, "deferred"))
		words_add(w, ", remembered: a retransmit now would be %s", what_becomes(again));
	return 0;
}

static int show_attempts(struct view *v)
{
	json_t *list = json_object_get(v->answer, "attempts"),
	       *recent = json_object_get(v->answer, "recent"), *one;
	struct words w = {.used = 0};
	json_int_t attempts, in, held, deferred, refused, dropped;
	double over_s, share;
	size_t i;

	if (!json_is_array(list) || !json_is_object(recent))
		return 0;
	if (json_unpack(recent, "{s:F, s:I, s:F, s:I, s:I, s:I, s:I, s:I}", "over_s", &over_s,
			"attempts", &attempts, "share", &share, "pass", &in, "hold", &held, "defer",
			&deferred, "refuse", &refused, "drop", &dropped))
		return -EPROTO;
	words_add(&w,
		  "%lld attempts in the last %.0f s, %.1f %% of all; of its SYNs %lld passed, "
		  "%lld were held, %lld deferred, %lld refused, %lld dropped",
		  (long long)attempts, over_s, 100 * share, (long long)in, (long long)held,
		  (long long)deferred, (long long)refused, (long long)dropped);
	screen_paragraph(&v->screen, "lately", 2, w.text);
	w = (struct words){.used = 0};
	json_array_foreach (list, i, one)
		if (add_attempt(&w, one))
			return -EPROTO;
	if (i)
		screen_paragraph(&v->screen, "attempts", 3, w.text);
	screen_paragraph(&v->screen, "", 2,
			 "That is what events told of: in a flood a sample, and the gate may "
			 "remember attempts that are not shown.");
	return 0;
}

static int show_missing(struct view *v)
{
	const json_t *missing = json_object_get(v->answer, "missing"), *one;
	const char *sentence;
	size_t i;

	json_array_foreach (missing, i, one) {
		sentence = json_string_value(one);
		if (sentence)
			screen_paragraph(&v->screen, i ? "" : "missing", 3, sentence);
	}
	return 0;
}

static int show(const json_t *answer)
{
	static int (*const parts[])(struct view * v) = {
		show_head,    show_now,	     show_next,	 show_class,	show_history,
		show_buckets, show_sessions, show_tiers, show_attempts, show_missing,
	};
	static struct view v;

	v = (struct view){.answer = answer};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (!parts[i](&v))
			continue;
		text_complain("the explanation is not understood (%s); --json shows it as it is",
			      *v.error.text ? v.error.text
					    : "a field is missing or of another type");
		return EXIT_FAILED;
	}
	screen_print(&v.screen);
	return EXIT_DONE;
}

/* --- without a daemon ------------------------------------------------------------------------- */

static void add_missing(json_t *answer, const struct pins *p)
{
	json_t *missing = json_array();
	char text[512];

	snprintf(text, sizeof(text),
		 "No sluiced runs: this is read from its pinned maps%s%s. Not known: which file "
		 "lists it, how good its mail was, what it has attempted lately, how full the "
		 "accept queue is.",
		 p->links ? "; the filter is attached to "
			  : ", and no filter is attached to an "
			    "interface that exists",
		 p->links ? p->names : "");
	json_array_append_new(missing, json_string(text));
	json_object_set_new(answer, "missing", missing);
	json_object_set_new(answer, "from", json_string("pins"));
}

/* Returns the answer, or NULL with *err filled. */
static json_t *read_pins(const char *instance, const char *address, struct config_error *err)
{
	struct pinned pinned = {.instance = instance};
	static struct look l;
	struct attempt a;
	json_t *answer = NULL;
	struct pins p;

	if (explain_parse(address, &a, err))
		return NULL;
	if (!look_source(pinned_map, &pinned, &a, &l, err)) {
		explain_destination(&l.policy, &a);
		answer = explain_json(&l, &a, false);
		if (answer && pins_look(instance, &p))
			p = (struct pins){};
		if (answer)
			add_missing(answer, &p);
	}
	pinned_close(&pinned);
	return answer;
}

/* Where nothing can be read of the pins either, the daemon's absence is what is to be said. */
static json_t *answer_of(const struct options *o, const char *address)
{
	json_t *request = json_pack("{s:s, s:s}", "command", "explain", "address", address);
	struct client_error error;
	struct config_error why = {};
	json_t *answer;
	int bad;

	if (!request) {
		text_complain("an address was expected, and this is no text");
		return NULL;
	}
	bad = client_ask(o->instance, request, &answer, &error);
	if (!bad)
		return answer;
	answer = bad == -ESRCH ? read_pins(o->instance, address, &why) : NULL;
	if (!answer && bad == -ESRCH && strstr(why.text, "expected one such as"))
		text_complain("%s", why.text);
	else if (!answer)
		text_complain("%s", error.text);
	return answer;
}

int command_explain(const struct options *o, int argc, char **argv)
{
	json_t *answer, *clean;
	int status = EXIT_DONE;

	if (argc != 2) {
		text_complain("explain ADDRESS was expected, one such as 192.0.2.1 or 2001:db8::1");
		return EXIT_USAGE;
	}
	answer = answer_of(o, argv[1]);
	if (!answer)
		return EXIT_FAILED;
	if (o->json) {
		client_print(answer);
	} else if (json_integer_value(json_object_get(answer, "shape")) != EXPLAIN_SHAPE) {
		text_complain("the daemon's explanation is of another shape than %d; --json shows "
			      "it as it is",
			      EXPLAIN_SHAPE);
		status = EXIT_FAILED;
	} else {
		clean = text_escaped(answer);
		status = show(clean);
		json_decref(clean);
	}
	json_decref(answer);
	return status;
}
