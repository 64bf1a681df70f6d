// SPDX-License-Identifier: GPL-2.0-or-later
#include "pacing.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon.h"
#include "kernel_hold.h"
#include "log.h"

#define EMPTY_WAIT_NS	(12 * NSEC_PER_SEC) /* longer than any horizon: then it is taken away */
#define DRAIN_NS	(4 * NSEC_PER_SEC) /* less than a client waits for the answer to its reload */
#define EMPTY_LOOK_US	20000
#define RETRY_NS	(60 * NSEC_PER_SEC) /* what made HOLD useless is tried again */
#define LAG_ALLOWED_NS	(20 * NSEC_PER_MSEC)
#define SECOND_LOOK_US	10000
#define MARKS_THAT_TELL 8   /* fewer SYNs say nothing of what becomes of them */
#define TOO_LONG_MS	200 /* how often a queue that is longer than the horizon is looked at */

/* Postfix gives up a connect after 30 s (smtp_connect_timeout): who waits longer does so in vain. */
#define LEAVE_WITHIN_NS (30 * NSEC_PER_SEC)

/* What is read of the daemon under its lock. */
struct facts {
	struct hold_plan plan;
	struct bucket global;
	uint64_t unmarked, marked, met;
};

static void note_problem(struct pacing *p, const char *sentence)
{
	if (strcmp(p->problem, sentence)) {
		if (*sentence)
			log_line("HOLD: %s; SYNs are deferred instead", sentence);
		else
			log_line("HOLD: works again");
	}
	snprintf(p->problem, sizeof(p->problem), "%s", sentence);
}

/* The bucket that is in force is known by its interval, as the controller has last seen it. */
static const struct bucket *global_of(const struct daemon *d)
{
	return d->policy.global.t_ns == d->policy_t_ns ? &d->policy.global
						       : &d->policy.global_queue;
}

static void look(struct daemon *d, struct facts *f)
{
	static struct counters c; /* the main thread's */
	struct pacing *p = &d->pacing;

	pthread_mutex_lock(&d->lock);
	f->plan.t_ns = d->policy_t_ns;
	f->plan.horizon_ns = d->config.pace_horizon_ns;
	f->global = *global_of(d);
	if (kernel_counters(d->kernel, &c)) {
		f->unmarked = p->unmarked;
		f->marked = p->marked;
		f->met = p->met;
	} else {
		f->unmarked = c.hold_unmarked;
		f->marked = c.hold_marked;
		f->met = c.hold_queued + c.hold_no_room;
	}
	pthread_mutex_unlock(&d->lock);
}

static void close_gate(struct daemon *d)
{
	struct pacing *p = &d->pacing;

	pthread_mutex_lock(&d->lock);
	kernel_hold_close(d->kernel);
	pthread_mutex_unlock(&d->lock);
	if (p->open)
		p->closed_ns = kernel_now_ns();
	p->open = false;
}

/*
 * The interval of the room: that of the bucket. Only where the rate was lowered so far that those
 * who wait would not leave before they give up, and nobody else would be let in for as long, they
 * leave faster, in a time that has an end.
 */
static uint64_t room_interval(struct pacing *p, uint64_t t_ns, uint64_t now_ns)
{
	uint64_t waiting = p->hold.seen.waiting;

	if (waiting * t_ns > LEAVE_WITHIN_NS && !p->leave_by_ns)
		p->leave_by_ns = now_ns + LEAVE_WITHIN_NS;
	if (p->leave_by_ns < now_ns + NSEC_PER_SEC || waiting * t_ns <= p->leave_by_ns - now_ns)
		p->leave_by_ns = 0;
	return p->leave_by_ns ? (p->leave_by_ns - now_ns) / waiting : t_ns;
}

/*
 * The rate has changed while SYNs wait. They leave at the new one, and where it is slower than it
 * was, later than they were told: until then their retransmits are still swallowed. One that passed
 * meanwhile would make two SYNs of one.
 */
static void follow_rate(struct daemon *d, uint64_t t_ns)
{
	struct pacing *p = &d->pacing;
	uint64_t now_ns = kernel_now_ns();
	bool slower = t_ns > p->room_t_ns || p->drained_ns > now_ns;

	if (!p->room_t_ns || p->room_t_ns == t_ns)
		slower = false;
	p->room_t_ns = t_ns;
	if (!slower)
		return;
	p->drained_ns = now_ns + p->hold.seen.waiting * t_ns;
	pthread_mutex_lock(&d->lock);
	kernel_hold_drained(d->kernel, p->drained_ns);
	pthread_mutex_unlock(&d->lock);
}

/*
 * More may wait than pace-horizon allows: it was shortened, or the rate lowered. The bucket must be
 * able to owe as much, or who has priority would be let in as if nobody waited. Nobody new is held
 * meanwhile: that depends on the horizon alone.
 */
static void make_tolerance(struct daemon *d, struct facts *f, uint64_t queue_ns)
{
	struct pacing *p = &d->pacing;
	uint64_t enough_ns = f->plan.horizon_ns;

	if (p->queue_ns > enough_ns)
		enough_ns = p->queue_ns;
	pthread_mutex_lock(&d->lock);
	if (queue_ns > enough_ns + 2 * f->plan.t_ns + LAG_ALLOWED_NS) {
		p->queue_ns = queue_ns;
		controller_apply(d);
	} else if (p->queue_ns && queue_ns <= f->plan.horizon_ns) {
		p->queue_ns = 0;
		controller_apply(d);
	}
	f->global = *global_of(d);
	pthread_mutex_unlock(&d->lock);
}

/*
 * Newcomers wait behind all that wait, also if the bucket knows of fewer; who was let in meanwhile
 * was told too early a turn, so that his retransmits are swallowed until all have left. Where the
 * rate has changed it knows of no more than those.
 */
static void follow_queue(struct daemon *d, struct facts *f, bool changed)
{
	struct pacing *p = &d->pacing;
	uint64_t queue_ns = p->hold.seen.waiting * p->room_t_ns, owed_ns, about_ns, now_ns;

	make_tolerance(d, f, queue_ns);
	p->horizon_ns = f->plan.horizon_ns;
	p->tau1_ns = f->global.tau1_ns;
	owed_ns = f->global.tau1_ns + queue_ns;
	if (owed_ns > f->global.tau3_ns)
		owed_ns = f->global.tau3_ns;
	about_ns = 2 * f->plan.t_ns + LAG_ALLOWED_NS;
	now_ns = kernel_now_ns();
	pthread_mutex_lock(&d->lock);
	if (changed)
		kernel_owe_at_most(d->kernel, owed_ns + about_ns);
	if (queue_ns && kernel_debt_ns(d->kernel) + about_ns < owed_ns) {
		kernel_owe(d->kernel, owed_ns);
		if (now_ns + queue_ns > p->drained_ns) {
			p->drained_ns = now_ns + queue_ns;
			kernel_hold_drained(d->kernel, p->drained_ns);
		}
	}
	pthread_mutex_unlock(&d->lock);
}

/* A driver that has no room for the mark shows only when the first SYN is to be marked. */
static bool marks_fail(struct pacing *p, const struct facts *f, struct config_error *err)
{
	uint64_t now_ns = kernel_now_ns();

	if (p->open && f->unmarked != p->unmarked)
		p->unmarked_ns = now_ns;
	if (!p->unmarked_ns || now_ns - p->unmarked_ns >= RETRY_NS)
		return false;
	fail(err, -1,
	     "an interface's driver leaves no room before a frame for the mark (XDP metadata): set "
	     "xdp-mode=generic, or pace-horizon=0");
	return true;
}

/*
 * Marked SYNs that meet no filter of ours: somebody's tc program before it lets them pass for good.
 * On one of several interfaces, maybe; and a busy machine loses some on the way. The counters are
 * read while they move, so a second look decides.
 */
static bool marks_are_lost(struct daemon *d, struct facts *f, struct config_error *err)
{
	struct pacing *p = &d->pacing;
	uint64_t now_ns = kernel_now_ns(), marked = f->marked - p->marked;

	if (!p->open || marked >= MARKS_THAT_TELL) {
		if (p->open && (f->met - p->met) * 4 < marked * 3) {
			usleep(SECOND_LOOK_US);
			look(d, f);
			if ((f->met - p->met) * 4 < marked * 3)
				p->unmet_ns = now_ns;
		}
		p->marked = f->marked;
		p->met = f->met;
	}
	if (!p->unmet_ns || now_ns - p->unmet_ns >= RETRY_NS)
		return false;
	fail(err, -1,
	     "SYNs that are to wait do not reach sluiced's tc filter: a tc program before ours lets "
	     "every frame pass ('tc filter show dev INTERFACE ingress' names it): take it off, or "
	     "set pace-horizon=0");
	return true;
}

/* Where one interval is longer than the horizon nobody can wait for his turn. */
static bool too_slow(const struct facts *f, struct config_error *err)
{
	if (f->plan.t_ns <= f->plan.horizon_ns)
		return false;
	fail(err, -ERANGE,
	     "pace-horizon is shorter than the interval between two connections (%.1f s)",
	     (double)f->plan.t_ns / NSEC_PER_SEC);
	return true;
}

/* Brings the room to the plan, and the bucket to what waits there. Returns 0 or -errno. */
static int keep_room(struct daemon *d, struct facts *f, struct config_error *err)
{
	struct pacing *p = &d->pacing;
	bool changed = p->t_ns && p->t_ns != f->plan.t_ns;
	struct hold_plan plan = f->plan;
	int bad = 0;

	if (changed || p->leave_by_ns) {
		bad = hold_look(&p->hold, err); /* how many wait decides how fast they leave */
		plan.t_ns = room_interval(p, f->plan.t_ns, kernel_now_ns());
	}
	if (!bad)
		bad = hold_keep(&p->hold, &plan, err);
	if (bad)
		return bad;
	p->t_ns = f->plan.t_ns;
	follow_rate(d, plan.t_ns);
	follow_queue(d, f, changed);
	/* Made just now, or made anew: its index is known when it is looked at again. */
	return p->hold.seen.ifindex ? 0 : hold_look(&p->hold, err);
}

static int open_gate(struct daemon *d, struct config_error *err)
{
	struct pacing *p = &d->pacing;
	int bad;

	pthread_mutex_lock(&d->lock);
	bad = kernel_hold_attach(d->kernel, p->hold.seen.ifindex, err);
	if (!bad)
		kernel_hold_open(d->kernel, p->hold.seen.ifindex,
				 kernel_now_ns() + PACING_LEASE_NS);
	pthread_mutex_unlock(&d->lock);
	return bad;
}

static void keep_open(struct daemon *d, struct facts *f)
{
	struct pacing *p = &d->pacing;
	struct config_error err = {}, why = {};
	bool useless = too_slow(f, &why) || marks_fail(p, f, &why) || marks_are_lost(d, f, &why);
	int bad = 0;

	p->standing = true;
	/* A room that stands follows the rate also while nobody may join those who wait in it. */
	if (!useless || p->t_ns)
		bad = keep_room(d, f, &err);
	if (!bad && !useless)
		bad = open_gate(d, &err);
	if (bad || useless)
		close_gate(d);
	p->open = !bad && !useless;
	note_problem(p, useless ? why.text : err.text);
}

/* Takes the room away that is not wanted any more, when nobody waits in it. */
static void take_down(struct daemon *d, struct facts *f)
{
	struct pacing *p = &d->pacing;
	struct config_error err;

	close_gate(d);
	p->problem[0] = '\0';
	if (!p->standing || hold_look(&p->hold, &err))
		return;
	make_tolerance(d, f, p->hold.seen.waiting * p->room_t_ns);
	if (p->hold.seen.waiting && kernel_now_ns() - p->closed_ns < EMPTY_WAIT_NS)
		return;
	pthread_mutex_lock(&d->lock);
	kernel_hold_detach(d->kernel);
	pthread_mutex_unlock(&d->lock);
	p->standing = hold_remove(&p->hold) != 0;
	p->t_ns = p->room_t_ns = p->leave_by_ns = 0;
}

void pacing_tend(struct daemon *d)
{
	struct pacing *p = &d->pacing;
	struct config_error err;
	struct facts f;

	if (d->detached)
		return;
	if (!p->hold.netlink) {
		/* Whatever a predecessor had: it is kept, or taken away once it is empty. */
		p->standing = true;
		p->closed_ns = kernel_now_ns();
		if (hold_open(&p->hold, d->instance, &err)) {
			note_problem(p, err.text);
			return;
		}
	}
	look(d, &f);
	p->wanted = f.plan.horizon_ns && f.plan.t_ns;
	if (p->wanted)
		keep_open(d, &f);
	else
		take_down(d, &f);
	p->unmarked = f.unmarked;
	p->tended_ns = kernel_now_ns();
}

uint64_t pacing_wait_ns(struct daemon *d)
{
	uint64_t debt_ns = kernel_debt_ns(d->kernel), tau1_ns = global_of(d)->tau1_ns;

	return d->pacing.open && debt_ns > tau1_ns ? debt_ns - tau1_ns : 0;
}

bool pacing_is_due(struct daemon *d)
{
	const struct pacing *p = &d->pacing;
	uint64_t t_ns, horizon_ns, tau1_ns, queue_ns;

	pthread_mutex_lock(&d->lock);
	t_ns = d->policy_t_ns;
	horizon_ns = d->config.pace_horizon_ns;
	tau1_ns = global_of(d)->tau1_ns;
	queue_ns = p->queue_ns;
	pthread_mutex_unlock(&d->lock);
	if (d->detached)
		return false;
	if (queue_ns && kernel_now_ns() - p->tended_ns >= TOO_LONG_MS * NSEC_PER_MSEC)
		return true;
	return !!horizon_ns != p->wanted ||
	       (p->open &&
		(t_ns != p->t_ns || horizon_ns != p->horizon_ns || tau1_ns != p->tau1_ns));
}

int pacing_patience_ms(const struct daemon *d)
{
	return d->pacing.queue_ns ? TOO_LONG_MS : INT_MAX; /* written by this thread alone */
}

uint64_t pacing_horizon_ns(const struct daemon *d)
{
	uint64_t horizon_ns = d->config.pace_horizon_ns;

	return d->pacing.queue_ns > horizon_ns ? d->pacing.queue_ns : horizon_ns;
}

/* Waits until the room is empty, for so long at most. */
static void await_empty(struct hold *h, uint64_t most_ns)
{
	uint64_t until_ns = kernel_now_ns() + most_ns;
	struct config_error err;

	while (!hold_look(h, &err) && h->seen.waiting && kernel_now_ns() < until_ns)
		usleep(EMPTY_LOOK_US);
}

void pacing_drain(struct daemon *d, const struct config *next)
{
	const struct kernel_interface *list;
	bool changes = false;
	uint32_t count;

	pthread_mutex_lock(&d->lock);
	count = kernel_interfaces(d->kernel, &list);
	for (uint32_t i = 0; i < count; i++)
		changes |= list[i].attached &&
			   next->xdp_mode == (list[i].native ? XDP_GENERIC : XDP_NATIVE);
	pthread_mutex_unlock(&d->lock);
	if (!changes || !d->pacing.standing || !d->pacing.hold.netlink)
		return;
	close_gate(d);
	await_empty(&d->pacing.hold, DRAIN_NS);
}

void pacing_end(struct daemon *d)
{
	struct pacing *p = &d->pacing;

	if (!p->hold.netlink)
		return;
	if (!d->detached) {
		close_gate(d);
	} else if (p->standing) {
		await_empty(&p->hold, EMPTY_WAIT_NS);
		hold_remove(&p->hold);
	}
	hold_close(&p->hold);
}
