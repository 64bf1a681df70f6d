// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Loads any bytes as the file of known senders: as they are, or (the first byte is odd) with the
 * check sum that fits, so that what lies behind it is reached. It ends with an empty table and one
 * sentence, the file set aside; or with a table that is written and read as the same again, and
 * that then takes sessions, marks and time as the bytes say. An end of the process is a finding.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "known.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define PROMISE(condition)                                                                      \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

#define MOST	16
#define BEGIN_S 1700000000ULL

static const struct config config = {.known_days = 2,
				     .known_bytes = 4096,
				     .known_for_ns = 60 * 86400 * NSEC_PER_SEC,
				     .source_prefix_v4 = 32,
				     .source_prefix_v6 = 64};
static char folder[64], path[96];

static void drop_folder(void)
{
	DIR *d = opendir(folder);
	const struct dirent *entry;

	while (d && (entry = readdir(d)))
		unlinkat(dirfd(d), entry->d_name, 0);
	closedir(d);
	rmdir(folder);
}

static void make_folder(void)
{
	if (*folder)
		return;
	snprintf(folder, sizeof(folder), "%s/sluice-fuzz-XXXXXX",
		 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	PROMISE(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/known", folder);
	atexit(drop_folder);
}

static uint32_t crc32_of(const uint8_t *bytes, size_t n)
{
	uint32_t crc = ~0U;

	for (size_t i = 0; i < n; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0);
	}
	return ~crc;
}

static void put(const uint8_t *bytes, size_t n, int summed)
{
	FILE *f = fopen(path, "w");

	PROMISE(f && fwrite(bytes, 1, n, f) == n);
	if (summed)
		fprintf(f, "crc32 %08x\n", crc32_of(bytes, n));
	fclose(f);
}

static struct known *make(uint64_t wall_s)
{
	static const uint64_t seed[2] = {1, 2};
	struct known *k = known_open(&config, MOST, seed, wall_s, NSEC_PER_SEC);

	PROMISE(k);
	return k;
}

static void promise_sound(const struct known *k)
{
	struct known_counts c;
	uint64_t sum = 0;

	known_counts(k, &c);
	for (int s = 0; s < STANDINGS; s++)
		sum += c.now[s];
	PROMISE(c.sources <= MOST && c.sources == sum);
}

static void promise_sentence(const struct config_error *said, int bad)
{
	size_t length = strnlen(said->text, sizeof(said->text));

	PROMISE(length < sizeof(said->text) && (length || !bad));
	for (size_t i = 0; i < length; i++)
		PROMISE((unsigned char)said->text[i] >= ' ' && said->text[i] != 0x7f);
}

/* Every source of one table stands in the other as it does there. */
static void promise_same(const struct known *a, const struct known *b, uint64_t boot_ns)
{
	struct known_view view[MOST], other;
	size_t cursor = 0, count = known_list(a, boot_ns, &cursor, view, MOST);

	for (size_t i = 0; i < count; i++) {
		PROMISE(known_get(b, &view[i].key, NSEC_PER_SEC, &other));
		PROMISE(!memcmp(&view[i], &other, sizeof(other)));
	}
}

/* Sessions, marks and time, a byte each for what and for whom. */
static void live(struct known *k, const uint8_t *bytes, size_t n)
{
	uint64_t boot_ns = NSEC_PER_SEC;
	struct known_change change;

	for (size_t i = 0; i + 1 < n && i < 2000; i += 2) {
		struct session_end e = {.bytes = 5000, .in_order = 1};
		struct prefix_key key = {.bits = 64};

		key.addr.byte[0] = bytes[i + 1] % 32;
		e.source = key;
		e.flags = bytes[i] & SESSION_PRESSED;
		boot_ns += (uint64_t)bytes[i + 1] * 1000 * NSEC_PER_SEC;
		switch (bytes[i] % 7) {
		case 0:
			known_add(k, &key, boot_ns);
			break;
		case 1:
			known_mark(k, &key, bytes[i] & 8, bytes[i + 1], boot_ns);
			break;
		case 2:
			known_forget(k, &key, boot_ns);
			break;
		case 3:
			known_expire(k, boot_ns, 2);
			break;
		case 4:
			known_next_change(k, boot_ns, boot_ns, &change);
			break;
		default:
			known_session_end(k, &e, boot_ns);
		}
		promise_sound(k);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct config_error said, err;
	struct known *k, *again;
	struct prefix_key key = {.bits = 128};
	int bad;

	make_folder();
	put(bytes + !!n, n - !!n, n && *bytes & 1);
	k = make(BEGIN_S);
	bad = known_load(k, path, BEGIN_S, NSEC_PER_SEC, &said);
	promise_sentence(&said, bad);
	promise_sound(k);
	if (bad) {
		struct known_counts c;

		known_counts(k, &c);
		PROMISE(!c.sources && access(path, F_OK));
	}
	/* Something that changes, so that it is written. */
	if (!known_add(k, &key, NSEC_PER_SEC)) {
		PROMISE(!known_save(k, NSEC_PER_SEC, &err));
		again = make(BEGIN_S);
		PROMISE(!known_load(again, path, 0, NSEC_PER_SEC, &said));
		promise_same(k, again, NSEC_PER_SEC);
		known_close(again);
	}
	live(k, bytes, n);
	known_close(k);
	return 0;
}
