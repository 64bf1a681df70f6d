// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mta.c - a small MTA for the demo: it takes mail and throws it away.
 *
 * What makes a real one break is here: one process a session and a limit on them, a short accept
 * queue, and real work for each connection and each mail (a policy look-up and a content filter,
 * say), given in milliseconds of CPU time, so that it weighs the same on every machine. At the
 * limit it does not accept: new connections wait in the kernel.
 *
 *	mta ADDRESS PORT BACKLOG PROCESSES CONNECTION_MS MAIL_MS COUNTERS_FILE
 *
 * The counters are three words of 64 bits in a file, for whoever maps it: connections accepted,
 * mails accepted, sessions now.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LINE	   1024
#define PATIENCE_S 60 /* for the client's next line; real ones wait 5 minutes */

struct counters {
	uint64_t accepted, mails, sessions;
};

struct mta {
	int listener;
	int backlog;
	unsigned int processes;
	unsigned int connection_ms, mail_ms;
	volatile struct counters *counters;
};

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Digests the text over and over, for so much CPU time. */
static uint32_t work(const char *text, size_t length, unsigned int ms)
{
	uint64_t end = cpu_ns() + ms * 1000000ULL;
	uint32_t hash = 2166136261U; /* FNV-1a */

	while (cpu_ns() < end)
		for (int round = 0; round < 100; round++)
			for (size_t i = 0; i < length; i++)
				hash = (hash ^ (unsigned char)text[i]) * 16777619U;
	return hash;
}

__attribute__((format(printf, 2, 3))) static void reply(int fd, const char *format, ...)
{
	char line[LINE];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line) - 2, format, args);
	va_end(args);
	strcat(line, "\r\n");
	if (write(fd, line, strlen(line)) < 0)
		_exit(0); /* the client has gone: so has the session */
}

static int is(const char *line, const char *command)
{
	return strncasecmp(line, command, strlen(command)) == 0;
}

/* The mail itself, up to the dot. Returns 0, or -1 when the client has gone. */
static int take_mail(const struct mta *m, FILE *in, int fd)
{
	char line[LINE], text[4 * LINE];
	size_t length = 0;

	reply(fd, "354 end with a dot");
	while (fgets(line, sizeof(line), in)) {
		size_t more = strlen(line);

		if (strcmp(line, ".\r\n") == 0) {
			uint32_t id = work(text, length, m->mail_ms);

			__atomic_fetch_add(&m->counters->mails, 1, __ATOMIC_RELAXED);
			reply(fd, "250 accepted, %08x", id);
			return 0;
		}
		if (length + more <= sizeof(text)) {
			memcpy(text + length, line, more);
			length += more;
		}
	}
	return -1;
}

static void session(const struct mta *m, int fd)
{
	struct timeval patience = {.tv_sec = PATIENCE_S};
	FILE *in = fdopen(fd, "r");
	char line[LINE];

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (!in)
		return;
	work("policy", 6, m->connection_ms);
	reply(fd, "220 mx.example.test ESMTP");
	while (fgets(line, sizeof(line), in)) {
		if (is(line, "QUIT")) {
			reply(fd, "221 bye");
			return;
		}
		if (is(line, "DATA")) {
			if (take_mail(m, in, fd))
				return;
		} else if (is(line, "EHLO") || is(line, "HELO") || is(line, "MAIL") ||
			   is(line, "RCPT") || is(line, "RSET") || is(line, "NOOP")) {
			reply(fd, "250 ok");
		} else {
			reply(fd, "500 unknown command");
		}
	}
}

static void accept_one(struct mta *m)
{
	int fd = accept4(m->listener, NULL, NULL, SOCK_CLOEXEC);
	pid_t parent = getpid(), child;

	if (fd < 0)
		return;
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		close(m->listener);
		session(m, fd);
		_exit(0);
	}
	close(fd);
	if (child > 0) {
		m->counters->accepted++;
		m->counters->sessions++;
	}
}

static void nothing(int signal_number)
{
	(void)signal_number; /* it ends ppoll() */
}

static void serve(struct mta *m)
{
	struct sigaction act = {.sa_handler = nothing};
	struct pollfd queue = {.fd = m->listener, .events = POLLIN};
	sigset_t child, none;

	sigaction(SIGCHLD, &act, NULL);
	sigemptyset(&none);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	for (;;) {
		int room;

		while (waitpid(-1, NULL, WNOHANG) > 0)
			m->counters->sessions--;
		room = m->counters->sessions < m->processes;
		if (ppoll(&queue, room ? 1 : 0, NULL, &none) > 0)
			accept_one(m);
	}
}

static int open_listener(const char *address, const char *port, int backlog)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)) || listen(fd, backlog))
		return -1;
	return fd;
}

static volatile struct counters *map_counters(const char *file)
{
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	void *at;

	if (fd < 0 || ftruncate(fd, sizeof(struct counters)))
		return NULL;
	at = mmap(NULL, sizeof(struct counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return at == MAP_FAILED ? NULL : at;
}

int main(int argc, char **argv)
{
	struct mta m = {0};

	if (argc != 8) {
		fprintf(stderr, "usage: mta ADDRESS PORT BACKLOG PROCESSES CONNECTION_MS MAIL_MS "
				"COUNTERS_FILE\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	m.backlog = atoi(argv[3]);
	m.processes = (unsigned int)atoi(argv[4]);
	m.connection_ms = (unsigned int)atoi(argv[5]);
	m.mail_ms = (unsigned int)atoi(argv[6]);
	m.counters = map_counters(argv[7]);
	m.listener = open_listener(argv[1], argv[2], m.backlog);
	if (!m.counters || m.listener < 0) {
		fprintf(stderr, "mta: cannot listen on %s, port %s, or map %s: %s\n", argv[1],
			argv[2], argv[7], strerror(errno));
		return 1;
	}
	serve(&m);
}
