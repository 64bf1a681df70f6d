// SPDX-License-Identifier: GPL-2.0-or-later
#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void text_complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("sluice: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
}

void text_escape(char *out, size_t size, const char *in)
{
	size_t used = 0;

	while (*in && used + 5 < size) {
		unsigned char c = (unsigned char)in[0], next = (unsigned char)in[1];

		if (c < 0x20 || c == 0x7f) {
			used += (size_t)sprintf(out + used, "\\x%02x", c);
		} else if (c == 0xc2 && next >= 0x80 && next < 0xa0) {
			used += (size_t)sprintf(out + used, "\\x%02x", next);
			in++;
		} else {
			out[used++] = (char)c;
		}
		in++;
	}
	out[used] = '\0';
}

static char *escaped_copy(const char *in)
{
	size_t size = strlen(in) * 4 + 6; /* \xNN for each byte, and the room text_escape keeps */
	char *out = malloc(size);

	if (out)
		text_escape(out, size, in);
	return out;
}

static json_t *escaped_object(const json_t *value)
{
	json_t *copy = json_object(), *member;
	const char *key;

	json_object_foreach ((json_t *)value, key, member) {
		char *name = escaped_copy(key);
		int failed = !name || json_object_set_new(copy, name, text_escaped(member));

		free(name);
		if (failed) {
			json_decref(copy);
			return NULL;
		}
	}
	return copy;
}

static json_t *escaped_array(const json_t *value)
{
	json_t *copy = json_array(), *member;
	size_t i;

	json_array_foreach (value, i, member) {
		if (json_array_append_new(copy, text_escaped(member))) {
			json_decref(copy);
			return NULL;
		}
	}
	return copy;
}

json_t *text_escaped(const json_t *value)
{
	json_t *copy;
	char *text;

	if (json_is_object(value))
		return escaped_object(value);
	if (json_is_array(value))
		return escaped_array(value);
	if (!json_is_string(value))
		return json_copy((json_t *)value);
	text = escaped_copy(json_string_value(value));
	copy = text ? json_string(text) : NULL;
	free(text);
	return copy;
}

int text_duration(const char *text, uint32_t *seconds)
{
	uint64_t value = 0;

	/* strtoul would take signs and blanks, and wrap. */
	if (*text < '0' || *text > '9')
		return -EINVAL;
	for (; *text >= '0' && *text <= '9'; text++) {
		value = value * 10 + (uint64_t)(*text - '0');
		if (value > DURATION_MAX_S)
			return -EINVAL;
	}
	if (!strcmp(text, "h"))
		value *= 3600;
	else if (!strcmp(text, "m"))
		value *= 60;
	else if (strcmp(text, "s"))
		return -EINVAL;
	if (!value || value > DURATION_MAX_S)
		return -EINVAL;
	*seconds = (uint32_t)value;
	return 0;
}

void text_span(char *out, size_t size, double span_s)
{
	unsigned long long s = span_s > 0 && span_s < 1e15 ? (unsigned long long)(span_s + 0.5) : 0;

	if (s < 60)
		snprintf(out, size, "%llu s", s);
	else if (s < 3600)
		snprintf(out, size, "%llu min %llu s", s / 60, s % 60);
	else if (s < 24 * 3600)
		snprintf(out, size, "%llu h %llu min", s / 3600, s / 60 % 60);
	else
		snprintf(out, size, "%llu d %llu h", s / (24 * 3600), s / 3600 % 24);
}

void text_moment(char *out, size_t size, double in_s)
{
	time_t now = time(NULL), then;
	struct tm today, day;
	char clock[32], span[48];
	bool same;

	if (!(in_s >= 0 && in_s < 1e11))
		in_s = 0;
	then = now + (time_t)(in_s + 0.5);
	if (!localtime_r(&now, &today) || !localtime_r(&then, &day)) {
		snprintf(out, size, "an unknown time");
		return;
	}
	same = today.tm_yday == day.tm_yday && today.tm_year == day.tm_year;
	strftime(clock, sizeof(clock), same ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &day);
	text_span(span, sizeof(span), in_s);
	snprintf(out, size, "%s (in %s)", clock, span);
}
