// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hook.c - sluice hook: a service of its own that runs the operator's program when the tiers change.
 *
 * Two processes, because a set that was told must be taken back whatever ends the hook. The first
 * one does nothing that can hang: it takes signals and starts the second one, the watcher, again if
 * that is killed; a watcher that starts tells CMD the present set. The watcher holds one end of a
 * pipe; when the first process ends, kill -9 too, the pipe does, and the watcher tells CMD normal
 * and ends. (Killing both at once is left to the next start.)
 */
#include "hook.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "control.h"
#include "text.h"

#define RESTART_PAUSE_S 1 /* before a killed watcher is started again */

void hook_log(const char *format, ...)
{
	char text[1024], shown[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	text_escape(shown, sizeof(shown), text);
	text_complain("hook: %s", shown);
}

/* CMD as an absolute path, for the hook leaves its folder. Returns an exit status. */
static int find_exec(const char *exec, char *path, size_t size)
{
	char folder[2048] = "", shown[2048];
	struct stat st;
	int n;

	if (*exec != '/' && !getcwd(folder, sizeof(folder)))
		*folder = '\0';
	n = snprintf(path, size, "%s%s%s", folder, *exec == '/' ? "" : "/", exec);
	text_escape(shown, sizeof(shown), exec);
	if (n < 0 || (size_t)n >= size || stat(path, &st) || access(path, X_OK)) {
		text_complain("hook: --exec %s: %s; the path of a program was expected", shown,
			      (size_t)n >= size ? strerror(ENAMETOOLONG) : strerror(errno));
		return EXIT_FAILED;
	}
	if (!S_ISREG(st.st_mode)) {
		text_complain("hook: --exec %s: this is no program", shown);
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}

/*
 * One hook of an instance: two would tell CMD different things. The watcher of one that was killed
 * may still be at its last run, which is bounded; so is the wait for it. The descriptor is kept by
 * both processes until their end.
 */
static int take_lock(const struct hook *h)
{
	uint64_t end_ms = hook_clock_ms() + hook_end_ms(h);
	char path[192], pid[32] = "";
	bool said = false;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), RUNTIME_FOLDER "/%s", h->instance);
	mkdir(RUNTIME_FOLDER, 0755);
	mkdir(path, 0755);
	strcat(path, "/hook");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0) {
		text_complain("hook: %s cannot be opened: %s%s", path, strerror(errno),
			      errno == EACCES ? ": try it as root" : "");
		return -1;
	}
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		n = pread(fd, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? n : 0] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		if (!said)
			hook_log("a hook of the instance %s is there already (process %s): waits "
				 "for its end, %u s at most",
				 h->instance, pid, (unsigned int)(hook_end_ms(h) / 1000));
		said = true;
		if (hook_clock_ms() >= end_ms) {
			text_complain("hook: a hook of the instance %s is running already (process "
				      "%s): only one is possible",
				      h->instance, pid);
			close(fd);
			return -1;
		}
		usleep(100000);
	}
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)n, 0) != n)
		hook_log("%s: the process number could not be noted", path);
	return fd;
}

/* Starts the watcher. Returns its pid, or 0 with nothing started; *alive is our end of the pipe. */
static pid_t start_watcher(const struct hook *h, int *alive)
{
	sigset_t none;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC)) {
		hook_log("no pipe can be made: %s", strerror(errno));
		return 0;
	}
	pid = fork();
	if (!pid) {
		close(ends[1]);
		/* It ends by the pipe, never by what a terminal or a service manager sends to all. */
		signal(SIGINT, SIG_IGN);
		signal(SIGTERM, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
		signal(SIGCHLD, SIG_DFL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		_exit(hook_watch(h, ends[0]));
	}
	close(ends[0]);
	if (pid < 0) {
		hook_log("no process can be started: %s", strerror(errno));
		close(ends[1]);
		return 0;
	}
	*alive = ends[1];
	return pid;
}

/* Waits until the watcher has ended, or a signal tells us to. Returns whether it has ended. */
static bool wait_watcher(const sigset_t *set, pid_t watcher, int *status)
{
	for (;;) {
		int s = sigwaitinfo(set, NULL);

		if (waitpid(watcher, status, WNOHANG) == watcher)
			return true;
		if (s == SIGTERM || s == SIGINT)
			return false;
	}
}

/* Tells the watcher to end by the pipe's end, and waits for it no longer than it may take. */
static int end_watcher(const struct hook *h, pid_t watcher, int alive)
{
	uint64_t end_ms = hook_clock_ms() + hook_end_ms(h);
	int status;

	close(alive);
	while (waitpid(watcher, &status, WNOHANG) != watcher) {
		if (hook_clock_ms() >= end_ms) {
			hook_log("the watcher does not end and is killed");
			kill(watcher, SIGKILL);
			return EXIT_FAILED;
		}
		usleep(10000);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

static int guard(const struct hook *h)
{
	const struct timespec pause = {.tv_sec = RESTART_PAUSE_S};
	sigset_t set, end;
	int alive = -1, status;
	pid_t watcher;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigaddset(&end, SIGINT);
	set = end;
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN); /* of a log that nobody reads any more */
	for (;;) {
		watcher = start_watcher(h, &alive);
		if (!watcher)
			return EXIT_FAILED;
		if (!wait_watcher(&set, watcher, &status))
			return end_watcher(h, watcher, alive);
		close(alive);
		if (WIFEXITED(status))
			return WEXITSTATUS(status);
		if (*h->group)
			kill(-*h->group, SIGKILL); /* what it was running, with all of its own */
		*h->group = 0;
		hook_log("the watcher was ended by signal %d and is started again",
			 WTERMSIG(status));
		if (sigtimedwait(&end, NULL, &pause) > 0) {
			/* CMD may have been told a tier: a last watcher takes it back. */
			watcher = start_watcher(h, &alive);
			return watcher ? end_watcher(h, watcher, alive) : EXIT_FAILED;
		}
	}
}

int command_hook(const struct options *o, int argc, char **argv)
{
	char path[4096];
	struct hook h = {
		.instance = o->instance,
		.exec = path,
		.timeout_ms = (o->timeout_s ? o->timeout_s : HOOK_TIMEOUT_S) * 1000,
	};
	int lock, status;

	(void)argc;
	(void)argv;
	if (!o->exec) {
		text_complain("hook: --exec CMD is missing: the path of the program to run");
		return EXIT_USAGE;
	}
	status = find_exec(o->exec, path, sizeof(path));
	if (status)
		return status;
	lock = take_lock(&h);
	if (lock < 0)
		return EXIT_FAILED;
	h.group = mmap(NULL, sizeof(*h.group), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (h.group == MAP_FAILED) {
		text_complain("hook: out of memory");
		return EXIT_FAILED;
	}
	if (chdir("/"))
		hook_log("/ cannot be entered: %s", strerror(errno));
	hook_log("follows the tiers of the instance %s, runs %s", h.instance, h.exec);
	status = guard(&h);
	close(lock);
	return status;
}
