// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * added.c - the set of prefixes that were added by hand, and its file:
 *
 *	sluice-classes 1 COUNT SUM
 *	PREFIX CLASS UNTIL COMMENT		(UNTIL: seconds of 1970, or never)
 *
 * SUM is FNV-1a of all behind the first line.
 */
#include "added.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_values.h"
#include "daemon.h"
#include "log.h"

#define ROOT	  "/var/lib/sluice"
#define HEAD	  "sluice-classes 1 "
#define LINE_MOST 256

void added_free(struct added *a)
{
	free(a->entry);
	*a = (struct added){};
}

/* Does a bit beyond the length stand? Bits count from the first of the 16 bytes. */
static bool has_host_bits(const union addr *a, unsigned int bits)
{
	for (unsigned int bit = bits; bit < 128; bit++)
		if (a->byte[bit / 8] & (0x80 >> bit % 8))
			return true;
	return false;
}

int added_parse(const char *text, struct class_entry *e, struct config_error *err)
{
	const char *slash = strchr(text, '/');
	char address[64], shown[SHOWN_MAX];
	enum family family;
	uint32_t bits, most;

	snprintf(address, sizeof(address), "%.*s", slash ? (int)(slash - text) : 63, text);
	if (value_address(address, &e->addr, &family))
		return fail(err, -EINVAL,
			    "%s is no prefix; expected one such as 192.0.2.0/24 or 2001:db8::/32",
			    value_shown(text, shown));
	most = family == FAMILY_V4 ? 32 : 128;
	bits = most;
	if (slash && value_count(slash + 1, 0, most, &bits))
		return fail(err, -EINVAL, "%s has no such length; expected a number from 0 to %u",
			    value_shown(text, shown), most);
	if (has_host_bits(&e->addr, bits + (128 - most)))
		return fail(err, -EINVAL, "%s has host bits set; expected a prefix",
			    value_shown(text, shown));
	e->bits = (uint8_t)bits;
	e->family = (uint8_t)family;
	return 0;
}

int added_append(struct added *a, const struct added_entry *e, struct config_error *err)
{
	struct added_entry *more;

	if (a->count == ADDED_MOST)
		return fail(err, -E2BIG, "at most %d prefixes can be added by hand", ADDED_MOST);
	if (!(a->count & (a->count - 1))) { /* a power of two: it is full */
		more = realloc(a->entry, (a->count ? a->count * 2 : 1) * sizeof(*more));
		if (!more)
			return fail(err, -ENOMEM, "out of memory");
		a->entry = more;
	}
	a->entry[a->count++] = *e;
	return 0;
}

static int by_prefix(const void *first, const void *second)
{
	const struct class_entry *a = first, *b = second;
	int d = a->family - b->family;

	if (!d)
		d = memcmp(&a->addr, &b->addr, sizeof(a->addr));
	return d ? d : a->bits - b->bits;
}

static int by_added(const void *a, const void *b)
{
	return by_prefix(&((const struct added_entry *)a)->prefix,
			 &((const struct added_entry *)b)->prefix);
}

/* And each once. */
static void sort(struct added *a)
{
	size_t count = 0;

	if (a->count)
		qsort(a->entry, a->count, sizeof(*a->entry), by_added);
	for (size_t i = 0; i < a->count; i++)
		if (!count || by_added(&a->entry[count - 1], &a->entry[i]))
			a->entry[count++] = a->entry[i];
	a->count = count;
}

int added_join(const struct added *old, struct added *fresh, struct added *out,
	       struct config_error *err)
{
	size_t o = 0, f = 0;
	int bad = 0;

	*out = (struct added){};
	sort(fresh);
	while (!bad && (o < old->count || f < fresh->count)) {
		int d = o == old->count	    ? 1
			: f == fresh->count ? -1
					    : by_added(&old->entry[o], &fresh->entry[f]);

		if (d < 0) {
			bad = added_append(out, &old->entry[o++], err);
			continue;
		}
		o += !d;
		bad = added_append(out, &fresh->entry[f++], err);
	}
	if (bad)
		added_free(out);
	return bad;
}

const struct added_entry *added_find(const struct added *a, const struct class_entry *e)
{
	struct added_entry key = {.prefix = *e};

	return a->count ? bsearch(&key, a->entry, a->count, sizeof(key), by_added) : NULL;
}

int added_over(const struct added *a, struct class_list *list, struct config_error *err)
{
	size_t l = 0, n = 0, count = 0, most = list->count + a->count;
	struct class_entry *both;

	if (!a->count)
		return 0;
	if (most > CLASSES_MAX_PREFIXES)
		return fail(err, -E2BIG,
			    "the lists of the config and what was added by hand are more than %d "
			    "prefixes",
			    CLASSES_MAX_PREFIXES);
	both = malloc(most * sizeof(*both));
	if (!both)
		return fail(err, -ENOMEM, "out of memory");
	while (l < list->count || n < a->count) {
		int d = l == list->count ? 1
			: n == a->count	 ? -1
					 : by_prefix(&list->entry[l], &a->entry[n].prefix);

		both[count++] = d < 0 ? list->entry[l] : a->entry[n].prefix;
		l += d <= 0;
		n += d >= 0;
	}
	free(list->entry);
	list->entry = both;
	list->count = count;
	return 0;
}

/* --- a list that the operator made ----------------------------------------------------------- */

static bool is_domain(const char *text)
{
	return strchr(text, '.') && !strpbrk(text, ":/ \t") &&
	       strpbrk(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
}

static int read_list_line(struct added *a, char *line, const struct added_entry *like,
			  struct config_error *err)
{
	struct added_entry e = *like;
	char shown[SHOWN_MAX];
	int bad;

	line[strcspn(line, "#")] = '\0';
	line += strspn(line, " \t");
	line[strcspn(line, " \t")] = '\0';
	if (!*line)
		return 0;
	if (is_domain(line))
		return fail(
			err, -EINVAL,
			"%s is a domain: only prefixes and addresses are taken, DNS is not asked",
			value_shown(line, shown));
	bad = added_parse(line, &e.prefix, err);
	return bad ? bad : added_append(a, &e, err);
}

int added_read_list(struct added *a, const char *path, const struct added_entry *like,
		    struct config_error *err)
{
	struct config_error why;
	char line[LINE_MOST];
	unsigned int number = 0;
	FILE *stream;
	int got, bad = file_open(path, &stream);

	if (bad)
		return fail(err, bad, "%s cannot be opened: %s", path, strerror(-bad));
	while (!bad && (got = file_line(stream, line, sizeof(line)))) {
		number++;
		bad = got < 0 ? fail(&why, got, "a line of plain text with one prefix was expected")
			      : read_list_line(a, line, like, &why);
	}
	fclose(stream);
	return bad ? fail(err, bad, "%s:%u: %.512s", path, number, why.text) : 0;
}

/* --- the file --------------------------------------------------------------------------------- */

static uint64_t fnv(const char *text, uint64_t sum)
{
	for (; *text; text++)
		sum = (sum ^ (uint8_t)*text) * 0x100000001b3U;
	return sum;
}

#define FNV_START 0xcbf29ce484222325U

static void path_of(const char *instance, char path[static CONFIG_PATH_MAX])
{
	snprintf(path, CONFIG_PATH_MAX, ROOT "/%s/classes", instance);
}

static int read_entry(struct added *a, char *line)
{
	char *prefix = strtok_r(line, " ", &line), *class = strtok_r(NULL, " ", &line);
	char *until = strtok_r(NULL, " ", &line), *end;
	struct config_error err;
	struct added_entry e = {.until_s = ADDED_NEVER};

	if (!until || added_parse(prefix, &e.prefix, &err))
		return -EBADMSG;
	for (int k = CLASS_UNKNOWN + 1; k < CLASSES; k++)
		if (!strcmp(class, class_name(k)))
			e.prefix.class = (uint8_t)k;
	if (strcmp(until, "never")) {
		e.until_s = strtoull(until, &end, 10);
		if (*end)
			return -EBADMSG;
	}
	snprintf(e.comment, sizeof(e.comment), "%s", line ? line : "");
	if (!e.prefix.class || (a->count && by_added(&a->entry[a->count - 1], &e) >= 0))
		return -EBADMSG;
	return added_append(a, &e, &err);
}

static int read_entries(struct added *a, FILE *stream)
{
	uint64_t sum, real = FNV_START;
	char line[LINE_MOST];
	unsigned int count;
	int got, bad = 0;

	if (file_line(stream, line, sizeof(line)) != 1 ||
	    sscanf(line, HEAD "%6u %16" SCNx64, &count, &sum) != 2)
		return -EBADMSG;
	while (!bad && (got = file_line(stream, line, sizeof(line)))) {
		if (got < 0)
			return -EBADMSG;
		real = fnv("\n", fnv(line, real));
		bad = read_entry(a, line);
	}
	return bad ? bad : a->count == count && real == sum ? 0 : -EBADMSG;
}

int added_read(struct added *a, const char *instance, struct config_error *err)
{
	char path[CONFIG_PATH_MAX], aside[CONFIG_PATH_MAX + 16];
	FILE *stream;
	int bad;

	path_of(instance, path);
	bad = file_open_own(path, &stream);
	if (bad == -ENOENT)
		return 0;
	if (!bad) {
		bad = read_entries(a, stream);
		fclose(stream);
	}
	if (!bad)
		return 0;
	added_free(a);
	snprintf(aside, sizeof(aside), "%s.damaged", path);
	if (bad == -ENOMEM || rename(path, aside))
		return fail(err, bad, "%s cannot be used (%s): no prefix counts as added by hand",
			    path, strerror(-bad));
	return fail(err, bad,
		    "%s cannot be used (%s): it was set aside as %s, and no prefix counts as added "
		    "by hand",
		    path, strerror(-bad), aside);
}

static void print_entries(const struct added *a, FILE *stream)
{
	for (size_t i = 0; i < a->count; i++) {
		const struct added_entry *e = &a->entry[i];
		char address[64], until[32] = "never";

		format_address(&e->prefix.addr, address, sizeof(address));
		if (e->until_s != ADDED_NEVER)
			snprintf(until, sizeof(until), "%" PRIu64, e->until_s);
		fprintf(stream, "%s/%u %s %s %s\n", address, e->prefix.bits,
			class_name(e->prefix.class), until, e->comment);
	}
}

/* To the disk: the bytes before the name. */
static int replace(const char *path, const char *head, const char *text)
{
	char temporary[CONFIG_PATH_MAX + 16], *slash;
	FILE *stream;
	int fd, bad = 0;

	snprintf(temporary, sizeof(temporary), "%s.tmp", path);
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	stream = fd < 0 ? NULL : fdopen(fd, "w");
	if (!stream)
		return -errno;
	if (fputs(head, stream) < 0 || fputs(text, stream) < 0 || fflush(stream) || fsync(fd))
		bad = -errno;
	if (fclose(stream) && !bad)
		bad = -errno;
	if (!bad && rename(temporary, path))
		bad = -errno;
	if (bad) {
		unlink(temporary);
		return bad;
	}
	slash = strrchr(temporary, '/');
	*slash = '\0';
	fd = open(temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd); /* some file systems cannot: then it is as safe as it can be */
		close(fd);
	}
	return 0;
}

int added_write(const struct added *a, const char *instance)
{
	char path[CONFIG_PATH_MAX], head[64], *text = NULL;
	size_t size = 0;
	FILE *stream;
	int bad;

	snprintf(path, sizeof(path), ROOT "/%s", instance);
	mkdir(ROOT, 0755);
	mkdir(path, 0755); /* what cannot be made is found out when the file cannot */
	path_of(instance, path);
	stream = open_memstream(&text, &size);
	if (!stream)
		return -ENOMEM;
	print_entries(a, stream);
	bad = fclose(stream) ? -ENOMEM : 0;
	if (!bad) {
		snprintf(head, sizeof(head), HEAD "%zu %016" PRIx64 "\n", a->count,
			 fnv(text, FNV_START));
		bad = replace(path, head, text);
	}
	free(text);
	return bad;
}
