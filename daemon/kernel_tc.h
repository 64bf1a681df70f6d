/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel_tc.h - a tc program on an interface's ingress or egress, beside whatever else is there.
 *
 * Linux 6.6 and later have links for that (tcx); they come and go as XDP links do. Before that it
 * is a filter on the interface's clsact qdisc, at a priority and handle of our own, which belongs
 * to the interface and stays when we end: whoever starts next takes it over, or sweeps it away.
 * Filters and qdiscs of others are never touched; programs of ours are those named "sluice_...",
 * and must return TC_ACT_UNSPEC for what is not theirs, so that those behind them get to see it.
 */
#ifndef KERNEL_TC_H
#define KERNEL_TC_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

#define TC_PIN_MAX 256

enum tc_direction { TC_INGRESS, TC_EGRESS };

/* One attachment. TC_HOOK_NONE before the first tc_attach(). */
struct tc_hook {
	uint32_t ifindex; /* 0: not attached */
	uint32_t to;	  /* of tc_divert(): where what it matches goes; 0: tc_attach() */
	enum tc_direction direction;
	int link_fd;	      /* of the tcx link; -1: a filter */
	uint32_t prog_id;     /* what was attached last */
	bool only_classic;    /* no tcx link even where there are some: set by tests */
	char pin[TC_PIN_MAX]; /* of the link; empty: it is not pinned and ends with the process */
};

#define TC_HOOK_NONE ((struct tc_hook){.link_fd = -1})

/*
 * Attaches a program, or replaces the one that this hook, a pin or a filter of a predecessor has
 * there, without a gap. A pin that sits on another interface is let go of. pin_path NULL: not
 * pinned. Returns 0, or -errno with a sentence; then what was attached before still is.
 */
int tc_attach(struct tc_hook *hook, uint32_t ifindex, const char *name, enum tc_direction direction,
	      int prog_fd, const char *pin_path, struct config_error *err);

/*
 * As tc_attach() on ingress, but what the program matches (it returns -1, and 0 for everything else)
 * leaves through another device. Always a filter, with the kernel's action mirred: what a
 * program's own redirect sends into an ifb device is lost there on some kernels (6.1 does, 6.18 does
 * not).
 */
int tc_divert(struct tc_hook *hook, uint32_t ifindex, const char *name, int prog_fd, uint32_t to,
	      struct config_error *err);

/* Is it still there? A deleted interface takes it along, and others can remove a filter. */
bool tc_attached(const struct tc_hook *hook);

/* Takes the program off, its pin away, and a qdisc of our making unless others use it. */
void tc_detach(struct tc_hook *hook);

/* Lets go of what stays: the process ends, pinned links and filters go on. */
void tc_release(struct tc_hook *hook);

/*
 * Where to keep which clsact qdiscs are of our making, for the next start or `detach` to know:
 * MAX_INTERFACES interface indexes, 0 for a free place, the caller's. NULL: with this process.
 */
void tc_remember(uint32_t *made);

/*
 * Takes away what a predecessor has left: the pinned link, a filter of ours on the interface, and a
 * qdisc of our making (ifindex 0: the interface is gone). For a start that does not want the program
 * any more.
 */
void tc_sweep(uint32_t ifindex, enum tc_direction direction, const char *pin_path);

#endif
