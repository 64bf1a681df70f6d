// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * rewrite.c - rewrites a file as often as it is told, while a second thread reads it.
 *
 *	rewrite replace|in-place PATH TIMES
 *
 * A version is "N\n", lines that say N again, and "end N\n"; their number hangs on N, so that no
 * part of one version, and no mixture of two, passes for a whole.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"

#define SIZE_MAX_TEXT 65536

struct seen {
	unsigned long reads, versions, half, missing, mode, older;
};

static const char *path;
static atomic_bool over;

static size_t make(unsigned long n, char *text)
{
	size_t size = (size_t)sprintf(text, "%lu\n", n);

	for (unsigned long i = 0; i < 20 + n % 700; i++)
		size += (size_t)sprintf(text + size, "sluice_version %lu\n", n);
	return size + (size_t)sprintf(text + size, "end %lu\n", n);
}

static int in_place(const char *text, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	bool bad = fd < 0 || write(fd, text, size) != (ssize_t)size || fchmod(fd, 0644);

	if (fd >= 0)
		close(fd);
	return bad ? -1 : 0;
}

/* One look at the file. Returns the version, or 0 when it was no whole one. */
static unsigned long look(struct seen *s, char *text, char *whole)
{
	int fd = open(path, O_RDONLY);
	unsigned long n;
	struct stat st;
	ssize_t got;
	size_t have = 0;

	s->reads++;
	if (fd < 0) {
		s->missing++;
		return 0;
	}
	s->mode += fstat(fd, &st) || (st.st_mode & 07777) != 0644;
	/* In small pieces: a careless writer has time to come between them. */
	while ((got = read(fd, text + have, 4096)) > 0)
		have += (size_t)got;
	close(fd);
	text[have] = '\0';
	n = strtoul(text, NULL, 10);
	if (n && have == make(n, whole) && !memcmp(text, whole, have))
		return n;
	s->half++;
	return 0;
}

static void *reader(void *arg)
{
	static char text[2 * SIZE_MAX_TEXT], whole[SIZE_MAX_TEXT];
	struct seen *s = arg;
	unsigned long last = 0, n;

	while (!over) {
		n = look(s, text, whole);
		s->versions += n > last;
		s->older += n && n < last;
		last = n > last ? n : last;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static char text[SIZE_MAX_TEXT];
	struct seen s = {};
	unsigned long n, times;
	bool replace;
	pthread_t thread;

	if (argc != 4)
		return 2;
	replace = !strcmp(argv[1], "replace");
	path = argv[2];
	times = strtoul(argv[3], NULL, 10);
	for (n = 1; n <= times; n++) {
		size_t size = make(n, text);
		int bad = replace ? files_replace(path, text, size, 0644) : in_place(text, size);

		if (bad) {
			printf("version %lu could not be written: %d\n", n, bad);
			return 1;
		}
		if (n == 1 && pthread_create(&thread, NULL, reader, &s))
			return 1;
	}
	over = true;
	pthread_join(thread, NULL);
	printf("written=%lu reads=%lu versions=%lu half=%lu missing=%lu mode=%lu older=%lu\n",
	       n - 1, s.reads, s.versions, s.half, s.missing, s.mode, s.older);
	return 0;
}
