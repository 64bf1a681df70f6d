/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config.h - what the operator wrote, read and checked whole before anything is touched.
 *
 * Every key, its default, its bounds and its sentence stand in one table (config.c); the man page,
 * the check and the command line are held to it.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice.h"

#ifndef SYSCONFDIR /* the Makefile says it */
#define SYSCONFDIR "/etc"
#endif
#define CONFIG_DEFAULT_FILE SYSCONFDIR "/sluice/sluice.conf"
#define CONFIG_PATH_MAX	    256
#define MAX_PORTS	    16
#define MAX_CLASS_FILES	    16 /* for each class */

/* count in period_ns; a count of 0 is "off" (not allowed for connection-rate). */
struct rate {
	uint64_t count;
	uint64_t period_ns;
};

enum xdp_mode { XDP_AUTO, XDP_NATIVE, XDP_GENERIC };
enum compat { COMPAT_NONE, COMPAT_SENDMAIL };

struct config {
	uint64_t given; /* bit n: the key of row n was written somewhere, it is not a default */

	/* [gate] */
	uint32_t interfaces;
	char interface[MAX_INTERFACES][IFNAMSIZ];
	uint32_t ports;
	uint16_t port_host[MAX_PORTS];
	uint32_t addresses; /* 0: any */
	union addr address[MAX_ADDRESSES];
	uint32_t mode;	   /* enum mode */
	uint32_t xdp_mode; /* enum xdp_mode */

	/* [limits] */
	struct rate connection_rate, trusted_rate, source_rate, subnet_rate, refuse_rate;
	uint32_t connection_burst, retry_burst, known_burst, trusted_burst;
	uint32_t source_burst, subnet_burst;
	uint64_t pace_horizon_ns; /* 0: HOLD is not built yet, and nothing else is accepted */
	uint32_t defer_budget_per_s;
	uint32_t max_sessions;		  /* 0: off */
	uint32_t known_share_percent;	  /* of max_sessions: not for unknown senders */
	uint32_t max_sessions_per_source; /* 0: off */
	uint64_t source_session_time_ns;  /* of slot time a minute; 0: off */
	uint32_t source_prefix_v4, source_prefix_v6, subnet_prefix_v4, subnet_prefix_v6;
	uint32_t source_table, subnet_table; /* entries */

	/* [load]; loads in hundredths, 0 is off */
	uint32_t delay_la_centi, queue_la_centi, refuse_la_centi;
	struct rate queue_rate;
	uint64_t hold_ns, refuse_max_ns, reject_log_interval_ns, lease_ns;
	uint32_t leave_ratio_percent;
	uint32_t compat; /* enum compat */
	char loadavg_file[CONFIG_PATH_MAX];

	/* [classes]; by enum class, CLASS_UNKNOWN stays empty */
	uint32_t class_files[CLASSES];
	char class_file[CLASSES][MAX_CLASS_FILES][CONFIG_PATH_MAX];

	/* [known] */
	char known_file[CONFIG_PATH_MAX]; /* empty: none is kept */
	uint32_t known_days, known_bytes;
	uint64_t known_for_ns;

	/* [metrics] */
	char textfile[CONFIG_PATH_MAX]; /* empty: none is written */
	uint64_t metrics_interval_ns;
};

/* One sentence for the operator: where, what, and what was expected. */
struct config_error {
	char text[1024];
};

/* What the check may not ask the machine by itself, so that it stays pure. */
struct config_facts {
	uint32_t cpus;	  /* of the machine: defaults of queue-la and refuse-la */
	uint64_t tick_ns; /* of CLOCK_MONOTONIC_COARSE: the smallest step of the buckets' clock */
	const char *instance; /* names the default of [known] file; NULL: default */
};

/*
 * Reads FILE and, where it has a directory conf.d beside it, conf.d/\*.conf in the order of their
 * names; then overrides of the form section.key=value; then defaults; then checks everything
 * together. A later value of a key wins; those of a repeatable key add up, but its first override
 * replaces what the files have listed. file may be NULL: only overrides and defaults. Returns 0
 * with *c filled, or -EINVAL (or what opening the file gave) with *err filled and *c undefined.
 */
int config_load(const char *file, const char *const *overrides, size_t override_count,
		const struct config_facts *facts, struct config *c, struct config_error *err);

/* One row of the table, for help and for the tests that hold the documents to it. */
struct config_key {
	const char *section;
	const char *name;
	const char *fallback; /* the default as an operator would write it, or how it is made */
	const char *expects;  /* of a value: for the errors */
	const char *help;
};

/* The rows in order; NULL behind the last. Static storage. */
const struct config_key *config_key_at(size_t index);

/*
 * Writes the value in force of a row as the config file would have it; several values of a
 * repeatable key with blanks between them, as one line or override takes them. Returns 0, -ENOENT
 * behind the last row, or -ENOSPC when text is too small.
 */
int config_format(const struct config *c, size_t index, char *text, size_t size);

/*
 * The config that c becomes with some more overrides on top: what was written in it stays, and
 * what hangs on a changed value is made anew. The files are not read again. Returns as
 * config_load() does.
 */
int config_with(const struct config *c, const char *const *overrides, size_t override_count,
		const struct config_facts *facts, struct config *out, struct config_error *err);

/*
 * Finds the row of "section.key", or of "key" where only one section has it. Returns its index,
 * or -EINVAL with a sentence.
 */
int config_find(const char *name, struct config_error *err);

#endif
