// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Exim's configuration, its main section: all before the first "begin".
 *
 * An option is name = value, with hide before it; what hangs on one of Exim's own macros is named
 * and not taken.
 */
#include "import_exim.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define LOAD_MAX  100000
#define SHARE_MAX 90 /* percent: what known-share takes */

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

struct exim {
	struct import *i;
	struct import_text *t;
	struct exim_lines *lines;
	struct import_option o[OPTIONS];
	bool begun; /* the main section is over */
};

static void take_option(struct exim *e, unsigned int line, char *text, enum exim_truth in_force)
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
		kept = exim_keep(e->lines, value ? import_trim(value) : "true");
		if (in_force == EXIM_MAYBE)
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
	enum exim_truth in_force;
	unsigned int line;
	char *text;

	while ((text = exim_line(e->lines, &line, &in_force))) {
		if (exim_starts(text, "begin"))
			e->begun = true;
		if (!e->begun)
			take_option(e, line, text, in_force);
		else if (has_condition(text, "ratelimit"))
			import_remark(
				e->i, e->t, line, text,
				"A limit within an ACL, on sessions that are open: this stays "
				"in Exim. The nearest before them is source-rate.");
	}
}

/* --- values ----------------------------------------------------------------------------------- */

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

/* Of the sessions, those kept for the hosts of smtp_reserve_hosts; in whole percent, up. */
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

/* --- lists of hosts --------------------------------------------------------------------------- */

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
		if (*word)
			import_list_word(e->i, o, word, &shown);
	free(copy);
}

/* ---------------------------------------------------------------------------------------------- */

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
	struct exim e = {.i = i, .t = t, .lines = exim_lines_open(i, t)};

	if (!e.lines) {
		i->no_memory = true;
		return;
	}
	memcpy(e.o, options, sizeof(options));
	read_lines(&e);
	rows(&e);
	exim_lines_close(e.lines);
}
