/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pins.h - what an instance has left in the BPF file system, seen without its daemon.
 *
 * A pinned link keeps the filter on its interface, whatever becomes of the daemon; taking the pin
 * away takes the filter off (unless a process still holds the link). Maps go with their last user.
 */
#ifndef PINS_H
#define PINS_H

#include <stddef.h>

struct pins {
	unsigned links;	  /* link-<interface> of interfaces that exist */
	unsigned orphans; /* of interfaces that do not: these guard nothing */
	unsigned others;  /* maps and whatever else lies there */
	char names[256];  /* of the interfaces that exist: "eth0, eth1" */
};

/* Returns 0 with *p filled (all zero: nothing is there), or -errno. */
int pins_look(const char *instance, struct pins *p);

/*
 * Removes them: links first, so that traffic passes before its maps go; then all that lies in the
 * folder, of any ABI, and the folder. Never leaves it: no symbolic link is followed. *p says what
 * there was. Returns 0 or -errno, with path the one that could not be removed.
 */
int pins_remove(const char *instance, struct pins *p, char *path, size_t path_size);

#endif
