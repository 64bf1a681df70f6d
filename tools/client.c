// SPDX-License-Identifier: GPL-2.0-or-later
#include "client.h"

#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "pins.h"
#include "text.h"

/* One conversation. */
struct talk {
	const char *instance;
	struct sockaddr_un address;
	int fd;
	uint64_t deadline_ms;
	struct client_error *err;
};

__attribute__((format(printf, 3, 4))) static int fail(struct talk *t, int code, const char *format,
						      ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(t->err->text, sizeof(t->err->text), format, arguments);
	va_end(arguments);
	return code;
}

static uint64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Gives the next call on the socket what is left of the time. */
static int limit(struct talk *t)
{
	uint64_t now = clock_ms(), left;
	struct timeval tv;

	if (now >= t->deadline_ms)
		return -ETIMEDOUT;
	left = t->deadline_ms - now;
	tv.tv_sec = (time_t)(left / 1000);
	tv.tv_usec = (suseconds_t)(left % 1000 * 1000);
	if (setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) ||
	    setsockopt(t->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)))
		return -errno;
	return 0;
}

/* EAGAIN is how the kernel says that SO_RCVTIMEO or SO_SNDTIMEO has passed. */
static int errno_of_call(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK ? -ETIMEDOUT : -errno;
}

/* What is left behind when no daemon runs matters more than that it does not. */
static int fail_no_daemon(struct talk *t, int code)
{
	struct pins p;
	int err = pins_look(t->instance, &p);
	char pins[512];

	if (err)
		snprintf(pins, sizeof(pins),
			 "whether its filter is still attached cannot be seen: %s", strerror(-err));
	else if (p.links)
		snprintf(
			pins, sizeof(pins),
			"the filter is still attached with its static limits, on %s, and sluice top "
			"and sluice explain read its maps",
			p.names);
	else if (p.orphans || p.others)
		snprintf(pins, sizeof(pins),
			 "its maps are still pinned, but no filter is on an interface that exists");
	else
		snprintf(pins, sizeof(pins), "nothing of it is pinned in %s/%s", PIN_FOLDER,
			 t->instance);
	return fail(t, -ESRCH, "no sluiced of the name %s is running (%s: %s); %s", t->instance,
		    t->address.sun_path, strerror(code), pins);
}

static int fail_permission(struct talk *t)
{
	const struct group *group;
	struct stat st;
	char name[128];

	/* The folder may be closed already; then its socket cannot be asked whose it is. */
	if (stat(t->address.sun_path, &st))
		return fail(t, -EACCES, "%s: permission denied: try it as root",
			    t->address.sun_path);
	group = getgrgid(st.st_gid);
	if (!st.st_gid)
		return fail(t, -EACCES, "%s is for root only: try it as root", t->address.sun_path);
	if (group)
		text_escape(name, sizeof(name), group->gr_name);
	else
		snprintf(name, sizeof(name), "%u", (unsigned)st.st_gid);
	return fail(t, -EACCES,
		    "%s is for root and the group %s: try it as root, or join that group",
		    t->address.sun_path, name);
}

static int fail_socket(struct talk *t, int err)
{
	if (err == -EACCES || err == -EPERM)
		return fail_permission(t);
	if (err == -ENOENT || err == -ECONNREFUSED)
		return fail_no_daemon(t, -err);
	if (err == -ECONNRESET)
		return fail(t, -EPROTO, "sluiced %s has closed the connection without an answer",
			    t->instance);
	if (err == -ETIMEDOUT)
		return fail(t, err, "sluiced %s does not answer within %d s (%s)", t->instance,
			    CLIENT_TIMEOUT_MS / 1000, t->address.sun_path);
	return fail(t, err, "cannot talk to sluiced %s (%s: %s)", t->instance, t->address.sun_path,
		    strerror(-err));
}

static int reach(struct talk *t)
{
	int err;

	t->address.sun_family = AF_UNIX;
	snprintf(t->address.sun_path, sizeof(t->address.sun_path), "%s/%s/control", RUNTIME_FOLDER,
		 t->instance);
	t->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (t->fd < 0)
		return -errno;
	err = limit(t);
	while (!err && connect(t->fd, (struct sockaddr *)&t->address, sizeof(t->address))) {
		if (errno != EINTR)
			return errno_of_call();
		err = limit(t);
	}
	return err;
}

static int say(struct talk *t, const char *text)
{
	size_t left = strlen(text);
	int err;

	while (left && !(err = limit(t))) {
		ssize_t sent = send(t->fd, text, left, MSG_NOSIGNAL);

		/* A daemon that turns us away may do so before it has read the question. */
		if (sent < 0 && errno == EPIPE)
			return 0;
		if (sent < 0 && errno != EINTR)
			return errno_of_call();
		if (sent > 0) {
			text += sent;
			left -= (size_t)sent;
		}
	}
	if (left)
		return err;
	shutdown(t->fd, SHUT_WR);
	return 0;
}

/* Reads to the end. Returns how much, or -errno; -EMSGSIZE when it is more than size. */
static ssize_t hear(struct talk *t, char *text, size_t size)
{
	size_t used = 0;
	int err;

	while (!(err = limit(t))) {
		ssize_t got = recv(t->fd, text + used, size - used, 0);

		if (!got)
			return (ssize_t)used;
		if (got < 0 && errno != EINTR)
			return errno_of_call();
		if (got > 0)
			used += (size_t)got;
		if (used == size)
			return -EMSGSIZE;
	}
	return err;
}

static int read_answer(struct talk *t, const char *text, size_t size, json_t **answer)
{
	json_t *value, *ok;
	json_error_t why;
	const char *error;

	if (!size)
		return fail(t, -EPROTO, "sluiced %s has closed the connection without an answer",
			    t->instance);
	value = json_loadb(text, size, JSON_REJECT_DUPLICATES, &why);
	ok = json_object_get(value, "ok");
	error = json_string_value(json_object_get(value, "error"));
	if (json_is_true(ok)) {
		*answer = value;
		return 0;
	}
	if (json_is_false(ok) && error) {
		text_escape(t->err->text, sizeof(t->err->text), error);
		json_decref(value);
		return -EREMOTEIO;
	}
	fail(t, -EPROTO, "what sluiced %s has answered is not understood (%s)", t->instance,
	     value ? "it does not say whether it is ok" : "it is not JSON");
	json_decref(value);
	return -EPROTO;
}

static int converse(struct talk *t, const char *question, json_t **answer)
{
	/* One byte more than allowed, so that too much can be told from just enough. */
	const size_t size = CONTROL_ANSWER_MAX + 1;
	char *text = malloc(size);
	ssize_t got;
	int err;

	if (!text)
		return fail(t, -ENOMEM, "out of memory");
	err = reach(t);
	if (!err)
		err = say(t, question);
	got = err ? err : hear(t, text, size);
	if (got == -EMSGSIZE)
		err = fail(t, -EPROTO, "the answer of sluiced %s is longer than %d bytes",
			   t->instance, CONTROL_ANSWER_MAX);
	else if (got < 0)
		err = fail_socket(t, (int)got);
	else
		err = read_answer(t, text, (size_t)got, answer);
	if (t->fd >= 0)
		close(t->fd);
	free(text);
	return err;
}

int client_ask(const char *instance, json_t *request, json_t **answer, struct client_error *err)
{
	struct talk t = {.instance = instance, .fd = -1, .err = err};
	char *question = json_dumps(request, JSON_COMPACT);
	int result;

	json_decref(request);
	t.deadline_ms = clock_ms() + CLIENT_TIMEOUT_MS;
	result = question ? converse(&t, question, answer) : fail(&t, -ENOMEM, "out of memory");
	free(question);
	return result;
}

int client_talk(const struct options *o, json_t *request, json_t **answer)
{
	struct client_error error;
	int err = client_ask(o->instance, request, answer, &error);

	if (err)
		text_complain("%s", error.text);
	return err;
}

void client_print(const json_t *answer)
{
	/* 15 digits: 0.4 stays 0.4. ASCII only: JSON's own escapes keep a terminal safe. */
	json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));
	putchar('\n');
}

int client_tell(const struct options *o, json_t *request)
{
	const char *message;
	json_t *answer;
	char shown[1024];

	if (client_talk(o, request, &answer))
		return EXIT_FAILED;
	message = json_string_value(json_object_get(answer, "message"));
	if (o->json) {
		client_print(answer);
	} else {
		text_escape(shown, sizeof(shown), message ? message : "done");
		puts(shown);
	}
	json_decref(answer);
	return EXIT_DONE;
}
