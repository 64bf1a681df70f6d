/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events.h - single decisions, told to whoever asks why: sampled, at a bounded rate.
 *
 * Each CPU tells of at most twice its share in a window of 134 ms, whatever comes. Below that every
 * SYN is told of; in a storm one of so many, at random distances, and each event says how many it
 * stands for, so that sums over events are sums over SYNs. Nothing waits for a reader: an event
 * that finds no room is counted, and the next one stands for it too. Whether anybody listens or not
 * is the same 2 ns a SYN, so they are always on, and what has just been can be asked about.
 */
#ifndef EVENTS_H
#define EVENTS_H

#include "sluice.h"

/* A share of 0 turns events off; the daemon writes it into struct control. */
#define EVENTS_WINDOW_SHIFT 27	   /* of ns: 134 ms */
#define EVENTS_BYTES	    262144 /* a ring: 3,200 events that the daemon has not read yet */

/* One SYN and what was decided about it. */
struct event {
	__u64 at_ns;
	struct attempt attempt;
	__u32 stands_for; /* SYNs that were judged on this CPU since the last event; at least 1 */
	__u8 mode;	  /* enum mode */
	__u8 verdict;	  /* enum verdict */
	__u8 reason;	  /* enum reason */
	__u8 class;	  /* enum class */
	__u8 again;	  /* a retransmit of a remembered attempt */
	__u8 paced;	  /* goes through the waiting room */
	__u8 pad[6];
};

/* How one CPU chooses. Written by that CPU alone. */
struct sampler {
	__u64 window;	  /* the one at hand */
	__u32 judged;	  /* SYNs in it */
	__u32 told;	  /* events in it */
	__u32 every;	  /* one of so many is told of, as the window before had so many */
	__u32 skip;	  /* so many more are passed over */
	__u32 stands_for; /* SYNs since the last event */
	__u32 pad;
	__u64 all;  /* SYNs, ever */
	__u64 sent; /* events, ever */
	__u64 lost; /* that found no room in the ring */
};

_Static_assert(sizeof(struct event) == 72, "no padding that is not named");

/* Looks at one more SYN. Returns whether it is to be told of. */
static __always_inline int sampler_due(struct sampler *s, __u32 share, __u64 now_ns)
{
	__u64 window = now_ns >> EVENTS_WINDOW_SHIFT;

	if (window != s->window) {
		s->every = window == s->window + 1 ? s->judged / share + 1 : 1;
		s->window = window;
		s->judged = 0;
		s->told = 0;
		if (s->skip >= 2 * s->every)
			s->skip = 0;
	}
	s->all++;
	s->judged++;
	s->stands_for++;
	if (s->skip) {
		s->skip--;
		return 0;
	}
	return s->told < 2 * share;
}

/* It was told of, or lost. The distances to the next are random, or whoever sends in turns would
 * never be seen. */
static __always_inline void sampler_took(struct sampler *s, int sent, __u32 random)
{
	s->told++;
	s->skip = s->every > 1 ? random % (2 * s->every - 1) : 0;
	if (sent) {
		s->sent++;
		s->stands_for = 0;
	} else {
		s->lost++;
	}
}

#ifdef __bpf__

#include "maps.h"

#include "gate.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EVENTS_BYTES);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sampler);
} samplers SEC(".maps");

FRAME_OF_ITS_OWN void events_tell(struct sampler *s, const struct seen *seen,
				  const struct decision *d, __u32 mode)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (e) {
		e->at_ns = seen->now_ns;
		__builtin_memcpy(&e->attempt, &seen->frame.attempt, sizeof(e->attempt));
		e->stands_for = s->stands_for;
		e->mode = mode;
		e->verdict = d->verdict;
		e->reason = d->reason;
		e->class = d->class;
		e->again = d->again;
		e->paced = d->paced;
		__builtin_memset(e->pad, 0, sizeof(e->pad));
		/* The daemon comes by itself: nobody is woken up by a flood. */
		bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	}
	sampler_took(s, e != NULL, bpf_get_prandom_u32());
}

/* One more SYN was judged. */
static __always_inline void events_note(const struct control *c, const struct seen *seen,
					const struct decision *d, __u32 mode)
{
	__u32 share = *(volatile const __u32 *)&c->events_share, zero = 0;
	struct sampler *s;

	if (!share)
		return;
	s = bpf_map_lookup_elem(&samplers, &zero);
	if (s && sampler_due(s, share, seen->now_ns))
		events_tell(s, seen, d, mode);
}

#endif

#endif
