/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * hook.h - sluice hook: the set of tiers reaches a program of the operator's, CMD.
 *
 *	CMD OLD NEW REASON	SLUICE_DELAY, SLUICE_QUEUE, SLUICE_REFUSE = 0 or 1
 *
 * OLD and NEW are sets as `sluice tier` writes them (normal, or delay,queue); OLD is "unknown" in
 * the first run. Three files: hook.c starts, guards and ends; hook_watch.c follows the daemon and
 * decides when CMD runs; hook_run.c runs it within its bounds.
 */
#ifndef HOOK_H
#define HOOK_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HOOK_TIMEOUT_S	    10	 /* of one run of CMD, unless --timeout says otherwise */
#define HOOK_GRACE_MS	    2000 /* between TERM and KILL, and from KILL to giving it up */
#define HOOK_END_TRIES	    3	 /* of the last run, in which CMD is told normal */
#define HOOK_BACKOFF_MS	    1000 /* after the first failure, doubled by each further one */
#define HOOK_BACKOFF_MAX_MS 60000
#define HOOK_REASON_MAX	    512
#define HOOK_SET_MAX	    24 /* "delay,queue,refuse" */

enum hook_tier {
	HOOK_DELAY = 1 << 0,
	HOOK_QUEUE = 1 << 1,
	HOOK_REFUSE = 1 << 2,
	HOOK_TIERS = 3,
};

struct hook {
	const char *instance;
	const char *exec;    /* CMD: an absolute path */
	uint32_t timeout_ms; /* of one run */
	/* Of the run at hand, or 0: told by the watcher, to be ended by who outlives it. */
	volatile pid_t *group;
};

/* Milliseconds of CLOCK_MONOTONIC, the clock of the daemon's lease. */
uint64_t hook_clock_ms(void);

/* What the log says, one line behind "sluice: hook: ", control characters escaped. */
void hook_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- hook_watch.c --- */

/* The name of a tier's bit, 0 to HOOK_TIERS - 1. */
const char *hook_tier_name(unsigned int bit);

/* A set in words, "normal" or "delay,queue". */
void hook_set_name(uint32_t set, char text[HOOK_SET_MAX]);

/*
 * Follows the daemon and runs CMD, until alive_fd comes to its end, which is the hook's; then tells
 * CMD normal. Returns the exit status: EXIT_FAILED when CMD could not be told.
 */
int hook_watch(const struct hook *h, int alive_fd);

/* The longest that hook_watch() takes to end, however CMD behaves. */
uint64_t hook_end_ms(const struct hook *h);

/* --- hook_run.c --- */

/* One run of CMD. All zero: none is under way. */
struct hook_run {
	pid_t pid; /* and its process group */
	int process_fd, output_fd;
	uint64_t deadline_ms; /* of what is done next to one that does not end */
	enum { RUN_WITHIN, RUN_TERMINATED, RUN_KILLED } stage;
	char line[200]; /* of its output, not complete yet */
	unsigned int line_used, lines;
	uint64_t bytes_left_out;
};

/* Starts CMD for a set. Returns 0, or -errno when it could not even be started. */
int hook_run_start(const struct hook *h, struct hook_run *r, const char *old, uint32_t set,
		   const char *reason);

/*
 * Takes what CMD has written, ends it when its time is up, and sees whether it has ended. Returns
 * 1 while it runs, 0 when it has ended well, -1 when it has not; said in the log.
 */
int hook_run_tend(const struct hook *h, struct hook_run *r);

/* What to wait for beside the deadline: two entries of a poll set. */
void hook_run_poll(const struct hook_run *r, struct pollfd set[2]);

#endif
