// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * server.c - the control socket: bounded clients, bytes and time; who asks is checked.
 */
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon.h"
#include "log.h"

#define GROUP		"sluice" /* its members may use the socket, where the group exists */
#define PEER_GROUPS	256
#define CONTROL_KEEP_MS 100 /* a client has its place for so long, whoever else comes */

struct client {
	int fd; /* -1: free */
	uint64_t deadline_ns;
	char *request; /* CONTROL_REQUEST_MAX + 1 bytes, so that one too many is seen */
	size_t have;
	char *answer; /* NULL: still reading */
	size_t sent, size;
	bool root; /* or our own user: may name files */
};

static struct client clients[CONTROL_CLIENTS];
static int listen_fd = -1;
static gid_t socket_group;
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void drop(struct client *c)
{
	close(c->fd);
	free(c->request);
	free(c->answer);
	*c = (struct client){.fd = -1};
}

int server_open(struct daemon *d, struct config_error *err)
{
	const struct group *group = getgrnam(GROUP);
	struct stat st;
	mode_t mask;
	int bad;

	for (int i = 0; i < CONTROL_CLIENTS; i++)
		clients[i].fd = -1;
	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/control", d->runtime) >=
	    (int)sizeof(address.sun_path))
		return fail(err, -ENAMETOOLONG, "%s/control is too long for a socket", d->runtime);
	listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listen_fd < 0)
		return fail(err, -errno, "no control socket: %s", strerror(errno));
	unlink(address.sun_path); /* of a predecessor that died; the lock says that none lives */
	mask = umask(0117);
	bad = bind(listen_fd, (struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
	umask(mask);
	/* Under its own user it is that of the group already, and chown() may be forbidden. */
	if (!bad && group && group->gr_gid != getegid() &&
	    chown(address.sun_path, (uid_t)-1, group->gr_gid))
		log_line("%s stays closed to the group " GROUP ": %s", address.sun_path,
			 strerror(errno));
	if (!bad && (stat(address.sun_path, &st) || listen(listen_fd, CONTROL_CLIENTS)))
		bad = -errno;
	if (bad)
		return fail(err, bad, "the control socket %s cannot be made: %s", address.sun_path,
			    strerror(-bad));
	socket_group = st.st_gid;
	return 0;
}

void server_close(struct daemon *d)
{
	(void)d;
	if (listen_fd < 0)
		return; /* a start that failed before: there are no clients either */
	for (int i = 0; i < CONTROL_CLIENTS; i++)
		if (clients[i].fd >= 0)
			drop(&clients[i]);
	close(listen_fd);
	unlink(address.sun_path);
	listen_fd = -1;
}

/* Root, our own user, or a member of the socket's group. */
static bool may_ask(int fd, bool *root)
{
	struct ucred peer;
	gid_t groups[PEER_GROUPS];
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return false;
	*root = peer.uid == 0 || peer.uid == geteuid();
	if (*root || peer.gid == socket_group)
		return true;
	size = sizeof(groups);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size))
		return false;
	for (size_t i = 0; i < size / sizeof(groups[0]); i++)
		if (groups[i] == socket_group)
			return true;
	return false;
}

/* A free place, or the one of the client that has waited longest. */
static struct client *place(void)
{
	struct client *oldest = &clients[0];

	for (int i = 0; i < CONTROL_CLIENTS; i++) {
		if (clients[i].fd < 0)
			return &clients[i];
		if (clients[i].deadline_ns < oldest->deadline_ns)
			oldest = &clients[i];
	}
	return oldest;
}

/*
 * How long the next client has to wait for a place. Whoever has one keeps it for a moment, or a
 * crowd would push out one that has only not come to ask yet.
 */
static int place_in_ms(uint64_t now_ns)
{
	const struct client *c = place();
	uint64_t from_ns = c->deadline_ns - (CONTROL_TIMEOUT_MS - CONTROL_KEEP_MS) * NSEC_PER_MSEC;

	return c->fd < 0 || now_ns >= from_ns ? 0 : (int)((from_ns - now_ns) / NSEC_PER_MSEC) + 1;
}

static void answer_with(struct client *c, char *text)
{
	c->answer = text;
	c->size = text ? strlen(text) : 0;
	c->sent = 0;
	c->deadline_ns = kernel_now_ns() + CONTROL_TIMEOUT_MS * NSEC_PER_MSEC;
}

static void accept_one(void)
{
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	char *request = fd < 0 ? NULL : malloc(CONTROL_REQUEST_MAX + 1);
	struct client *c;

	if (fd >= 0 && !request)
		close(fd);
	if (!request)
		return;
	c = place();
	if (c->fd >= 0)
		drop(c);
	*c = (struct client){.fd = fd, .request = request};
	c->deadline_ns = kernel_now_ns() + CONTROL_TIMEOUT_MS * NSEC_PER_MSEC;
	if (!may_ask(fd, &c->root))
		answer_with(c, strdup("{\"ok\":false,\"error\":\"only root and the members of the "
				      "socket's group may ask\"}"));
}

/* Takes what has come. A request ends with the client's shutdown, or with a newline. */
static void read_some(struct daemon *d, struct client *c)
{
	ssize_t n = read(c->fd, c->request + c->have, CONTROL_REQUEST_MAX + 1 - c->have);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			drop(c);
		return;
	}
	c->have += (size_t)n;
	if (c->have > CONTROL_REQUEST_MAX) {
		answer_with(c, strdup("{\"ok\":false,\"error\":\"the request is longer than 65536 "
				      "bytes\"}"));
		return;
	}
	if (n && !memchr(c->request, '\n', c->have))
		return;
	if (!n && !c->have) {
		drop(c);
		return;
	}
	d->asked_by_root = c->root;
	answer_with(c, command_answer(d, c->request, c->have));
}

static void write_some(struct client *c)
{
	ssize_t n =
		c->answer ? send(c->fd, c->answer + c->sent, c->size - c->sent, MSG_NOSIGNAL) : -1;

	if (n < 0 && c->answer && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		c->sent += (size_t)n;
	if (n <= 0 || c->sent == c->size)
		drop(c);
}

uint32_t server_poll(struct pollfd *set, int *timeout_ms)
{
	uint64_t now_ns = kernel_now_ns();
	int wait_ms = place_in_ms(now_ns);
	uint32_t count = 0;

	set[count++] = (struct pollfd){.fd = listen_fd, .events = wait_ms ? 0 : POLLIN};
	if (wait_ms && wait_ms < *timeout_ms)
		*timeout_ms = wait_ms;
	for (int i = 0; i < CONTROL_CLIENTS; i++) {
		struct client *c = &clients[i];
		int left_ms;

		if (c->fd < 0)
			continue;
		set[count++] = (struct pollfd){.fd = c->fd, .events = c->answer ? POLLOUT : POLLIN};
		left_ms = c->deadline_ns > now_ns
				  ? (int)((c->deadline_ns - now_ns) / NSEC_PER_MSEC) + 1
				  : 0;
		if (left_ms < *timeout_ms)
			*timeout_ms = left_ms;
	}
	return count;
}

static short events_of(const struct pollfd *set, uint32_t count, int fd)
{
	for (uint32_t i = 1; i < count; i++)
		if (set[i].fd == fd)
			return set[i].revents;
	return 0;
}

void server_serve(struct daemon *d, const struct pollfd *set, uint32_t count)
{
	uint64_t now_ns = kernel_now_ns();

	for (int i = 0; i < CONTROL_CLIENTS; i++) {
		struct client *c = &clients[i];
		short events;

		if (c->fd < 0)
			continue;
		events = events_of(set, count, c->fd);
		if (events & POLLHUP && !c->answer) {
			drop(c); /* gave up waiting: nothing is done that it was told had failed */
		} else if (events) {
			if (!c->answer)
				read_some(d, c);
			if (c->fd >= 0 && c->answer)
				write_some(c);
		} else if (now_ns >= c->deadline_ns) {
			drop(c);
		}
	}
	if (set[0].revents & POLLIN)
		accept_one();
}
