// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * top.c - sluice top: what the gate does, live.
 *
 * On a terminal a picture every second, until q; elsewhere a line a second. --once draws the
 * picture once. However it ends, but for kill -9, the terminal is given back as it was.
 */
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "command.h"
#include "control.h"
#include "paint.h"
#include "text.h"
#include "top.h"

#define REFRESH_MS   1000
#define COLUMNS_ELSE 100 /* of what is no terminal */
#define ROWS_LEAST   12
#define TABLE_MOST   50

struct top {
	const struct options *o;
	bool alone;	    /* the last answer was read from the pinned maps */
	bool had_daemon;    /* and before, one from a daemon */
	bool keys;	    /* standard input is a terminal whose keys are ours */
	int signals;	    /* signalfd; -1: none */
	struct termios was; /* of standard input */
};

/* The picture goes to the second screen of the terminal, without a cursor. */
static const char enter_text[] = "\033[?1049h\033[?25l\033[2J";
static const char leave_text[] = "\033[?25h\033[?1049l";

/* --- asking ----------------------------------------------------------------------------------- */

/* Returns the answer, or NULL with what is to be said. */
static json_t *ask(struct top *t, struct client_error *error)
{
	json_t *request =
		json_pack("{s:s, s:i, s:i}", "command", "top", "rows", TABLE_MOST, "seconds", 200);
	struct config_error why = {};
	json_t *answer;
	int bad = client_ask(t->o->instance, request, &answer, error);

	if (!bad) {
		t->alone = false;
		t->had_daemon = true;
		return answer;
	}
	/* Where the pins cannot be read either, the daemon's absence is what is to be said. */
	if (bad != -ESRCH || t->had_daemon)
		return NULL;
	t->alone = true;
	return top_pins(t->o->instance, &why);
}

static char *text_of(const json_t *answer, const struct top_paper *paper, bool one_line,
		     const char **why)
{
	json_t *clean;
	char *text;

	*why = "the daemon's answer is of another shape; --json shows it as it is";
	if (json_integer_value(json_object_get(answer, "shape")) != TOP_SHAPE)
		return NULL;
	clean = text_escaped(answer);
	text = one_line ? top_line(clean, why) : top_view(clean, paper, why);
	json_decref(clean);
	return text;
}

static bool has_blocks(void)
{
	setlocale(LC_CTYPE, "");
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

static int complain(const char *sentence)
{
	text_complain("%s", sentence);
	return EXIT_FAILED;
}

/* --- without a terminal ----------------------------------------------------------------------- */

static int columns_of_output(void)
{
	struct winsize w;

	return isatty(STDOUT_FILENO) && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) && w.ws_col
		       ? w.ws_col
		       : COLUMNS_ELSE;
}

static int print(struct top *t, const json_t *answer)
{
	const struct top_paper paper = {
		.columns = columns_of_output(), .colours = paint_allowed(), .blocks = has_blocks()};
	const char *why;
	char *text;

	if (t->o->json && t->o->once) {
		client_print(answer);
		return 0;
	}
	if (t->o->json) {
		json_dumpf(answer, stdout,
			   JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));
		putchar('\n');
		return 0;
	}
	text = text_of(answer, &paper, !t->o->once, &why);
	if (!text)
		return complain(why);
	fputs(text, stdout);
	free(text);
	return 0;
}

/* Once, or a line a second until it is ended, or the daemon is. */
static int print_lines(struct top *t)
{
	const struct timespec pause = {.tv_sec = REFRESH_MS / 1000};
	struct client_error error;
	json_t *answer;
	int status;

	for (;;) {
		answer = ask(t, &error);
		if (!answer)
			return complain(error.text);
		status = print(t, answer);
		json_decref(answer);
		if (fflush(stdout) || ferror(stdout))
			return EXIT_FAILED; /* said at the end: the output has failed */
		if (status || t->o->once)
			return status;
		if (!t->alone) /* what is read from the maps takes a second itself */
			nanosleep(&pause, NULL);
	}
}

/* --- on a terminal ---------------------------------------------------------------------------- */

static void put(const char *text)
{
	fputs(text, stdout);
	fflush(stdout);
}

static void enter(struct top *t)
{
	struct termios keys;

	t->keys = isatty(STDIN_FILENO) && !tcgetattr(STDIN_FILENO, &t->was);
	if (t->keys) {
		keys = t->was;
		keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		keys.c_cc[VMIN] = 0;
		keys.c_cc[VTIME] = 0;
		tcsetattr(STDIN_FILENO, TCSADRAIN, &keys);
	}
	put(enter_text);
}

static void leave(const struct top *t)
{
	put(leave_text);
	if (t->keys)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &t->was);
}

static int draw(const json_t *answer, const char **why)
{
	struct top_paper paper = {.colours = paint_allowed(), .blocks = has_blocks()};
	struct winsize w;
	char *text;

	paper.terminal = true;
	paper.columns = COLUMNS_ELSE;
	paper.rows = 24;
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) && w.ws_col && w.ws_row) {
		paper.columns = w.ws_col;
		paper.rows = w.ws_row;
	}
	text = text_of(answer, &paper, false, why);
	if (!text)
		return EXIT_FAILED;
	fputs("\033[H", stdout);
	fputs(text, stdout);
	put("\033[J");
	free(text);
	return 0;
}

enum wake { WAKE_REFRESH, WAKE_DRAW, WAKE_END };

/* Stops as any program does, with the terminal as it was; comes back and draws anew. */
static enum wake take_signal(struct top *t)
{
	struct signalfd_siginfo s;

	if (read(t->signals, &s, sizeof(s)) != sizeof(s))
		return WAKE_DRAW;
	switch (s.ssi_signo) {
	case SIGTSTP:
		leave(t);
		raise(SIGSTOP);
		enter(t);
		return WAKE_DRAW;
	case SIGCONT: /* of a stop that could not be caught */
		put(enter_text);
		return WAKE_DRAW;
	case SIGWINCH:
		put("\033[2J");
		return WAKE_DRAW;
	}
	return WAKE_END;
}

static enum wake take_keys(void)
{
	char keys[64];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	if (n <= 0)
		return WAKE_END; /* the terminal is gone */
	for (ssize_t i = 0; i < n; i++)
		if (keys[i] == 'q' || keys[i] == 'Q' || keys[i] == 3)
			return WAKE_END;
	return WAKE_REFRESH;
}

static int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for the time, a key or a signal. */
static enum wake wait_until(struct top *t, int64_t due_ms)
{
	struct pollfd set[2] = {{.fd = t->signals, .events = POLLIN},
				{.fd = t->keys ? STDIN_FILENO : -1, .events = POLLIN}};
	int64_t left_ms = due_ms - clock_ms();

	if (poll(set, 2, left_ms > 0 ? (int)left_ms : 0) <= 0)
		return WAKE_REFRESH;
	if (set[0].revents)
		return take_signal(t);
	return take_keys();
}

static void catch_signals(struct top *t)
{
	static const int caught[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(caught) / sizeof(caught[0]); i++)
		sigaddset(&set, caught[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	t->signals = signalfd(-1, &set, SFD_CLOEXEC);
}

static int live(struct top *t)
{
	enum wake wake = WAKE_REFRESH;
	struct client_error error;
	json_t *answer = ask(t, &error);
	const char *why = error.text;
	int64_t due_ms;
	int status = 0;

	if (!answer)
		return complain(error.text);
	catch_signals(t);
	enter(t);
	while (!status && wake != WAKE_END) {
		status = draw(answer, &why);
		due_ms = clock_ms() + (t->alone ? 0 : REFRESH_MS);
		if (!status)
			wake = wait_until(t, due_ms);
		if (status || wake != WAKE_REFRESH)
			continue;
		json_decref(answer);
		answer = ask(t, &error);
		why = error.text;
		status = answer ? 0 : EXIT_FAILED;
	}
	json_decref(answer);
	leave(t);
	return status ? complain(why) : EXIT_DONE;
}

int command_top(const struct options *o, int argc, char **argv)
{
	struct top t = {.o = o, .signals = -1};
	const char *term = getenv("TERM");

	(void)argc;
	(void)argv;
	if (o->once || o->json || !isatty(STDOUT_FILENO) || !term || !strcmp(term, "dumb"))
		return print_lines(&t);
	return live(&t);
}
