/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * added.h - prefixes that were put into a class by hand, with an end and a comment. They stand
 * over the lists of the config: of a prefix that both have, the class given by hand wins.
 *
 * Kept in /var/lib/sluice/<instance>/classes, through restarts of the machine too: so ends are of
 * the wall clock, in seconds.
 *
 * All the main thread's.
 */
#ifndef ADDED_H
#define ADDED_H

#include <stdint.h>

#include "classes.h"

#define ADDED_MOST    65536
#define ADDED_COMMENT 80 /* bytes, with the NUL */
#define ADDED_NEVER   UINT64_MAX

struct added_entry {
	struct class_entry prefix;
	uint64_t until_s; /* ADDED_NEVER: none */
	char comment[ADDED_COMMENT];
};

struct added {
	struct added_entry *entry; /* sorted by family, address and length; owned */
	size_t count;
};

void added_free(struct added *a);

/* "192.0.2.0/24" or an address. Returns 0, or -EINVAL with a sentence. */
int added_parse(const char *text, struct class_entry *e, struct config_error *err);

/* Appends the prefixes of a file to a set that need not be sorted; the rest is as *like has it. */
int added_read_list(struct added *a, const char *path, const struct added_entry *like,
		    struct config_error *err);

/* Appends one. Returns 0, -E2BIG beyond ADDED_MOST or -ENOMEM, with a sentence. */
int added_append(struct added *a, const struct added_entry *e, struct config_error *err);

/*
 * *out becomes both, sorted; of a prefix in both, the fresh one. Sorts *fresh, and leaves each
 * prefix there once.
 */
int added_join(const struct added *old, struct added *fresh, struct added *out,
	       struct config_error *err);

/* NULL: it was not added. */
const struct added_entry *added_find(const struct added *a, const struct class_entry *e);

/* The lists of the config become those with the added ones over them. 0 or -errno and why. */
int added_over(const struct added *a, struct class_list *list, struct config_error *err);

/*
 * Reads the file of an instance. What is no such file is set aside, as NAME.damaged. Returns 0,
 * also when there is none, or -errno with a sentence and the set empty.
 */
int added_read(struct added *a, const char *instance, struct config_error *err);

/* Writes it: after a crash it is the old one or the new one. Returns 0 or -errno. */
int added_write(const struct added *a, const char *instance);

#endif
