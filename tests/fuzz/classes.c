// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Loads any bytes as the files of two classes: up to the first byte 0xff trusted, behind it known.
 * It ends with an error of one line, or with a sorted list without host bits or duplicates. An end
 * of the process is a finding.
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -D_GNU_SOURCE \
 *		-Ibpf -Idaemon tests/fuzz/classes.c daemon/classes.c daemon/config_values.c \
 *		-o build/fuzz-classes
 *	build/fuzz-classes -max_len=4000
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "classes.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define PROMISE(condition)                                                                      \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

/* Bits behind the prefix, looked at one by one. */
static int has_host_bits(const struct class_entry *e)
{
	unsigned int bits = e->family == FAMILY_V4 ? 96U + e->bits : e->bits;

	for (unsigned int i = bits; i < 128; i++)
		if (e->addr.byte[i / 8] & 0x80 >> i % 8)
			return 1;
	return 0;
}

static void promise_entry(const struct class_entry *e)
{
	int mapped = !e->addr.half[0] && e->addr.word[2] == V4_MAPPED_WORD;

	PROMISE(e->class == CLASS_TRUSTED || e->class == CLASS_KNOWN);
	PROMISE(e->family == FAMILY_V4 || e->family == FAMILY_V6);
	PROMISE(mapped == (e->family == FAMILY_V4));
	PROMISE(e->bits <= (mapped ? 32 : 128));
	PROMISE(!has_host_bits(e));
}

static void promise_order(const struct class_entry *a, const struct class_entry *b)
{
	int d = a->family - b->family;

	if (!d)
		d = memcmp(&a->addr, &b->addr, sizeof(a->addr));
	if (!d)
		d = a->bits - b->bits;
	PROMISE(d < 0);
}

static void promise_error(const struct config_error *err, const struct class_list *list)
{
	size_t length = strnlen(err->text, sizeof(err->text));

	PROMISE(length > 0 && length < sizeof(err->text));
	for (size_t i = 0; i < length; i++)
		PROMISE((unsigned char)err->text[i] >= ' ' && err->text[i] != 0x7f);
	PROMISE(!list->entry && !list->count);
}

static int file_of(struct config *c, enum class class, const uint8_t *bytes, size_t n)
{
	int fd = memfd_create("classes", MFD_CLOEXEC);

	PROMISE(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
	snprintf(c->class_file[class][0], CONFIG_PATH_MAX, "/proc/self/fd/%d", fd);
	c->class_files[class] = 1;
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	const uint8_t *split = n ? memchr(bytes, 0xff, n) : NULL;
	size_t first = split ? (size_t)(split - bytes) : n;
	static struct config c;
	struct config_error err;
	struct class_list list;
	int trusted, known;

	memset(&c, 0, sizeof(c));
	trusted = file_of(&c, CLASS_TRUSTED, bytes, first);
	known = file_of(&c, CLASS_KNOWN, bytes + first + !!split, n - first - !!split);
	if (classes_load(&c, &list, &err))
		promise_error(&err, &list);
	for (size_t i = 0; i < list.count; i++) {
		promise_entry(&list.entry[i]);
		if (i)
			promise_order(&list.entry[i - 1], &list.entry[i]);
	}
	classes_free(&list);
	close(trusted);
	close(known);
	return 0;
}
