/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pinned.h - the pinned maps of an instance, where no daemon answers.
 */
#ifndef PINNED_H
#define PINNED_H

#define PINNED_MOST 16 /* maps that are open at a time */

struct pinned {
	const char *instance;
	unsigned count;
	int fd[PINNED_MOST];
	char name[PINNED_MOST][32];
};

/* A look_map_fn over a struct pinned: opens a map once. Negative: -errno. */
int pinned_map(void *pinned, const char *name);
void pinned_close(struct pinned *p);

#endif
