// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * recording.c - from what is seen lately (recent.h) into the history of 31 days (history.h), and
 * that into its file. The main thread's: the file may wait for the disk.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon.h"
#include "history.h"
#include "log.h"
#include "recent.h"

#define MINUTE_NS  (60 * NSEC_PER_SEC)
#define WRITE_S	   600
#define WINDOW_END TICK_NS /* before a full minute: the window of recent.h is full then */

int recording_start(struct daemon *d, struct config_error *err)
{
	char path[HISTORY_PATH_MAX], aside[HISTORY_PATH_MAX + 16];
	int bad;

	d->past = history_open();
	if (!d->past)
		return fail(err, -ENOMEM, "there is no memory for the history");
	history_path(d->instance, path);
	bad = history_read(d->past, path);
	if (!bad || bad == -ENOENT)
		return 0;
	snprintf(aside, sizeof(aside), "%s.damaged", path);
	if (rename(path, aside))
		snprintf(aside, sizeof(aside), "nothing, as it cannot be moved");
	log_line("the history %s %s: it begins anew; the file was set aside as %s", path,
		 bad == -EBADMSG  ? "is damaged"
		 : bad == -EPROTO ? "is of a newer version"
				  : strerror(-bad),
		 aside);
	return 0;
}

static void write_history(struct daemon *d)
{
	static int last_bad;
	char path[HISTORY_PATH_MAX];
	int bad;

	history_path(d->instance, path);
	bad = history_write(d->past, path);
	if (bad && bad != last_bad)
		log_line("the history %s cannot be written: %s", path, strerror(-bad));
	else if (!bad && last_bad)
		log_line("the history %s is written again", path);
	last_bad = bad;
}

struct adding {
	struct history_book *past;
	enum history_kind kind;
};

/* Whose connections no limit of sources and subnets is asked about are not looked at for them. */
static void add_row(void *data, const struct recent_row *row, uint64_t busiest)
{
	const struct adding *a = data;

	if (row->class != CLASS_TRUSTED && row->class != CLASS_BLOCKED)
		history_add_prefix(a->past, a->kind, row->attempts, busiest);
}

static void end_minute(struct daemon *d, uint64_t now_ns)
{
	struct adding a = {.past = d->past, .kind = HISTORY_SOURCE};

	recent_walk(d->recent, RECENT_SOURCE, now_ns, add_row, &a);
	a.kind = HISTORY_SUBNET;
	recent_walk(d->recent, RECENT_SUBNET, now_ns, add_row, &a);
	history_end_minute(d->past, (uint64_t)time(NULL));
}

void recording_tick(struct daemon *d)
{
	static uint64_t taken_ns, number, write_due_ns;
	const struct recent_second *s = d->recent ? recent_second(d->recent, 0) : NULL;
	struct history_second second;

	if (!d->past || !s || s->at_ns == taken_ns)
		return;
	taken_ns = s->at_ns;
	/* In mode off nothing is judged, and nothing is known. */
	if (s->mode != MODE_OFF) {
		second = (struct history_second){.took_ns = s->took_ns,
						 .attempts = s->attempts,
						 .sessions = s->sessions,
						 .load_centi = s->load_centi,
						 .load_readable = s->load_readable,
						 .enforced = s->mode == MODE_ENFORCE};
		history_add_second(d->past, &second);
	}
	if (!number)
		number = (s->at_ns + WINDOW_END) / MINUTE_NS;
	if ((s->at_ns + WINDOW_END) / MINUTE_NS == number)
		return;
	number = (s->at_ns + WINDOW_END) / MINUTE_NS;
	end_minute(d, s->at_ns);
	if (s->at_ns < write_due_ns)
		return;
	if (write_due_ns)
		write_history(d);
	write_due_ns = s->at_ns + WRITE_S * NSEC_PER_SEC - MINUTE_NS / 2;
}

void recording_stop(struct daemon *d)
{
	if (!d->past)
		return;
	if (d->recent)
		end_minute(d, kernel_now_ns());
	write_history(d);
	history_close(d->past);
	d->past = NULL;
}
