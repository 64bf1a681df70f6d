// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * senders.c - the clients of the demo: sessions of the kernel's own TCP from many sources.
 *
 * Connections arrive by a Poisson process (exponential gaps), drawn from a seed, so two runs meet
 * the same ones at the same moments. Each is tried once, from a source that is bound before the
 * connect, and is one of three kinds: it delivers a mail, or quits after the banner, or holds the
 * session for a while, as slow and careless senders do. Whoever has not got what he came for
 * within his limit gives up. One line is written for each session that ended:
 *
 *	KIND SOURCE ARRIVED CONNECTED BANNER DELIVERED ENDED SYNS OUTCOME
 *
 * Times are seconds since the start of the run, -1 for what never came; SYNS is how many the
 * kernel sent for it. OUTCOME is ok, refused (RST to the SYN), cut (lost later), gave-up, or open:
 * SIGTERM came first.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LOOK_EVERY_S 0.01 /* for arrivals and limits */
#define REPLY	     512

enum kind { MAIL, QUIT, HOLD, KINDS };
static const char *const kind_name[KINDS] = {"mail", "quit", "hold"};

/* What was sent last; the answer to it moves the session on. */
enum step { CONNECT, GREETING, EHLO, FROM, RCPT, DATA, BODY, HOLDING, BYE };

static const char body[] = "From: <sender@example.test>\r\n"
			   "To: <someone@example.test>\r\n"
			   "Subject: a mail of the demo\r\n"
			   "\r\n"
			   "The quick brown fox jumps over the lazy dog, and over the next one.\r\n"
			   ".\r\n";

struct session {
	struct session *next, **link; /* the list of those that live */
	int fd;
	enum kind kind;
	enum step step;
	struct in_addr source;
	double arrived, connected, banner, delivered;
	double hold_s, hold_until;
	unsigned int syns;
	char reply[REPLY];
	size_t reply_length;
};

struct arrival {
	double at;
	enum kind kind;
	struct in_addr source;
	double hold_s;
};

static struct {
	struct sockaddr_in to;
	double start, seed;
	double from, until, rate, limit;
	struct in_addr base;
	double subnets, hosts;
	double quit_percent, hold_percent, hold_s;
	int epoll;
	struct session *live;
	uint64_t random;
} g = {
	.to = {.sin_family = AF_INET},
	.until = 1,
	.rate = 1,
	.limit = 30,
	.subnets = 1,
	.hosts = 1,
	.hold_s = 10,
};

static volatile sig_atomic_t stopped;

static void stop(int signal_number)
{
	(void)signal_number;
	stopped = 1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9 - g.start;
}

/* Uniform in (0, 1): xorshift64*, whose state is never 0. */
static double draw(void)
{
	g.random ^= g.random >> 12;
	g.random ^= g.random << 25;
	g.random ^= g.random >> 27;
	return ((double)((g.random * 2685821657736338717ULL) >> 12) + 0.5) / 0x1p52;
}

static unsigned int draw_below(double n)
{
	return (unsigned int)(draw() * n);
}

/* The next arrival. Always takes the same number of draws, so the kinds do not shift the times. */
static struct arrival next_arrival(double after)
{
	struct arrival a = {.at = after - log(draw()) / g.rate, .kind = MAIL};
	unsigned int percent = draw_below(100);
	unsigned int subnet = draw_below(g.subnets), host = draw_below(g.hosts);

	if (percent < g.quit_percent)
		a.kind = QUIT;
	else if (percent < g.quit_percent + g.hold_percent)
		a.kind = HOLD;
	a.source.s_addr = htonl(ntohl(g.base.s_addr) + subnet * 256 + 1 + host);
	a.hold_s = g.hold_s * (0.8 + 0.4 * draw());
	return a;
}

/* How many SYNs the kernel sent: the first, and what it retransmitted. */
static unsigned int syns_sent(int fd)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size))
		return 1;
	return 1 + info.tcpi_total_retrans;
}

static void end(struct session *s, const char *outcome)
{
	char source[INET_ADDRSTRLEN];

	if (s->connected < 0)
		s->syns = syns_sent(s->fd);
	inet_ntop(AF_INET, &s->source, source, sizeof(source));
	printf("%s %s %.4f %.4f %.4f %.4f %.4f %u %s\n", kind_name[s->kind], source, s->arrived,
	       s->connected, s->banner, s->delivered, now(), s->syns, outcome);
	close(s->fd);
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	free(s);
}

static void begin(const struct arrival *a)
{
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr = a->source};
	struct session *s = calloc(1, sizeof(*s));
	int on = 1;

	if (!s)
		exit(1);
	*s = (struct session){.kind = a->kind,
			      .source = a->source,
			      .hold_s = a->hold_s,
			      .arrived = now(),
			      .connected = -1,
			      .banner = -1,
			      .delivered = -1};
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* The port is chosen at the connect: sources then share the range of ports. */
	setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&from, sizeof(from)) ||
	    (connect(s->fd, (struct sockaddr *)&g.to, sizeof(g.to)) && errno != EINPROGRESS)) {
		fprintf(stderr, "senders: cannot connect from %s: %s\n", inet_ntoa(a->source),
			strerror(errno));
		exit(1);
	}
	s->next = g.live;
	s->link = &g.live;
	if (g.live)
		g.live->link = &s->next;
	g.live = s;
	epoll_ctl(g.epoll, EPOLL_CTL_ADD, s->fd,
		  &(struct epoll_event){.events = EPOLLIN | EPOLLOUT, .data.ptr = s});
}

static void say(struct session *s, enum step step, const char *text)
{
	s->step = step;
	if (write(s->fd, text, strlen(text)) < 0 && errno != EAGAIN)
		s->step = BYE; /* the close that follows is read next */
}

/* One whole answer of the server moves the session on. */
static void answered(struct session *s)
{
	switch (s->step) {
	case GREETING:
		s->banner = now();
		if (s->kind == QUIT)
			say(s, BYE, "QUIT\r\n");
		else
			say(s, EHLO, "EHLO sender.example.test\r\n");
		break;
	case EHLO:
		if (s->kind == HOLD) {
			s->step = HOLDING;
			s->hold_until = now() + s->hold_s;
			break;
		}
		say(s, FROM, "MAIL FROM:<sender@example.test>\r\n");
		break;
	case FROM:
		say(s, RCPT, "RCPT TO:<someone@example.test>\r\n");
		break;
	case RCPT:
		say(s, DATA, "DATA\r\n");
		break;
	case DATA:
		say(s, BODY, body);
		break;
	case BODY:
		s->delivered = now();
		say(s, BYE, "QUIT\r\n");
		break;
	default:
		break;
	}
}

/* Reads what has come. Returns false when the session has ended. */
static bool take(struct session *s)
{
	ssize_t n = read(s->fd, s->reply + s->reply_length, REPLY - 1 - s->reply_length);
	char *line, *eol;

	if (n < 0 && errno == EAGAIN)
		return true;
	if (n <= 0) {
		end(s, s->step == BYE ? "ok" : "cut");
		return false;
	}
	s->reply_length += (size_t)n;
	s->reply[s->reply_length] = '\0';
	for (line = s->reply; (eol = strchr(line, '\n')); line = eol + 1) {
		bool last = eol - line >= 4 && line[3] != '-';

		if (last && (line[0] == '4' || line[0] == '5')) {
			end(s, "cut");
			return false;
		}
		if (last)
			answered(s);
	}
	s->reply_length = strlen(line);
	memmove(s->reply, line, s->reply_length + 1);
	if (s->reply_length == REPLY - 1)
		s->reply_length = 0;
	return true;
}

static void event(struct session *s, uint32_t events)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (s->step == CONNECT) {
		getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
		if (error) {
			end(s, error == ECONNREFUSED ? "refused" : "cut");
			return;
		}
		if (!(events & EPOLLOUT))
			return;
		s->connected = now();
		s->syns = syns_sent(s->fd);
		s->step = GREETING;
		epoll_ctl(g.epoll, EPOLL_CTL_MOD, s->fd,
			  &(struct epoll_event){.events = EPOLLIN, .data.ptr = s});
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		take(s);
}

/* Who has waited too long gives up; who has held long enough goes. */
static void look_at_clocks(void)
{
	double at = now();
	struct session *next;

	for (struct session *s = g.live; s; s = next) {
		next = s->next;
		if (s->step == HOLDING) {
			if (at >= s->hold_until)
				say(s, BYE, "QUIT\r\n");
		} else if (s->step != BYE && at - s->arrived >= g.limit) {
			end(s, "gave-up");
		}
	}
}

static void run(void)
{
	struct arrival a = next_arrival(g.from);
	struct epoll_event events[64];

	while (!stopped && (g.live || a.at < g.until)) {
		int n = epoll_wait(g.epoll, events, 64, (int)(LOOK_EVERY_S * 1000));

		for (int i = 0; i < n; i++)
			event(events[i].data.ptr, events[i].events);
		look_at_clocks();
		for (; a.at < g.until && a.at <= now(); a = next_arrival(a.at))
			begin(&a);
		fflush(stdout);
	}
	while (g.live)
		end(g.live, "open");
}

/* The command line: NAME=VALUE, in any order. */
static const struct parameter {
	const char *name;
	double *number;
	struct in_addr *address;
} parameters[] = {
	{"to", NULL, &g.to.sin_addr},	 /* the server's address; its port is 25 */
	{"start", &g.start, NULL},	 /* second 0 of the run, CLOCK_MONOTONIC */
	{"seed", &g.seed, NULL},	 /* of the arrivals */
	{"rate", &g.rate, NULL},	 /* of the arrivals, a second */
	{"from", &g.from, NULL},	 /* seconds of the run */
	{"until", &g.until, NULL},	 /* seconds of the run */
	{"base", NULL, &g.base},	 /* the first /24 of the sources */
	{"subnets", &g.subnets, NULL},	 /* so many /24s from there on */
	{"hosts", &g.hosts, NULL},	 /* in each of them */
	{"quit", &g.quit_percent, NULL}, /* of the arrivals */
	{"hold", &g.hold_percent, NULL}, /* of the arrivals; the rest deliver a mail */
	{"hold-s", &g.hold_s, NULL},	 /* +-20 % */
	{"limit-s", &g.limit, NULL},	 /* for what a session came for */
};

static bool read_parameter(const char *word)
{
	for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
		const struct parameter *p = &parameters[i];
		size_t length = strlen(p->name);

		if (strncmp(word, p->name, length) || word[length] != '=')
			continue;
		if (p->address)
			return inet_pton(AF_INET, word + length + 1, p->address) == 1;
		*p->number = atof(word + length + 1);
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	struct rlimit files;

	for (int i = 1; i < argc; i++) {
		if (!read_parameter(argv[i])) {
			fprintf(stderr, "senders: '%s' is not NAME=VALUE of a known name\n",
				argv[i]);
			return 2;
		}
	}
	g.random = (uint64_t)g.seed * 0x9e3779b97f4a7c15ULL + 1;
	for (int i = 0; i < 16; i++)
		draw(); /* small seeds look alike in the first few */
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, stop);
	g.to.sin_port = htons(25);
	g.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (g.epoll < 0) {
		perror("senders: epoll");
		return 1;
	}
	run();
	return 0;
}
