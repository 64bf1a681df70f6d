// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * command_known.c - commands about known senders: list, add, forget, mark.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "known.h"
#include "log.h"

static uint64_t boot_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

static json_t *seconds_or_null(uint64_t s)
{
	return s == NEVER_NS ? json_null() : json_integer((json_int_t)s);
}

typedef int parse_fn(const char *text, const struct config *c, struct prefix_key *key,
		     struct config_error *err);

/* The source that a request names. Returns as parse does. */
static int source_of(const struct daemon *d, const json_t *request, parse_fn *parse,
		     struct prefix_key *key, struct config_error *err)
{
	const char *text = json_string_value(json_object_get(request, "source"));

	if (!text)
		return fail(err, -EINVAL, "source: an address was expected");
	return parse(text, &d->config, key, err);
}

/* --- list ------------------------------------------------------------------------------------- */

static json_t *view_json(const struct known_view *v)
{
	char text[KNOWN_KEY_TEXT];

	known_key_text(&v->key, text);
	return json_pack("{s:s, s:s, s:i, s:o, s:o}", "source", text, "state",
			 standing_name(v->standing), "days", (int)v->days, "seen_s",
			 seconds_or_null(v->seen_s), "until_s", seconds_or_null(v->left_s));
}

/* One source, known or not. One of another length may be left from another config. */
static json_t *list_one(struct daemon *d, const json_t *request, struct config_error *err)
{
	struct known_view view;
	struct prefix_key key;
	int bad = source_of(d, request, known_parse, &key, err);

	if (bad && bad != -ERANGE)
		return NULL;
	if (!known_get(d->known, &key, boot_now_ns(), &view)) {
		if (bad)
			return NULL;
		view = (struct known_view){.key = key, .seen_s = NEVER_NS, .left_s = NEVER_NS};
	}
	return json_pack("{s:b, s:[o], s:i, s:n}", "ok", 1, "sources", view_json(&view), "count", 1,
			 "next");
}

static json_t *list(struct daemon *d, const json_t *request, struct config_error *err)
{
	static struct known_view view[CONTROL_PAGE];
	json_int_t offset = json_integer_value(json_object_get(request, "offset"));
	struct known_counts counts;
	size_t cursor, count;
	json_t *sources;

	if (json_object_get(request, "source"))
		return list_one(d, request, err);
	if (offset < 0) {
		fail(err, -EINVAL, "offset: a number from 0 on was expected");
		return NULL;
	}
	cursor = (size_t)offset;
	count = known_list(d->known, boot_now_ns(), &cursor, view, CONTROL_PAGE);
	known_counts(d->known, &counts);
	sources = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(sources, view_json(&view[i]));
	return json_pack("{s:b, s:o, s:I, s:o}", "ok", 1, "sources", sources, "count",
			 (json_int_t)counts.sources, "next",
			 cursor ? json_integer((json_int_t)cursor) : json_null());
}

/* --- add -------------------------------------------------------------------------------------- */

/* Reads all sources of a request. Returns 0, or as known_parse_sender() of the first bad one. */
static int sources_of(const struct daemon *d, const json_t *sources,
		      struct prefix_key key[static CONTROL_SOURCES], size_t *index,
		      struct config_error *err)
{
	for (*index = 0; *index < json_array_size(sources); ++*index) {
		const char *text = json_string_value(json_array_get(sources, *index));
		int bad = text ? known_parse_sender(text, &d->config, &key[*index], err)
			       : fail(err, -EINVAL, "sources: strings were expected");

		if (bad)
			return bad;
	}
	return 0;
}

/* How many of them have no place yet that they would keep. */
static size_t count_fresh(const struct daemon *d, const struct prefix_key *key, size_t count)
{
	uint64_t now_ns = boot_now_ns();
	struct known_view view;
	size_t fresh = 0;

	for (size_t i = 0; i < count; i++) {
		known_get(d->known, &key[i], now_ns, &view);
		fresh += view.standing == STANDING_NONE || view.standing == STANDING_CANDIDATE;
	}
	return fresh;
}

static json_t *check(const struct daemon *d, const struct prefix_key *key, size_t count, int bad,
		     const struct config_error *err)
{
	json_t *first =
		bad ? json_pack("{s:I, s:s}", "index", (json_int_t)count, "error", err->text)
		    : json_null();

	return json_pack("{s:b, s:I, s:I, s:o}", "ok", 1, "fresh",
			 (json_int_t)count_fresh(d, key, count), "room",
			 (json_int_t)known_room(d->known), "bad", first);
}

static json_t *add(struct daemon *d, const json_t *request, struct config_error *err)
{
	static struct prefix_key key[CONTROL_SOURCES];
	const json_t *sources = json_object_get(request, "sources");
	size_t count = json_array_size(sources), good;
	char text[96];
	int bad;

	if (!count || count > CONTROL_SOURCES) {
		fail(err, -EINVAL, "sources: 1 to %d addresses were expected", CONTROL_SOURCES);
		return NULL;
	}
	bad = sources_of(d, sources, key, &good, err);
	if (json_is_true(json_object_get(request, "check")))
		return check(d, key, good, bad, err);
	if (!bad && count_fresh(d, key, count) > known_room(d->known))
		bad = fail(err, -ENOSPC, "the table of %d sources has no room for so many more",
			   KNOWN_MOST);
	for (size_t i = 0; i < count && !bad; i++) {
		bad = known_add(d->known, &key[i], boot_now_ns());
		if (bad)
			fail(err, bad, "the table of %d sources is full", KNOWN_MOST);
	}
	daemon_known_changed(d);
	if (bad)
		return NULL;
	snprintf(text, sizeof(text), "%zu %s known until forgotten by hand", count,
		 count == 1 ? "source is" : "sources are");
	log_line("added: %s", text);
	return answer_ok(text);
}

/* --- forget and mark -------------------------------------------------------------------------- */

static json_t *forget(struct daemon *d, const json_t *request, struct config_error *err)
{
	const char *which = json_string_value(json_object_get(request, "source"));
	char text[96], name[KNOWN_KEY_TEXT];
	struct prefix_key key;
	int bad;

	if (which && !strcmp(which, "all")) {
		size_t count = known_forget_all(d->known);

		snprintf(text, sizeof(text), "%zu %s forgotten", count,
			 count == 1 ? "source is" : "sources are");
	} else {
		bad = source_of(d, request, known_parse, &key, err);
		if (bad && bad != -ERANGE)
			return NULL;
		known_key_text(&key, name);
		if (known_forget(d->known, &key, boot_now_ns())) {
			if (!bad)
				fail(err, -ENOENT, "nothing is known of %s", name);
			return NULL;
		}
		snprintf(text, sizeof(text), "%s is forgotten", name);
	}
	daemon_known_changed(d);
	log_line("known senders: %s by hand", text);
	return answer_ok(text);
}

/* How long a mark lasts; 0: as long as such a mark does. Returns 0, or -EINVAL and a sentence. */
static int length_of(const json_t *request, uint64_t *for_s, struct config_error *err)
{
	const json_t *given = json_object_get(request, "for_s");
	double seconds = json_number_value(given);

	*for_s = 0;
	if (!given)
		return 0;
	if (!json_is_number(given) || !isfinite(seconds) || seconds < 1 ||
	    seconds > (double)KNOWN_MARK_MAX_S)
		return fail(err, -EINVAL, "for_s: a number of seconds from 1 to %llu was expected",
			    KNOWN_MARK_MAX_S);
	*for_s = (uint64_t)seconds;
	return 0;
}

/* Not logged: a filter may mark many a second. */
static json_t *mark(struct daemon *d, const json_t *request, struct config_error *err)
{
	const char *which = json_string_value(json_object_get(request, "mark"));
	bool good = which && !strcmp(which, "good");
	char text[128], name[KNOWN_KEY_TEXT];
	struct known_view view;
	struct prefix_key key;
	uint64_t for_s;

	if (!good && (!which || strcmp(which, "bad"))) {
		fail(err, -EINVAL, "mark: good or bad was expected");
		return NULL;
	}
	if (source_of(d, request, known_parse_sender, &key, err) || length_of(request, &for_s, err))
		return NULL;
	if (known_mark(d->known, &key, good, for_s, boot_now_ns())) {
		fail(err, -ENOSPC, "the table of %d sources is full of known and marked ones",
		     KNOWN_MOST);
		return NULL;
	}
	daemon_known_changed(d);
	known_get(d->known, &key, boot_now_ns(), &view);
	known_key_text(&key, name);
	snprintf(text, sizeof(text),
		 good ? "%s is marked good: it counts as known"
		      : "%s is marked bad: it is throttled",
		 name);
	return json_pack("{s:b, s:s, s:o}", "ok", 1, "message", text, "until_s",
			 seconds_or_null(view.left_s));
}

/* --- all of them ------------------------------------------------------------------------------ */

json_t *command_known(struct daemon *d, const char *name, const json_t *request,
		      struct config_error *err)
{
	if (!d->known)
		fail(err, -ENOENT, "this sluiced keeps no known senders");
	else if (!strcmp(name, "known-list"))
		return list(d, request, err);
	else if (!strcmp(name, "known-add"))
		return add(d, request, err);
	else if (!strcmp(name, "known-forget"))
		return forget(d, request, err);
	else if (!strcmp(name, "known-mark"))
		return mark(d, request, err);
	else
		fail(err, -EINVAL, "the command '%.64s' is not known", name);
	return NULL;
}

json_t *command_known_status(const struct daemon *d)
{
	struct known_counts c;
	const char *problem;

	if (!d->known)
		return json_null();
	known_counts(d->known, &c);
	problem = known_problem(d->known);
	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s?}", "most",
		(json_int_t)c.most, "candidates", (json_int_t)c.now[STANDING_CANDIDATE], "known",
		(json_int_t)c.now[STANDING_KNOWN], "good", (json_int_t)c.now[STANDING_GOOD],
		"added", (json_int_t)c.now[STANDING_ADDED], "bad", (json_int_t)c.now[STANDING_BAD],
		"good_sessions", (json_int_t)c.good_sessions, "pressed", (json_int_t)c.pressed,
		"promoted", (json_int_t)c.promoted, "expired", (json_int_t)c.expired, "evicted",
		(json_int_t)c.evicted, "refused", (json_int_t)c.refused, "problem",
		*problem ? problem : NULL);
}
