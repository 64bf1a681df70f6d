// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hook_watch.c - what set counts now, and when CMD has to hear of it.
 *
 * The daemon renews its file `lease` once a second. What it says counts until its time; from then
 * on, and whenever it cannot be read, the set counts as normal: a dead daemon latches nothing.
 * There is no queue of changes: when CMD has ended it is told the set of that moment, if it differs.
 */
#include "hook.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "control.h"

#define TICK_MS 1000
#define LEASE_MAX_MS \
	(3600U * 1000) /* the config allows no longer one: else it is of another boot */

struct watch {
	const struct hook *hook;
	char folder[128], lease[160];
	int inotify_fd;

	uint32_t set; /* that counts now */
	char reason[HOOK_REASON_MAX];
	uint64_t until_ms; /* and no longer, while it is not normal */

	struct hook_run run;
	uint32_t told; /* what the run at hand, or the last one, was told */
	bool settled;  /* and that it ended well: CMD knows it */
	char old[HOOK_SET_MAX];
	uint64_t retry_ms; /* after a failure, while the set stays the same */
	unsigned int failures;

	bool ending, final, ended; /* the hook's end; CMD hears normal for it; it has */
	int status;
};

static const char *const names[HOOK_TIERS] = {"delay", "queue", "refuse"};

const char *hook_tier_name(unsigned int bit)
{
	return names[bit];
}

void hook_set_name(uint32_t set, char text[HOOK_SET_MAX])
{
	size_t n = 0;

	snprintf(text, HOOK_SET_MAX, "normal");
	for (unsigned int bit = 0; bit < HOOK_TIERS; bit++)
		if (set & 1U << bit)
			n += (size_t)snprintf(text + n, HOOK_SET_MAX - n, "%s%s", n ? "," : "",
					      names[bit]);
}

uint64_t hook_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* "delay,queue" or "normal". Returns 0 or -EPROTO. */
static int parse_set(const char *text, uint32_t *set)
{
	*set = 0;
	if (!strcmp(text, "normal"))
		return 0;
	for (;;) {
		size_t length = strcspn(text, ",");
		unsigned int bit = 0;

		while (bit < HOOK_TIERS &&
		       (strlen(names[bit]) != length || strncmp(names[bit], text, length) != 0))
			bit++;
		if (bit == HOOK_TIERS)
			return -EPROTO;
		*set |= 1U << bit;
		if (!text[length])
			return 0;
		text += length + 1;
	}
}

static ssize_t read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -errno : read(fd, text, size - 1);

	if (fd >= 0) {
		if (n < 0)
			n = -errno;
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	return n;
}

/* Normal, because nothing else is known. */
static void count_as_normal(struct watch *w, const char *why)
{
	w->set = 0;
	w->until_ms = UINT64_MAX;
	snprintf(w->reason, sizeof(w->reason), "%s", why);
}

/* What the daemon says, and whether it still counts. */
static void look(struct watch *w)
{
	char text[LEASE_FILE_MAX + 1], set[HOOK_SET_MAX];
	unsigned long long seconds;
	unsigned int milliseconds;
	uint64_t now_ms = hook_clock_ms();
	ssize_t n;

	if (w->ending) {
		count_as_normal(w, "the hook ends");
		return;
	}
	n = read_file(w->lease, text, sizeof(text));
	if (n < 0) {
		count_as_normal(w, n == -ENOENT ? "sluiced has not been started"
						: "the lease of sluiced cannot be read");
		return;
	}
	if (sscanf(text, "until %12llu.%3u\ntier %23[a-z,]\nreason %511[^\n]", &seconds,
		   &milliseconds, set, w->reason) != 4 ||
	    parse_set(set, &w->set)) {
		count_as_normal(w, "the lease of sluiced is not understood");
		return;
	}
	w->until_ms = seconds * 1000 + milliseconds;
	if (!w->until_ms)
		count_as_normal(w, "sluiced has ended");
	else if (w->until_ms <= now_ms)
		count_as_normal(w, "sluiced is silent, and its lease is over");
	else if (w->until_ms - now_ms > LEASE_MAX_MS)
		count_as_normal(w, "the lease of sluiced is not of this boot");
}

static bool is_due(const struct watch *w)
{
	if (w->run.pid || w->ended)
		return false;
	if (w->set != w->told || w->ending != w->final)
		return true;
	return !w->settled && hook_clock_ms() >= w->retry_ms;
}

/* Goes on after a run: what CMD now knows, or when it is told again. */
static void conclude(struct watch *w, int result)
{
	uint64_t wait_ms = HOOK_BACKOFF_MS;

	w->settled = !result;
	if (!result) {
		hook_set_name(w->told, w->old);
		w->failures = 0;
	} else {
		for (unsigned int i = 0; i < w->failures && wait_ms < HOOK_BACKOFF_MAX_MS; i++)
			wait_ms *= 2;
		if (wait_ms > HOOK_BACKOFF_MAX_MS)
			wait_ms = HOOK_BACKOFF_MAX_MS;
		w->failures++;
		w->retry_ms = hook_clock_ms() + wait_ms;
	}
	if (!w->final)
		return;
	w->ended = w->settled || w->failures >= HOOK_END_TRIES;
	w->status = w->settled ? EXIT_DONE : EXIT_FAILED;
}

static void tell(struct watch *w)
{
	char new[HOOK_SET_MAX];
	int bad;

	if (w->set != w->told || w->ending != w->final)
		w->failures = 0;
	w->told = w->set;
	w->final = w->ending;
	w->settled = false;
	hook_set_name(w->set, new);
	if (w->failures)
		hook_log("%s again, try %u", new, w->failures + 1);
	else
		hook_log("%s -> %s: %s", w->old, new, w->reason);
	bad = hook_run_start(w->hook, &w->run, w->old, w->set, w->reason);
	if (bad) {
		hook_log("%s cannot be started: %s", w->hook->exec, strerror(-bad));
		conclude(w, -1);
	}
}

/* Milliseconds until something is to be done that no descriptor tells of. */
static int wait_ms(const struct watch *w)
{
	uint64_t now_ms = hook_clock_ms(), next_ms = now_ms + TICK_MS;

	if (w->until_ms < next_ms)
		next_ms = w->until_ms;
	if (w->run.pid && w->run.deadline_ms < next_ms)
		next_ms = w->run.deadline_ms;
	if (!w->run.pid && !w->settled && w->retry_ms < next_ms)
		next_ms = w->retry_ms;
	return next_ms > now_ms ? (int)(next_ms - now_ms) + 1 : 0;
}

static void wait_for_news(struct watch *w, int alive_fd)
{
	char events[4096];
	struct pollfd set[4] = {
		{.fd = w->ending ? -1 : alive_fd, .events = POLLIN},
		{.fd = w->inotify_fd, .events = POLLIN},
	};

	hook_run_poll(&w->run, set + 2);
	/* The folder may be made, or made again, at any time: watched anew each time, which costs
	 * nothing when it is the same one. Without a watch the tick does. */
	inotify_add_watch(w->inotify_fd, w->folder, IN_MOVED_TO | IN_DELETE);
	if (poll(set, 4, wait_ms(w)) <= 0)
		return;
	while (read(w->inotify_fd, events, sizeof(events)) > 0)
		;
	if (set[0].revents)
		w->ending = true;
}

int hook_watch(const struct hook *h, int alive_fd)
{
	struct watch w = {.hook = h, .told = ~0U, .old = "unknown"};
	int result;

	snprintf(w.folder, sizeof(w.folder), "%s/%s", RUNTIME_FOLDER, h->instance);
	snprintf(w.lease, sizeof(w.lease), "%s/lease", w.folder);
	w.inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK); /* -1: the tick does */
	while (!w.ended) {
		look(&w);
		if (is_due(&w))
			tell(&w);
		if (w.ended)
			break;
		wait_for_news(&w, alive_fd);
		if (!w.run.pid)
			continue;
		result = hook_run_tend(h, &w.run);
		if (result <= 0)
			conclude(&w, result);
	}
	return w.status;
}

uint64_t hook_end_ms(const struct hook *h)
{
	/* The run at hand, and the tries of the last one with their pauses. */
	return (HOOK_END_TRIES + 1) * (h->timeout_ms + 2 * HOOK_GRACE_MS + TICK_MS) +
	       HOOK_END_TRIES * HOOK_BACKOFF_MS * 2;
}
