// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes as what the name servers answer: each line is the answer to the next question. The walk
 * ends within its bounds, each prefix is one, and what is said is one line of ASCII. An end of the
 * process is a finding.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../tools/spf.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define PROMISE(condition)                                                                      \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

/* A record, ten look-ups, and of each mx ten hosts with both kinds of addresses. */
#define QUESTIONS_MOST (1 + SPF_LOOKUPS * (1 + 2 * SPF_HOSTS))

struct answers {
	const uint8_t *at;
	size_t left;
	unsigned int asked, taken;
};

static void promise_line(const char *text)
{
	PROMISE(*text);
	for (; *text; text++)
		PROMISE(*text >= ' ' && *text <= '~');
}

static int ask(void *data, enum spf_question q, const char *name, struct spf_answer *a)
{
	struct answers *in = data;
	const uint8_t *end = memchr(in->at, '\n', in->left);
	size_t length = end ? (size_t)(end - in->at) : in->left;

	(void)q;
	PROMISE(spf_is_domain(name));
	PROMISE(++in->asked <= QUESTIONS_MOST);
	if (length >= sizeof(a->text))
		return -E2BIG;
	memcpy(a->text, in->at, length);
	a->text[length] = '\0';
	a->count = length > 0;
	for (size_t i = 0; q != SPF_TXT && i < length; i++)
		a->count += a->text[i] == ' ';
	in->at += length + (end != NULL);
	in->left -= length + (end != NULL);
	return length == 1 && *a->text == '!' ? -EAGAIN : 0;
}

static int take(void *data, const char *prefix)
{
	struct answers *in = data;
	unsigned char byte[16];
	char address[64];
	const char *slash = strchr(prefix, '/');

	PROMISE(++in->taken <= SPF_PREFIXES);
	PROMISE(slash && slash - prefix < 64);
	snprintf(address, sizeof(address), "%.*s", (int)(slash - prefix), prefix);
	PROMISE(inet_pton(strchr(address, ':') ? AF_INET6 : AF_INET, address, byte) == 1);
	PROMISE(atoi(slash + 1) >= (strchr(address, ':') ? SPF_WIDEST_V6 : SPF_WIDEST_V4));
	return 0;
}

static void note(void *data, const char *sentence)
{
	(void)data;
	promise_line(sentence);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct answers in = {.at = bytes, .left = n};
	const struct spf s = {.ask = ask, .take = take, .note = note, .data = &in};
	char why[512];

	if (spf_expand(&s, "example.org", why, sizeof(why)))
		promise_line(why);
	return 0;
}
