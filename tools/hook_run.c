// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hook_run.c - one run of the operator's program: bounded in time, and in what it says.
 *
 * It gets a process group of its own, so that all it started ends with it when its time is up.
 * What it leaves running when it ends by itself (a queue runner, say) is left alone.
 */
#include "hook.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINES_MAX 20 /* of output that the log takes from one run */

static void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child, which ends when the watcher is killed: the next one must not run beside it. */
_Noreturn static void become(const struct hook *h, int output, pid_t parent, const char *old,
			     uint32_t set, const char *reason)
{
	char name[32], new[HOOK_SET_MAX];
	int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	reset_signals();
	dup2(nothing, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	for (unsigned int bit = 0; bit < HOOK_TIERS; bit++) {
		snprintf(name, sizeof(name), "SLUICE_%s", hook_tier_name(bit));
		for (char *c = name; *c; c++)
			*c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
		setenv(name, set & 1U << bit ? "1" : "0", 1);
	}
	hook_set_name(set, new);
	execl(h->exec, h->exec, old, new, reason, (char *)NULL);
	dprintf(STDERR_FILENO, "it cannot be run: %s\n", strerror(errno));
	_exit(127);
}

int hook_run_start(const struct hook *h, struct hook_run *r, const char *old, uint32_t set,
		   const char *reason)
{
	pid_t self = getpid();
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	*r = (struct hook_run){.output_fd = ends[0]};
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	r->pid = fork();
	if (r->pid < 0) {
		int bad = -errno;

		close(ends[0]);
		close(ends[1]);
		r->pid = 0;
		return bad;
	}
	if (!r->pid)
		become(h, ends[1], self, old, set, reason);
	setpgid(r->pid, r->pid); /* whoever of the two comes first */
	*h->group = r->pid;
	close(ends[1]);
	r->process_fd =
		(int)syscall(SYS_pidfd_open, r->pid, 0); /* -1: then once a second will do */
	r->deadline_ms = hook_clock_ms() + h->timeout_ms;
	return 0;
}

static void end_line(struct hook_run *r)
{
	r->line[r->line_used] = '\0';
	if (r->line_used && r->lines < LINES_MAX) {
		hook_log("it says: %s", r->line);
		r->lines++;
	} else {
		r->bytes_left_out += r->line_used;
	}
	r->line_used = 0;
}

/* One piece at most, so that one that never stops talking does not keep us from the clock. */
static void take_output(struct hook_run *r)
{
	char piece[4096];
	ssize_t n = r->output_fd < 0 ? -1 : read(r->output_fd, piece, sizeof(piece));

	for (ssize_t i = 0; i < n; i++) {
		if (piece[i] == '\n')
			end_line(r);
		else if (r->line_used < sizeof(r->line) - 1)
			r->line[r->line_used++] = piece[i];
		else
			r->bytes_left_out++;
	}
	if (!n) {
		close(r->output_fd);
		r->output_fd = -1;
	}
}

static void close_run(const struct hook *h, struct hook_run *r)
{
	*h->group = 0;
	take_output(r);
	end_line(r);
	if (r->bytes_left_out)
		hook_log("it says more: %llu bytes are left out here",
			 (unsigned long long)r->bytes_left_out);
	if (r->output_fd >= 0)
		close(r->output_fd);
	if (r->process_fd >= 0)
		close(r->process_fd);
	*r = (struct hook_run){};
}

/* Its time is up: TERM, then KILL, then it is given up (a process may hang in the kernel). */
static int press(const struct hook *h, struct hook_run *r)
{
	switch (r->stage) {
	case RUN_WITHIN:
		hook_log("%s has not ended within %u s and is terminated", h->exec,
			 h->timeout_ms / 1000);
		kill(-r->pid, SIGTERM);
		r->stage = RUN_TERMINATED;
		break;
	case RUN_TERMINATED:
		kill(-r->pid, SIGKILL);
		r->stage = RUN_KILLED;
		break;
	case RUN_KILLED:
		hook_log("%s does not even end when it is killed: given up", h->exec);
		close_run(h, r);
		return -1;
	}
	r->deadline_ms = hook_clock_ms() + HOOK_GRACE_MS;
	return 1;
}

int hook_run_tend(const struct hook *h, struct hook_run *r)
{
	int status, result;
	pid_t ended;

	take_output(r);
	/* Any child: one that was given up earlier ends some day, too. */
	while ((ended = waitpid(-1, &status, WNOHANG)) > 0)
		if (ended == r->pid)
			break;
	if (ended != r->pid)
		return hook_clock_ms() < r->deadline_ms ? 1 : press(h, r);
	if (r->stage != RUN_WITHIN)
		kill(-r->pid, SIGKILL); /* the rest of its group */
	result = r->stage == RUN_WITHIN && WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -1;
	close_run(h, r);
	if (WIFSIGNALED(status))
		hook_log("%s was ended by signal %d (%s)", h->exec, WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status))
		hook_log("%s failed with status %d", h->exec, WEXITSTATUS(status));
	return result;
}

void hook_run_poll(const struct hook_run *r, struct pollfd set[2])
{
	set[0] = (struct pollfd){.fd = r->pid ? r->output_fd : -1, .events = POLLIN};
	set[1] = (struct pollfd){.fd = r->pid ? r->process_fd : -1, .events = POLLIN};
}
