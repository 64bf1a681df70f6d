/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * settings.h - keys that were set by hand, over the config as it was read.
 *
 * A setting holds until the next start, or until its end. Those that have an end are kept in
 * /run/sluice/<instance>/settings, so that it comes also when the daemon is started again
 * meanwhile; their end is of CLOCK_BOOTTIME, which no clock that is set can move. Of one key those
 * with an end win over those without, which are in force again after them.
 *
 * All the main thread's.
 */
#ifndef SETTINGS_H
#define SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "control.h"

struct setting {
	char *text;		/* "section.key=value", owned by the set */
	uint64_t until_boot_ns; /* NEVER_NS: the next start */
};

struct settings {
	struct setting one[CONTROL_SETTINGS];
	size_t count;
	struct config base; /* as read from file and command line: what they stand over */
};

/* CLOCK_BOOTTIME. */
uint64_t settings_now_ns(void);

/* Do two "section.key=value" name the same key? */
bool settings_same_key(const char *a, const char *b);

/* The config of base and the settings over it. Returns as config_with() does. */
int settings_over(const struct settings *s, const struct config *base,
		  const struct config_facts *facts, struct config *c, struct config_error *err);

/* Is a key ("section.key=") set by hand? Then *until_boot_ns is the end of what is in force. */
bool settings_find(const struct settings *s, const char *key, uint64_t *until_boot_ns);

/* The first end of all; NEVER_NS: none. */
uint64_t settings_next_end(const struct settings *s);

/*
 * Reads what a predecessor has kept and what has not ended. Returns 0, also when there is no file,
 * or -errno with a sentence and the set as it was.
 */
int settings_read(struct settings *s, const char *runtime, struct config_error *err);

/* Keeps those that have an end; without any, no file. Returns 0 or -errno. */
int settings_write(const struct settings *s, const char *runtime);

#endif
