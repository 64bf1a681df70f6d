// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * command_explain.c - why a source waits, or does not: what the gate would say of it, and all that
 * the daemon knows beside that.
 */
#include "command.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "classes.h"
#include "config_values.h"
#include "explain.h"
#include "kernel_sessions.h"
#include "known.h"
#include "log.h"
#include "names.h"
#include "recent.h"

#define ATTEMPTS_MOST 16      /* that are looked up and shown */
#define LINES_MOST    4194304 /* of a class file that are searched: prefixes and comments */

static uint64_t boot_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

/* --- where a class is listed ------------------------------------------------------------------ */

static bool holds(const struct class_entry *e, const struct attempt *a)
{
	uint32_t bits = e->bits + (e->family == FAMILY_V4 ? 96U : 0U);

	if (e->family != a->family || memcmp(e->addr.byte, a->source.byte, bits / 8))
		return false;
	return !(bits % 8) ||
	       !((e->addr.byte[bits / 8] ^ a->source.byte[bits / 8]) >> (8 - bits % 8));
}

/* The longest prefix of this class that holds the source. A look at a million takes 10 ms. */
static const struct class_entry *entry_of(const struct class_list *list, const struct attempt *a,
					  uint32_t class)
{
	const struct class_entry *best = NULL;

	for (size_t i = 0; i < list->count; i++) {
		const struct class_entry *e = &list->entry[i];

		if (e->class == class && holds(e, a) && (!best || e->bits > best->bits))
			best = e;
	}
	return best;
}

/* Is this line the prefix? */
static bool is_line_of(char *line, const struct class_entry *e)
{
	uint32_t bits = e->family == FAMILY_V4 ? 32 : 128;
	char *word, *slash;
	enum family family;
	union addr addr;

	line[strcspn(line, "#")] = '\0';
	word = line + strspn(line, " \t");
	word[strcspn(word, " \t")] = '\0';
	slash = strchr(word, '/');
	if (slash) {
		*slash = '\0';
		if (value_count(slash + 1, 0, 128, &bits))
			return false;
	}
	return *word && bits == e->bits && !value_address(word, &addr, &family) &&
	       family == e->family && !memcmp(&addr, &e->addr, sizeof(addr));
}

/* The line of a file that lists the prefix, as the file is now; 0: none. */
static uint32_t line_of(const char *path, const struct class_entry *e)
{
	char line[CLASSES_MAX_LINE];
	uint32_t number = 0;
	bool found = false;
	FILE *stream;

	if (file_open(path, &stream))
		return 0;
	while (!found && number < LINES_MOST && file_line(stream, line, sizeof(line)) == 1) {
		number++;
		found = is_line_of(line, e);
	}
	fclose(stream);
	return found ? number : 0;
}

/* Adds prefix, file and line to what is said of the class. */
static void add_listed(struct daemon *d, const struct look *l, const struct attempt *a,
		       json_t *class)
{
	const struct class_entry *e =
		l->listed == CLASS_UNKNOWN ? NULL : entry_of(&d->classes, a, l->listed);
	const char *path = NULL;
	uint32_t line = 0;
	char address[64], prefix[80] = "";

	if (e) {
		format_address(&e->addr, address, sizeof(address));
		snprintf(prefix, sizeof(prefix), "%s/%u", address, e->bits);
	}
	for (uint32_t i = 0; e && !line && i < d->config.class_files[e->class]; i++) {
		path = d->config.class_file[e->class][i];
		line = line_of(path, e);
	}
	json_object_set_new(class, "prefix", e ? json_string(prefix) : json_null());
	json_object_set_new(class, "file", line ? json_string(path) : json_null());
	json_object_set_new(class, "line", line ? json_integer(line) : json_null());
}

/* --- what was seen of it ---------------------------------------------------------------------- */

static json_t *seconds_or_null(uint64_t s)
{
	return s == NEVER_NS ? json_null() : json_integer((json_int_t)s);
}

static json_t *known_json(struct daemon *d, const struct look *l)
{
	struct known_view view;

	if (!d->known)
		return json_null();
	if (!known_get(d->known, &l->source, boot_now_ns(), &view))
		view = (struct known_view){.seen_s = NEVER_NS, .left_s = NEVER_NS};
	return json_pack("{s:s, s:i, s:i, s:o, s:o}", "state", standing_name(view.standing), "days",
			 (int)view.days, "days_needed", (int)d->config.known_days, "seen_s",
			 seconds_or_null(view.seen_s), "until_s", seconds_or_null(view.left_s));
}

static bool is_of(const struct event *e, const struct look *l, uint32_t family)
{
	const struct prefix *p = &l->policy.source[family];
	const union addr *a = &e->attempt.source;

	return e->attempt.family == family &&
	       (a->half[0] & p->mask.half[0]) == l->source.addr.half[0] &&
	       (a->half[1] & p->mask.half[1]) == l->source.addr.half[1];
}

static bool is_same(const struct attempt *a, const struct attempt *b)
{
	return a->source_port == b->source_port && a->isn == b->isn &&
	       a->dest_port == b->dest_port && !memcmp(&a->source, &b->source, sizeof(a->source)) &&
	       !memcmp(&a->dest, &b->dest, sizeof(a->dest));
}

/* The last events of the source, one an attempt, the newest first. Returns how many. */
static uint32_t find_attempts(struct daemon *d, const struct look *l, uint32_t family,
			      const struct recent_event *found[static ATTEMPTS_MOST])
{
	uint64_t last = recent_last(d->recent), missed = 0;
	uint32_t count = 0;

	for (uint64_t i = 0; i < RECENT_EVENTS && i < last && count < ATTEMPTS_MOST; i++) {
		const struct recent_event *e = recent_after(d->recent, last - i - 1, &missed);
		uint32_t k;

		if (!e || e->event.at_ns + REMEMBER_MAX_NS < l->now_ns)
			break;
		if (!is_of(&e->event, l, family))
			continue;
		for (k = 0; k < count; k++)
			if (is_same(&found[k]->event.attempt, &e->event.attempt))
				break;
		if (k == count)
			found[count++] = e;
	}
	return count;
}

static double ago_s(const struct look *l, uint64_t at_ns)
{
	return l->now_ns > at_ns ? (double)(l->now_ns - at_ns) / NSEC_PER_SEC : 0;
}

/* What is remembered of the attempts that were told of. */
static json_t *attempts_json(struct daemon *d, const struct look *l, uint32_t family)
{
	const struct recent_event *found[ATTEMPTS_MOST];
	uint32_t count = find_attempts(d, l, family, found);
	json_t *list = json_array();

	for (uint32_t i = 0; i < count; i++) {
		const struct event *e = &found[i]->event;
		struct look_attempt seen;
		bool deferred, admitted;

		look_attempt(kernel_map_of, d->kernel, &e->attempt, &seen);
		admitted = seen.admitted_ns && l->now_ns < seen.admitted_ns + REPLAY_WINDOW_NS;
		deferred = seen.deferred_ns && l->now_ns < seen.deferred_ns + REMEMBER_MAX_NS &&
			   !admitted;
		json_array_append_new(
			list, json_pack("{s:i, s:f, s:s, s:s, s:s, s:o, s:o}", "source_port",
					(int)ntohs(e->attempt.source_port), "ago_s",
					ago_s(l, e->at_ns), "verdict", name_verdict(e->verdict),
					"reason", name_reason(e->reason), "remembered",
					admitted   ? "admitted"
					: deferred ? "deferred"
						   : "no",
					"since_s",
					admitted   ? json_real(ago_s(l, seen.admitted_ns))
					: deferred ? json_real(ago_s(l, seen.deferred_ns))
						   : json_null(),
					"again", explain_again(l, &e->attempt, &seen)));
	}
	return list;
}

static json_t *recent_json(struct daemon *d, const struct look *l)
{
	struct recent_row row, all;
	uint64_t events;
	double over_s;
	json_t *out;

	recent_sum(d->recent, l->now_ns, &all, &events, &over_s);
	if (!recent_find(d->recent, RECENT_SOURCE, &l->source, l->now_ns, &row))
		row = (struct recent_row){};
	out = json_pack("{s:f, s:I, s:f}", "over_s", over_s, "attempts", (json_int_t)row.attempts,
			"share", all.attempts ? (double)row.attempts / (double)all.attempts : 0.0);
	for (int v = 0; v < VERDICTS; v++)
		json_object_set_new(out, name_verdict(v), json_integer((json_int_t)row.verdict[v]));
	return out;
}

/* How full the accept queue is, if the gate asks for that. */
static void add_queue(struct daemon *d, struct look *l)
{
	const struct sessions_view *v = &d->sessions;

	if (*kernel_watch(d->kernel)->listener || !v->seen || !v->listeners)
		return;
	l->has_queue = true;
	l->queue = (struct backlog){.waiting = v->waiting, .most = v->most};
}

json_t *command_explain(struct daemon *d, const json_t *request, struct config_error *err)
{
	const char *text = json_string_value(json_object_get(request, "address"));
	static struct look l; /* 10 kB; the main thread's */
	struct attempt a;
	json_t *answer;

	if (!text) {
		fail(err, -EINVAL, "address: an address was expected");
		return NULL;
	}
	if (explain_parse(text, &a, err))
		return NULL;
	observing_read(d);
	if (look_source(kernel_map_of, d->kernel, &a, &l, err))
		return NULL;
	explain_destination(&l.policy, &a);
	add_queue(d, &l);
	answer = explain_json(&l, &a, true);
	if (!answer) {
		fail(err, -ENOMEM, "out of memory");
		return NULL;
	}
	json_object_set_new(answer, "from", json_string("daemon"));
	add_listed(d, &l, &a, json_object_get(answer, "class"));
	json_object_set_new(answer, "queue",
			    l.has_queue ? json_pack("{s:i, s:i}", "waiting", (int)l.queue.waiting,
						    "most", (int)l.queue.most)
					: json_null());
	json_object_set_new(answer, "known", known_json(d, &l));
	json_object_set_new(answer, "recent", recent_json(d, &l));
	json_object_set_new(answer, "attempts", attempts_json(d, &l, a.family));
	return answer;
}
