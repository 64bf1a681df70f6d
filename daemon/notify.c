// SPDX-License-Identifier: GPL-2.0-or-later
#include "notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

static struct sockaddr_un manager;
static socklen_t manager_size;
static int notify_fd = -1;

void notify_open(void)
{
	const char *name = getenv("NOTIFY_SOCKET");
	size_t length = name ? strlen(name) : 0;

	/* A path, or a name in the abstract namespace, which begins with a zero there. */
	if (!length || (*name != '/' && *name != '@'))
		return;
	if (length >= sizeof(manager.sun_path)) {
		log_line("NOTIFY_SOCKET is too long: the service manager is told nothing");
		return;
	}
	manager = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(manager.sun_path, name, length);
	if (*name == '@')
		manager.sun_path[0] = '\0';
	manager_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (notify_fd < 0)
		log_line("no socket is to be had for the service manager: %s", strerror(errno));
	unsetenv("NOTIFY_SOCKET");
}

/* A manager that is busy misses it: the next one is not far. */
static void say(const char *text)
{
	if (notify_fd >= 0 &&
	    sendto(notify_fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&manager,
		   manager_size) < 0 &&
	    errno != EAGAIN) {
		log_line("the service manager cannot be told: %s", strerror(errno));
		close(notify_fd);
		notify_fd = -1;
	}
}

void notify_ready(void)
{
	say("READY=1\nSTATUS=judges SYNs");
}

void notify_alive(void)
{
	say("WATCHDOG=1");
}

void notify_reloading(void)
{
	struct timespec now;
	char text[96];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		 (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	say(text);
}

void notify_stopping(void)
{
	say("STOPPING=1");
}
