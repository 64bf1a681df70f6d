// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * events.c - sluice events: single decisions, one a line.
 *
 * The daemon keeps the last few thousand and answers in pages; who follows asks again twice a
 * second. What is not shown is said: SYNs that were not sampled, events that were lost on the way
 * to the daemon, and those that were no longer kept when we came.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "command.h"
#include "paint.h"
#include "text.h"

#define EVENTS_SHAPE 1
#define POLL_MS	     500
#define GAP_S	     5	/* not sampled: said so often at most */
#define PAGES_MOST   64 /* without --follow: more than are kept */

/* Where we are in the stream of events. */
struct stream {
	const struct options *o;
	bool colours;
	char boot[32]; /* of the daemon that the number is of */
	json_int_t next;
	json_int_t judged, told, lost; /* of the last answer, or of the last that was said */
	json_int_t missed;	       /* since that was said */
	time_t said;
	bool begun;
};

/* "2026-11-25 03:02:17.123" */
static void format_time(char *out, size_t size, json_int_t ms)
{
	time_t s = (time_t)(ms / 1000);
	struct tm day;
	size_t used;

	if (!localtime_r(&s, &day)) {
		snprintf(out, size, "an unknown time");
		return;
	}
	used = strftime(out, size, "%Y-%m-%d %H:%M:%S", &day);
	snprintf(out + used, size - used, ".%03d", (int)(ms % 1000));
}

static int print_line(const struct stream *s, const json_t *e)
{
	const char *source, *dest, *class, *mode, *verdict, *reason;
	int source_port, port, again;
	json_int_t ms, stands_for;
	const json_t *wait = json_object_get(e, "wait_ms");
	char when[64], shown[32];

	if (json_unpack((json_t *)e, "{s:I, s:s, s:i, s:s, s:i, s:s, s:s, s:s, s:s, s:b, s:I}",
			"time_ms", &ms, "source", &source, "source_port", &source_port, "dest",
			&dest, "port", &port, "class", &class, "mode", &mode, "verdict", &verdict,
			"reason", &reason, "again", &again, "stands_for", &stands_for))
		return -EPROTO;
	format_time(when, sizeof(when), ms);
	snprintf(shown, sizeof(shown), "%s%s", strcmp(mode, "monitor") ? "" : "would ", verdict);
	printf("%s  %s%-*s%s  %-15s  %s port %d to %s port %d, %s", when,
	       paint_verdict(verdict, s->colours), strcmp(mode, "monitor") ? 6 : 12, shown,
	       paint_end(s->colours), reason, source, source_port, dest, port, class);
	if (again)
		printf(", again");
	if (json_is_number(wait))
		printf(", for %.0f ms", json_number_value(wait));
	if (stands_for > 1)
		printf(", 1 of %lld", (long long)stands_for);
	putchar('\n');
	return 0;
}

/* One object a line, with the shape in each. */
static void print_json(const json_t *e)
{
	json_t *shaped = json_pack("{s:i}", "shape", EVENTS_SHAPE);

	json_object_update(shaped, (json_t *)e);
	json_dumpf(shaped, stdout, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));
	putchar('\n');
	json_decref(shaped);
}

static void print_gap(const struct stream *s, json_int_t passed_over, json_int_t lost,
		      json_int_t missed)
{
	json_t *gap;

	if (s->o->json) {
		gap = json_pack("{s:{s:I, s:I, s:I}}", "gap", "not_sampled", passed_over, "lost",
				lost, "missed", missed);
		print_json(gap);
		json_decref(gap);
		return;
	}
	printf("%s#", paint_faint(s->colours));
	if (passed_over)
		printf(" %lld SYNs were judged that no event was made of;", (long long)passed_over);
	if (lost)
		printf(" %lld events were lost, as the ring to the daemon was full;",
		       (long long)lost);
	if (missed)
		printf(" %lld events were no longer kept when they were asked for;",
		       (long long)missed);
	printf(" of all senders together%s\n", paint_end(s->colours));
}

/* Says what is not shown: at the end, or at once where something was lost, else now and then. */
static void say_gap(struct stream *s, json_int_t judged, json_int_t told, json_int_t lost,
		    bool last)
{
	json_int_t passed_over = (judged - s->judged) - (told - s->told);
	time_t now = time(NULL);

	if (!last && (!s->o->follow || (lost <= s->lost && !s->missed && now < s->said + GAP_S)))
		return;
	/* The CPUs are read one after the other: a few may be counted on one side only. */
	if (passed_over > 0 || lost > s->lost || s->missed)
		print_gap(s, passed_over > 0 ? passed_over : 0, lost - s->lost, s->missed);
	s->missed = 0;
	s->judged = judged;
	s->told = told;
	s->lost = lost;
	s->said = now;
}

static json_t *request_of(const struct stream *s)
{
	json_t *request = json_pack("{s:s, s:I}", "command", "events", "after", s->next);

	if (s->o->address)
		json_object_set_new(request, "address", json_string(s->o->address));
	if (s->o->reason)
		json_object_set_new(request, "reason", json_string(s->o->reason));
	return request;
}

static int print_events(const struct stream *s, const json_t *events)
{
	json_t *clean = text_escaped(events);
	const json_t *e;
	int bad = 0;
	size_t i;

	json_array_foreach (clean, i, e) {
		if (s->o->json)
			print_json(e);
		else if (!bad)
			bad = print_line(s, e);
	}
	json_decref(clean);
	return bad;
}

/* Of a daemon that was started again: its numbers begin anew, and so do we. */
static bool is_another(struct stream *s, const char *boot)
{
	bool another = s->begun && strcmp(s->boot, boot);

	snprintf(s->boot, sizeof(s->boot), "%s", boot);
	if (another) {
		s->next = 0;
		if (!s->o->json)
			printf("# sluiced has been started anew\n");
	}
	return another;
}

/* One page. Returns 0 with *more, or the exit status. */
static int page(struct stream *s, int *more)
{
	json_int_t shape, next, missed, judged, told, lost;
	json_t *answer, *events;
	const char *boot;
	int status = 0;

	if (client_talk(s->o, request_of(s), &answer))
		return EXIT_FAILED;
	if (json_unpack(answer, "{s:I, s:s, s:I, s:b, s:I, s:I, s:I, s:I, s:o}", "shape", &shape,
			"boot", &boot, "next", &next, "more", more, "missed", &missed, "judged",
			&judged, "told", &told, "lost", &lost, "events", &events) ||
	    shape != EVENTS_SHAPE)
		status = -EPROTO;
	if (!status && is_another(s, boot)) {
		*more = 1;
		json_decref(answer);
		return 0;
	}
	if (!status && !s->begun) {
		s->judged = s->o->follow ? judged : 0;
		s->told = s->o->follow ? told : 0;
		s->lost = s->o->follow ? lost : 0;
		s->begun = true;
	}
	if (!status)
		status = print_events(s, events);
	if (!status) {
		s->missed += missed;
		say_gap(s, judged, told, lost, !s->o->follow && !*more);
		s->next = next;
	}
	json_decref(answer);
	if (!status)
		return 0;
	text_complain("the daemon's events are not understood: it is of another version");
	return EXIT_FAILED;
}

/* JSON takes no bytes that are not UTF-8: left out of the request, they would filter nothing. */
static bool is_text(const char *name, const char *given)
{
	json_t *text = given ? json_string(given) : NULL;

	json_decref(text);
	if (given && !text)
		text_complain("%s: what was given is no text", name);
	return !given || text;
}

static volatile sig_atomic_t stopped;

static void stop(int number)
{
	(void)number;
	stopped = 1;
}

/* Ends between two lines, not in one. Who asks again, or while we wait for a reader, means it. */
static void catch_end(void)
{
	struct sigaction act = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND};

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
}

int command_events(const struct options *o, int argc, char **argv)
{
	struct stream s = {.o = o, .colours = paint_allowed()};
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
	int more = 1, status = 0, pages;

	(void)argc;
	(void)argv;
	if (!is_text("--address", o->address) || !is_text("--reason", o->reason))
		return EXIT_USAGE;
	if (o->follow)
		catch_end();
	for (pages = 0; !status && !stopped && (o->follow || (more && pages < PAGES_MOST));
	     pages++) {
		status = page(&s, &more);
		/* Who reads the output may be slow or gone: it is not ours to keep lines for it. */
		if (fflush(stdout) || ferror(stdout))
			return EXIT_FAILED; /* said at the end: the output has failed */
		if (!status && !stopped && o->follow)
			nanosleep(&pause, NULL);
	}
	return status;
}
