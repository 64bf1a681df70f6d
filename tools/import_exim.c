// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Exim's configuration, its main section: all before the first "begin".
 *
 * spec.txt, chapter 6: macros are replaced in each physical line, in the order of their definition;
 * then .ifdef and .include are looked at; then a backslash at the end continues a line, over
 * comments. Whether a macro that Exim itself defines (_HAVE_..., _OPT_...) is there only the binary
 * knows: what hangs on one is named and not taken.
 */
#include "import.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MACROS_MAX  512
#define NESTING_MAX 32
#define LOGICAL_MAX 65536      /* bytes of a line with those that continue it, macros replaced */
#define WORK_MAX    (1U << 30) /* bytes that are searched for macros, so that it ends */
#define LOAD_MAX    100000
#define SHARE_MAX   90	/* percent: what known-share takes */
#define WORDS_MAX   200 /* of a list that are shown */

enum exim_option {
	ACCEPT_MAX,
	PER_HOST,
	LOAD_RESERVE,
	QUEUE_LOAD,
	ACCEPT_RESERVE,
	RESERVE_HOSTS,
	REJECT_HOSTS,
	OTHERS, /* from here on: without a counterpart */
};

#define WITHIN_SESSION "It limits what a client does in sessions that are open: this stays in Exim."
#define OF_DELIVERIES  "It is about deliveries, not about connections: this stays in Exim."

static const struct import_option options[] = {
	[ACCEPT_MAX] = {.name = "smtp_accept_max"},
	[PER_HOST] = {.name = "smtp_accept_max_per_host"},
	[LOAD_RESERVE] = {.name = "smtp_load_reserve"},
	[QUEUE_LOAD] = {.name = "queue_only_load"},
	[ACCEPT_RESERVE] = {.name = "smtp_accept_reserve"},
	[RESERVE_HOSTS] = {.name = "smtp_reserve_hosts"},
	[REJECT_HOSTS] = {.name = "host_reject_connection"},
	[OTHERS] = {.name = "smtp_connect_backlog",
		    .none = "Sluice looks at the room that the listener has, whatever it is: there "
			    "is nothing to set."},
	{.name = "deliver_queue_load_max", .none = OF_DELIVERIES},
	{.name = "queue_only", .none = OF_DELIVERIES},
	{.name = "queue_only_load_latch", .none = OF_DELIVERIES},
	{.name = "queue_run_max", .none = OF_DELIVERIES},
	{.name = "remote_max_parallel", .none = OF_DELIVERIES},
	{.name = "smtp_accept_queue",
	 .none = "With so many connections Exim only queues. Sluice's queue tier hangs on the load "
		 "alone (queue-la)."},
	{.name = "smtp_accept_queue_per_connection", .none = OF_DELIVERIES},
	{.name = "smtp_accept_max_nonmail", .none = WITHIN_SESSION},
	{.name = "smtp_accept_max_nonmail_hosts", .none = WITHIN_SESSION},
	{.name = "smtp_accept_max_per_connection", .none = WITHIN_SESSION},
	{.name = "smtp_ratelimit_hosts", .none = WITHIN_SESSION},
	{.name = "smtp_ratelimit_mail", .none = WITHIN_SESSION},
	{.name = "smtp_ratelimit_rcpt", .none = WITHIN_SESSION},
	{.name = "smtp_receive_timeout", .none = WITHIN_SESSION},
};

#define OPTIONS (sizeof(options) / sizeof(options[0]))

struct macro {
	const char *name, *value;
};

/* Of an .ifdef: what it says, and whether one of its branches was in force before. */
enum truth { NO, MAYBE, YES };

struct condition {
	enum truth now, before;
};

struct exim {
	struct import *i;
	struct import_text *t;
	struct import_option o[OPTIONS];
	struct macro macro[MACROS_MAX];
	size_t macros;
	struct condition condition[NESTING_MAX];
	size_t depth;
	char line[LOGICAL_MAX], old[LOGICAL_MAX];
	size_t used, work;
	char *kept; /* values that outlive their line: as long as the text at most, see keep() */
	size_t kept_used, kept_size;
	bool full, over, begun;
};

/* A copy that lasts as long as the import. NULL when there is no room: macros can multiply text. */
static char *keep(struct exim *e, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = e->kept + e->kept_used;

	if (size > e->kept_size - e->kept_used) {
		e->full = true;
		return NULL;
	}
	memcpy(copy, text, size);
	e->kept_used += size;
	return copy;
}

/* --- macros and conditions ------------------------------------------------------------------------ */

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
static int replace(struct exim *e, size_t from, const struct macro *m)
{
	const char *in = e->old, *found;
	int times = 0;

	e->work += e->used - from;
	if (e->work > WORK_MAX)
		return -1;
	if (!strstr(e->line + from, m->name))
		return 0;
	memcpy(e->old, e->line + from, e->used - from + 1);
	e->used = from;
	for (; (found = strstr(in, m->name)); times++) {
		if (!append(e->line, &e->used, in, (size_t)(found - in)) ||
		    !append(e->line, &e->used, m->value, strlen(m->value)))
			return -1;
		in = found + strlen(m->name);
	}
	return append(e->line, &e->used, in, strlen(in)) ? times : -1;
}

/* All macros in the physical line that begins at an offset. Returns how often, or -1. */
static int replace_all(struct exim *e, size_t from)
{
	int all = 0, times;

	for (size_t n = 0; n < e->macros; n++) {
		times = replace(e, from, &e->macro[n]);
		if (times < 0)
			return -1;
		all += times;
	}
	return all;
}

static void define(struct exim *e, unsigned int line, char *text)
{
	char *value = strchr(text, '='), *name;
	bool again;
	size_t n;

	if (!value) {
		import_remark(e->i, e->t, line, text, "Not understood: NAME = value was expected.");
		return;
	}
	*value++ = '\0';
	again = *value == '=';
	name = import_trim(text);
	for (n = 0; n < e->macros && strcmp(e->macro[n].name, name); n++)
		;
	if (n == MACROS_MAX || (n < e->macros && !again)) {
		import_remark(e->i, e->t, line, name,
			      "Not understood: a macro that is defined before, or one too many.");
		return;
	}
	name = n < e->macros ? (char *)e->macro[n].name : keep(e, name);
	value = keep(e, import_trim(value + again));
	if (!name || !value)
		return;
	e->macro[n] = (struct macro){name, value};
	e->macros += n == e->macros;
}

/* What all conditions around a line say together. */
static enum truth in_force(const struct exim *e)
{
	enum truth least = YES;

	for (size_t n = 0; n < e->depth; n++)
		if (e->condition[n].now < least)
			least = e->condition[n].now;
	return least;
}

static bool starts(const char *text, const char *word)
{
	size_t length = strlen(word);

	return !strncmp(text, word, length) && !isalnum((unsigned char)text[length]) &&
	       text[length] != '_';
}

/* names: how many macros were replaced in the line. An underscore begins one of Exim's own. */
static enum truth judge(const char *rest, int names, bool negated)
{
	enum truth said = names > 0 ? YES : strstr(rest, " _") ? MAYBE : NO;

	return negated ? YES - said : said;
}

static void branch(struct condition *c, enum truth said)
{
	c->now = c->before == YES ? NO : c->before == MAYBE && said == YES ? MAYBE : said;
	if (c->now > c->before)
		c->before = c->now;
}

/* .ifdef and its kin. Returns whether the line is one of them. */
static bool take_condition(struct exim *e, const char *text, int names)
{
	bool negated = strstr(text, "ndef") == text + 3 || strstr(text, "ndef") == text + 5;
	struct condition *c = e->depth ? &e->condition[e->depth - 1] : NULL;

	if (starts(text, ".ifdef") || starts(text, ".ifndef")) {
		if (e->depth == NESTING_MAX) {
			e->over = true;
			return true;
		}
		c = &e->condition[e->depth++];
		*c = (struct condition){0};
		branch(c, judge(text, names, negated));
	} else if (starts(text, ".elifdef") || starts(text, ".elifndef")) {
		if (c)
			branch(c, judge(text, names, negated));
	} else if (starts(text, ".else")) {
		if (c)
			branch(c, YES);
	} else if (starts(text, ".endif")) {
		e->depth -= !!e->depth;
	} else {
		return false;
	}
	return true;
}

/* --- lines ---------------------------------------------------------------------------------------- */

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
static bool is_directive(struct exim *e, unsigned int line, const char *text, int names)
{
	if (*text == '#' || take_condition(e, text, names) || in_force(e) == NO)
		return true;
	if (!starts(text, ".include") && !starts(text, ".include_if_exists"))
		return false;
	import_remark(e->i, e->t, line, text,
		      "Not read: it may set options. Import that file too.");
	return true;
}

/*
 * Adds the next physical line that says something to e->line, its blanks at both ends taken off.
 * Returns false behind the last one, or when a line cannot be read.
 */
static bool add_physical(struct exim *e, unsigned int *number, bool first)
{
	size_t from = e->used;
	char *text, *whole;
	int names;

	while ((text = import_line(e->t, number))) {
		whole = import_trim(text);
		if (*whole == '#' || (!*whole && first))
			continue;
		if (!append(e->line, &e->used, whole, strlen(whole)))
			break;
		names = replace_all(e, from + (first ? behind_definition(whole) : 0));
		if (names < 0)
			break;
		if (!is_directive(e, *number, e->line + from, names))
			return true;
		e->used = from;
		e->line[from] = '\0';
	}
	e->used = from;
	e->line[from] = '\0';
	e->over |= text != NULL;
	return false;
}

/* A whole line, continuations joined. Returns it, or NULL behind the last. */
static char *next_line(struct exim *e, unsigned int *number)
{
	unsigned int ignored;

	e->used = 0;
	if (!add_physical(e, number, true))
		return NULL;
	while (e->used && e->line[e->used - 1] == '\\') {
		e->line[--e->used] = '\0';
		if (!add_physical(e, &ignored, false))
			break;
	}
	return import_trim(e->line);
}

static void take_option(struct exim *e, unsigned int line, char *text)
{
	char *value = strchr(text, '='), *name, *kept;

	if (value)
		*value++ = '\0';
	name = import_trim(text);
	if (!strncmp(name, "hide ", 5))
		name = import_trim(name + 5);
	for (size_t n = 0; n < OPTIONS; n++) {
		if (strcmp(e->o[n].name, name))
			continue;
		kept = keep(e, value ? import_trim(value) : "true");
		if (in_force(e) == MAYBE)
			import_remark(e->i, e->t, line, name,
				      "Not taken: it hangs on a macro that Exim itself defines or "
				      "does not.");
		else if (kept)
			import_take(&e->o[n], e->t, line, kept);
	}
}

/* Has a line of an ACL this condition? */
static bool has_condition(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	if (!at || (at > text && !isspace((unsigned char)at[-1])))
		return false;
	at += strlen(name);
	return at[strspn(at, " \t")] == '=';
}

static void read_lines(struct exim *e)
{
	unsigned int line;
	char *text;

	while ((text = next_line(e, &line))) {
		if (starts(text, "begin"))
			e->begun = true;
		if (isupper((unsigned char)*text))
			define(e, line, text);
		else if (!e->begun)
			take_option(e, line, text);
		else if (has_condition(text, "ratelimit"))
			import_remark(
				e->i, e->t, line, text,
				"A limit within an ACL, on sessions that are open: this stays "
				"in Exim. The nearest before them is source-rate.");
		if (e->full || e->over)
			break;
	}
	if (e->full || e->over)
		import_remark(e->i, e->t, e->t->line, "...",
			      "Not understood from about here to the end of the file: macros that "
			      "make it too long, or conditions nested too deep.");
}

/* --- values --------------------------------------------------------------------------------------- */

/* A number of Exim: a leading 0 would make it octal, a letter would multiply it. */
static bool number_of(const char *text, uint32_t *n)
{
	char copy[32];
	size_t length = strlen(text);

	if (length >= 2 && length < sizeof(copy) && *text == '"' && text[length - 1] == '"') {
		snprintf(copy, sizeof(copy), "%.*s", (int)length - 2, text + 1);
		text = copy;
	}
	return import_number(text, n) && (*text != '0' || !text[1]);
}

/* "8", "8.5", "8.125" in thousandths. */
static bool load_of(const char *text, uint32_t *thousandths)
{
	char whole[32];
	const char *point = strchr(text, '.');
	size_t digits = point ? strlen(point + 1) : 0;
	uint32_t n, part = 0;

	snprintf(whole, sizeof(whole), "%.*s", (int)(point ? point - text : 31), text);
	if (!import_number(whole, &n) || n > LOAD_MAX || digits > 3 ||
	    (point && !import_number(point + 1, &part)))
		return false;
	for (; digits < 3; digits++)
		part *= 10;
	*thousandths = n * 1000 + part;
	return *thousandths <= LOAD_MAX * 1000U;
}

static void max_rows(struct exim *e)
{
	const struct import_option *o = &e->o[ACCEPT_MAX];
	uint32_t n;

	if (!o->value)
		import_add(e->i, IMPORT_LIMITS, IMPORT_PROPOSE, NULL, "max-sessions = 20",
			   "smtp_accept_max is not set, and 20 is Exim's default: it answers the "
			   "next one with 421. With this line it would get a RST.");
	else if (!number_of(o->value, &n))
		import_not_understood(e->i, o, "a decimal number of connections");
	else
		import_sessions(e->i, o, "max-sessions", n,
				"Exim answers the next one with 421; here it gets a RST, and the "
				"sender tries the next MX.");
}

static void per_host_rows(struct exim *e)
{
	const struct import_option *o = &e->o[PER_HOST];
	uint32_t n;

	if (!o->value)
		return;
	if (!number_of(o->value, &n))
		import_not_understood(e->i, o,
				      "a plain number (Exim works the text out for each client, "
				      "Sluice has one number for all)");
	else
		import_sessions(e->i, o, "max-sessions-per-source", n,
				"Exim answers 421; here the SYN waits for its retransmit, until a "
				"session ends. A known sender may have twice as many.");
}

static void load_row(struct exim *e, enum exim_option which, const char *key, const char *why)
{
	const struct import_option *o = &e->o[which];
	char setting[64];
	uint32_t la;

	if (!o->value) {
		snprintf(setting, sizeof(setting), "%s = 0", key);
		import_add(e->i, IMPORT_LOAD, IMPORT_SET, NULL, setting,
			   "%s is not set, and Exim then does not look at the load for it. Without "
			   "this line Sluice would.",
			   o->name);
		return;
	}
	if (!load_of(o->value, &la) || !la) {
		import_not_understood(e->i, o, "a load such as 8 or 12.5, above 0");
		return;
	}
	la = (la + 9) / 10; /* hundredths, up: Exim acts above the number, Sluice at it */
	if (la % 100)
		snprintf(setting, sizeof(setting), "%s = %u.%02u", key, la / 100, la % 100);
	else
		snprintf(setting, sizeof(setting), "%s = %u", key, la / 100);
	import_add(e->i, IMPORT_LOAD, IMPORT_SET, o, setting, "%s", why);
}

/* Of the sessions, those that are kept for the hosts of smtp_reserve_hosts; in whole percent, up. */
static void reserve_rows(struct exim *e)
{
	const struct import_option *o = &e->o[ACCEPT_RESERVE], *all = &e->o[ACCEPT_MAX];
	uint32_t kept = 0, most = 0, percent;
	char setting[64];

	if (all->value && !number_of(all->value, &most))
		most = 0;
	if (o->value && !number_of(o->value, &kept)) {
		import_not_understood(e->i, o, "a decimal number of connections");
		return;
	}
	if (!most && o->value) {
		import_add(e->i, IMPORT_REMARKS, IMPORT_SAY, o, NULL,
			   "known-share is in percent of max-sessions, which is not set here.");
	} else if (most && kept) {
		percent = kept < most ? (uint32_t)(((uint64_t)kept * 100 + most - 1) / most) : 100;
		snprintf(setting, sizeof(setting), "known-share = %u", percent);
		if (percent > SHARE_MAX)
			import_not_understood(e->i, o,
					      "at most 90 % of smtp_accept_max, as known-share is");
		else
			import_add(
				e->i, IMPORT_LIMITS, IMPORT_SET, o, setting,
				"In percent of smtp_accept_max, for known senders: list the hosts "
				"of smtp_reserve_hosts as known, or as trusted.");
	} else if (most) {
		import_no_known_share(e->i);
	}
}

/* --- lists of hosts ------------------------------------------------------------------------------- */

static void host_word(struct exim *e, const struct import_option *o, const char *word,
		      unsigned int *shown)
{
	char prefix[64], setting[80];

	if (!*word)
		return;
	if (!import_prefix(word, prefix, sizeof(prefix))) {
		import_add(e->i, IMPORT_REMARKS, IMPORT_SAY, o, NULL,
			   "Its word '%.60s' is no prefix: a name, a pattern, a lookup or a list, "
			   "which Sluice's lists do not have. Write the addresses into the list.",
			   word);
		return;
	}
	snprintf(setting, sizeof(setting), "  %s", prefix);
	if ((*shown)++ < WORDS_MAX)
		import_add(e->i, IMPORT_CLASSES, IMPORT_PROPOSE, NULL, setting, NULL);
}

/*
 * "192.0.2.1 : 2001:db8::::1": words with colons between them, a colon within a word is doubled;
 * or "<; 192.0.2.1 ; 2001:db8::1" with another mark. Cuts it up in place; returns the next word.
 */
static char *next_word(char **list, char mark)
{
	char *word = *list, *in = word, *out = word;

	if (!*in)
		return NULL;
	for (; *in && (*in != mark || in[1] == mark); in++) {
		in += *in == mark;
		*out++ = *in;
	}
	*list = in + (*in != '\0');
	*out = '\0';
	return import_trim(word);
}

static void host_rows(struct exim *e, enum exim_option which, const char *setting, const char *why)
{
	struct import_option *o = &e->o[which];
	char *copy, *list, *word, mark = ':';
	unsigned int shown = 0;

	if (!o->value)
		return;
	copy = strdup(o->value);
	if (!copy) {
		e->i->no_memory = true;
		return;
	}
	list = copy;
	if (list[0] == '<' && ispunct((unsigned char)list[1])) {
		mark = list[1];
		list += 2;
	}
	import_add(e->i, IMPORT_CLASSES, IMPORT_PROPOSE, o, setting, "%s", why);
	while ((word = next_word(&list, mark)))
		host_word(e, o, word, &shown);
	if (shown > WORDS_MAX)
		import_add(e->i, IMPORT_REMARKS, IMPORT_SAY, o, NULL,
			   "%u more of its prefixes are not shown.", shown - WORDS_MAX);
	free(copy);
}

/* -------------------------------------------------------------------------------------------------- */

static void rows(struct exim *e)
{
	import_add(e->i, IMPORT_LIMITS, IMPORT_PROPOSE, NULL, "connection-rate = 100/s",
		   "Exim has no limit for all clients together. Sluice always has one; this is its "
		   "default. Set it to what your MTA can carry.");
	max_rows(e);
	reserve_rows(e);
	per_host_rows(e);
	import_add(e->i, IMPORT_LIMITS, IMPORT_SET, NULL, "source-rate = off",
		   "Exim does not count connections in a time. Without this line one address may "
		   "open 60 a minute, and without the next one its network 300.");
	import_add(e->i, IMPORT_LIMITS, IMPORT_SET, NULL, "subnet-rate = off", NULL);
	import_no_session_time(e->i);
	load_row(e, QUEUE_LOAD, "queue-la",
		 "Above it Exim only queues, and lets in as many as before. Here the rate is "
		 "queue-rate meanwhile, half of connection-rate, and the file "
		 "/run/sluice/NAME/queue is there.");
	load_row(e, LOAD_RESERVE, "refuse-la",
		 "Above it Exim takes only the hosts of smtp_reserve_hosts; here all get a RST but "
		 "trusted ones, and refusing ends after refuse-max, 10 minutes.");
	host_rows(
		e, RESERVE_HOSTS, "trusted = /etc/sluice/trusted",
		"Hosts that Exim takes when it refuses others. Put the prefixes into such a file, "
		"one a line:");
	host_rows(e, REJECT_HOSTS, "blocked = /etc/sluice/blocked",
		  "Hosts that Exim rejects. Put the prefixes into such a file, one a line:");
	import_no_counterparts(e->i, e->o, OPTIONS);
}

void import_exim(struct import *i, struct import_text *t)
{
	struct exim *e = calloc(1, sizeof(*e));

	if (e) {
		e->kept_size = t->size * 2 + LOGICAL_MAX;
		e->kept = malloc(e->kept_size);
	}
	if (!e || !e->kept) {
		free(e);
		i->no_memory = true;
		return;
	}
	e->i = i;
	e->t = t;
	memcpy(e->o, options, sizeof(options));
	read_lines(e);
	rows(e);
	free(e->kept);
	free(e);
}
