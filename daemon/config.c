// SPDX-License-Identifier: GPL-2.0-or-later
#include "config_rows.h"

#include <errno.h>
#include <string.h>

#include "config_values.h"

#define TO_THE_PATH   "an absolute path of at most 180 characters without blanks"
#define RATE_TEXT     "a rate such as 15/s, 300/min, 6/10s or 1/h, from 1/d to 1000000/s"
#define BURST_TEXT    "a whole number from 1 to 10000000"
#define EXTRA_TEXT    "a whole number from 0 to 10000000"
#define TABLE_TEXT    "a whole number from 1024 to 16777216"
#define SESSIONS_TEXT "a whole number from 1 to 65536, or 0 for off"
#define LOAD_TEXT     "a load such as 8 or 12.5, up to 100000, or 0 for off"
#define V4_TEXT	      "a whole number from 8 to 32"
#define V6_TEXT	      "a whole number from 16 to 64"
#define FILE_TEXT     TO_THE_PATH ", or nothing for none"

#define BURST_MAX    10000000
#define TABLE_MIN    1024
#define TABLE_MAX    16777216
#define BUDGET_MAX   100000
#define SESSIONS_MAX 65536 /* as many as the table of sessions holds */
#define SECONDS(n)   ((n)*NSEC_PER_SEC)
#define HOURS(n)     SECONDS(3600 * (n))
#define DAYS(n)	     HOURS(24 * (n))

/* In the order of the enumerations. */
static const char *const mode_words[] = {"off", "monitor", "enforce", NULL};
static const char *const xdp_words[] = {"auto", "native", "generic", NULL};
static const char *const compat_words[] = {"none", "sendmail", NULL};

#define AT(member) .offset = offsetof(struct config, member)
#define LIST(counter, member, most)                                                       \
	AT(member), .count_offset = offsetof(struct config, counter), .capacity = (most), \
		    .size = sizeof(((struct config *)0)->member[0])
#define CLASS_FILES(class)                         \
	.type = ROW_PATH, .flags = ROW_MAY_BE_NIL, \
	LIST(class_files[class], class_file[class], MAX_CLASS_FILES)

#define KEY(section, name, fallback, expects, help) .key = {section, name, fallback, expects, help}

/* The order is that of the documents. Bounds stand twice, as numbers and in words for the errors. */
static const struct row rows[] = {
	{KEY("gate", "interface", "", "an interface name such as eth0, 1 to 15 characters",
	     "An interface that mail arrives on; at least one is needed."),
	 .type = ROW_INTERFACE, LIST(interfaces, interface, MAX_INTERFACES)},
	{KEY("gate", "port", "25", "a port from 1 to 65535", "A TCP port that is guarded."),
	 .type = ROW_PORT, .min = 1, .max = 65535, LIST(ports, port_host, MAX_PORTS)},
	{KEY("gate", "address", "", "an IPv4 or IPv6 address, or nothing for any",
	     "An address of this machine that is guarded; without one, all are."),
	 .type = ROW_ADDRESS, .flags = ROW_MAY_BE_NIL, LIST(addresses, address, MAX_ADDRESSES)},
	{KEY("gate", "mode", "monitor", "monitor, enforce or off",
	     "monitor judges and counts but lets all pass, enforce acts, off does not even judge."),
	 .type = ROW_CHOICE, .words = mode_words, AT(mode)},
	{KEY("gate", "xdp-mode", "auto", "auto, native or generic",
	     "Where the filter runs: in the driver (native), behind it (generic), or as it can."),
	 .type = ROW_CHOICE, .words = xdp_words, AT(xdp_mode)},

	{KEY("limits", "connection-rate", "100/s", RATE_TEXT,
	     "New connections that all sources together may open; never unlimited."),
	 .type = ROW_RATE, AT(connection_rate)},
	{KEY("limits", "connection-burst", "200", BURST_TEXT,
	     "So many may come at once after a quiet time."),
	 .type = ROW_COUNT, .min = 1, .max = BURST_MAX, AT(connection_burst)},
	{KEY("limits", "retry-burst", "100", EXTRA_TEXT,
	     "Room on top of the burst for those who were deferred and came back."),
	 .type = ROW_COUNT, .max = BURST_MAX, AT(retry_burst)},
	{KEY("limits", "known-burst", "200", EXTRA_TEXT, "Room on top of both for known senders."),
	 .type = ROW_COUNT, .max = BURST_MAX, AT(known_burst)},
	{KEY("limits", "trusted-rate", "10 x connection-rate", RATE_TEXT,
	     "What all trusted sources together may open past every gate."),
	 .type = ROW_RATE, .flags = ROW_DERIVED, AT(trusted_rate)},
	{KEY("limits", "trusted-burst", "2 s of trusted-rate", BURST_TEXT,
	     "So many of them may come at once."),
	 .type = ROW_COUNT, .flags = ROW_DERIVED, .min = 1, .max = BURST_MAX, AT(trusted_burst)},
	{KEY("limits", "source-rate", "60/min", RATE_TEXT ", or off",
	     "What one source (source-prefix-v4, source-prefix-v6) may open."),
	 .type = ROW_RATE, .flags = ROW_MAY_BE_OFF, AT(source_rate)},
	{KEY("limits", "source-burst", "20", BURST_TEXT, "So many of one source at once."),
	 .type = ROW_COUNT, .min = 1, .max = BURST_MAX, AT(source_burst)},
	{KEY("limits", "subnet-rate", "300/min", RATE_TEXT ", or off",
	     "What one subnet (subnet-prefix-v4, subnet-prefix-v6) may open."),
	 .type = ROW_RATE, .flags = ROW_MAY_BE_OFF, AT(subnet_rate)},
	{KEY("limits", "subnet-burst", "100", BURST_TEXT, "So many of one subnet at once."),
	 .type = ROW_COUNT, .min = 1, .max = BURST_MAX, AT(subnet_burst)},
	{KEY("limits", "pace-horizon", "800ms",
	     "a duration such as 800ms, up to 10s, as clients do not wait for ever, or 0 for off",
	     "How long a new connection may be held in the kernel; 0 is not at all."),
	 .type = ROW_DURATION, .flags = ROW_BARE_ZERO, .max = SECONDS(10), AT(pace_horizon_ns)},
	{KEY("limits", "refuse-rate", "10000/s", RATE_TEXT,
	     "RSTs that may be sent; a refusal beyond it is a silent deferral."),
	 .type = ROW_RATE, AT(refuse_rate)},
	{KEY("limits", "defer-budget", "4000/s",
	     "a rate of whole numbers a second, such as 4000/s, from 1/s to 100000/s",
	     "Deferred attempts that are remembered, so that their retransmits count as such."),
	 .type = ROW_PER_SECOND, .min = 1, .max = BUDGET_MAX, AT(defer_budget_per_s)},
	{KEY("limits", "max-sessions", "0", SESSIONS_TEXT,
	     "Live sessions at which new connections get a RST; a little below what the MTA has."),
	 .type = ROW_COUNT, .max = SESSIONS_MAX, AT(max_sessions)},
	{KEY("limits", "known-share", "20", "a whole number of percent from 0 to 90",
	     "Percent of max-sessions that unknown senders cannot take."),
	 .type = ROW_COUNT, .max = 90, AT(known_share_percent)},
	{KEY("limits", "max-sessions-per-source", "0", SESSIONS_TEXT,
	     "Live sessions of one source; known senders may have twice as many."),
	 .type = ROW_COUNT, .max = SESSIONS_MAX, AT(max_sessions_per_source)},
	{KEY("limits", "source-session-time", "60s",
	     "a duration such as 60s, from 1s to 1h, or 0 for off",
	     "Session time that an unknown source may use a minute; twice that at once."),
	 .type = ROW_DURATION, .flags = ROW_BARE_ZERO, .max = HOURS(1), AT(source_session_time_ns)},
	{KEY("limits", "source-prefix-v4", "32", V4_TEXT,
	     "Bits of an IPv4 address that make a source."),
	 .type = ROW_COUNT, .min = 8, .max = 32, AT(source_prefix_v4)},
	{KEY("limits", "source-prefix-v6", "64", V6_TEXT,
	     "Bits of an IPv6 address that make a source."),
	 .type = ROW_COUNT, .min = 16, .max = 64, AT(source_prefix_v6)},
	{KEY("limits", "subnet-prefix-v4", "24", V4_TEXT,
	     "Bits of an IPv4 address that make a subnet."),
	 .type = ROW_COUNT, .min = 8, .max = 32, AT(subnet_prefix_v4)},
	{KEY("limits", "subnet-prefix-v6", "48", V6_TEXT,
	     "Bits of an IPv6 address that make a subnet."),
	 .type = ROW_COUNT, .min = 16, .max = 64, AT(subnet_prefix_v6)},
	{KEY("limits", "source-table", "131072", TABLE_TEXT,
	     "Sources that can be remembered at a time."),
	 .type = ROW_COUNT, .min = TABLE_MIN, .max = TABLE_MAX, AT(source_table)},
	{KEY("limits", "subnet-table", "131072", TABLE_TEXT,
	     "Subnets that can be remembered at a time."),
	 .type = ROW_COUNT, .min = TABLE_MIN, .max = TABLE_MAX, AT(subnet_table)},

	{KEY("load", "delay-la", "0", LOAD_TEXT,
	     "At this load a first-time sender waits for one SYN retransmit, about a second."),
	 .type = ROW_HUNDREDTHS, .max = LOAD_MAX * 100, AT(delay_la_centi)},
	{KEY("load", "queue-la", "8 x CPUs", LOAD_TEXT,
	     "At this load connections are admitted at queue-rate."),
	 .type = ROW_HUNDREDTHS, .flags = ROW_DERIVED, .max = LOAD_MAX * 100, AT(queue_la_centi)},
	{KEY("load", "queue-rate", "half of connection-rate", RATE_TEXT,
	     "Instead of connection-rate while the queue tier is active."),
	 .type = ROW_RATE, .flags = ROW_DERIVED, AT(queue_rate)},
	{KEY("load", "refuse-la", "12 x CPUs", LOAD_TEXT,
	     "At this load new connections get a RST, so that the sender tries the next MX."),
	 .type = ROW_HUNDREDTHS, .flags = ROW_DERIVED, .max = LOAD_MAX * 100, AT(refuse_la_centi)},
	{KEY("load", "hold", "15s", "a duration such as 15s, from 0s to 1h",
	     "A tier that was entered stays for so long at least."),
	 .type = ROW_DURATION, .max = HOURS(1), AT(hold_ns)},
	{KEY("load", "leave-ratio", "0.8", "a number from 0.1 to 1.0, with at most two decimals",
	     "A tier is left when the load is below its threshold times this."),
	 .type = ROW_HUNDREDTHS, .min = 10, .max = 100, AT(leave_ratio_percent)},
	{KEY("load", "refuse-max", "10m", "a duration such as 10m, from 1s to 24h",
	     "After refusing for so long queue takes over for a minute at least."),
	 .type = ROW_DURATION, .min = SECONDS(1), .max = HOURS(24), AT(refuse_max_ns)},
	{KEY("load", "reject-log-interval", "60s", "a duration such as 60s, from 1s to 24h",
	     "While a tier lasts the log repeats it this often."),
	 .type = ROW_DURATION, .min = SECONDS(1), .max = HOURS(24), AT(reject_log_interval_ns)},
	{KEY("load", "compat", "none", "none or sendmail",
	     "sendmail compares the load rounded to a whole number, and without leave-ratio."),
	 .type = ROW_CHOICE, .words = compat_words, AT(compat)},
	{KEY("load", "loadavg-file", "/proc/loadavg", TO_THE_PATH, "Where the load is read from."),
	 .type = ROW_PATH, AT(loadavg_file)},
	{KEY("load", "lease", "30s", "a duration such as 30s, from 5s to 1h",
	     "When the daemon is silent for so long its load tiers lapse; the limits stay."),
	 .type = ROW_DURATION, .min = SECONDS(5), .max = HOURS(1), AT(lease_ns)},

	{KEY("classes", "trusted", "", FILE_TEXT,
	     "A file of prefixes, one a line, that pass every gate within trusted-rate."),
	 CLASS_FILES(CLASS_TRUSTED)},
	{KEY("classes", "known", "", FILE_TEXT,
	     "A file of prefixes that always find room, but are refused under load."),
	 CLASS_FILES(CLASS_KNOWN)},
	{KEY("classes", "throttled", "", FILE_TEXT,
	     "A file of prefixes whose every connection counts ten times in their own limit."),
	 CLASS_FILES(CLASS_THROTTLED)},
	{KEY("classes", "blocked", "", FILE_TEXT, "A file of prefixes that always get a RST."),
	 CLASS_FILES(CLASS_BLOCKED)},

	{KEY("known", "file", "/var/lib/sluice/INSTANCE/known", FILE_TEXT,
	     "Where known senders are kept from one start to the next; nothing: they are not."),
	 .type = ROW_PATH, .flags = ROW_MAY_BE_NIL | ROW_DERIVED, AT(known_file)},
	{KEY("known", "known-days", "2", "a whole number from 1 to 30",
	     "On so many days, 20 h apart, a sender must have behaved to become known."),
	 .type = ROW_COUNT, .min = 1, .max = 30, AT(known_days)},
	{KEY("known", "known-bytes", "4096", "a whole number from 1 to 1000000000",
	     "A session counts if so many bytes came in and it ended in order."),
	 .type = ROW_COUNT, .min = 1, .max = 1000000000, AT(known_bytes)},
	{KEY("known", "known-for", "60d", "a duration such as 60d, from 1d to 366d",
	     "After its last good session a sender stays known for so long."),
	 .type = ROW_DURATION, .min = DAYS(1), .max = DAYS(366), AT(known_for_ns)},

	{KEY("metrics", "textfile", "", FILE_TEXT,
	     "The Prometheus text file that is written, with .prom at its end as a rule."),
	 .type = ROW_PATH, .flags = ROW_MAY_BE_NIL, AT(textfile)},
	{KEY("metrics", "interval", "10s", "a duration such as 10s, from 1s to 1h",
	     "How often it is written."),
	 .type = ROW_DURATION, .min = SECONDS(1), .max = HOURS(1), AT(metrics_interval_ns)},
};

_Static_assert(sizeof(rows) / sizeof(rows[0]) == ROWS, "ROWS is the length of the table");
_Static_assert(MAX_INTERFACES <= VALUES_MAX && MAX_PORTS <= VALUES_MAX &&
		       MAX_ADDRESSES <= VALUES_MAX && MAX_CLASS_FILES <= VALUES_MAX,
	       "every value of a key has a place");

const struct row *row_at(size_t index)
{
	return index < ROWS ? &rows[index] : NULL;
}

size_t row_index(const struct row *row)
{
	return row - rows;
}

const struct row *row_find(const char *section, const char *name)
{
	for (size_t i = 0; i < ROWS; i++)
		if ((!section || !strcmp(rows[i].key.section, section)) &&
		    !strcmp(rows[i].key.name, name))
			return &rows[i];
	return NULL;
}

const struct row *row_by_offset(size_t offset)
{
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].offset == offset)
			return &rows[i];
	return NULL;
}

uint32_t *row_count(const struct row *row, struct config *c)
{
	return (uint32_t *)((char *)c + row->count_offset);
}

void *row_value(const struct row *row, struct config *c, uint32_t n)
{
	return (char *)c + row->offset + n * row->size;
}

static const char *parse_per_second(const struct row *row, const char *text, uint32_t *v)
{
	struct rate r;
	const char *what = value_rate(text, &r);

	if (what)
		return what;
	if (r.count * NSEC_PER_SEC % r.period_ns)
		return "it is no whole number a second";
	r.count = r.count * NSEC_PER_SEC / r.period_ns;
	if (r.count < row->min || r.count > row->max)
		return "it is out of range";
	*v = r.count;
	return NULL;
}

static const char *parse_choice(const struct row *row, const char *text, uint32_t *v)
{
	for (*v = 0; row->words[*v]; ++*v)
		if (!strcmp(row->words[*v], text))
			return NULL;
	return "there is no such choice";
}

static const char *parse_address(const char *text, union addr *a)
{
	static const union addr any_v4 = {.word = {0, 0, V4_MAPPED_WORD, 0}}, any_v6;
	enum family family;
	const char *what = value_address(text, a, &family);

	if (!what && (!memcmp(a, &any_v4, sizeof(*a)) || !memcmp(a, &any_v6, sizeof(*a))))
		return "no packet is sent to it";
	return what;
}

static const char *parse_port(const struct row *row, const char *text, uint16_t *port)
{
	uint32_t v;
	const char *what = value_count(text, row->min, row->max, &v);

	if (!what)
		*port = v;
	return what;
}

const char *row_parse(const struct row *row, const char *text, void *value)
{
	if (!*text && row->flags & ROW_MAY_BE_NIL)
		return NULL;
	if (!*text)
		return "there is no value";
	switch (row->type) {
	case ROW_COUNT:
		return value_count(text, row->min, row->max, value);
	case ROW_RATE:
		return value_rate(text, value);
	case ROW_PER_SECOND:
		return parse_per_second(row, text, value);
	case ROW_DURATION:
		if (row->flags & ROW_BARE_ZERO && !strcmp(text, "0"))
			return NULL;
		return value_duration(text, row->min, row->max, value);
	case ROW_HUNDREDTHS:
		return value_hundredths(text, row->min, row->max, value);
	case ROW_CHOICE:
		return parse_choice(row, text, value);
	case ROW_PATH:
		return value_path(text, value);
	case ROW_INTERFACE:
		return value_interface(text, value);
	case ROW_PORT:
		return parse_port(row, text, value);
	case ROW_ADDRESS:
		return parse_address(text, value);
	}
	return NULL;
}

static int format_value(const struct row *row, const void *value, char *text, size_t size)
{
	uint64_t ns;
	uint32_t v;

	switch (row->type) {
	case ROW_RATE:
		return format_rate(value, text, size);
	case ROW_DURATION:
		memcpy(&ns, value, sizeof(ns));
		if (!ns && row->flags & ROW_BARE_ZERO)
			return snprintf(text, size, "0");
		return format_duration(ns, text, size);
	case ROW_PATH:
	case ROW_INTERFACE:
		return snprintf(text, size, "%s", (const char *)value);
	case ROW_PORT:
		return snprintf(text, size, "%u", *(const uint16_t *)value);
	case ROW_ADDRESS:
		return format_address(value, text, size);
	default:
		break;
	}
	memcpy(&v, value, sizeof(v));
	if (row->type == ROW_PER_SECOND)
		return snprintf(text, size, "%u/s", v);
	if (row->type == ROW_HUNDREDTHS)
		return format_hundredths(v, text, size);
	if (row->type == ROW_CHOICE)
		return snprintf(text, size, "%s", row->words[v]);
	return snprintf(text, size, "%u", v);
}

const struct config_key *config_key_at(size_t index)
{
	return index < ROWS ? &rows[index].key : NULL;
}

int config_format(const struct config *c, size_t index, char *text, size_t size)
{
	const struct row *row = row_at(index);
	struct config *values = (struct config *)c; /* only looked at */
	uint32_t n = row && row->capacity ? *row_count(row, values) : 1;
	size_t length = 0;

	if (!row)
		return -ENOENT;
	if (size)
		*text = '\0';
	for (uint32_t i = 0; i < n; i++) {
		if (i && length < size)
			length += snprintf(text + length, size - length, " ");
		if (length < size)
			length += format_value(row, row_value(row, values, i), text + length,
					       size - length);
	}
	return length < size ? 0 : -ENOSPC;
}
