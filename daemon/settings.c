// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * settings.c - the set of keys that were set by hand, and the file of those that have an end:
 *
 *	sluice-settings 1 COUNT
 *	END SECTION.KEY=VALUE		(END: ns of CLOCK_BOOTTIME)
 */
#include "settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config_values.h"
#include "daemon.h"
#include "log.h"

#define HEAD	  "sluice-settings 1 "
#define LINE_MOST 8192

uint64_t settings_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

bool settings_same_key(const char *a, const char *b)
{
	return !strncmp(a, b, strcspn(a, "=") + 1);
}

/* Is there one with an end, of the key of this one, which has none? */
static bool is_covered(const struct settings *s, const struct setting *one)
{
	for (size_t i = 0; i < s->count && one->until_boot_ns == NEVER_NS; i++)
		if (s->one[i].until_boot_ns != NEVER_NS &&
		    settings_same_key(s->one[i].text, one->text))
			return true;
	return false;
}

int settings_over(const struct settings *s, const struct config *base,
		  const struct config_facts *facts, struct config *c, struct config_error *err)
{
	const char *over[CONTROL_SETTINGS];
	size_t count = 0;

	/* Values of a list add up: what is covered must not be among them. */
	for (size_t i = 0; i < s->count; i++)
		if (!is_covered(s, &s->one[i]))
			over[count++] = s->one[i].text;
	if (count)
		return config_with(base, over, count, facts, c, err);
	*c = *base;
	return 0;
}

bool settings_find(const struct settings *s, const char *key, uint64_t *until_boot_ns)
{
	bool found = false;

	*until_boot_ns = NEVER_NS;
	for (size_t i = 0; i < s->count; i++)
		if (settings_same_key(s->one[i].text, key)) {
			found = true;
			if (s->one[i].until_boot_ns < *until_boot_ns)
				*until_boot_ns = s->one[i].until_boot_ns;
		}
	return found;
}

uint64_t settings_next_end(const struct settings *s)
{
	uint64_t end = NEVER_NS;

	for (size_t i = 0; i < s->count; i++)
		if (s->one[i].until_boot_ns < end)
			end = s->one[i].until_boot_ns;
	return end;
}

static void path_of(const char *runtime, char path[static CONFIG_PATH_MAX])
{
	snprintf(path, CONFIG_PATH_MAX, "%s/settings", runtime);
}

/* "END SECTION.KEY=VALUE". Returns 0 or -errno. */
static int read_setting(struct settings *s, const char *line, uint64_t now_ns)
{
	uint64_t end_ns;
	int at = 0;

	if (sscanf(line, "%20" SCNu64 " %n", &end_ns, &at) != 1 || !at || !strchr(line + at, '=') ||
	    strchr("=.", line[at]) || s->count == CONTROL_SETTINGS)
		return -EBADMSG;
	if (end_ns <= now_ns) {
		log_line("%.512s, set by hand for a time, has ended while sluiced did not run",
			 line + at);
		return 0;
	}
	s->one[s->count].text = strdup(line + at);
	s->one[s->count].until_boot_ns = end_ns;
	return s->one[s->count++].text ? 0 : -ENOMEM;
}

static int read_settings(struct settings *s, FILE *stream)
{
	uint64_t now_ns = settings_now_ns();
	unsigned int count;
	char line[LINE_MOST], behind;
	int bad = 0;

	if (file_line(stream, line, sizeof(line)) != 1 || strncmp(line, HEAD, strlen(HEAD)) ||
	    sscanf(line + strlen(HEAD), "%3u%c", &count, &behind) != 1 || count > CONTROL_SETTINGS)
		return -EBADMSG;
	for (unsigned int i = 0; i < count && !bad; i++)
		bad = file_line(stream, line, sizeof(line)) == 1 ? read_setting(s, line, now_ns)
								 : -EBADMSG;
	if (!bad && file_line(stream, line, sizeof(line)))
		bad = -EBADMSG;
	return bad;
}

int settings_read(struct settings *s, const char *runtime, struct config_error *err)
{
	char path[CONFIG_PATH_MAX];
	size_t before = s->count;
	FILE *stream;
	int bad;

	path_of(runtime, path);
	bad = file_open_own(path, &stream);
	if (bad == -ENOENT)
		return 0;
	if (!bad) {
		bad = read_settings(s, stream);
		fclose(stream);
	}
	if (!bad)
		return 0;
	while (s->count > before)
		free(s->one[--s->count].text);
	return fail(err, bad,
		    "%s is not what sluiced writes (%s): what was set by hand for a time is over",
		    path, strerror(-bad));
}

int settings_write(const struct settings *s, const char *runtime)
{
	char path[CONFIG_PATH_MAX], *text = NULL;
	size_t size = 0, count = 0;
	FILE *stream;
	int bad;

	path_of(runtime, path);
	for (size_t i = 0; i < s->count; i++)
		count += s->one[i].until_boot_ns != NEVER_NS;
	if (!count)
		return unlink(path) && errno != ENOENT ? -errno : 0;
	stream = open_memstream(&text, &size);
	if (!stream)
		return -ENOMEM;
	fprintf(stream, HEAD "%zu\n", count);
	for (size_t i = 0; i < s->count; i++)
		if (s->one[i].until_boot_ns != NEVER_NS)
			fprintf(stream, "%" PRIu64 " %s\n", s->one[i].until_boot_ns,
				s->one[i].text);
	bad = fclose(stream) ? -ENOMEM : files_replace(path, text, size, 0644);
	free(text);
	return bad;
}
