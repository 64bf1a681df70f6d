/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * classes.h - files of CIDR prefixes, one a line, into one list of classed prefixes.
 */
#ifndef CLASSES_H
#define CLASSES_H

#include <stddef.h>

#include "config.h"

#define CLASSES_MAX_PREFIXES 1048576
#define CLASSES_MAX_LINE     1024

struct class_entry {
	union addr addr; /* masked; IPv4 as ::ffff:a.b.c.d */
	uint8_t bits;	 /* of its own family: 0-32 or 0-128 */
	uint8_t family;	 /* enum family */
	uint8_t class;	 /* enum class */
};

struct class_list {
	struct class_entry *entry; /* sorted by family, address and length; owned by the list */
	size_t count;
};

/* "unknown", "trusted", ... NULL beyond the enumeration. Static storage. */
const char *class_name(enum class class);

/*
 * Reads all class files of the config. A line is a CIDR prefix or a single address, blanks around
 * it, and # starts a comment. An error is the first bad line of the first bad file: host bits set,
 * not an address, a prefix that another class lists too, more than CLASSES_MAX_PREFIXES in all.
 * Returns 0 with *list filled (free it with classes_free), or -EINVAL, -ENOMEM or what opening
 * gave with *err filled and *list empty.
 */
int classes_load(const struct config *c, struct class_list *list, struct config_error *err);
void classes_free(struct class_list *list);

#endif
