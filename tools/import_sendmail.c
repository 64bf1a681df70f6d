// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sendmail.cf, and what its options mean here; import_mc.c reads the .mc that it is made from.
 *
 * readcf.c of sendmail: an option is "O Name=value", in any case of its letters, or "Oxvalue" with
 * one letter. A line that begins with a blank continues the one before it.
 */
#include "import.h"

#include <stdarg.h>
#include <string.h>
#include <strings.h>

#define RATE_MAX    1000000 /* a second: what connection-rate takes */
#define LOAD_MAX    100000
#define DAY_S	    86400U
#define FEATURE_MAX 64

static const struct import_option options[SENDMAIL_OPTIONS] = {
	[SENDMAIL_RATE] = {.name = "ConnectionRateThrottle"},
	[SENDMAIL_DELAY_LA] = {.name = "DelayLA"},
	[SENDMAIL_QUEUE_LA] = {.name = "QueueLA"},
	[SENDMAIL_REFUSE_LA] = {.name = "RefuseLA"},
	[SENDMAIL_CHILDREN] = {.name = "MaxDaemonChildren"},
	[SENDMAIL_REJECT_LOG] = {.name = "RejectLogInterval"},
	[SENDMAIL_WINDOW] =
		{.name = "ConnectionRateWindowSize",
		 .none = "It is the window in which FEATURE(ratecontrol) counts the connections of "
			 "a client. Sluice's buckets have no window: source-rate is a steady rate, "
			 "with source-burst on top."},
	[SENDMAIL_BAD_RCPT] = {.name = "BadRcptThrottle",
			       .none = "It slows a session that is open already: this stays in "
				       "sendmail, and works behind Sluice."},
};

static const struct {
	const char *name, *ruleset, *why;
} features[] = {
	{"ratecontrol", "RateControl",
	 "It limits the connections of each client in a window, by ClientRate: in the access map, "
	 "which is not read. The nearest is source-rate: set it by hand."},
	{"conncontrol", "ConnControl",
	 "It limits the open connections of each client, by ClientConn: in the access map, which is "
	 "not read. The nearest is max-sessions-per-source: set it by hand."},
	{"greet_pause", "greet_pause",
	 "It waits before the banner of a connection that is open already: this stays in sendmail, "
	 "and works behind Sluice."},
};

void sendmail_options(struct import_option o[SENDMAIL_OPTIONS])
{
	memcpy(o, options, sizeof(options));
}

bool sendmail_feature(struct import *i, const struct import_text *t, unsigned int line,
		      const char *name, const char *shown)
{
	for (size_t n = 0; n < sizeof(features) / sizeof(features[0]); n++) {
		if (strcmp(features[n].name, name) && strcmp(features[n].ruleset, name))
			continue;
		import_remark(i, t, line, shown, "%s", features[n].why);
		return true;
	}
	return false;
}

/* The value of a key of "Name=MTA, Port=smtp, children=40", by its first letter as daemon.c. */
static bool listener_has(const char *value, const char *letters, const char **of)
{
	for (; *value; value += *value == ',') {
		value += strspn(value, " \t");
		if (strchr(letters, *value)) {
			*of = value + strcspn(value, "=,");
			*of += **of == '=';
			*of += strspn(*of, " \t");
			return true;
		}
		value += strcspn(value, ",");
	}
	return false;
}

static bool is_smtp(const char *port)
{
	size_t length = strcspn(port, " \t,");

	return (length == 4 && !strncasecmp(port, "smtp", 4)) ||
	       (length == 2 && !strncmp(port, "25", 2));
}

void sendmail_listener(struct import *i, const struct import_text *t, unsigned int line,
		       const char *value)
{
	const char *of;

	if (listener_has(value, "cdqr", &of))
		import_remark(
			i, t, line, value,
			"Its children, delayLA, queueLA and refuseLA are of this listener "
			"alone. Sluice's are of all guarded ports together: set them by hand.");
	if (listener_has(value, "Pp", &of) && !is_smtp(of))
		import_remark(i, t, line, value,
			      "Sluice guards port 25 and leaves this one alone. A line port = in "
			      "[gate] for each port would guard both.");
}

void sendmail_option_line(struct import *i, struct import_option o[SENDMAIL_OPTIONS],
			  const struct import_text *t, unsigned int line, char *text)
{
	char *name = import_trim(text + 1), *value = strchr(name, '=');
	size_t length;

	if (value)
		*value++ = '\0';
	else
		value = name + strlen(name);
	name = import_trim(name);
	value = import_trim(value);
	length = strlen(name);
	if (!strcasecmp(name, "DaemonPortOptions"))
		sendmail_listener(i, t, line, value);
	for (size_t n = 0; length && n < SENDMAIL_OPTIONS; n++) {
		if (!strcasecmp(o[n].name, name))
			import_take(&o[n], t, line, value);
		else if (!strncasecmp(o[n].name, name, length))
			import_remark(
				i, t, line, name,
				"Not understood: an abbreviation, which may mean %s. Write the "
				"name in full.",
				o[n].name);
	}
}

/* --- what they mean --------------------------------------------------------------------------- */

static void rate_rows(struct import *i, const struct import_option *o)
{
	char setting[64];
	uint32_t n = 0;

	if (o->value && (!import_number(o->value, &n) || n > RATE_MAX)) {
		import_not_understood(i, o, "a whole number of connections a second, to 1000000");
	} else if (n) {
		snprintf(setting, sizeof(setting), "connection-rate = %u/s", n);
		import_add(i, IMPORT_LIMITS, IMPORT_SET, o, setting, NULL);
		snprintf(setting, sizeof(setting), "connection-burst = %u", n + 2);
		import_add(i, IMPORT_LIMITS, IMPORT_SET, o, setting,
			   "So many sendmail lets in before it waits a second: two more than the "
			   "throttle says.");
		return;
	}
	import_add(i, IMPORT_LIMITS, IMPORT_PROPOSE, n || !o->value ? NULL : o,
		   "connection-rate = 100/s",
		   "sendmail has no limit without a ConnectionRateThrottle above 0. Sluice always "
		   "has one; this is its default. Set it to what your MTA can carry.");
}

static void child_rows(struct import *i, const struct import_option *o)
{
	uint32_t n;

	if (!o->value)
		return;
	if (!import_number(o->value, &n)) {
		import_not_understood(i, o, "a whole number of processes");
		return;
	}
	import_sessions(i, o, "max-sessions", n,
			"sendmail counts its queue runners among its children; sessions are "
			"connections to the guarded ports and nothing else.");
	if (n)
		import_no_known_share(i);
}

static void source_rows(struct import *i)
{
	import_add(
		i, IMPORT_LIMITS, IMPORT_SET, NULL, "source-rate = off",
		"sendmail's throttle is for all together. Without this line one address may open "
		"60 a minute, and without the next one its network 300.");
	import_add(i, IMPORT_LIMITS, IMPORT_SET, NULL, "subnet-rate = off", NULL);
	import_no_session_time(i);
}

/* A load of sendmail is a whole number. Returns whether it is understood. */
static bool la_row(struct import *i, const struct import_option *o, const char *key,
		   const char *why)
{
	char setting[64];
	uint32_t n;

	if (!import_number(o->value, &n) || n > LOAD_MAX) {
		import_not_understood(i, o, "a load, as a whole number to 100000");
		return false;
	}
	snprintf(setting, sizeof(setting), "%s = %u", key, n);
	import_add(i, IMPORT_LOAD, IMPORT_SET, o, setting, "%s", why);
	return true;
}

static void delay_rows(struct import *i, const struct import_option *o)
{
	if (o->value)
		la_row(i, o, "delay-la",
		       "sendmail waits a second at each connection and each command; here a sender "
		       "that is not known waits for one retransmit of its SYN, about a second.");
	else
		import_add(i, IMPORT_LOAD, IMPORT_SAY, NULL, NULL,
			   "DelayLA is not set: off, there as here.");
}

/* What was set to 0 is set to something for sendmail: it then queues by priority at any load. */
static void queue_rows(struct import *i, const struct import_option *o)
{
	uint32_t n;

	if (!o->value)
		import_add(i, IMPORT_LOAD, IMPORT_SAY, NULL, NULL,
			   "QueueLA is not set: 8 x CPUs, there as here.");
	else if (import_number(o->value, &n) && !n)
		import_not_understood(i, o,
				      "a load above 0 (0 is not off in sendmail: it queues what "
				      "has a low priority at any load; queue-la = 0 is off)");
	else
		la_row(i, o, "queue-la",
		       "sendmail queues by priority and lets in as many as before. Here the rate "
		       "is queue-rate meanwhile, half of connection-rate, and the file "
		       "/run/sluice/NAME/queue is there.");
}

static void refuse_rows(struct import *i, const struct import_option *o)
{
	if (o->value)
		la_row(i, o, "refuse-la",
		       "sendmail refuses as long as the load is so high; here refusing ends after "
		       "refuse-max, 10 minutes, and queue takes over for a while.");
	else
		import_add(i, IMPORT_LOAD, IMPORT_SAY, NULL, NULL,
			   "RefuseLA is not set: 12 x CPUs, there as here.");
}

/* "3h", "1h30m" into seconds; a bare number is of a unit that the file does not show. */
static bool seconds_of(const char *text, uint32_t *seconds)
{
	uint64_t all = 0, n;

	do {
		size_t digits = strspn(text, "0123456789");
		const char *unit = "smhdw";

		if (!digits || digits > 6 || !text[digits] || !strchr(unit, text[digits]))
			return false;
		for (n = 0; digits; digits--)
			n = n * 10 + (uint64_t)(*text++ - '0');
		n *= *text == 's'   ? 1
		     : *text == 'm' ? 60
		     : *text == 'h' ? 3600
		     : *text == 'd' ? DAY_S
				    : 7 * DAY_S;
		all += n;
		if (all > 52 * 7 * DAY_S)
			return false;
		text++;
	} while (*text);
	*seconds = (uint32_t)all;
	return true;
}

static void log_rows(struct import *i, const struct import_option *o)
{
	char setting[64];
	uint32_t s;

	if (!o->value)
		return;
	if (!seconds_of(o->value, &s) || !s || s > DAY_S) {
		import_not_understood(i, o, "a time with its unit, such as 3h, from 1s to 24h");
		return;
	}
	snprintf(setting, sizeof(setting), "reject-log-interval = %us", s);
	import_add(i, IMPORT_LOAD, IMPORT_SET, o, setting, NULL);
}

void sendmail_rows(struct import *i, const struct import_option o[SENDMAIL_OPTIONS])
{
	rate_rows(i, &o[SENDMAIL_RATE]);
	child_rows(i, &o[SENDMAIL_CHILDREN]);
	source_rows(i);
	delay_rows(i, &o[SENDMAIL_DELAY_LA]);
	queue_rows(i, &o[SENDMAIL_QUEUE_LA]);
	refuse_rows(i, &o[SENDMAIL_REFUSE_LA]);
	import_add(
		i, IMPORT_LOAD, IMPORT_SET, NULL, "compat = sendmail",
		"The load is compared as sendmail does: rounded, and left as soon as it is below "
		"(hold, 15 s, is what sendmail waits too).");
	log_rows(i, &o[SENDMAIL_REJECT_LOG]);
	import_no_counterparts(i, o, SENDMAIL_OPTIONS);
}

/* --- sendmail.cf ------------------------------------------------------------------------------ */

/* A line with those that continue it, joined in place. */
static char *next_line(struct import_text *t, unsigned int *number)
{
	char *line = import_line(t, number), *more;
	unsigned int ignored;

	while (line && (import_peek(t) == ' ' || import_peek(t) == '\t')) {
		more = import_line(t, &ignored);
		more[-1] = '\n';
	}
	return line;
}

static void take_line(struct import *i, struct import_option o[SENDMAIL_OPTIONS],
		      const struct import_text *t, unsigned int line, char *text)
{
	char name[FEATURE_MAX];

	if (text[0] == 'O' && text[1] == ' ') {
		sendmail_option_line(i, o, t, line, text);
	} else if (text[0] == 'O' && text[1] == 'x') {
		import_take(&o[SENDMAIL_QUEUE_LA], t, line, import_trim(text + 2));
	} else if (text[0] == 'O' && text[1] == 'X') {
		import_take(&o[SENDMAIL_REFUSE_LA], t, line, import_trim(text + 2));
	} else if (text[0] == 'S') {
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(text + 1, " \t\n="), text + 1);
		sendmail_feature(i, t, line, name, text);
	}
}

void import_sendmail_cf(struct import *i, struct import_text *t)
{
	struct import_option o[SENDMAIL_OPTIONS];
	unsigned int line;
	char *text;

	sendmail_options(o);
	while ((text = next_line(t, &line)))
		take_line(i, o, t, line, text);
	sendmail_rows(i, o);
}
