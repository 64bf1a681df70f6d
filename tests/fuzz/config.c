// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Loads any bytes as a config file. It ends with an error of one line, or with a config that can
 * be written down and loads as the same again. An end of the process is a finding.
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -D_GNU_SOURCE \
 *		-Ibpf -Idaemon tests/fuzz/config.c daemon/config*.c daemon/policy.c -linih \
 *		-o build/fuzz-config
 *	build/fuzz-config -max_len=4000 CORPUS		(to begin with: dist/sluice.conf)
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define PROMISE(condition)                                                                      \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

#define KEYS_MAX 64

static const struct config_facts facts = {.cpus = 2, .tick_ns = 4 * NSEC_PER_MSEC};

static void promise_round_trip(const struct config *c)
{
	static char text[KEYS_MAX][8192];
	const char *overrides[KEYS_MAX];
	struct config_error err;
	struct config again;
	const struct config_key *key;
	size_t n;
	int head;

	for (n = 0; (key = config_key_at(n)); n++) {
		PROMISE(n < KEYS_MAX);
		head = snprintf(text[n], sizeof(text[n]), "%s.%s=", key->section, key->name);
		PROMISE(!config_format(c, n, text[n] + head, sizeof(text[n]) - head));
		overrides[n] = text[n];
	}
	PROMISE(!config_load(NULL, overrides, n, &facts, &again, &err));
	again.given = c->given; /* what was a default is written now */
	PROMISE(!memcmp(c, &again, sizeof(again)));
}

static void promise_error(const struct config_error *err)
{
	size_t length = strnlen(err->text, sizeof(err->text));

	PROMISE(length > 0 && length < sizeof(err->text));
	for (size_t i = 0; i < length; i++)
		PROMISE((unsigned char)err->text[i] >= ' ' && err->text[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	int fd = memfd_create("config", MFD_CLOEXEC);
	struct config_error err;
	struct config c;
	char path[32];

	PROMISE(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (config_load(path, NULL, 0, &facts, &c, &err))
		promise_error(&err);
	else
		promise_round_trip(&c);
	close(fd);
	return 0;
}
