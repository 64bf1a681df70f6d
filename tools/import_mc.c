// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sendmail.mc: the m4 that sendmail.cf is made from, as far as it can be read without m4.
 *
 * Calls on the outer level are understood: define, undefine, FEATURE, DAEMON_OPTIONS, and a line
 * "O Name=value" as LOCAL_CONFIG takes it. One of our options anywhere else (in an ifdef, say) is
 * named and not taken. What is included is not read: the sendmail.cf made from it says more.
 */
#include "import.h"

#include <ctype.h>
#include <string.h>

#define ARGS_MAX 2 /* that are looked at */
#define WORD_MAX 64

static const char *const names[SENDMAIL_OPTIONS] = {
	[SENDMAIL_RATE] = "confCONNECTION_RATE_THROTTLE",
	[SENDMAIL_DELAY_LA] = "confDELAY_LA",
	[SENDMAIL_QUEUE_LA] = "confQUEUE_LA",
	[SENDMAIL_REFUSE_LA] = "confREFUSE_LA",
	[SENDMAIL_CHILDREN] = "confMAX_DAEMON_CHILDREN",
	[SENDMAIL_REJECT_LOG] = "confREJECT_LOG_INTERVAL",
	[SENDMAIL_WINDOW] = "confCONNECTION_RATE_WINDOW_SIZE",
	[SENDMAIL_BAD_RCPT] = "confBAD_RCPT_THROTTLE",
};

struct m4 {
	struct import *i;
	struct import_text *t;
	struct import_option o[SENDMAIL_OPTIONS];     /* by define */
	struct import_option lines[SENDMAIL_OPTIONS]; /* by "O Name=value" */
	char *at;
	unsigned int line;
	bool hash;    /* # begins a comment: until cf.m4 is included, which calls changecom */
	bool dropped; /* text is: divert(-1) */
};

/* name(arg, arg...), where it stands: nothing is cut yet. */
struct call {
	char name[WORD_MAX];
	char *text, *end; /* from the name to behind the bracket */
	unsigned int line;
	struct {
		char *from, *to;
	} arg[ARGS_MAX]; /* NULL: there are not so many */
};

static bool in_name(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static void step(struct m4 *m)
{
	m->line += *m->at++ == '\n';
}

static void skip_line(struct m4 *m)
{
	while (*m->at && *m->at != '\n')
		step(m);
	if (*m->at)
		step(m);
}

static bool is_dnl(const struct m4 *m)
{
	return !strncmp(m->at, "dnl", 3) && !in_name(m->at[3]) &&
	       (m->at == m->t->text || !in_name(m->at[-1]));
}

/* Passes `...', with the quotes in it. Returns whether it has an end. */
static bool skip_quoted(struct m4 *m)
{
	unsigned int depth = 0;

	do {
		depth += *m->at == '`';
		depth -= *m->at == '\'';
		step(m);
	} while (*m->at && depth);
	return !depth;
}

/* Passes an argument, to the comma or bracket that ends it. Returns whether there is one. */
static bool skip_argument(struct m4 *m)
{
	unsigned int brackets = 0;

	while (*m->at && (brackets || (*m->at != ',' && *m->at != ')'))) {
		if (*m->at == '`') {
			if (!skip_quoted(m))
				return false;
		} else if (is_dnl(m)) {
			skip_line(m);
		} else {
			brackets += *m->at == '(';
			brackets -= *m->at == ')';
			step(m);
		}
	}
	return *m->at;
}

/* Reads the call that m->at is the bracket of. Returns whether it has an end. */
static bool read_call(struct m4 *m, struct call *c)
{
	size_t n = 0;

	do {
		step(m);
		if (n < ARGS_MAX)
			c->arg[n].from = m->at;
		if (!skip_argument(m))
			return false;
		if (n < ARGS_MAX)
			c->arg[n].to = m->at;
		n++;
	} while (*m->at == ',');
	step(m);
	c->end = m->at;
	return true;
}

/* An argument as m4 hands it on, one level of quotes and the comments taken out, in place. */
static char *argument(const struct call *c, size_t n)
{
	static char none[1];
	char *out = c->arg[n].from, *in = out, *to = c->arg[n].to;
	unsigned int depth = 0;

	if (!in)
		return none;
	while (in < to) {
		char q = *in;

		if (!depth && !strncmp(in, "dnl", 3) && !in_name(in[3]) && !in_name(in[-1])) {
			while (in < to && *in != '\n')
				in++;
			continue;
		}
		depth -= q == '\'' && depth;
		if (!((q == '`' || q == '\'') && !depth))
			*out++ = q;
		depth += q == '`';
		in++;
	}
	*out = '\0';
	return import_trim(c->arg[n].from);
}

/* The first word of the first argument, which is left as it is. */
static void first_word(const struct call *c, char word[WORD_MAX])
{
	const char *from = c->arg[0].from;
	size_t length;

	from += strspn(from, " \t\n`");
	length = strspn(from, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
	snprintf(word, WORD_MAX, "%.*s", (int)length, from);
}

static void remark(struct m4 *m, const struct call *c, const char *why)
{
	char after = *c->end;

	*c->end = '\0';
	import_remark(m->i, m->t, c->line, c->text, "%s", why);
	*c->end = after;
}

/* Is the word anywhere in the call? */
static bool mentions(const struct call *c, const char *word)
{
	size_t length = strlen(word);

	for (const char *p = c->text; (p = memmem(p, (size_t)(c->end - p), word, length)); p++)
		if (!in_name(p[length]) && (p == c->text || !in_name(p[-1])))
			return true;
	return false;
}

static void look_inside(struct m4 *m, const struct call *c)
{
	for (size_t n = 0; n < SENDMAIL_OPTIONS; n++) {
		if (!mentions(c, names[n]))
			continue;
		remark(m, c,
		       "Not understood: one of the options is set within another call of m4. "
		       "Import the sendmail.cf that is made from this file.");
		return;
	}
}

static void take_define(struct m4 *m, const struct call *c)
{
	char word[WORD_MAX];

	first_word(c, word);
	for (size_t n = 0; n < SENDMAIL_OPTIONS; n++) {
		if (strcmp(names[n], word))
			continue;
		m->o[n].name = names[n];
		import_take(&m->o[n], m->t, c->line, argument(c, 1));
		return;
	}
	look_inside(m, c);
}

static void take_undefine(struct m4 *m, const struct call *c)
{
	char word[WORD_MAX];

	first_word(c, word);
	for (size_t n = 0; n < SENDMAIL_OPTIONS; n++)
		if (!strcmp(names[n], word))
			m->o[n].value = NULL;
}

static void take_feature(struct m4 *m, const struct call *c)
{
	char word[WORD_MAX], after = *c->end;

	first_word(c, word);
	*c->end = '\0';
	sendmail_feature(m->i, m->t, c->line, word, c->text);
	*c->end = after;
}

static void take_include(struct m4 *m, const struct call *c)
{
	static const char base[] = "cf.m4";

	if (memmem(c->text, (size_t)(c->end - c->text), base, strlen(base)))
		m->hash = false;
	else
		remark(m, c,
		       "Not read: it may set options. Import the sendmail.cf that is made from "
		       "this file to have them all.");
}

static bool is(const struct call *c, const char *name)
{
	return !strcmp(c->name, name);
}

/* Returns whether the rest can be read. */
static bool take_call(struct m4 *m, const struct call *c)
{
	if (is(c, "define"))
		take_define(m, c);
	else if (is(c, "undefine"))
		take_undefine(m, c);
	else if (is(c, "FEATURE"))
		take_feature(m, c);
	else if (is(c, "DAEMON_OPTIONS"))
		sendmail_listener(m->i, m->t, c->line, argument(c, 0));
	else if (is(c, "include") || is(c, "sinclude") || is(c, "OSTYPE") || is(c, "DOMAIN"))
		take_include(m, c);
	else if (is(c, "divert"))
		m->dropped = *argument(c, 0) == '-';
	else if (is(c, "changequote"))
		return false;
	else
		look_inside(m, c);
	return true;
}

/* A word of the outer level, and the call that it may be. Returns whether the rest can be read. */
static bool take_word(struct m4 *m)
{
	struct call c = {.text = m->at, .line = m->line};
	char *from = m->at;

	while (in_name(*m->at))
		step(m);
	if (*m->at != '(') {
		m->dropped &= m->at - from != 6 || strncmp(from, "divert", 6);
		return true;
	}
	snprintf(c.name, sizeof(c.name), "%.*s", (int)(m->at - from), from);
	return read_call(m, &c) && take_call(m, &c);
}

/* "O Name=value", with the names of sendmail.cf. */
static void take_option_line(struct m4 *m)
{
	unsigned int line = m->line;
	char *text = m->at;

	skip_line(m);
	if (m->at[-1] == '\n')
		m->at[-1] = '\0';
	sendmail_option_line(m->i, m->lines, m->t, line, text);
}

/* LOCAL_CONFIG comes before the options in sendmail.cf, and there the last one wins. */
static void take_lines(struct m4 *m)
{
	for (size_t n = 0; n < SENDMAIL_OPTIONS; n++) {
		if (m->o[n].value)
			m->o[n].others += !!m->lines[n].value;
		else if (m->lines[n].value)
			m->o[n] = m->lines[n];
	}
}

/* Returns whether the rest can be read. */
static bool take_next(struct m4 *m)
{
	bool begins = m->at == m->t->text || m->at[-1] == '\n' || m->at[-1] == '\0';

	if (is_dnl(m) || (*m->at == '#' && m->hash))
		skip_line(m);
	else if (begins && !m->dropped && m->at[0] == 'O' && m->at[1] == ' ')
		take_option_line(m);
	else if (*m->at == '`')
		return skip_quoted(m);
	else if (in_name(*m->at))
		return take_word(m);
	else
		step(m);
	return true;
}

void import_sendmail_mc(struct import *i, struct import_text *t)
{
	struct m4 m = {.i = i, .t = t, .at = t->text, .line = 1};
	unsigned int line = 1;
	bool goes_on = true;

	sendmail_options(m.o);
	sendmail_options(m.lines);
	m.hash = strstr(t->text, "cf.m4");
	while (*m.at && goes_on) {
		line = m.line;
		goes_on = take_next(&m);
	}
	if (!goes_on)
		import_remark(i, t, line, "...",
			      "Not understood from here to the end of the file: a quote or a "
			      "bracket without its end, or changequote.");
	take_lines(&m);
	sendmail_rows(i, m.o);
}
