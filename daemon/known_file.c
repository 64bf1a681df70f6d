// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * known_file.c - the file that keeps the table of known senders across starts.
 *
 * Text, LF at the end of each line, one blank between words, numbers decimal, times in seconds of
 * the table:
 *
 *	sluice-known VERSION SAVED COUNT
 *	PREFIX DAYS SEEN COUNTED ADDED GOOD-UNTIL BAD-UNTIL	(COUNT of them)
 *	crc32 XXXXXXXX						(of all bytes before this line)
 *
 * The sum is that of zlib and of the Ethernet: a flipped bit, or any damage in up to 32 bits in a
 * row, is always seen.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_values.h"
#include "known_internal.h"
#include "log.h"

#define MAGIC	   "sluice-known "
#define VERSION	   1
#define LINE_MOST  128 /* bytes of a line; an entry has 110 at most */
#define WORDS	   7
#define FILE_MOST  ((off_t)(KNOWN_MOST + 2) * LINE_MOST)
#define TIME_MOST  (2 * KNOWN_CLOCK_MAX_S)
#define PATH_ROOM  (CONFIG_PATH_MAX + 64)
#define LOOK_MOST  10000 /* names of the folder that are looked at for old damaged files */
#define ROOT	   "/var/lib/sluice" /* made too, where /var/lib is there */
#define DAY_S	   UINT64_C(86400)
#define CRC_LENGTH 15 /* "crc32 XXXXXXXX\n" */

static uint32_t crc32(const char *bytes, size_t size)
{
	static uint32_t table[16]; /* by half bytes */
	uint32_t crc = ~0U;

	if (!table[1])
		for (uint32_t i = 0; i < 16; i++) {
			table[i] = i;
			for (int bit = 0; bit < 4; bit++)
				table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320U : 0);
		}
	for (size_t i = 0; i < size; i++) {
		crc ^= (uint8_t)bytes[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

static void crc_line(const char *bytes, size_t size, char line[static CRC_LENGTH + 1])
{
	snprintf(line, CRC_LENGTH + 1, "crc32 %08" PRIx32 "\n", crc32(bytes, size));
}

/* --- read ------------------------------------------------------------------------------------- */

struct reading {
	struct known *k;
	char *text; /* ends in NUL, which is not counted */
	size_t size;
	char *next; /* the rest */
	uint64_t saved_s, count;
	char why[256];
};

static int damaged(struct reading *r, const char *what)
{
	snprintf(r->why, sizeof(r->why), "is damaged (%s)", what);
	return -EBADMSG;
}

/* Decimal digits, no leading zero, up to most. */
static bool number(const char *text, uint64_t most, uint64_t *n)
{
	*n = 0;
	if (!*text || (*text == '0' && text[1]))
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		*n = *n * 10 + (uint64_t)(*text - '0');
		if (*n > most)
			return false;
	}
	return true;
}

/* Cuts the next line off into its words. Returns how many, 0 when the line is none of ours. */
static size_t next_words(struct reading *r, char *word[static WORDS])
{
	char *end = r->next ? strchr(r->next, '\n') : NULL;
	size_t count = 0;

	if (!end)
		return 0;
	*end = '\0';
	for (char *at = r->next; at; count++) {
		if (count == WORDS)
			return 0;
		word[count] = at;
		at = strchr(at, ' ');
		if (at)
			*at++ = '\0';
	}
	r->next = end + 1;
	return count;
}

/* The version is looked at first: of a newer one nothing else need be as it is here. */
static int check_version(struct reading *r)
{
	size_t length = strlen(MAGIC);
	unsigned long version;

	if (r->size < length || memcmp(r->text, MAGIC, length))
		return damaged(r, "it does not begin with '" MAGIC "'");
	if (r->text[length] < '1' || r->text[length] > '9')
		return damaged(r, "it has no version");
	version = strtoul(r->text + length, NULL, 10);
	if (version == VERSION)
		return 0;
	snprintf(r->why, sizeof(r->why), "is of a newer version (%lu, and this one reads %d)",
		 version, VERSION);
	return -EPROTO;
}

static int check_sum(struct reading *r)
{
	char line[CRC_LENGTH + 1];

	if (r->size < CRC_LENGTH || memchr(r->text, '\0', r->size))
		return damaged(r, "it is no text, or too short");
	crc_line(r->text, r->size - CRC_LENGTH, line);
	if (memcmp(r->text + r->size - CRC_LENGTH, line, CRC_LENGTH))
		return damaged(r, "its check sum does not fit: it was cut or changed");
	r->size -= CRC_LENGTH;
	r->text[r->size] = '\0';
	return 0;
}

static int read_head(struct reading *r)
{
	char *word[WORDS];

	if (next_words(r, word) != 4 || !number(word[2], TIME_MOST, &r->saved_s) ||
	    !number(word[3], UINT32_MAX, &r->count))
		return damaged(r, "its first line is not understood");
	if (r->count <= r->k->most)
		return 0;
	snprintf(r->why, sizeof(r->why), "has %" PRIu64 " entries, and at most %zu are read",
		 r->count, r->k->most);
	return -EFBIG;
}

static bool read_key(char *text, struct prefix_key *key)
{
	static const struct config any = {.source_prefix_v4 = 32, .source_prefix_v6 = 128};
	struct config_error err;
	int bad = strchr(text, '/') ? known_parse(text, &any, key, &err) : -EINVAL;

	/* An entry keeps the length of its time, whatever a source is now. */
	return !bad || bad == -ERANGE;
}

static int read_entry(struct reading *r, uint32_t *slot)
{
	uint64_t days, seen_s, counted_s, added, good_s, bad_s;
	uint64_t last_s = r->saved_s + KNOWN_MARK_MAX_S;
	struct prefix_key key;
	char *word[WORDS];
	struct slot *s;

	if (next_words(r, word) != WORDS || !read_key(word[0], &key) ||
	    !number(word[1], UINT16_MAX, &days) || !number(word[2], r->saved_s, &seen_s) ||
	    !number(word[3], seen_s, &counted_s) || !number(word[4], 1, &added) ||
	    !number(word[5], last_s, &good_s) || !number(word[6], last_s, &bad_s))
		return damaged(r, "an entry is not understood");
	if (known_find(r->k, &key) != NO_SLOT)
		return damaged(r, "a source stands in it twice");
	*slot = known_take(r->k, &key);
	if (*slot == NO_SLOT)
		return damaged(r, "it has more entries than it says");
	s = &r->k->slot[*slot];
	s->days = (uint16_t)days;
	s->seen_s = seen_s;
	s->counted_s = counted_s;
	s->added = added;
	s->good_until_s = good_s;
	s->bad_until_s = bad_s;
	return 0;
}

static int by_seen(const void *a, const void *b, void *k)
{
	const struct slot *first = &((struct known *)k)->slot[*(const uint32_t *)a];
	const struct slot *second = &((struct known *)k)->slot[*(const uint32_t *)b];

	return (first->seen_s > second->seen_s) - (first->seen_s < second->seen_s);
}

/* When the table goes on. See known.h, "The clock". */
static uint64_t base_of(const struct reading *r, uint64_t wall_s, struct config_error *said)
{
	if (wall_s > KNOWN_CLOCK_MAX_S)
		wall_s = KNOWN_CLOCK_MAX_S;
	if (wall_s > r->saved_s + r->k->for_s && r->count) {
		fail(said, 0,
		     "the clock is %" PRIu64 " days ahead of the table of known senders, more than "
		     "known-for: it is taken for wrong, and nobody is forgotten",
		     (wall_s - r->saved_s) / DAY_S);
		return r->saved_s;
	}
	if (wall_s + DAY_S < r->saved_s)
		fail(said, 0,
		     "the clock is %" PRIu64 " days behind the table of known senders: the table "
		     "goes on from its own time",
		     (r->saved_s - wall_s) / DAY_S);
	return wall_s > r->saved_s ? wall_s : r->saved_s;
}

static int read_entries(struct reading *r, uint64_t wall_s, uint64_t boot_ns,
			struct config_error *said)
{
	uint32_t *order = calloc(r->count + 1, sizeof(*order));
	int bad = order ? 0 : -ENOMEM;

	for (uint64_t i = 0; i < r->count && !bad; i++)
		bad = read_entry(r, &order[i]);
	if (!bad && *r->next)
		bad = damaged(r, "it has more entries than it says");
	if (!bad) {
		r->k->base_s = base_of(r, wall_s, said);
		r->k->base_boot_ns = boot_ns;
		/* The oldest first: so candidates stand in the order in which they give way. */
		qsort_r(order, r->count, sizeof(*order), by_seen, r->k);
		for (uint64_t i = 0; i < r->count; i++)
			known_settle(r->k, order[i], r->k->base_s);
	}
	free(order);
	return bad;
}

static int read_text(struct reading *r, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > FILE_MOST) {
		snprintf(r->why, sizeof(r->why), "has %jd bytes, and at most %jd are read",
			 (intmax_t)st.st_size, (intmax_t)FILE_MOST);
		return -EFBIG;
	}
	r->text = malloc((size_t)st.st_size + 1);
	if (!r->text)
		return -ENOMEM;
	r->next = r->text;
	while (r->size < (size_t)st.st_size) {
		ssize_t n = read(fd, r->text + r->size, (size_t)st.st_size - r->size);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (!n)
			break;
		r->size += n > 0 ? (size_t)n : 0;
	}
	r->text[r->size] = '\0';
	return 0;
}

static int read_file(struct reading *r, const char *path, uint64_t wall_s, uint64_t boot_ns,
		     struct config_error *said)
{
	/* Never through a link, and never waiting for the other end of a pipe. */
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), bad;

	if (fd < 0)
		return -errno;
	bad = read_text(r, fd);
	close(fd);
	if (!bad && !r->text)
		bad = -EIO;
	if (!bad)
		bad = check_version(r);
	if (!bad)
		bad = check_sum(r);
	if (!bad)
		bad = read_head(r);
	return bad ? bad : read_entries(r, wall_s, boot_ns, said);
}

static const char *why_not(const struct reading *r, int bad, char *text, size_t size)
{
	if (*r->why)
		return r->why;
	if (bad == -ELOOP)
		return "is a symbolic link, not a plain file";
	if (bad == -EISDIR)
		return "is a folder, not a plain file";
	if (bad == -EINVAL)
		return "is not a plain file";
	snprintf(text, size, "cannot be read (%s)", strerror(-bad));
	return text;
}

/* --- set aside -------------------------------------------------------------------------------- */

/* Splits a path into its folder and its name. */
static const char *split(const char *path, char folder[static CONFIG_PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	snprintf(folder, CONFIG_PATH_MAX, "%.*s", slash > path ? (int)(slash - path) : 1, path);
	return slash + 1;
}

/* Of the files that were set aside: how many there are, and which is the oldest. */
static size_t count_aside(DIR *folder, const char *name, char oldest[static NAME_MAX + 1])
{
	char head[CONFIG_PATH_MAX + 16];
	const struct dirent *entry;
	size_t count = 0, looked = 0;
	int length = snprintf(head, sizeof(head), "%s.damaged-", name);

	*oldest = '\0';
	rewinddir(folder);
	while (looked++ < LOOK_MOST && (entry = readdir(folder))) {
		if (strncmp(entry->d_name, head, (size_t)length))
			continue;
		if (!count++ || strcmp(entry->d_name, oldest) < 0)
			snprintf(oldest, NAME_MAX + 1, "%s", entry->d_name);
	}
	return count;
}

/* One may have been a folder, and a full one stays. */
static void drop_old_aside(const char *path)
{
	char folder[CONFIG_PATH_MAX], oldest[NAME_MAX + 1];
	const char *name = split(path, folder);
	DIR *d = opendir(folder);

	for (int i = 0; d && i < 2 * KNOWN_ASIDE; i++) {
		if (count_aside(d, name, oldest) <= KNOWN_ASIDE)
			break;
		if (unlinkat(dirfd(d), oldest, 0) && unlinkat(dirfd(d), oldest, AT_REMOVEDIR))
			break;
	}
	if (d)
		closedir(d);
}

/* The number is of one length, so that names sort by age. */
static int set_aside(const char *path, uint64_t wall_s, char aside[static PATH_ROOM])
{
	for (int i = 0; i <= KNOWN_ASIDE; i++) {
		snprintf(aside, PATH_ROOM, "%s.damaged-%012" PRIu64, path,
			 (wall_s < TIME_MOST ? wall_s : TIME_MOST) + (uint64_t)i);
		if (!renameat2(AT_FDCWD, path, AT_FDCWD, aside, RENAME_NOREPLACE)) {
			drop_old_aside(path);
			return 0;
		}
		if (errno != EEXIST)
			break;
	}
	return -errno;
}

int known_load(struct known *k, const char *path, uint64_t wall_s, uint64_t boot_ns,
	       struct config_error *said)
{
	struct reading r = {.k = k};
	char aside[PATH_ROOM], text[128];
	int bad, not_aside;

	said->text[0] = '\0';
	if (!*path)
		return 0;
	snprintf(k->path, sizeof(k->path), "%s", path);
	bad = read_file(&r, path, wall_s, boot_ns, said);
	free(r.text);
	if (bad == -ENOENT)
		return 0;
	if (!bad)
		return 0;
	known_clear(k);
	not_aside = bad == -ENOMEM ? bad : set_aside(path, wall_s, aside);
	if (!not_aside) {
		fail(said, 0,
		     "%s %s: it was set aside as %s, and the table of known senders begins "
		     "empty",
		     path, why_not(&r, bad, text, sizeof(text)), aside);
	} else {
		fail(said, 0,
		     "%s %s, and cannot be set aside (%s): the table of known senders begins empty "
		     "and is not kept",
		     path, why_not(&r, bad, text, sizeof(text)), strerror(-not_aside));
		k->path[0] = '\0';
	}
	k->read_problem = *said;
	return bad;
}

/* --- written ---------------------------------------------------------------------------------- */

/* The whole file as text, to be freed; NULL: no memory. */
static char *text_of(const struct known *k, uint64_t now_s, size_t *size)
{
	size_t room = ((size_t)k->heap_size + 2) * LINE_MOST, used;
	char *text = malloc(room), key[KNOWN_KEY_TEXT];

	if (!text)
		return NULL;
	used = (size_t)snprintf(text, room, MAGIC "%d %" PRIu64 " %" PRIu32 "\n", VERSION, now_s,
				k->heap_size);
	for (uint32_t n = 0; n < k->heap_size; n++) {
		const struct slot *s = &k->slot[k->heap[n]];

		known_key_text(&s->key, key);
		used += (size_t)snprintf(
			text + used, room - used,
			"%s %u %" PRIu64 " %" PRIu64 " %d %" PRIu64 " %" PRIu64 "\n", key, s->days,
			s->seen_s, s->counted_s, s->added, s->good_until_s, s->bad_until_s);
	}
	crc_line(text, used, text + used);
	*size = used + CRC_LENGTH;
	return text;
}

static int write_all(int fd, const char *text, size_t size)
{
	while (size) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

static int sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int bad = fd < 0 || fsync(fd) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	/* Some file systems cannot sync a folder: then it is as safe as it can be. */
	return bad == -EINVAL ? 0 : bad;
}

/* What cannot be made is found out when the file cannot. */
static void make_folder(const char *folder)
{
	if (!strncmp(folder, ROOT "/", strlen(ROOT "/")))
		mkdir(ROOT, 0755);
	mkdir(folder, 0755);
}

/*
 * After a crash of the machine the file is the old one or the new one: its bytes are on the disk
 * before its name is, and the name before we say that it is written.
 */
static int replace(const char *path, const char *text, size_t size)
{
	char folder[CONFIG_PATH_MAX], temporary[PATH_ROOM];
	int fd, bad;

	split(path, folder);
	make_folder(folder);
	snprintf(temporary, sizeof(temporary), "%s.tmp", path);
	unlink(temporary); /* of a daemon that died over it */
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	bad = write_all(fd, text, size);
	if (!bad && fsync(fd))
		bad = -errno;
	if (close(fd) && !bad)
		bad = -errno;
	if (!bad && rename(temporary, path))
		bad = -errno;
	if (bad)
		unlink(temporary);
	return bad ? bad : sync_folder(folder);
}

int known_can_save(struct known *k, struct config_error *err)
{
	char folder[CONFIG_PATH_MAX], temporary[PATH_ROOM];
	int fd, bad = 0;

	if (!*k->path)
		return 0;
	split(k->path, folder);
	make_folder(folder);
	snprintf(temporary, sizeof(temporary), "%s.tmp", k->path);
	unlink(temporary);
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0) {
		bad = fail(err, -errno, "the known senders will not be kept in %s: %s", k->path,
			   strerror(errno));
		k->write_problem = *err;
		return bad;
	}
	close(fd);
	unlink(temporary);
	return 0;
}

bool known_save_due(const struct known *k, uint64_t boot_ns)
{
	return *k->path && k->changed && boot_ns >= k->saved_boot_ns + KNOWN_SAVE_S * NSEC_PER_SEC;
}

int known_save(struct known *k, uint64_t boot_ns, struct config_error *err)
{
	size_t size = 0;
	char *text;
	int bad;

	if (!*k->path || !k->changed)
		return 0;
	text = text_of(k, known_now_s(k, boot_ns), &size);
	bad = text ? replace(k->path, text, size) : -ENOMEM;
	free(text);
	k->saved_boot_ns = boot_ns;
	k->write_problem.text[0] = '\0';
	if (bad) {
		fail(err, bad, "the known senders cannot be kept in %s: %s", k->path,
		     strerror(-bad));
		k->write_problem = *err;
	} else {
		k->changed = false;
	}
	return bad;
}
