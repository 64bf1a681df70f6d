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

void files_tier(const struct daemon *d, uint32_t tiers)
{
	char path[CONFIG_PATH_MAX], text[64];
	int n, bad;

	n = snprintf(text, sizeof(text), "%s%s%s%s\n", tiers ? "" : "normal",
		     tiers & TIER_DELAY ? "delay " : "", tiers & TIER_QUEUE ? "queue " : "",
		     tiers & TIER_REFUSE ? "refuse " : "");
	if (n >= 2 && text[n - 2] == ' ') {
		text[n - 2] = '\n';
		n--;
	}
	snprintf(path, sizeof(path), "%s/tier", d->runtime);
	bad = files_replace(path, text, (size_t)n, 0644);
	snprintf(path, sizeof(path), "%s/queue", d->runtime);
	if (!bad && tiers & TIER_QUEUE)
		bad = files_replace(path, "", 0, 0644);
	else if (unlink(path) && errno != ENOENT && !bad)
		bad = -errno;
	if (bad)
		log_line("%s could not be written: %s", path, strerror(-bad));
}
