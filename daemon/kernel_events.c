// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel_events.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_internal.h"
#include "log.h"

struct kernel_events {
	struct kernel *k;
	struct ring_buffer *ring;
	kernel_event_fn *fn;
	void *data;
	uint32_t left;
	struct sampler *per_cpu; /* room to read all at once */
};

static int on_event(void *data, void *sample, size_t size)
{
	struct kernel_events *e = data;
	struct event event;

	if (size < sizeof(event))
		return 0;
	memcpy(&event, sample, sizeof(event));
	e->fn(e->data, &event);
	/* A number that is not 0 ends the reading: the rest waits its turn. */
	return e->left && !--e->left ? -EAGAIN : 0;
}

/* What one CPU may tell of in a window; at least one. */
static uint32_t share_of(uint32_t cpus)
{
	uint64_t share = ((uint64_t)EVENTS_PER_S << EVENTS_WINDOW_SHIFT) / NSEC_PER_SEC / cpus;

	return share ? (uint32_t)share : 1;
}

struct kernel_events *kernel_events_start(struct kernel *k)
{
	struct kernel_events *e = calloc(1, sizeof(*e));
	struct config_facts facts;

	kernel_facts(&facts);
	if (e) {
		e->k = k;
		e->per_cpu = calloc(k->cpus, sizeof(*e->per_cpu));
		e->ring = ring_buffer__new(kernel_map_fd(k, "events"), on_event, e, NULL);
	}
	if (!e || !e->per_cpu || !e->ring) {
		log_line("single decisions are not told: the ring of events cannot be read (%s)",
			 strerror(errno));
		kernel_events_stop(e);
		return NULL;
	}
	__atomic_store_n(&k->control->events_share, share_of(facts.cpus), __ATOMIC_RELAXED);
	return e;
}

void kernel_events_read(struct kernel_events *e, kernel_event_fn *fn, void *data, uint32_t most)
{
	if (!e)
		return;
	e->fn = fn;
	e->data = data;
	e->left = most;
	ring_buffer__consume(e->ring);
}

int kernel_events_count(struct kernel_events *e, struct kernel_events_count *c)
{
	__u32 zero = 0;
	int bad;

	*c = (struct kernel_events_count){};
	if (!e)
		return -ENOENT;
	bad = bpf_map_lookup_elem(kernel_map_fd(e->k, "samplers"), &zero, e->per_cpu);
	for (uint32_t i = 0; !bad && i < e->k->cpus; i++) {
		c->judged += e->per_cpu[i].all;
		c->sent += e->per_cpu[i].sent;
		c->lost += e->per_cpu[i].lost;
	}
	return bad;
}

void kernel_events_stop(struct kernel_events *e)
{
	if (!e)
		return;
	if (e->ring)
		__atomic_store_n(&e->k->control->events_share, 0, __ATOMIC_RELAXED);
	ring_buffer__free(e->ring);
	free(e->per_cpu);
	free(e);
}
