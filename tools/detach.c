// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * detach.c - sluice detach: takes the filter off. The daemon does it, as it knows what is its own;
 * where none runs, the pins that it has left are removed here, whatever their ABI.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "command.h"
#include "control.h"
#include "hold.h"
#include "pins.h"
#include "text.h"

#define GONE_TRIES    50 /* x 100 ms: a daemon that has said yes may answer before it acts */
#define GONE_PAUSE_NS 100000000L
#define ROOM_TRIES    120 /* x 100 ms: longer than any pace-horizon */

/* Takes the reference of answer. */
static void report(const struct options *o, json_t *answer, const char *said)
{
	if (o->json)
		client_print(answer);
	else
		puts(said);
	json_decref(answer);
}

/* Does a daemon hold the lock of the instance, though its socket is not there? */
static bool is_locked(const char *instance)
{
	char path[512];
	bool locked;
	int fd;

	snprintf(path, sizeof(path), RUNTIME_FOLDER "/%s/lock", instance);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	locked = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
	close(fd);
	return locked;
}

/* What a dead daemon has left for others to follow: without a filter no tier is active. */
static void remove_flags(const char *instance)
{
	static const char *const names[] = {"queue", "tier"};
	char path[512];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), RUNTIME_FOLDER "/%s/%s", instance, names[i]);
		unlink(path);
	}
}

/*
 * The waiting room of a dead daemon, once nobody waits in it any more. Bounded by the longest that
 * a SYN can be held; a rate that was lowered meanwhile can make it longer, and then what is left
 * comes in with its retransmits.
 */
static void remove_room(const char *instance)
{
	const struct timespec pause = {.tv_nsec = GONE_PAUSE_NS};
	struct config_error err;
	struct hold room;

	if (hold_open(&room, instance, &err))
		return;
	for (int i = 0; i < ROOM_TRIES && !hold_look(&room, &err) && room.seen.waiting; i++)
		nanosleep(&pause, NULL);
	hold_remove(&room);
	hold_close(&room);
}

static int remove_pins(const struct options *o)
{
	struct pins p;
	char path[512], said[512];
	int err;

	if (is_locked(o->instance)) {
		text_complain(
			"a sluiced of the name %s is running, but its control socket is gone: "
			"stop it first, as it holds the filter",
			o->instance);
		return EXIT_FAILED;
	}
	remove_flags(o->instance);
	err = pins_remove(o->instance, &p, path, sizeof(path));
	if (err) {
		text_complain("no sluiced of the name %s is running, and %s could not be removed: "
			      "%s%s",
			      o->instance, path, strerror(-err),
			      err == -EACCES || err == -EPERM ? " (try it as root)" : "");
		return EXIT_FAILED;
	}
	remove_room(o->instance);
	if (!p.links && !p.orphans && !p.others)
		snprintf(said, sizeof(said),
			 "nothing is attached: no sluiced of the name %s is running, and nothing "
			 "of it is pinned",
			 o->instance);
	else if (p.links)
		snprintf(said, sizeof(said),
			 "detached from %s: no sluiced of the name %s is running, its pins are "
			 "removed",
			 p.names, o->instance);
	else
		snprintf(said, sizeof(said),
			 "no sluiced of the name %s is running, and it was attached nowhere; what "
			 "it had left in %s/%s is removed",
			 o->instance, PIN_FOLDER, o->instance);
	report(o, json_pack("{s:b, s:i, s:s}", "ok", 1, "shape", 1, "message", said), said);
	return EXIT_DONE;
}

/* A daemon's yes is believed when its links are gone, where that can be seen. */
static int confirm(const struct options *o)
{
	const struct timespec pause = {.tv_nsec = GONE_PAUSE_NS};
	struct pins p;
	int tries;

	for (tries = 0; tries < GONE_TRIES; tries++) {
		if (pins_look(o->instance, &p) || !p.links)
			return EXIT_DONE;
		nanosleep(&pause, NULL);
	}
	text_complain("sluiced %s has said that it detaches, but it is still pinned on %s",
		      o->instance, p.names);
	return EXIT_FAILED;
}

int command_detach(const struct options *o, int argc, char **argv)
{
	struct client_error error;
	json_t *answer;
	int err, status;

	(void)argc;
	(void)argv;
	err = client_ask(o->instance, json_pack("{s:s}", "command", "detach"), &answer, &error);
	if (err == -ESRCH)
		return remove_pins(o);
	if (err) {
		text_complain("%s", error.text);
		return EXIT_FAILED;
	}
	status = confirm(o);
	if (status)
		json_decref(answer);
	else
		report(o, answer, "detached: the daemon has removed its pins and ends");
	return status;
}
