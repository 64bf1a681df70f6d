// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * storm.c - senders of mail by the kernel's own TCP, from as many real source addresses as wanted.
 *
 * Connections arrive by a Poisson process drawn from a seed. Each comes from a source drawn from
 * those of the run, bound before the connect; the address need not be configured, a local route of
 * its prefix is enough. Each is tried once: it delivers a mail and quits, after the greeting it may
 * first hold the session for a while. Who does not get on within his patience gives up.
 *
 * One line of JSON at the end: how many got how far, percentiles in milliseconds from the connect
 * on; with each=1 also every session, as [arrival in seconds of the run, connected, banner,
 * accepted in ms or null, outcome]. SIGTERM ends the run at once, with its line.
 *
 * Bounds: LIVE_MAX sessions at a time (beyond that arrivals are counted as skipped), RECORDS_MAX
 * sessions that are remembered, and run time seconds + 2 x patience + hold.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LIVE_MAX    40000
#define RECORDS_MAX 400000
#define BYTES_MAX   12000 /* of a mail: one write takes it, the send buffer has 16 KiB */
#define TICK_MS	    5	  /* for arrivals */
#define CLOCKS_S    0.05  /* for holds and patience */
#define REPLY	    256

/* What was sent last; the answer to it moves the session on. */
enum step { CONNECT, GREETING, EHLO, HOLDING, FROM, RCPT, DATA, BODY, BYE };

enum outcome { OK, REFUSED, SILENT, HUNG, REJECTED, CUT, SLOW, OPEN, OUTCOMES };

static const char *const outcome_name[OUTCOMES] = {
	[OK] = "ok",		 /* the mail was accepted */
	[REFUSED] = "refused",	 /* RST to the SYN */
	[SILENT] = "silent",	 /* no answer to the SYN within the patience */
	[HUNG] = "hung",	 /* connected, no banner within the patience */
	[REJECTED] = "rejected", /* a 4xx or 5xx, as banner or later */
	[CUT] = "cut",		 /* the server closed without a word */
	[SLOW] = "slow", /* the banner came, the mail was not accepted within the patience */
	[OPEN] = "open", /* the run ended first */
};

struct session {
	struct session *next, **link; /* the list of those that live */
	int fd;
	enum step step;
	double arrived, connected, banner, accepted; /* seconds of the run, -1 for never */
	double waits_since, hold_until;
	char reply[REPLY];
	size_t reply_length;
};

enum mark { CONNECTED, BANNER, ACCEPTED, MARKS };

struct record {
	float arrived;	    /* seconds of the run */
	float since[MARKS]; /* seconds from then on, -1 for never */
	enum outcome outcome;
};

static struct {
	struct sockaddr_storage to;
	struct sockaddr_storage base;
	socklen_t size;
	double start, seed, port, rate, seconds, sources, per_subnet;
	double hold_s, patience, bytes, each;
	int epoll;
	struct session *live;
	unsigned int alive;
	uint64_t random, skipped, failed;
	struct record *records;
	size_t recorded;
	char mail[BYTES_MAX + 256];
	size_t mail_length;
} g = {
	.port = 25,
	.rate = 1,
	.seconds = 10,
	.sources = 1,
	.per_subnet = 1,
	.patience = 60,
	.bytes = 5120,
};

static volatile sig_atomic_t stopped;

static void stop(int number)
{
	(void)number;
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

static double next_arrival(double after)
{
	return after - log(draw()) / g.rate;
}

/* The n-th source: per-subnet of them share a /24, or a /48 where each has a /64 of its own. */
static struct sockaddr_storage source(unsigned int n)
{
	struct sockaddr_storage from = g.base;
	unsigned int subnet = n / (unsigned int)g.per_subnet;
	unsigned int host = n % (unsigned int)g.per_subnet;

	if (from.ss_family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)&from;

		in->sin_addr.s_addr = htonl(ntohl(in->sin_addr.s_addr) + subnet * 256 + host);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&from;
		uint8_t *byte = in6->sin6_addr.s6_addr;
		unsigned int low = (unsigned int)(byte[4] << 8 | byte[5]) + subnet;

		byte[4] = (uint8_t)(low >> 8);
		byte[5] = (uint8_t)low;
		byte[6] = (uint8_t)(host >> 8);
		byte[7] = (uint8_t)host;
	}
	return from;
}

static float since(const struct session *s, double at)
{
	return at < 0 ? -1.0F : (float)(at - s->arrived);
}

static void end(struct session *s, enum outcome outcome)
{
	if (g.recorded < RECORDS_MAX) {
		g.records[g.recorded++] =
			(struct record){.arrived = (float)s->arrived,
					.since = {[CONNECTED] = since(s, s->connected),
						  [BANNER] = since(s, s->banner),
						  [ACCEPTED] = since(s, s->accepted)},
					.outcome = outcome};
	}
	close(s->fd);
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	free(s);
	g.alive--;
}

static int bound_socket(const struct sockaddr_storage *from)
{
	int fd = socket(from->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on));
	/* The port is chosen at the connect: sources then share the range of ports. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)from, g.size) ||
	    (connect(fd, (struct sockaddr *)&g.to, g.size) && errno != EINPROGRESS)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void begin(void)
{
	struct sockaddr_storage from = source((unsigned int)(draw() * g.sources));
	struct session *s;
	double at = now();
	int fd;

	if (g.alive >= LIVE_MAX) {
		g.skipped++;
		return;
	}
	fd = bound_socket(&from);
	s = fd < 0 ? NULL : calloc(1, sizeof(*s));
	if (!s) {
		if (!g.failed++)
			fprintf(stderr, "storm: cannot connect: %s\n", strerror(errno));
		if (fd >= 0)
			close(fd);
		return;
	}
	s->fd = fd;
	s->arrived = s->waits_since = at;
	s->connected = s->banner = s->accepted = -1;
	s->next = g.live;
	s->link = &g.live;
	if (g.live)
		g.live->link = &s->next;
	g.live = s;
	g.alive++;
	epoll_ctl(g.epoll, EPOLL_CTL_ADD, fd,
		  &(struct epoll_event){.events = EPOLLIN | EPOLLOUT, .data.ptr = s});
}

static void say(struct session *s, enum step step, const char *text, size_t length)
{
	s->step = step;
	/* A failed or short write is followed by the close of the other side, which is read. */
	if (send(s->fd, text, length, MSG_NOSIGNAL) < (ssize_t)length)
		shutdown(s->fd, SHUT_WR);
}

static void say_line(struct session *s, enum step step, const char *text)
{
	say(s, step, text, strlen(text));
}

/* One whole answer of the server moves the session on. */
static void answered(struct session *s)
{
	switch (s->step) {
	case GREETING:
		s->banner = now();
		say_line(s, EHLO, "EHLO sender.example.test\r\n");
		break;
	case EHLO:
		s->step = HOLDING;
		s->hold_until = now() + g.hold_s;
		if (g.hold_s <= 0)
			say_line(s, FROM, "MAIL FROM:<sender@sender.example.test>\r\n");
		break;
	case FROM:
		say_line(s, RCPT, "RCPT TO:<someone@example.test>\r\n");
		break;
	case RCPT:
		say_line(s, DATA, "DATA\r\n");
		break;
	case DATA:
		say(s, BODY, g.mail, g.mail_length);
		break;
	case BODY:
		s->accepted = now();
		say_line(s, BYE, "QUIT\r\n");
		break;
	default:
		break;
	}
}

static enum outcome closed(const struct session *s)
{
	return s->accepted >= 0 ? OK : CUT;
}

/* Reads what has come. The session may be gone afterwards. */
static void take(struct session *s)
{
	ssize_t n = read(s->fd, s->reply + s->reply_length, REPLY - 1 - s->reply_length);
	char *line, *eol;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		end(s, closed(s));
		return;
	}
	s->reply_length += (size_t)n;
	s->reply[s->reply_length] = '\0';
	for (line = s->reply; (eol = strchr(line, '\n')); line = eol + 1) {
		bool last = eol - line >= 4 && line[3] != '-';

		if (last && (line[0] == '4' || line[0] == '5')) {
			end(s, s->accepted >= 0 ? OK : REJECTED);
			return;
		}
		if (last)
			answered(s);
	}
	s->reply_length = strlen(line);
	memmove(s->reply, line, s->reply_length + 1);
	if (s->reply_length == REPLY - 1)
		s->reply_length = 0; /* a line that long says nothing to us */
}

static void event(struct session *s, uint32_t events)
{
	int error = 0;
	socklen_t size = sizeof(error);

	if (s->step == CONNECT) {
		getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
		if (error) {
			end(s, error == ECONNREFUSED ? REFUSED : error == ETIMEDOUT ? SILENT : CUT);
			return;
		}
		if (!(events & EPOLLOUT))
			return;
		s->connected = now();
		s->step = GREETING;
		epoll_ctl(g.epoll, EPOLL_CTL_MOD, s->fd,
			  &(struct epoll_event){.events = EPOLLIN, .data.ptr = s});
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		take(s);
}

static enum outcome given_up(const struct session *s)
{
	if (s->connected < 0)
		return SILENT;
	if (s->banner < 0)
		return HUNG;
	return s->accepted < 0 ? SLOW : OK;
}

/* Who has waited too long gives up; who has held long enough goes on. */
static void look_at_clocks(void)
{
	double at = now();
	struct session *next;

	for (struct session *s = g.live; s; s = next) {
		next = s->next;
		if (s->step == HOLDING) {
			if (at < s->hold_until)
				continue;
			s->waits_since = at;
			say_line(s, FROM, "MAIL FROM:<sender@sender.example.test>\r\n");
		} else if (at - s->waits_since >= g.patience) {
			end(s, given_up(s));
		}
	}
}

static void run(void)
{
	double arrival = next_arrival(0), looked = 0, at;
	struct epoll_event events[256];

	while (!stopped && (g.live || arrival < g.seconds)) {
		int n = epoll_wait(g.epoll, events, 256, TICK_MS);

		/* Each session has one event in a batch, so none is met after its end. */
		for (int i = 0; i < n; i++)
			event(events[i].data.ptr, events[i].events);
		at = now();
		if (at - looked >= CLOCKS_S) {
			look_at_clocks();
			looked = at;
		}
		for (; arrival < g.seconds && arrival <= at; arrival = next_arrival(arrival))
			begin();
	}
	while (g.live)
		end(g.live, g.live->accepted >= 0 ? OK : OPEN);
}

/* --- what is said at the end ---------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* Percentiles of those that got there. */
static void print_percentiles(const char *name, enum mark mark)
{
	float *values = malloc((g.recorded + 1) * sizeof(*values));
	size_t n = 0;

	if (!values)
		exit(1);
	for (size_t i = 0; i < g.recorded; i++) {
		float value = g.records[i].since[mark];

		if (value >= 0)
			values[n++] = value * 1000;
	}
	qsort(values, n, sizeof(*values), by_size);
	printf(", \"%s\": %zu, \"%s_ms\": ", name, n, name);
	if (n) {
		printf("{\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"max\": %.1f}",
		       (double)values[n / 2], (double)values[n * 9 / 10],
		       (double)values[n * 99 / 100], (double)values[n - 1]);
	} else {
		printf("null");
	}
	free(values);
}

static void print_ms(float value)
{
	if (value < 0)
		printf(", null");
	else
		printf(", %.1f", (double)value * 1000);
}

static void print_each(void)
{
	printf(", \"each\": [");
	for (size_t i = 0; i < g.recorded; i++) {
		const struct record *r = &g.records[i];

		printf("%s[%.3f", i ? ", " : "", (double)r->arrived);
		for (int m = 0; m < MARKS; m++)
			print_ms(r->since[m]);
		printf(", \"%s\"]", outcome_name[r->outcome]);
	}
	printf("]");
}

static void print_line(void)
{
	size_t count[OUTCOMES] = {0};

	for (size_t i = 0; i < g.recorded; i++)
		count[g.records[i].outcome]++;
	printf("{\"sessions\": %zu, \"skipped\": %llu, \"failed\": %llu", g.recorded,
	       (unsigned long long)g.skipped, (unsigned long long)g.failed);
	for (int i = 0; i < OUTCOMES; i++)
		printf(", \"%s\": %zu", outcome_name[i], count[i]);
	print_percentiles("connected", CONNECTED);
	print_percentiles("banner", BANNER);
	print_percentiles("accepted", ACCEPTED);
	if (g.each > 0)
		print_each();
	printf("}\n");
}

/* --- the command line: NAME=VALUE, in any order --------------------------------------------- */

static const struct parameter {
	const char *name;
	double *number;
	struct sockaddr_storage *address;
	double low, high;
} parameters[] = {
	{"to", NULL, &g.to, 0, 0},		     /* the server */
	{"base", NULL, &g.base, 0, 0},		     /* the first source */
	{"port", &g.port, NULL, 1, 65535},	     /* of the server */
	{"sources", &g.sources, NULL, 1, 1e6},	     /* so many from there on */
	{"per-subnet", &g.per_subnet, NULL, 1, 250}, /* of them in a /24 or /48 */
	{"rate", &g.rate, NULL, 0.001, 10000},	     /* of the arrivals, a second */
	{"seconds", &g.seconds, NULL, 0.1, 3600},    /* of arrivals */
	{"hold", &g.hold_s, NULL, 0, 600},	     /* seconds, after the EHLO */
	{"patience", &g.patience, NULL, 0.1, 600},   /* seconds, before and after the hold */
	{"bytes", &g.bytes, NULL, 1, BYTES_MAX},     /* of a mail's body, at least */
	{"seed", &g.seed, NULL, 0, 4294967295},	     /* of arrivals and sources */
	{"start", &g.start, NULL, 0, 1e12},	     /* second 0, CLOCK_MONOTONIC */
	{"each", &g.each, NULL, 0, 1},		     /* whether every session is listed */
};

static bool read_address(const char *text, struct sockaddr_storage *address)
{
	struct sockaddr_in *in = (struct sockaddr_in *)address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;

	if (inet_pton(AF_INET, text, &in->sin_addr) == 1)
		address->ss_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1)
		address->ss_family = AF_INET6;
	return address->ss_family != AF_UNSPEC;
}

static bool read_parameter(const char *word)
{
	for (size_t i = 0; i < sizeof(parameters) / sizeof(parameters[0]); i++) {
		const struct parameter *p = &parameters[i];
		size_t length = strlen(p->name);
		char *rest;

		if (strncmp(word, p->name, length) || word[length] != '=')
			continue;
		word += length + 1;
		if (p->address)
			return read_address(word, p->address);
		*p->number = strtod(word, &rest);
		return rest != word && !*rest && *p->number >= p->low && *p->number <= p->high;
	}
	return false;
}

static void write_mail(void)
{
	static const char line[] =
		"All work and no play makes a mail of the size that mails have.\r\n";
	char *at = g.mail;

	at += sprintf(at, "From: <sender@sender.example.test>\r\nTo: <someone@example.test>\r\n"
			  "Subject: a mail of the test\r\n\r\n");
	while (at - g.mail < (ptrdiff_t)g.bytes)
		at += sprintf(at, "%s", line);
	at += sprintf(at, ".\r\n");
	g.mail_length = (size_t)(at - g.mail);
}

static int set_up(void)
{
	struct rlimit files = {.rlim_cur = 65536, .rlim_max = 65536};

	if (setrlimit(RLIMIT_NOFILE, &files)) {
		getrlimit(RLIMIT_NOFILE, &files);
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	g.random = (uint64_t)g.seed * 0x9e3779b97f4a7c15ULL + 1;
	for (int i = 0; i < 16; i++)
		draw(); /* small seeds look alike in the first few */
	if (g.start <= 0)
		g.start = now();
	if (g.to.ss_family == AF_INET6) {
		((struct sockaddr_in6 *)&g.to)->sin6_port = htons((uint16_t)g.port);
		g.size = sizeof(struct sockaddr_in6);
	} else {
		((struct sockaddr_in *)&g.to)->sin_port = htons((uint16_t)g.port);
		g.size = sizeof(struct sockaddr_in);
	}
	write_mail();
	g.records = malloc(RECORDS_MAX * sizeof(*g.records));
	g.epoll = epoll_create1(EPOLL_CLOEXEC);
	return g.records && g.epoll >= 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!read_parameter(argv[i])) {
			fprintf(stderr, "storm: '%s' is not NAME=VALUE of a known name and range\n",
				argv[i]);
			return 2;
		}
	}
	if (g.to.ss_family == AF_UNSPEC || g.to.ss_family != g.base.ss_family) {
		fprintf(stderr, "storm: to= and base= must be two addresses of one family\n");
		return 2;
	}
	if (set_up()) {
		perror("storm");
		return 1;
	}
	run();
	print_line();
	return 0;
}
