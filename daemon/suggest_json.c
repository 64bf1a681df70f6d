// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * suggest_json.c - suggestions as the daemon answers them, and as the command line makes them
 * itself from the file of a daemon that does not run. control.h has the shape.
 */
#include "suggest_json.h"

#include <stdarg.h>
#include <stdio.h>

#define DAY_MINUTES 1440

static void add_sentence(json_t *list, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void add_sentence(json_t *list, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_array_append_new(list, json_string(text));
}

/* What the past does not say. */
static json_t *unknown_json(const struct suggestions *s)
{
	json_t *list = json_array();

	add_sentence(list, "How long those that would have been deferred had waited, and who of "
			   "them had given up: monitor mode lets everybody in. 'sluice replay' "
			   "models that.");
	add_sentence(list, "Who is known, and so has more room than is counted here; and what a "
			   "sender that is deferred or refused here does at another MX.");
	if (s->minutes < 7 * DAY_MINUTES)
		add_sentence(list, "How a whole week looks: %.1f days were seen.",
			     s->minutes / (double)DAY_MINUTES);
	if (s->enforced)
		add_sentence(list,
			     "What had come without limits: %u of the minutes were not in monitor "
			     "mode.",
			     s->enforced);
	if (s->without_sessions)
		add_sentence(list, "The sessions of %u minutes, in which they were not counted.",
			     s->without_sessions);
	if (s->without_load)
		add_sentence(list, "The load of %u minutes, in which it could not be read.",
			     s->without_load);
	return list;
}

static json_t *proposal_json(const struct suggestion *o)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:b, s:I, s:o}", "section", o->section, "key",
			 o->key, "value", o->value, "reason", o->reason, "touched",
			 o->touched < 0 ? json_null() : json_real(o->touched), "at_most",
			 (int)o->at_most, "touched_minutes", (json_int_t)o->touched_minutes,
			 "worst_s",
			 o->worst ? json_integer((json_int_t)o->worst * 60) : json_null());
}

json_t *suggest_json(const struct suggestions *s, const char *from)
{
	json_t *answer = json_pack("{s:b, s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "ok", 1,
				   "shape", 1, "from", from, "minutes", (json_int_t)s->minutes,
				   "enforced", (json_int_t)s->enforced, "first_s",
				   (json_int_t)s->first * 60, "last_s", (json_int_t)s->last * 60,
				   "attempts", (json_int_t)s->attempts, "unknown", unknown_json(s));
	json_t *list = json_array();

	for (size_t i = 0; i < s->count; i++)
		json_array_append_new(list, proposal_json(&s->one[i]));
	json_object_set_new(answer, "proposals", list);
	return answer;
}
