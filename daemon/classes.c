// SPDX-License-Identifier: GPL-2.0-or-later
#include "classes.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_values.h"

/* An entry while it is read, with where it stands. */
struct listed {
	struct class_entry entry;
	uint16_t file; /* class * MAX_CLASS_FILES + which of its files */
	uint32_t line;
};

struct reading {
	const struct config *c;
	struct config_error *err;
	struct listed *listed;
	size_t count, room;
	uint16_t file;
	uint32_t line;
};

const char *class_name(enum class class)
{
	static const char *const names[CLASSES] = {
		[CLASS_UNKNOWN] = "unknown", [CLASS_TRUSTED] = "trusted",
		[CLASS_KNOWN] = "known",     [CLASS_THROTTLED] = "throttled",
		[CLASS_BLOCKED] = "blocked",
	};

	return (unsigned int)class < CLASSES ? names[class] : NULL;
}

static const char *path_of(const struct config *c, uint16_t file)
{
	return c->class_file[file / MAX_CLASS_FILES][file % MAX_CLASS_FILES];
}

static const char *name_of(uint16_t file)
{
	return class_name(file / MAX_CLASS_FILES);
}

/* FILE:LINE, and the sentence about the text that stands there. */
static int fail(struct reading *r, const char *text, const char *what)
{
	char shown[SHOWN_MAX];

	snprintf(r->err->text, sizeof(r->err->text), "%s:%u: %s%s%s", path_of(r->c, r->file),
		 r->line, text ? value_shown(text, shown) : "", text ? " " : "", what);
	return -EINVAL;
}

static int fail_file(struct reading *r, const char *verb, int err)
{
	snprintf(r->err->text, sizeof(r->err->text), "%s: cannot be %s: %s (it lists class %s)",
		 path_of(r->c, r->file), verb,
		 err == -EINVAL ? "it is not a plain file" : strerror(-err), name_of(r->file));
	return err;
}

/* Clears all but the leading bits; the bits count from the first of the 16 bytes. */
static void mask(union addr *a, unsigned int bits)
{
	for (unsigned int i = 0; i < sizeof(a->byte); i++) {
		unsigned int kept = bits > i * 8 ? bits - i * 8 : 0;

		if (kept < 8)
			a->byte[i] &= 0xff00 >> kept;
	}
}

static int parse_entry(struct reading *r, const char *text, struct class_entry *e)
{
	char copy[CLASSES_MAX_LINE], *slash, meant[64], what[192];
	const char *why;
	union addr masked;
	enum family family;
	uint32_t bits, most;

	snprintf(copy, sizeof(copy), "%s", text);
	slash = strchr(copy, '/');
	if (slash)
		*slash = '\0';
	why = value_address(copy, &e->addr, &family);
	if (why) {
		snprintf(what, sizeof(what), "is no prefix: %s; expected one such as %s", why,
			 "192.0.2.0/24 or 2001:db8::/32");
		return fail(r, text, what);
	}
	most = family == FAMILY_V4 ? 32 : 128;
	bits = most;
	if (slash && value_count(slash + 1, 0, most, &bits)) {
		snprintf(what, sizeof(what), "has no such length; expected a number from 0 to %u",
			 most);
		return fail(r, text, what);
	}
	masked = e->addr;
	mask(&masked, bits + (128 - most));
	if (memcmp(&masked, &e->addr, sizeof(masked))) {
		format_address(&masked, meant, sizeof(meant));
		snprintf(what, sizeof(what), "has host bits set: %s/%u was meant?", meant, bits);
		return fail(r, text, what);
	}
	e->bits = bits;
	e->family = family;
	return 0;
}

static int add(struct reading *r, const struct class_entry *e)
{
	struct listed *more;
	char what[80];

	if (r->count == CLASSES_MAX_PREFIXES) {
		snprintf(what, sizeof(what),
			 "one prefix too many; expected at most %d in all class files",
			 CLASSES_MAX_PREFIXES);
		return fail(r, NULL, what);
	}
	if (r->count == r->room) {
		r->room = r->room ? r->room * 2 : 64;
		more = realloc(r->listed, r->room * sizeof(*more));
		if (!more)
			return fail_file(r, "read", -ENOMEM);
		r->listed = more;
	}
	r->listed[r->count++] = (struct listed){.entry = *e, .file = r->file, .line = r->line};
	return 0;
}

/* Cuts the comment, then the blanks at both ends. */
static char *bare(char *line)
{
	size_t length;

	line[strcspn(line, "#")] = '\0';
	line += strspn(line, " \t");
	length = strlen(line);
	while (length && (line[length - 1] == ' ' || line[length - 1] == '\t'))
		line[--length] = '\0';
	return line;
}

static int read_line(struct reading *r, char *line)
{
	struct class_entry e = {.class = r->file / MAX_CLASS_FILES};
	const char *text = bare(line);
	int err;

	if (!*text)
		return 0;
	err = parse_entry(r, text, &e);
	return err ? err : add(r, &e);
}

static int line_error(struct reading *r, int err)
{
	if (err == -E2BIG)
		return fail(r, NULL, "the line is too long; expected one prefix a line");
	if (err == -EILSEQ)
		return fail(r, NULL, "the line has a control character in it; expected plain text");
	return fail_file(r, "read", err);
}

static int read_file(struct reading *r)
{
	char line[CLASSES_MAX_LINE];
	FILE *stream;
	int got, err = file_open(path_of(r->c, r->file), &stream);

	if (err)
		return fail_file(r, "opened", err);
	for (r->line = 1; !err && (got = file_line(stream, line, sizeof(line))); r->line++) {
		err = got < 0 ? line_error(r, got) : read_line(r, line);
		if (err)
			break;
	}
	fclose(stream);
	return err;
}

static int by_prefix(const struct listed *a, const struct listed *b)
{
	int d = a->entry.family - b->entry.family;

	if (!d)
		d = memcmp(&a->entry.addr, &b->entry.addr, sizeof(a->entry.addr));
	return d ? d : a->entry.bits - b->entry.bits;
}

static int by_place(const struct listed *a, const struct listed *b)
{
	if (a->file != b->file)
		return a->file - b->file;
	return (a->line > b->line) - (a->line < b->line);
}

static int compare(const void *a, const void *b)
{
	int d = by_prefix(a, b);

	return d ? d : by_place(a, b);
}

static int fail_twice(struct reading *r, const struct listed *first, const struct listed *again)
{
	char address[64];

	format_address(&again->entry.addr, address, sizeof(address));
	snprintf(r->err->text, sizeof(r->err->text),
		 "%s:%u: %s/%u is listed as %s here and as %s in %s:%u; expected it in one class",
		 path_of(r->c, again->file), again->line, address, again->entry.bits,
		 name_of(again->file), name_of(first->file), path_of(r->c, first->file),
		 first->line);
	return -EINVAL;
}

/*
 * Sorts, and keeps the first of every prefix. Of those that two classes list, the error names the
 * one that a reader of the files would come upon first.
 */
static int sort(struct reading *r)
{
	struct listed first = {0}, again = {0}; /* copies: what is kept moves over the rest */
	const struct listed *l;
	bool twice = false;
	size_t kept = 0;

	if (r->count)
		qsort(r->listed, r->count, sizeof(*r->listed), compare);
	for (size_t i = 0; i < r->count; i++) {
		l = &r->listed[i];
		if (!kept || by_prefix(&r->listed[kept - 1], l)) {
			r->listed[kept++] = *l;
			continue;
		}
		if (r->listed[kept - 1].entry.class == l->entry.class ||
		    (twice && by_place(l, &again) > 0))
			continue;
		twice = true;
		first = r->listed[kept - 1];
		again = *l;
	}
	if (twice)
		return fail_twice(r, &first, &again);
	r->count = kept;
	return 0;
}

static int hand_over(struct reading *r, struct class_list *list)
{
	if (!r->count)
		return 0;
	list->entry = malloc(r->count * sizeof(*list->entry));
	if (!list->entry) {
		snprintf(r->err->text, sizeof(r->err->text), "there is no memory for the classes");
		return -ENOMEM;
	}
	for (size_t i = 0; i < r->count; i++)
		list->entry[i] = r->listed[i].entry;
	list->count = r->count;
	return 0;
}

int classes_load(const struct config *c, struct class_list *list, struct config_error *err)
{
	struct reading r = {.c = c, .err = err};
	int failed = 0;

	*list = (struct class_list){0};
	err->text[0] = '\0';
	for (unsigned int class = 0; class < CLASSES; class ++)
		for (uint32_t i = 0; i < c->class_files[class] && !failed; i++) {
			r.file = class * MAX_CLASS_FILES + i;
			failed = read_file(&r);
		}
	if (!failed)
		failed = sort(&r);
	if (!failed)
		failed = hand_over(&r, list);
	free(r.listed);
	return failed;
}

void classes_free(struct class_list *list)
{
	free(list->entry);
	*list = (struct class_list){0};
}
