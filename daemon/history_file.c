// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * history_file.c - the file of history.h: read whole, and written whole to the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "history.h"

#define ROOT "/var/lib/sluice"
/* A full one is smaller. */
#define FILE_MOST                                                \
	(sizeof(struct history_minute) * (HISTORY_MINUTES + 1) + \
	 sizeof(struct history_hour) * (HISTORY_HOURS + 1))

void history_path(const char *instance, char path[static HISTORY_PATH_MAX])
{
	snprintf(path, HISTORY_PATH_MAX, ROOT "/%s/history", instance);
}

static int read_bytes(int fd, uint8_t *bytes, size_t size)
{
	while (size) {
		ssize_t n = read(fd, bytes, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EBADMSG;
		bytes += n;
		size -= (size_t)n;
	}
	return 0;
}

static int read_whole(struct history_book *b, int fd)
{
	struct stat st;
	uint8_t *bytes;
	int bad;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)FILE_MOST)
		return -EBADMSG;
	bytes = malloc((size_t)st.st_size + 1);
	if (!bytes)
		return -ENOMEM;
	bad = read_bytes(fd, bytes, (size_t)st.st_size);
	if (!bad)
		bad = history_decode(b, bytes, (size_t)st.st_size);
	free(bytes);
	return bad;
}

int history_read(struct history_book *b, const char *path)
{
	/* Never through a link, and never waiting for the other end of a pipe. */
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), bad;

	if (fd < 0)
		return errno == ELOOP ? -EBADMSG : -errno;
	bad = read_whole(b, fd);
	close(fd);
	return bad;
}

static int write_bytes(int fd, const uint8_t *bytes, size_t size)
{
	while (size) {
		ssize_t n = write(fd, bytes, size);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			bytes += n;
			size -= (size_t)n;
		}
	}
	return fsync(fd) ? -errno : 0;
}

/* Makes the folder of the instance; what cannot be made is found out when the file cannot. */
static void make_folder(const char *path, char folder[static HISTORY_PATH_MAX])
{
	snprintf(folder, HISTORY_PATH_MAX, "%.*s", (int)(strrchr(path, '/') - path), path);
	mkdir(ROOT, 0755);
	mkdir(folder, 0755);
}

int history_write(const struct history_book *b, const char *path)
{
	char folder[HISTORY_PATH_MAX], temporary[HISTORY_PATH_MAX + 8];
	uint8_t *bytes;
	size_t size;
	int fd, bad;

	make_folder(path, folder);
	snprintf(temporary, sizeof(temporary), "%s.tmp", path);
	unlink(temporary); /* of a daemon that died over it */
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	bytes = history_encode(b, &size);
	bad = bytes ? write_bytes(fd, bytes, size) : -ENOMEM;
	free(bytes);
	if (close(fd) && !bad)
		bad = -errno;
	if (!bad && rename(temporary, path))
		bad = -errno;
	if (bad) {
		unlink(temporary);
		return bad;
	}
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd); /* some file systems cannot: then it is as safe as it can be */
		close(fd);
	}
	return 0;
}
