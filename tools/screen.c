// SPDX-License-Identifier: GPL-2.0-or-later
#include "screen.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Nothing is cut within a character of UTF-8. */
static size_t whole(const char *text, size_t length)
{
	while (length && ((unsigned char)text[length] & 0xc0) == 0x80)
		length--;
	return length;
}

void screen_line(struct screen *s, const char *format, ...)
{
	char text[4 * SCREEN_COLUMNS];
	va_list arguments;
	size_t length;

	if (s->lines == SCREEN_LINES)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	length = strlen(text);
	if (length > SCREEN_COLUMNS)
		length = whole(text, SCREEN_COLUMNS);
	while (length && text[length - 1] == ' ')
		length--;
	memcpy(s->line[s->lines], text, length);
	s->line[s->lines++][length] = '\0';
}

/* How much of the text goes on a line of this width: up to a blank, or a piece of a long word. */
static size_t fit(const char *text, size_t width)
{
	size_t length = strlen(text), i;

	if (length <= width)
		return length;
	for (i = width; i; i--)
		if (text[i] == ' ')
			return i;
	return whole(text, width);
}

void screen_paragraph(struct screen *s, const char *label, unsigned lines, const char *text)
{
	const size_t width = SCREEN_COLUMNS - SCREEN_LABEL;

	while (lines--) {
		size_t length = fit(text, width);

		if (!lines && text[length])
			screen_line(s, "%-*s%.*s...", SCREEN_LABEL, label,
				    (int)fit(text, width - 3), text);
		else
			screen_line(s, "%-*s%.*s", SCREEN_LABEL, label, (int)length, text);
		text += length;
		text += strspn(text, " ");
		if (!*text)
			return;
		label = "";
	}
}

void screen_print(const struct screen *s)
{
	unsigned i;

	for (i = 0; i < s->lines; i++)
		puts(s->line[i]);
}

void words_add(struct words *w, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(w->text + w->used, sizeof(w->text) - w->used, format, arguments);
	va_end(arguments);
	if (length > 0)
		w->used += (size_t)length;
	if (w->used >= sizeof(w->text))
		w->used = strlen(w->text);
}
