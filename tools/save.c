// SPDX-License-Identifier: GPL-2.0-or-later
#include "save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_MOST 1024
#define COMMENT	  "# Written by 'sluice set --save'; a later file of this folder wins over it.\n"

struct saved {
	char *one[SAVE_MOST]; /* "section.key=value" */
	size_t count;
};

static bool same_key(const char *a, const char *b)
{
	return !strncmp(a, b, strcspn(a, "=") + 1);
}

/* Takes ownership of the text. */
static int put(struct saved *s, char *text)
{
	const char *equals = text ? strchr(text, '=') : NULL;
	size_t kept = 0;

	if (!equals) {
		free(text);
		return text ? -EBADMSG : -ENOMEM;
	}
	for (size_t i = 0; i < s->count; i++) {
		if (same_key(s->one[i], text))
			free(s->one[i]);
		else
			s->one[kept++] = s->one[i];
	}
	s->count = kept;
	if (!strcmp(equals, "=config") || kept == SAVE_MOST) {
		free(text);
		return kept == SAVE_MOST ? -E2BIG : 0;
	}
	s->one[s->count++] = text;
	return 0;
}

static int read_line(struct saved *s, char *line, char section[static LINE_MOST])
{
	size_t length = strlen(line);
	char *text;

	if (!length || line[length - 1] != '\n')
		return -EBADMSG;
	line[--length] = '\0';
	if (!length || *line == '#')
		return 0;
	if (*line == '[' && line[length - 1] == ']') {
		snprintf(section, LINE_MOST, "%.*s", (int)length - 2, line + 1);
		return 0;
	}
	if (!*section || !strchr(line, '='))
		return -EBADMSG;
	return asprintf(&text, "%s.%s", section, line) < 0 ? -ENOMEM : put(s, text);
}

static int read_saved(struct saved *s, const char *path)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), bad = 0;
	char line[LINE_MOST], section[LINE_MOST] = "";
	FILE *stream = fd < 0 ? NULL : fdopen(fd, "r");

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!stream) {
		bad = -errno;
		close(fd);
		return bad;
	}
	while (!bad && fgets(line, sizeof(line), stream))
		bad = read_line(s, line, section);
	if (ferror(stream) && !bad)
		bad = -EIO;
	fclose(stream);
	return bad;
}

static int write_saved(FILE *stream, const struct saved *s)
{
	fputs(COMMENT, stream);
	for (size_t i = 0; i < s->count; i++) {
		const char *dot = strchr(s->one[i], '.');

		fprintf(stream, "[%.*s]\n%s\n", (int)(dot - s->one[i]), s->one[i], dot + 1);
	}
	return fflush(stream) || ferror(stream) || fsync(fileno(stream)) ? -errno : 0;
}

static int sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int bad = fd < 0 || fsync(fd) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return bad == -EINVAL ? 0 : bad; /* some file systems cannot */
}

/* The bytes are on the disk before the name is. Its end is none that a start would read. */
static int replace(const struct saved *s, const char *folder, const char *path)
{
	char temporary[SAVE_PATH_MAX + 16];
	FILE *stream;
	int fd, bad;

	snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
	fd = mkostemp(temporary, O_CLOEXEC);
	stream = fd < 0 ? NULL : fdopen(fd, "w");
	if (!stream)
		return -errno;
	bad = fchmod(fd, 0644) ? -errno : write_saved(stream, s);
	if (fclose(stream) && !bad)
		bad = -errno;
	if (!bad && rename(temporary, path))
		bad = -errno;
	if (bad)
		unlink(temporary);
	return bad ? bad : sync_folder(folder);
}

int save_settings(const char *config_file, const json_t *settings, char path[static SAVE_PATH_MAX])
{
	const char *slash = strrchr(config_file, '/');
	char folder[SAVE_PATH_MAX - sizeof(SAVE_NAME) - 1];
	struct saved s = {};
	const json_t *one;
	size_t i;
	int bad;

	if (!slash || snprintf(folder, sizeof(folder), "%.*s/conf.d", (int)(slash - config_file),
			       config_file) >= (int)sizeof(folder))
		return -ENAMETOOLONG;
	snprintf(path, SAVE_PATH_MAX, "%s/%s", folder, SAVE_NAME);
	if (mkdir(folder, 0755) && errno != EEXIST)
		return -errno;
	bad = read_saved(&s, path);
	json_array_foreach (settings, i, one) {
		const char *text = json_string_value(one);

		if (!bad)
			bad = text ? put(&s, strdup(text)) : -EBADMSG;
	}
	if (!bad)
		bad = replace(&s, folder, path);
	while (s.count)
		free(s.one[--s.count]);
	return bad;
}
