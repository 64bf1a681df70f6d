// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * files.c - small files that others read: written whole, renamed into place.
 *
 * No fsync: metrics and /run are worth nothing after a crash, and the disk must not hold us up.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "log.h"

static int write_all(int fd, const char *text, size_t size)
{
	while (size) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		size -= (size_t)n;
	}
	return 0;
}

/*
 * The temporary has one name, so that a death between the two steps leaves one file at most, which
 * the next write takes away. One daemon of a name runs, so nobody else writes it.
 */
int files_replace(const char *path, const char *text, size_t size, unsigned int mode)
{
	char temporary[CONFIG_PATH_MAX + 32];
	int fd, bad;

	if (snprintf(temporary, sizeof(temporary), "%s.tmp", path) >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	bad = write_all(fd, text, size);
	if (!bad && fchmod(fd, mode))
		bad = -errno;
	if (close(fd) && !bad)
		bad = -errno;
	if (!bad && rename(temporary, path))
		bad = -errno;
	if (bad)
		unlink(temporary);
	return bad;
}

/* The names of a set's members with the separator between them; "normal" when it is empty. */
static void set_names(uint32_t tiers, char separator, char *text, size_t size)
{
	static const struct {
		uint32_t tier;
		const char *name;
	} names[] = {{TIER_DELAY, "delay"}, {TIER_QUEUE, "queue"}, {TIER_REFUSE, "refuse"}};
	size_t n = (size_t)snprintf(text, size, "%s", tiers & TIER_ALL ? "" : "normal");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!(tiers & names[i].tier))
			continue;
		if (n)
			text[n++] = separator;
		n += (size_t)snprintf(text + n, size - n, "%s", names[i].name);
	}
}

int files_tier(const struct daemon *d, uint32_t tiers)
{
	static int last_bad;
	char path[CONFIG_PATH_MAX], names[32], text[64];
	int n, bad;

	set_names(tiers, ' ', names, sizeof(names));
	n = snprintf(text, sizeof(text), "%s\n", names);
	snprintf(path, sizeof(path), "%s/tier", d->runtime);
	bad = files_replace(path, text, (size_t)n, 0644);
	snprintf(path, sizeof(path), "%s/queue", d->runtime);
	if (!bad && tiers & TIER_QUEUE)
		bad = files_replace(path, "", 0, 0644);
	else if (unlink(path) && errno != ENOENT && !bad)
		bad = -errno;
	if (bad && bad != last_bad)
		log_line("%s could not be written: %s", path, strerror(-bad));
	last_bad = bad;
	return bad;
}

void files_lease(const struct daemon *d, uint64_t until_ns, uint32_t tiers, const char *reason)
{
	static int last_bad;
	char path[CONFIG_PATH_MAX], names[32], text[LEASE_FILE_MAX];
	int n, bad;

	set_names(tiers, ',', names, sizeof(names));
	n = snprintf(text, sizeof(text), "until %llu.%03u\ntier %s\nreason ",
		     (unsigned long long)(until_ns / NSEC_PER_SEC),
		     (unsigned int)(until_ns % NSEC_PER_SEC / NSEC_PER_MSEC), names);
	/* A reason may quote a path: it stays one line. */
	for (; *reason && n < LEASE_FILE_MAX - 1; reason++)
		text[n++] = (unsigned char)*reason < ' ' ? '?' : *reason;
	text[n++] = '\n';
	snprintf(path, sizeof(path), "%s/lease", d->runtime);
	bad = files_replace(path, text, (size_t)n, 0644);
	if (bad && bad != last_bad)
		log_line("%s cannot be written: %s; sluice hook will take it for normal", path,
			 strerror(-bad));
	last_bad = bad;
}
