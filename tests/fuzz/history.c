// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes as the file of the history, with a check sum that fits: it is refused, or read as what
 * is written again the same; and what is proposed from it the daemon takes. An end of the process
 * is a finding.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "history.h"
#include "suggest.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define PROMISE(condition)                                                                      \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

/* With the values that are proposed over the built-in ones. */
static void promise_config(const struct suggestions *s)
{
	static const struct config_facts facts = {.cpus = 2, .tick_ns = 10000000};
	static char text[SUGGEST_MOST + 1][80];
	const char *setting[SUGGEST_MOST + 1];
	struct config_error err = {0};
	static struct config c;

	setting[0] = "gate.interface=lo";
	for (size_t i = 0; i < s->count; i++) {
		PROMISE(s->one[i].touched <= 1.000001 && strlen(s->one[i].reason) > 10);
		snprintf(text[i], sizeof(text[i]), "%s.%s=%s", s->one[i].section, s->one[i].key,
			 s->one[i].value);
		setting[i + 1] = text[i];
	}
	if (config_load(NULL, setting, s->count + 1, &facts, &c, &err)) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct suggestions s;
	struct history_book *b = history_open();
	uint8_t *fixed = malloc(n + 4), *again;
	uint32_t sum = history_sum(bytes, n);
	size_t size;
	int bad;

	PROMISE(b && fixed);
	memcpy(fixed, bytes, n);
	memcpy(fixed + n, &sum, 4);
	bad = history_decode(b, fixed, n + 4);
	PROMISE(!bad || bad == -EBADMSG || bad == -EPROTO);
	PROMISE(!bad || !history_minute(b, 0));
	if (!bad) {
		again = history_encode(b, &size);
		PROMISE(again && size == n + 4 && !memcmp(again, fixed, size));
		free(again);
		bad = suggest_make(b, 2, &s);
		PROMISE(!bad || bad == -ENODATA);
		if (!bad)
			promise_config(&s);
	}
	free(fixed);
	history_close(b);
	return 0;
}
