// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * controller.c - load in, thresholds out, once a second.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "kernel_sessions.h"
#include "log.h"
#include "policy.h"

static pthread_t thread;
static int stop_fd = -1;

static void limits_of(const struct config *c, struct tier_limits *l)
{
	*l = (struct tier_limits){
		.delay_la_centi = c->delay_la_centi,
		.queue_la_centi = c->queue_la_centi,
		.refuse_la_centi = c->refuse_la_centi,
		.leave_ratio_percent = c->leave_ratio_percent,
		.sendmail = c->compat == COMPAT_SENDMAIL,
		.hold_ns = c->hold_ns,
		.refuse_max_ns = c->refuse_max_ns,
	};
}

static const char *why_text(enum tier_why why)
{
	switch (why) {
	case TIER_WHY_NONE:
		break;
	case TIER_WHY_LOAD:
		return "the load average crossed a threshold";
	case TIER_WHY_BLOCKED:
		return "the load average crossed a threshold, and most of it are tasks blocked on I/O";
	case TIER_WHY_UNREADABLE:
		return "the load cannot be read, which counts as normal";
	case TIER_WHY_REFUSE_MAX:
		return "refuse has lasted refuse-max and makes a pause";
	}
	return "the load average is below every threshold";
}

uint32_t controller_tiers(const struct daemon *d, uint64_t now_ns)
{
	const struct override *o = &d->tier_override;

	return now_ns < o->until_ns ? o->value : d->tier.active;
}

void controller_reason(const struct daemon *d, char *text, size_t size)
{
	if (kernel_now_ns() < d->tier_override.until_ns) {
		snprintf(text, size, "set by hand");
		return;
	}
	snprintf(text, size, "%s", why_text(d->tier_why));
	if (!d->load.readable)
		snprintf(text, size, "%s", d->load.why.text);
	else if (d->tier_why != TIER_WHY_NONE)
		snprintf(text, size, "%s (load %u.%02u)", why_text(d->tier_why),
			 d->tier_why_load_centi / 100, d->tier_why_load_centi % 100);
}

/* The global bucket of a policy while the controller lives. */
static const struct bucket *global_of(const struct policy *p, uint64_t now_ns)
{
	const struct override *o = &p->tier_override;
	uint32_t tiers = now_ns < o->until_ns ? o->value : p->tiers;

	return tiers & TIER_QUEUE ? &p->global_queue : &p->global;
}

/* An override that has ended is none. */
static void drop_ended(struct override *o, uint64_t now_ns)
{
	if (o->until_ns <= now_ns)
		*o = (struct override){};
}

/* From the config; with tolerances that have room for those who are held. Under the lock. */
static int make_policy(struct daemon *d, struct policy *next)
{
	uint64_t horizon_ns = d->config.pace_horizon_ns;
	int bad;

	d->config.pace_horizon_ns = pacing_horizon_ns(d);
	bad = policy_make(&d->config, d->facts.cpus, next);
	d->config.pace_horizon_ns = horizon_ns;
	if (bad) /* more than a debt may be: then without */
		bad = policy_make(&d->config, d->facts.cpus, next);
	next->hold_ns = horizon_ns;
	return bad;
}

int controller_apply(struct daemon *d)
{
	static struct policy next; /* 10 kB, and only ever used under the lock */
	uint64_t now_ns = kernel_now_ns(), t_before_ns = d->policy_t_ns;
	const struct bucket *global;
	int bad;

	drop_ended(&d->mode_override, now_ns);
	drop_ended(&d->tier_override, now_ns);
	bad = make_policy(d, &next);
	if (bad)
		return bad;
	next.tiers = d->tier.active;
	next.mode_override = d->mode_override;
	next.tier_override = d->tier_override;
	next.class_slot = d->class_slot;
	/* Where sessions are not counted nobody ever arrives, and all would wait for nothing. */
	if (!kernel_watch(d->kernel)->counting)
		next.sessions = (struct session_limits){};
	if (!d->policy_changes || memcmp(&next, &d->policy, sizeof(next))) {
		/* More than the new policy can owe would be taken for a leftover, and forgotten. */
		if (d->policy_changes)
			kernel_owe_at_most(d->kernel, global_of(&next, now_ns)->tau3_ns);
		bad = kernel_policy_set(d->kernel, &next);
		if (bad) {
			d->policy_errors++;
			log_line("the policy could not be written, the former one stays: %s",
				 strerror(-bad));
			return bad;
		}
		d->policy = next;
		d->policy_changes++;
	}
	/* The end of a manual tier changes the interval without a new policy. */
	global = global_of(&d->policy, kernel_now_ns());
	d->policy_t_ns = global->t_ns;
	if (t_before_ns && t_before_ns != global->t_ns)
		kernel_rescale(d->kernel, t_before_ns, global);
	return 0;
}

void controller_sum(const struct counters *c, struct history *h)
{
	memset(h->judged, 0, sizeof(h->judged));
	h->established = c->established;
	for (int mode = 0; mode < MODES; mode++)
		for (int family = 0; family < FAMILIES; family++)
			for (int class = 0; class < CLASSES; class ++)
				for (int v = 0; v < VERDICTS; v++)
					for (int r = 0; r < REASONS; r++)
						h->judged[mode][v][r] +=
							c->judged[mode][family][class][v][r];
}

#define SPOOFED_PERCENT	 20 /* of the admitted attempts complete their handshake */
#define SPOOFED_ATTEMPTS 20 /* fewer in the window tell nothing */

static uint64_t admitted_of(const struct history *h)
{
	uint64_t sum = 0;

	for (int mode = 0; mode < MODES; mode++)
		sum += h->judged[mode][VERDICT_PASS][REASON_ADMITTED];
	return sum;
}

bool controller_spoofed(const struct daemon *d, uint32_t *percent)
{
	const struct history *new, *old;
	uint64_t admitted, established;

	*percent = 100;
	/* Only a whole window: the handshakes of its first second must have had their time. */
	if (d->history_count < HISTORY_LONG || !kernel_watch(d->kernel)->counting)
		return false;
	new = &d->history[(d->history_next + HISTORY_LONG - 1) % HISTORY_LONG];
	old = &d->history[d->history_next];
	admitted = admitted_of(new) - admitted_of(old);
	established = new->established - old->established;
	if (admitted < SPOOFED_ATTEMPTS)
		return false;
	*percent = established < admitted ? (uint32_t)(established * 100 / admitted) : 100;
	return *percent < SPOOFED_PERCENT;
}

static void remember_counters(struct daemon *d, uint64_t now_ns)
{
	static struct counters c; /* only ever used under the lock */

	if (kernel_counters(d->kernel, &c))
		return;
	d->history[d->history_next].at_ns = now_ns;
	controller_sum(&c, &d->history[d->history_next]);
	d->history_next = (d->history_next + 1) % HISTORY_LONG;
	if (d->history_count < HISTORY_LONG)
		d->history_count++;
}

/* A change is logged once; while a tier lasts, again every reject-log-interval. */
static void log_tiers(struct daemon *d, uint32_t before, uint64_t now_ns)
{
	static uint64_t logged_ns;
	char reason[512];

	if (before == d->tier.active &&
	    (!d->tier.active || now_ns - logged_ns < d->config.reject_log_interval_ns))
		return;
	controller_reason(d, reason, sizeof(reason));
	if (before == d->tier.active)
		log_line("tier still %s, load %u.%02u", tier_name(d->tier.active),
			 d->load.load_centi / 100, d->load.load_centi % 100);
	else
		log_line("tier %s -> %s: %s", tier_name(before), tier_name(d->tier.active), reason);
	logged_ns = now_ns;
}

void controller_tick(struct daemon *d)
{
	struct load_sample sample;
	struct tier_limits limits;
	struct tier_input in;
	char path[CONFIG_PATH_MAX];
	uint32_t before;
	enum tier_why why;
	uint64_t now_ns;

	pthread_mutex_lock(&d->lock);
	memcpy(path, d->config.loadavg_file, sizeof(path));
	pthread_mutex_unlock(&d->lock);
	load_read(path, &sample);

	pthread_mutex_lock(&d->lock);
	if (d->load.readable != sample.readable || !d->ticked_ns) {
		if (!sample.readable)
			log_line("%s; the tiers count it as normal", sample.why.text);
		else if (d->ticked_ns)
			log_line("%s can be read again", path);
	}
	d->load = sample;
	now_ns = kernel_now_ns();
	limits_of(&d->config, &limits);
	in = (struct tier_input){.now_ns = now_ns,
				 .readable = sample.readable,
				 .load_centi = sample.load_centi,
				 .blocked = sample.blocked};
	before = d->tier.active;
	why = tier_step(&d->tier, &limits, &in);
	if (d->tier.active != before) {
		d->tier_changes++;
		d->tier_why = why;
		d->tier_why_load_centi = sample.load_centi;
	}
	log_tiers(d, before, now_ns);
	controller_apply(d);
	d->lease_until_ns = kernel_now_ns() + d->config.lease_ns;
	kernel_lease(d->kernel, d->lease_until_ns);
	remember_counters(d, now_ns);
	d->ticked_ns = now_ns;
	pthread_mutex_unlock(&d->lock);
	eventfd_write(d->changed_fd, 1);
}

static void *controller_run(void *arg)
{
	struct daemon *d = arg;
	struct pollfd stop = {.fd = stop_fd, .events = POLLIN};
	uint64_t next_ns = kernel_now_ns();

	for (;;) {
		uint64_t now_ns = kernel_now_ns();
		int wait_ms = 0;

		if (next_ns > now_ns)
			wait_ms = (int)((next_ns - now_ns) / NSEC_PER_MSEC) + 1;
		else if (now_ns - next_ns > TICK_NS)
			next_ns = now_ns; /* we were stopped: no burst of ticks to make up for it */
		if (poll(&stop, 1, wait_ms) > 0)
			return NULL;
		if (kernel_now_ns() < next_ns)
			continue;
		next_ns += TICK_NS;
		controller_tick(d);
	}
}

int controller_start(struct daemon *d)
{
	stop_fd = eventfd(0, EFD_CLOEXEC);
	if (stop_fd < 0)
		return errno;
	return pthread_create(&thread, NULL, controller_run, d);
}

void controller_stop(struct daemon *d)
{
	(void)d;
	if (stop_fd < 0)
		return;
	eventfd_write(stop_fd, 1);
	pthread_join(thread, NULL);
	close(stop_fd);
	stop_fd = -1;
}

void controller_leave(struct daemon *d)
{
	pthread_mutex_lock(&d->lock);
	memset(&d->tier, 0, sizeof(d->tier));
	controller_apply(d);
	/* 1, not 0: a lease that was once given, which a successor's kernel_policy_inherited sees. */
	kernel_lease(d->kernel, 1);
	pthread_mutex_unlock(&d->lock);
}
