// SPDX-License-Identifier: GPL-2.0-or-later
#include "load.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

#define LOAD_MOST 1000000U
#define STAT_READ_MAX \
	(1 << 20) /* /proc/stat grows with CPUs and interrupts; what we want is last */

int load_parse(const char *text, uint32_t *centi)
{
	uint32_t whole = 0, hundredths = 0, digits = 0;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	for (; isdigit((unsigned char)*text); text++) {
		whole = whole * 10 + (uint32_t)(*text - '0');
		if (whole > LOAD_MOST)
			return -EINVAL;
	}
	if (*text == '.') {
		for (text++; isdigit((unsigned char)*text); text++, digits++)
			if (digits < 2)
				hundredths = hundredths * 10 + (uint32_t)(*text - '0');
		if (!digits)
			return -EINVAL;
		if (digits == 1)
			hundredths *= 10;
	}
	if (*text && !isspace((unsigned char)*text))
		return -EINVAL;
	*centi = whole * 100 + hundredths;
	return 0;
}

/* Reads at most size - 1 bytes of a regular file and ends them with a NUL. Returns 0 or -errno. */
static int read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t have = 0;
	struct stat st;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	while (have < size - 1 && (n = read(fd, text + have, size - 1 - have)) > 0)
		have += (size_t)n;
	n = n < 0 ? -errno : 0;
	close(fd);
	text[have] = '\0';
	return (int)n;
}

static uint32_t number_after(const char *text, const char *word)
{
	const char *at = strstr(text, word);

	return at ? (uint32_t)strtoul(at + strlen(word), NULL, 10) : 0;
}

static void read_tasks(struct load_sample *s)
{
	static _Thread_local char text[STAT_READ_MAX];

	if (read_text("/proc/stat", text, sizeof(text)))
		return;
	s->running = number_after(text, "\nprocs_running ");
	s->blocked = number_after(text, "\nprocs_blocked ");
}

static bool read_pressure(const char *path, uint32_t *centi)
{
	char text[512], *at;

	if (read_text(path, text, sizeof(text)))
		return false;
	at = strstr(text, "some avg10=");
	return at && !load_parse(at + strlen("some avg10="), centi);
}

void load_read(const char *loadavg_file, struct load_sample *s)
{
	char text[256];
	int err;

	memset(s, 0, sizeof(*s));
	err = read_text(loadavg_file, text, sizeof(text));
	if (err)
		fail(&s->why, err, "%s cannot be read: %s", loadavg_file,
		     err == -EINVAL ? "not a regular file" : strerror(-err));
	else if (load_parse(text, &s->load_centi))
		fail(&s->why, -EINVAL,
		     "%s does not begin with a load average: a line like \"0.52 0.58 0.59 1/345 "
		     "6789\" was expected",
		     loadavg_file);
	else
		s->readable = true;
	read_tasks(s);
	s->psi = read_pressure("/proc/pressure/cpu", &s->psi_cpu_centi) &&
		 read_pressure("/proc/pressure/io", &s->psi_io_centi);
}
