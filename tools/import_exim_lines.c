// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The lines of Exim's configuration as Exim sees them.
 *
 * spec.txt, chapter 6: macros are replaced in each physical line, in the order of their definition;
 * then .ifdef and .include are looked at; then a backslash at the end continues a line, over
 * comments. Whether a macro that Exim itself defines (_HAVE_..., _OPT_...) is there only the binary
 * knows: what hangs on one is EXIM_MAYBE.
 */
#include "import_exim.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MACROS_MAX  512
#define NESTING_MAX 32
#define LOGICAL_MAX 65536      /* bytes of a line with those that continue it, macros replaced */
#define WORK_MAX    (1U << 30) /* bytes that are searched for macros, so that it ends */

struct macro {
	const char *name;
	const char *value; /* NULL: whether it is defined, or as what, only Exim knows */
};

/* Of an .ifdef: what it says, and whether one of its branches was in force before. */
struct condition {
	enum exim_truth now, before;
};

struct exim_lines {
	struct import *i;
	struct import_text *t;
	struct macro macro[MACROS_MAX];
	size_t macros;
	struct condition condition[NESTING_MAX];
	size_t depth;
	char line[LOGICAL_MAX], old[LOGICAL_MAX];
	size_t used, work;
	char *kept;
	size_t kept_used, kept_size;
	bool maybe; /* the physical line names a macro of which only Exim knows */
	bool full, over;
};

char *exim_keep(struct exim_lines *l, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = l->kept + l->kept_used;

	if (size > l->kept_size - l->kept_used) {
		l->full = true;
		return NULL;
	}
	memcpy(copy, text, size);
	l->kept_used += size;
	return copy;
}

/* --- macros and conditions -------------------------------------------------------------------- */

/* Appends n bytes at an offset of the logical line. */
static bool append(char *out, size_t *used, const char *text, size_t n)
{
	if (*used + n >= LOGICAL_MAX)
		return false;
	memcpy(out + *used, text, n);
	*used += n;
	out[*used] = '\0';
	return true;
}

/* Replaces one macro everywhere in the line from an offset on. Returns how often, or -1. */
static int replace(struct exim_lines *l, size_t from, const struct macro *m)
{
	const char *in = l->old, *found;
	int times = 0;

	l->work += l->used - from;
	if (l->work > WORK_MAX)
		return -1;
	if (!strstr(l->line + from, m->name))
		return 0;
	if (!m->value) {
		l->maybe = true;
		return 0;
	}
	memcpy(l->old, l->line + from, l->used - from + 1);
	l->used = from;
	for (; (found = strstr(in, m->name)); times++) {
		if (!append(l->line, &l->used, in, (size_t)(found - in)) ||
		    !append(l->line, &l->used, m->value, strlen(m->value)))
			return -1;
		in = found + strlen(m->name);
	}
	return append(l->line, &l->used, in, strlen(in)) ? times : -1;
}

/* All macros in the physical line that begins at an offset. Returns how often, or -1. */
static int replace_all(struct exim_lines *l, size_t from)
{
	int all = 0, times;

	l->maybe = false;
	for (size_t n = 0; n < l->macros; n++) {
		times = replace(l, from, &l->macro[n]);
		if (times < 0)
			return -1;
		all += times;
	}
	return all;
}

/* What all conditions around a line say together. */
static enum exim_truth in_force(const struct exim_lines *l)
{
	enum exim_truth least = EXIM_YES;

	for (size_t n = 0; n < l->depth; n++)
		if (l->condition[n].now < least)
			least = l->condition[n].now;
	return least;
}

static void define(struct exim_lines *l, unsigned int line, char *text)
{
	char *value = strchr(text, '='), *name;
	bool again;
	size_t n;

	if (!value) {
		import_remark(l->i, l->t, line, text, "Not understood: NAME = value was expected.");
		return;
	}
	*value++ = '\0';
	again = *value == '=';
	name = import_trim(text);
	for (n = 0; n < l->macros && strcmp(l->macro[n].name, name); n++)
		;
	if (n == MACROS_MAX || (n < l->macros && !again && in_force(l) == EXIM_YES)) {
		import_remark(l->i, l->t, line, name,
			      "Not understood: a macro that is defined before, or one too many.");
		return;
	}
	name = n < l->macros ? (char *)l->macro[n].name : exim_keep(l, name);
	value = exim_keep(l, import_trim(value + again));
	if (!name || !value)
		return;
	l->macro[n] = (struct macro){name, in_force(l) == EXIM_YES ? value : NULL};
	l->macros += n == l->macros;
}

bool exim_starts(const char *text, const char *word)
{
	size_t length = strlen(word);

	return !strncmp(text, word, length) && !isalnum((unsigned char)text[length]) &&
	       text[length] != '_';
}

/* names: how many macros were replaced in the line. An underscore begins one of Exim's own. */
static enum exim_truth judge(const struct exim_lines *l, const char *rest, int names, bool negated)
{
	enum exim_truth said = EXIM_NO;

	if (names > 0)
		said = EXIM_YES;
	else if (l->maybe || strstr(rest, " _"))
		said = EXIM_MAYBE;
	return negated ? EXIM_YES - said : said;
}

/* At most one branch is in force; behind one that may be, the others may be too. */
static void branch(struct condition *c, enum exim_truth said)
{
	if (c->before == EXIM_YES)
		c->now = EXIM_NO;
	else if (c->before == EXIM_MAYBE && said == EXIM_YES)
		c->now = EXIM_MAYBE;
	else
		c->now = said;
	if (c->now > c->before)
		c->before = c->now;
}

/* .ifdef and its kin. Returns whether the line is one of them. */
static bool take_condition(struct exim_lines *l, const char *text, int names)
{
	bool negated = strstr(text, "ndef") == text + 3 || strstr(text, "ndef") == text + 5;
	struct condition *c = l->depth ? &l->condition[l->depth - 1] : NULL;

	if (exim_starts(text, ".ifdef") || exim_starts(text, ".ifndef")) {
		if (l->depth == NESTING_MAX) {
			l->over = true;
			return true;
		}
		c = &l->condition[l->depth++];
		*c = (struct condition){0};
		branch(c, judge(l, text, names, negated));
	} else if (exim_starts(text, ".elifdef") || exim_starts(text, ".elifndef")) {
		if (c)
			branch(c, judge(l, text, names, negated));
	} else if (exim_starts(text, ".else")) {
		if (c)
			branch(c, EXIM_YES);
	} else if (exim_starts(text, ".endif")) {
		l->depth -= !!l->depth;
	} else {
		return false;
	}
	return true;
}

/* --- lines ------------------------------------------------------------------------------------ */

/* Where macros are replaced in a physical line: not in the name that it defines. */
static size_t behind_definition(const char *text)
{
	size_t name = 0, blanks;

	while (isalnum((unsigned char)text[name]) || text[name] == '_')
		name++;
	blanks = strspn(text + name, " \t");
	return isupper((unsigned char)*text) && text[name + blanks] == '=' ? name : 0;
}

/* A physical line whose macros are replaced. Returns whether it is passed over. */
static bool is_directive(struct exim_lines *l, unsigned int line, const char *text, int names)
{
	if (*text == '#' || take_condition(l, text, names) || in_force(l) == EXIM_NO)
		return true;
	if (!exim_starts(text, ".include") && !exim_starts(text, ".include_if_exists"))
		return false;
	import_remark(l->i, l->t, line, text,
		      "Not read: it may set options. Import that file too.");
	return true;
}

/*
 * Adds the next physical line that says something to l->line, its blanks at both ends taken off.
 * Returns false behind the last one, or when a line cannot be read.
 */
static bool add_physical(struct exim_lines *l, unsigned int *number, bool first)
{
	size_t from = l->used;
	char *text, *whole;
	int names;

	while ((text = import_line(l->t, number))) {
		whole = import_trim(text);
		if (*whole == '#' || (!*whole && first))
			continue;
		if (!append(l->line, &l->used, whole, strlen(whole)))
			break;
		names = replace_all(l, from + (first ? behind_definition(whole) : 0));
		if (names < 0)
			break;
		if (!is_directive(l, *number, l->line + from, names))
			return true;
		l->used = from;
		l->line[from] = '\0';
	}
	l->used = from;
	l->line[from] = '\0';
	l->over |= text != NULL;
	return false;
}

/* A whole line, continuations joined. Returns it, or NULL behind the last. */
static char *next_line(struct exim_lines *l, unsigned int *number)
{
	unsigned int ignored;

	l->used = 0;
	if (!add_physical(l, number, true))
		return NULL;
	while (l->used && l->line[l->used - 1] == '\\') {
		l->line[--l->used] = '\0';
		if (!add_physical(l, &ignored, false))
			break;
	}
	return import_trim(l->line);
}

char *exim_line(struct exim_lines *l, unsigned int *number, enum exim_truth *force)
{
	char *text;

	while (!l->full && !l->over && (text = next_line(l, number))) {
		*force = in_force(l);
		if (!isupper((unsigned char)*text))
			return text;
		define(l, *number, text);
	}
	if (l->full || l->over)
		import_remark(l->i, l->t, l->t->line, "...",
			      "Not understood from about here to the end of the file: macros that "
			      "make it too long, or conditions nested too deep.");
	return NULL;
}

struct exim_lines *exim_lines_open(struct import *i, struct import_text *t)
{
	struct exim_lines *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->i = i;
	l->t = t;
	l->kept_size = t->size * 2 + LOGICAL_MAX;
	l->kept = malloc(l->kept_size);
	if (l->kept)
		return l;
	free(l);
	return NULL;
}

void exim_lines_close(struct exim_lines *l)
{
	free(l->kept);
	free(l);
}
