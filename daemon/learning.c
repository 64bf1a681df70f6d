// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * learning.c - between the kernel's ends of sessions, the table of known senders, and the kernel's
 * map of what was learned. The main thread's: the file may wait for the disk.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "daemon.h"
#include "kernel_sessions.h"
#include "known.h"
#include "log.h"

/* Of the table at each tick: all of it is looked at within a minute. */
#define EXPIRE_AT_ONCE (KNOWN_MOST / 16)

/* Changes that are told in one go: all that a table can have, forgotten and added anew. */
#define CHANGES_AT_ONCE (2 * KNOWN_MOST)

static uint64_t boot_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

/* What the kernel could not be told is told again at the next tick. */
static void tell_kernel(struct daemon *d)
{
	static bool failed_before;
	struct known_change change;
	int bad = 0;

	for (int i = 0; i < CHANGES_AT_ONCE && !bad; i++) {
		if (!known_next_change(d->known, boot_now_ns(), kernel_now_ns(), &change))
			break;
		bad = kernel_learned_set(d->kernel, &change.key, &change.learned);
	}
	if (bad && !failed_before)
		log_line("what is known of senders cannot be told to the kernel: %s",
			 strerror(-bad));
	if (bad)
		known_tell_all(d->known);
	failed_before = bad;
}

/* Has the kernel been told of this source by us? */
static bool is_told(void *daemon, const struct prefix_key *key)
{
	const struct daemon *d = daemon;
	struct known_view view;

	return known_get(d->known, key, boot_now_ns(), &view) &&
	       view.standing != STANDING_CANDIDATE;
}

int learning_start(struct daemon *d, struct config_error *err)
{
	struct config_error said;
	uint64_t seed[2];

	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return fail(err, -EIO, "no random seed is to be had: %s", strerror(errno));
	d->known = known_open(&d->config, KNOWN_MOST, seed, (uint64_t)time(NULL), boot_now_ns());
	if (!d->known)
		return fail(err, -ENOMEM, "there is no memory for the known senders");
	known_load(d->known, d->config.known_file, (uint64_t)time(NULL), boot_now_ns(), &said);
	if (*said.text)
		log_line("%s", said.text);
	if (known_can_save(d->known, &said))
		log_line("%s", said.text);
	/* First what is known, then away with what is not: nobody is a stranger in between. */
	tell_kernel(d);
	if (kernel_learned_sweep(d->kernel, is_told, d))
		log_line("what an earlier sluiced had learned could not be taken away");
	return 0;
}

void learning_end_of_session(void *daemon, const struct session_end *end)
{
	struct daemon *d = daemon;

	known_session_end(d->known, end, boot_now_ns());
}

static void save(struct daemon *d)
{
	struct config_error err;

	if (known_save(d->known, boot_now_ns(), &err))
		log_line("%s", err.text);
}

void learning_tick(struct daemon *d)
{
	known_expire(d->known, boot_now_ns(), EXPIRE_AT_ONCE);
	tell_kernel(d);
	if (known_save_due(d->known, boot_now_ns()))
		save(d);
}

void learning_configure(struct daemon *d)
{
	if (d->known)
		known_configure(d->known, &d->config, boot_now_ns());
}

void learning_stop(struct daemon *d)
{
	if (!d->known)
		return;
	save(d);
	known_close(d->known);
	d->known = NULL;
}

void daemon_known_changed(struct daemon *d)
{
	tell_kernel(d);
}
