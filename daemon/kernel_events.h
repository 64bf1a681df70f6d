/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel_events.h - the reader's end of bpf/events.h.
 *
 * The main thread's. Without the ring there are no events, which is said, and nothing else ends.
 */
#ifndef KERNEL_EVENTS_H
#define KERNEL_EVENTS_H

#include <stdint.h>

#include "events.h"
#include "kernel.h"

/* All CPUs together tell of so many SYNs a second in the long run, and of twice as many at most. */
#define EVENTS_PER_S 1000

struct kernel_events;

typedef void kernel_event_fn(void *data, const struct event *event);

/* Has the gate tell of its decisions. Returns NULL when the ring cannot be read: log says why. */
struct kernel_events *kernel_events_start(struct kernel *k);

/* Hands out the events that have come, at most `most` of them. NULL: none. */
void kernel_events_read(struct kernel_events *e, kernel_event_fn *fn, void *data, uint32_t most);

/* Sums of all CPUs, since the maps were made. */
struct kernel_events_count {
	uint64_t judged; /* while events were on */
	uint64_t sent;
	uint64_t lost; /* no room in the ring */
};

/* Returns 0 or -errno. */
int kernel_events_count(struct kernel_events *e, struct kernel_events_count *c);

/* The gate goes on without events. */
void kernel_events_stop(struct kernel_events *e);

#endif
