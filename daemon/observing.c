// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * observing.c - from the kernel's events and counters into what is kept of them (recent.h). All the
 * main thread's.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "daemon.h"
#include "kernel_events.h"
#include "kernel_sessions.h"
#include "log.h"
#include "look.h"
#include "recent.h"

/* That are read in one go: more than the ring holds. */
#define EVENTS_AT_ONCE 8192

/* What a batch of events is taken in with. */
struct taking {
	struct daemon *d;
	struct policy policy;
};

int observing_start(struct daemon *d, struct config_error *err)
{
	uint64_t seed[2];

	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return fail(err, -EIO, "no random seed is to be had: %s", strerror(errno));
	d->recent = recent_open(seed);
	if (!d->recent)
		return fail(err, -ENOMEM, "there is no memory for the last events");
	d->events = kernel_events_start(d->kernel);
	return 0;
}

void observing_stop(struct daemon *d)
{
	kernel_events_stop(d->events);
	recent_close(d->recent);
	d->events = NULL;
	d->recent = NULL;
}

/* The turn of a held one stands in its entry, as long as it waits. */
static uint64_t wait_of(struct daemon *d, const struct event *e)
{
	struct look_attempt seen;

	if (e->verdict != VERDICT_HOLD)
		return 0;
	look_attempt(kernel_map_of, d->kernel, &e->attempt, &seen);
	return seen.held_until_ns > e->at_ns ? seen.held_until_ns - e->at_ns : 0;
}

static void take(void *data, const struct event *e)
{
	struct taking *t = data;

	recent_add(t->d->recent, &t->policy, e, wait_of(t->d, e));
}

void observing_read(struct daemon *d)
{
	static struct taking t; /* a policy has 9 kB */

	if (!d->recent)
		return;
	t.d = d;
	pthread_mutex_lock(&d->lock);
	memcpy(&t.policy, &d->policy, sizeof(t.policy));
	pthread_mutex_unlock(&d->lock);
	kernel_events_read(d->events, take, &t, EVENTS_AT_ONCE);
}

/* All SYNs of all modes by verdict, and how many of them began an attempt. */
static void sum_up(const struct counters *c, struct recent_second *sum)
{
	static struct history all;
	uint64_t again = 0;

	controller_sum(c, &all);
	for (int f = 0; f < FAMILIES; f++)
		for (int v = 0; v < VERDICTS; v++)
			again += c->again[f][v];
	*sum = (struct recent_second){};
	for (int m = 0; m < MODES; m++)
		for (int v = 0; v < VERDICTS; v++)
			for (uint32_t r = 0; r < REASONS; r++) {
				sum->verdict[v] += all.judged[m][v][r];
				if (recent_is_attempt(r, false))
					sum->attempts += all.judged[m][v][r];
			}
	sum->attempts -= again < sum->attempts ? again : sum->attempts;
}

/* The difference of two sums, as one second. What a CPU counts meanwhile may be half read. */
static void differ(struct recent_second *s, const struct recent_second *now,
		   const struct recent_second *before)
{
	s->attempts = now->attempts > before->attempts ? now->attempts - before->attempts : 0;
	for (int v = 0; v < VERDICTS; v++)
		s->verdict[v] = now->verdict[v] > before->verdict[v]
					? now->verdict[v] - before->verdict[v]
					: 0;
}

void observing_tick(struct daemon *d)
{
	static struct counters c;
	static struct recent_second before;
	struct recent_second now, s = {.sessions = -1};
	int bad;

	if (!d->recent)
		return;
	observing_read(d);
	pthread_mutex_lock(&d->lock);
	bad = kernel_counters(d->kernel, &c);
	s.at_ns = kernel_now_ns();
	s.load_centi = d->load.load_centi;
	s.load_readable = d->load.readable;
	s.tiers = controller_tiers(d, s.at_ns);
	s.mode = s.at_ns < d->mode_override.until_ns ? d->mode_override.value : d->policy.mode;
	if (kernel_watch(d->kernel)->counting)
		s.sessions = kernel_sessions_live(d->kernel);
	pthread_mutex_unlock(&d->lock);
	/* Two ticks that were served together are one second, not one and none. */
	if (bad || (before.at_ns && s.at_ns - before.at_ns < TICK_NS / 4))
		return;
	sum_up(&c, &now);
	now.at_ns = s.at_ns;
	if (before.at_ns) {
		s.took_ns = s.at_ns - before.at_ns;
		differ(&s, &now, &before);
		recent_add_second(d->recent, &s);
	}
	before = now;
}
