// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Postfix: main.cf, and the service "smtp inet" of the master.cf beside it, whose process limit and
 * "-o name=value" win over main.cf.
 *
 * postconf(5): a line that begins with a blank continues the one before it; empty lines and those
 * whose first character is a # are passed over, within a continued line too. $name, ${name} and
 * $(name) stand for the value of another parameter.
 */
#include "import.h"

#include <stdlib.h>
#include <string.h>

#define EXPANDED_MAX 8192 /* bytes of a value with its $names replaced */
#define DEPTH_MAX    8	  /* of $names within $names */
#define NAMES_MAX    200  /* that one value may be made of */
#define SETTINGS_MAX 4096 /* name = value that a $name may stand for: the first so many */
#define DAY_S	     86400U
#define RATE_MAX     1000000U  /* a second */
#define BURST_MAX    10000000U /* as the config takes it */
#define TABLE_MAX    16777216U

enum parameter {
	PROCESS_LIMIT,
	RATE_LIMIT,
	RATE_UNIT,
	COUNT_LIMIT,
	EXCEPTIONS,
	NETWORKS,
	PREFIX_V4,
	PREFIX_V6,
	OTHERS, /* from here on: without a counterpart */
};

#define WITHIN_SESSION \
	"It limits what a client does in sessions that are open: this stays in Postfix."
#define OF_POSTSCREEN                                                                        \
	"It is of postscreen(8), which stays in front of smtpd and works behind Sluice: it " \
	"sees the connections that Sluice lets in."

static const struct import_option options[] = {
	[PROCESS_LIMIT] = {.name = "default_process_limit"},
	[RATE_LIMIT] = {.name = "smtpd_client_connection_rate_limit"},
	[RATE_UNIT] = {.name = "anvil_rate_time_unit"},
	[COUNT_LIMIT] = {.name = "smtpd_client_connection_count_limit"},
	[EXCEPTIONS] = {.name = "smtpd_client_event_limit_exceptions"},
	[NETWORKS] = {.name = "mynetworks"},
	[PREFIX_V4] = {.name = "smtpd_client_ipv4_prefix_length"},
	[PREFIX_V6] = {.name = "smtpd_client_ipv6_prefix_length"},
	[OTHERS] = {.name = "stress",
		    .none = "Postfix sets it by itself when its processes run out. Sluice answers "
			    "that with the load's tiers."},
	{.name = "smtpd_client_message_rate_limit", .none = WITHIN_SESSION},
	{.name = "smtpd_client_recipient_rate_limit", .none = WITHIN_SESSION},
	{.name = "smtpd_client_new_tls_session_rate_limit", .none = WITHIN_SESSION},
	{.name = "smtpd_client_auth_rate_limit", .none = WITHIN_SESSION},
	{.name = "smtpd_error_sleep_time", .none = WITHIN_SESSION},
	{.name = "smtpd_soft_error_limit", .none = WITHIN_SESSION},
	{.name = "smtpd_hard_error_limit", .none = WITHIN_SESSION},
	{.name = "smtpd_junk_command_limit", .none = WITHIN_SESSION},
	{.name = "smtpd_timeout", .none = WITHIN_SESSION},
	{.name = "in_flow_delay", .none = WITHIN_SESSION},
	{.name = "postscreen_greet_wait", .none = OF_POSTSCREEN},
	{.name = "postscreen_client_connection_count_limit", .none = OF_POSTSCREEN},
	{.name = "postscreen_pre_queue_limit", .none = OF_POSTSCREEN},
	{.name = "postscreen_post_queue_limit", .none = OF_POSTSCREEN},
};

#define OPTIONS (sizeof(options) / sizeof(options[0]))

/* Any name = value of main.cf, for $name. */
struct setting {
	const char *name, *value;
};

struct postfix {
	struct import *i;
	struct import_option o[OPTIONS];
	struct setting setting[SETTINGS_MAX]; /* a later one wins */
	size_t settings;
	char value[EXPANDED_MAX]; /* of the option at hand */
	unsigned int names;	  /* that were replaced in it */

	/* Of master.cf: */
	bool seen;	    /* smtp inet */
	bool postscreen;    /* answers there */
	unsigned int line;  /* of it */
	const char *master; /* its name; NULL: there is no such file */
	const char *most;   /* maxproc, as it stands there */
};

/* --- lines ------------------------------------------------------------------------------------ */

/* A line with those that continue it, joined in place; "" for one that says nothing. */
static char *next_line(struct import_text *t, unsigned int *number)
{
	char *line = import_line(t, number), *more, *first;
	unsigned int ignored;

	if (!line)
		return NULL;
	if (line[strspn(line, " \t")] == '#')
		*line = '\0';
	while (*line && import_peek(t) && strchr(" \t\n#", import_peek(t))) {
		more = import_line(t, &ignored);
		first = more + strspn(more, " \t");
		if (*first == '#')
			memset(first, ' ', strlen(first));
		more[-1] = '\n';
	}
	return line;
}

static struct import_option *option_of(struct postfix *p, const char *name)
{
	for (size_t n = 0; n < OPTIONS; n++)
		if (!strcmp(p->o[n].name, name))
			return &p->o[n];
	return NULL;
}

static void take_setting(struct postfix *p, const struct import_text *t, unsigned int line,
			 char *text)
{
	char *value = strchr(text, '=');
	struct import_option *o;

	if (!value) {
		import_remark(p->i, t, line, text, "Not understood: name = value was expected.");
		return;
	}
	*value++ = '\0';
	text = import_trim(text);
	value = import_trim(value);
	o = option_of(p, text);
	if (o)
		import_take(o, t, line, value);
	if (p->settings < SETTINGS_MAX)
		p->setting[p->settings++] = (struct setting){text, value};
}

static void read_main(struct postfix *p, struct import_text *t)
{
	unsigned int line;
	char *text;

	while ((text = next_line(t, &line)))
		if (*import_trim(text))
			take_setting(p, t, line, text);
}

/* --- master.cf -------------------------------------------------------------------------------- */

/* "smtp", "25", "192.0.2.1:smtp", "[::]:25" */
static bool is_port_25(const char *service)
{
	const char *colon = strrchr(service, ':'), *port = colon ? colon + 1 : service;

	return !strcmp(port, "smtp") || !strcmp(port, "25");
}

/* -o name=value; in the form -o { name = value } it is in several words, and is not taken. */
static void take_override(struct postfix *p, const struct import_text *t, unsigned int line,
			  char *word)
{
	char *value = word ? strchr(word, '=') : NULL;
	struct import_option *o;

	if (word && *word == '{') {
		import_remark(p->i, t, line, "-o { ...",
			      "Not understood: -o { name = value }. Look whether it is one of the "
			      "limits.");
		return;
	}
	if (!value)
		return;
	*value++ = '\0';
	o = option_of(p, word);
	if (o)
		import_take(o, t, line, value);
}

/* The words of a joined line, which still has the ends of its lines in it. */
struct words {
	char *at;
	unsigned int line; /* of the word that was returned */
	unsigned int next; /* of at */
};

static char *next_word(struct words *w)
{
	char *word;

	for (; *w->at && strchr(" \t\n", *w->at); w->at++)
		w->next += *w->at == '\n';
	if (!*w->at)
		return NULL;
	word = w->at;
	w->line = w->next;
	w->at += strcspn(w->at, " \t\n");
	if (*w->at) {
		w->next += *w->at == '\n';
		*w->at++ = '\0';
	}
	return word;
}

/* service type private unpriv chroot wakeup maxproc command argument... */
static void take_service(struct postfix *p, const struct import_text *t, unsigned int line,
			 char *text)
{
	enum { SERVICE, TYPE, MAXPROC = 6, COMMAND, FIELDS };
	struct words w = {.at = text, .next = line};
	char *field[FIELDS], *word;

	for (int n = 0; n < FIELDS; n++) {
		field[n] = next_word(&w);
		if (!field[n])
			return;
	}
	if (!is_port_25(field[SERVICE]) || strcmp(field[TYPE], "inet"))
		return;
	if (p->seen)
		import_remark(p->i, t, line, field[SERVICE],
			      "A second service on port 25: the numbers of this one were taken. "
			      "Sluice's limits are for both together.");
	p->seen = true;
	p->line = line;
	p->most = field[MAXPROC];
	p->postscreen = !strcmp(field[COMMAND], "postscreen");
	while ((word = next_word(&w))) {
		if (strcmp(word, "-o"))
			continue;
		word = next_word(&w);
		take_override(p, t, w.line, word);
	}
}

static void read_master(struct postfix *p, struct import_text *t)
{
	unsigned int line;
	char *text;

	p->master = t->name;
	while ((text = next_line(t, &line)))
		if (*text)
			take_service(p, t, line, text);
}

/* --- values ----------------------------------------------------------------------------------- */

static const char *value_of(const struct postfix *p, const char *name, size_t length)
{
	for (size_t n = p->settings; n--;)
		if (strlen(p->setting[n].name) == length &&
		    !strncmp(p->setting[n].name, name, length))
			return p->setting[n].value;
	return NULL;
}

static bool expand(struct postfix *p, const char *text, size_t *used, unsigned int depth);

/* The $name that text begins with. Returns what is behind it, or NULL when it is not understood. */
static const char *expand_name(struct postfix *p, const char *text, size_t *used,
			       unsigned int depth)
{
	const char *name = text + 1, *end, *value;
	char close = *name == '{' ? '}' : *name == '(' ? ')' : '\0';

	name += !!close;
	end = name +
	      strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
	if (end == name || (close && *end != close) || depth == DEPTH_MAX ||
	    p->names++ == NAMES_MAX)
		return NULL;
	value = value_of(p, name, (size_t)(end - name));
	if (!value || !expand(p, value, used, depth + 1))
		return NULL;
	return end + !!close;
}

static bool expand(struct postfix *p, const char *text, size_t *used, unsigned int depth)
{
	while (*text) {
		if (text[0] == '$' && text[1] != '$') {
			text = expand_name(p, text, used, depth);
			if (!text)
				return false;
			continue;
		}
		text += *text == '$'; /* $$ is one */
		if (*used + 1 >= EXPANDED_MAX)
			return false;
		p->value[(*used)++] = *text++;
	}
	p->value[*used] = '\0';
	return true;
}

/* Puts the value with its $names replaced into p->value. Returns whether it could be. */
static bool value_known(struct postfix *p, const struct import_option *o)
{
	size_t used = 0;

	p->names = 0;
	if (expand(p, o->value, &used, 0))
		return true;
	if (strstr(o->value, "stress"))
		import_not_understood(p->i, o,
				      "a value that does not hang on stress, as Sluice does not "
				      "know it; the one of calm times");
	else
		import_not_understood(p->i, o,
				      "a value whose $names are all set in this file, without "
				      "conditions");
	return false;
}

static bool number_known(struct postfix *p, const struct import_option *o, const char *what,
			 uint32_t *n)
{
	if (!value_known(p, o))
		return false;
	if (import_number(p->value, n))
		return true;
	import_not_understood(p->i, o, what);
	return false;
}

/* --- the rate of a source --------------------------------------------------------------------- */

/* "60s", "1m", "1": in seconds. Returns whether it is understood; the default is 60s. */
static bool unit_known(struct postfix *p, uint32_t *seconds)
{
	const struct import_option *o = &p->o[RATE_UNIT];
	uint32_t times = 1;
	size_t length;

	*seconds = 60;
	if (!o->value)
		return true;
	if (!value_known(p, o))
		return false;
	length = strlen(p->value);
	switch (length ? p->value[length - 1] : '\0') {
	case 'w':
		times *= 7;
		/* fall through */
	case 'd':
		times *= 24;
		/* fall through */
	case 'h':
		times *= 60;
		/* fall through */
	case 'm':
		times *= 60;
		/* fall through */
	case 's':
		p->value[length - 1] = '\0';
	}
	if (import_number(p->value, seconds) && *seconds && *seconds <= DAY_S / times) {
		*seconds *= times;
		return true;
	}
	import_not_understood(p->i, o, "a time such as 60s or 1h, to a day");
	return false;
}

/*
 * Sources that can owe something at a time, as the check of the config counts them: all that is
 * admitted while the deepest debt of one is paid, at the default of connection-rate.
 */
static uint64_t sources_needed(uint64_t burst, uint32_t n, uint32_t seconds)
{
	uint64_t times = 2 * burst > burst + 10 ? 2 * burst : burst + 10;

	return times * seconds * 100 / n + 1000;
}

static void rate_row(struct import *i, const struct import_option *o, uint32_t n, uint32_t seconds)
{
	uint64_t burst = n, need, table = 131072;
	char setting[64];

	/* The clock of the buckets moves in ticks, of 10 ms at most: the check wants room for two. */
	if (burst < 3 + (uint64_t)n / seconds / 50)
		burst = 3 + (uint64_t)n / seconds / 50;
	if (burst > BURST_MAX)
		burst = BURST_MAX;
	need = sources_needed(burst, n, seconds);
	while (table < need)
		table *= 2;
	if (table > TABLE_MAX) {
		import_not_understood(i, o,
				      "a time to count in that Sluice's table of sources has room "
				      "for, of a few hours");
		return;
	}
	if (seconds == 60)
		snprintf(setting, sizeof(setting), "source-rate = %u/min", n);
	else
		snprintf(setting, sizeof(setting), "source-rate = %u/%us", n, seconds);
	import_add(
		i, IMPORT_LIMITS, IMPORT_SET, o, setting,
		"In each %u s, as anvil_rate_time_unit says. Postfix counts in fixed windows and "
		"counts whom it turned away; here a bucket fills steadily, and only who is let "
		"in is charged.",
		seconds);
	snprintf(setting, sizeof(setting), "source-burst = %u", (uint32_t)burst);
	import_add(i, IMPORT_LIMITS, IMPORT_SET, o, setting, "%s",
		   burst > n ? "The least that the config check takes for this rate."
			     : "As many at once as Postfix lets in within one window.");
	snprintf(setting, sizeof(setting), "source-table = %u", (uint32_t)table);
	if (table > 131072)
		import_add(i, IMPORT_LIMITS, IMPORT_SET, o, setting,
			   "Sources are remembered for as long as their bucket takes to refill.");
}

static void source_rows(struct postfix *p)
{
	const struct import_option *o = &p->o[RATE_LIMIT];
	uint32_t n = 0, seconds;

	if (o->value &&
	    (!number_known(p, o, "a whole number of connections", &n) || !unit_known(p, &seconds)))
		return;
	if (n && n / seconds > RATE_MAX)
		import_not_understood(p->i, o, "at most 1000000 a second");
	else if (n)
		rate_row(p->i, o, n, seconds);
	else
		import_add(p->i, IMPORT_LIMITS, IMPORT_SET, o, "source-rate = off",
			   "Postfix has no such limit when it is 0, its default. Without this line "
			   "one address may open 60 a minute.");
}

/* --- sessions --------------------------------------------------------------------------------- */

static void most_sessions(struct postfix *p, const struct import_option *o, uint32_t n)
{
	import_sessions(p->i, o, "max-sessions", n,
			"With so many smtpd processes in use Postfix lets the next connection wait "
			"without an answer; here it gets a RST, and the sender tries the next MX.");
	if (n)
		import_no_known_share(p->i);
}

/* The smtpd processes: maxproc of master.cf, or default_process_limit where that is "-". */
static void session_rows(struct postfix *p)
{
	const struct import_option *limit = &p->o[PROCESS_LIMIT];
	struct import_option maxproc = {.name = "smtp inet, maxproc", .file = p->master};
	uint32_t n;

	maxproc.line = p->line;
	maxproc.value = (char *)p->most;
	if (p->seen && p->postscreen) {
		import_add(p->i, IMPORT_REMARKS, IMPORT_SAY, &maxproc, NULL,
			   "postscreen answers port 25 and holds connections itself, above the "
			   "number of smtpd processes: set max-sessions by hand.");
	} else if (p->seen && strcmp(p->most, "-")) {
		if (import_number(p->most, &n))
			most_sessions(p, &maxproc, n);
		else
			import_not_understood(p->i, &maxproc, "a number of processes, or -");
	} else if (limit->value) {
		if (number_known(p, limit, "a number of processes", &n))
			most_sessions(p, limit, n);
	} else {
		import_add(p->i, IMPORT_LIMITS, IMPORT_PROPOSE, NULL, "max-sessions = 100",
			   "default_process_limit is not set, and 100 processes are Postfix's "
			   "default. The next connection waits there without an answer; with this "
			   "line it would get a RST.");
	}
	if (!p->seen)
		import_add(p->i, IMPORT_REMARKS, IMPORT_SAY, NULL, NULL,
			   "%s: if maxproc of the line \"smtp inet\" there is not \"-\", it is the "
			   "number for max-sessions, and not default_process_limit.",
			   p->master ? "master.cf has no service on port 25"
				     : "There is no master.cf beside the file");
}

static void per_source_rows(struct postfix *p)
{
	const struct import_option *o = &p->o[COUNT_LIMIT];
	uint32_t n;

	if (!o->value)
		import_add(p->i, IMPORT_LIMITS, IMPORT_PROPOSE, NULL,
			   "max-sessions-per-source = 50",
			   "smtpd_client_connection_count_limit is not set, and 50 is Postfix's "
			   "default.");
	else if (number_known(p, o, "a whole number of connections", &n))
		import_sessions(
			p->i, o, "max-sessions-per-source", n,
			"Postfix answers 421; here the SYN waits for its retransmit, until a "
			"session ends. A known sender may have twice as many.");
}

static void prefix_row(struct postfix *p, enum parameter which, const char *key, uint32_t least,
		       uint32_t most)
{
	const struct import_option *o = &p->o[which];
	char setting[64], what[64];
	uint32_t n;

	snprintf(what, sizeof(what), "a length from %u to %u, as %s takes it", least, most, key);
	if (!o->value || !number_known(p, o, what, &n))
		return;
	snprintf(setting, sizeof(setting), "%s = %u", key, n);
	if (n < least || n > most)
		import_not_understood(p->i, o, what);
	else
		import_add(p->i, IMPORT_LIMITS, IMPORT_SET, o, setting, NULL);
}

/* --- lists of clients ------------------------------------------------------------------------- */

/* A list of prefixes that a file of trusted ones could hold. */
static void list_rows(struct postfix *p, enum parameter which, const char *why)
{
	const struct import_option *o = &p->o[which];
	unsigned int shown = 0;
	char *save = NULL, *word;

	if (!o->value || !value_known(p, o))
		return;
	import_add(p->i, IMPORT_CLASSES, IMPORT_PROPOSE, o, "trusted = /etc/sluice/trusted",
		   "%s Put the prefixes that deserve it into such a file, one a line:", why);
	for (word = strtok_r(p->value, ", \t\n", &save); word;
	     word = strtok_r(NULL, ", \t\n", &save))
		import_list_word(p->i, o, word, &shown);
}

/* ---------------------------------------------------------------------------------------------- */

static void rows(struct postfix *p)
{
	import_add(p->i, IMPORT_LIMITS, IMPORT_PROPOSE, NULL, "connection-rate = 100/s",
		   "Postfix has no limit for all clients together. Sluice always has one; this is "
		   "its default. Set it to what your MTA can carry.");
	session_rows(p);
	per_source_rows(p);
	source_rows(p);
	import_add(
		p->i, IMPORT_LIMITS, IMPORT_SET, NULL, "subnet-rate = off",
		"Postfix does not count by network. Without this line one may open 300 a minute.");
	import_no_session_time(p->i);
	prefix_row(p, PREFIX_V4, "source-prefix-v4", 24, 32);
	prefix_row(p, PREFIX_V6, "source-prefix-v6", 48, 64);
	import_add(
		p->i, IMPORT_LOAD, IMPORT_SET, NULL, "queue-la = 0",
		"Postfix does not look at the load. Without these lines Sluice lets in less from "
		"8 x CPUs on, and refuses from 12 x CPUs on.");
	import_add(p->i, IMPORT_LOAD, IMPORT_SET, NULL, "refuse-la = 0", NULL);
	list_rows(p, NETWORKS, "Clients that may relay.");
	list_rows(p, EXCEPTIONS, "Clients that are free of Postfix's limits.");
	import_no_counterparts(p->i, p->o, OPTIONS);
}

void import_postfix(struct import *i, struct import_text *main_cf, struct import_text *master_cf)
{
	struct postfix *p = calloc(1, sizeof(*p));

	if (!p) {
		i->no_memory = true;
		return;
	}
	p->i = i;
	memcpy(p->o, options, sizeof(options));
	read_main(p, main_cf);
	if (master_cf)
		read_master(p, master_cf);
	rows(p);
	free(p);
}
