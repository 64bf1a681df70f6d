// SPDX-License-Identifier: GPL-2.0-or-later
#include "history.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NS	      UINT64_C(1000000000)
#define MAGIC	      "sluice-h"
#define HEAD_WORDS    5
#define MINUTE_WORDS  (sizeof(struct history_minute) / 4)
#define HOUR_WORDS    (sizeof(struct history_hour) / 4)
#define SECONDS_LEAST 30
#define SECONDS_MOST  90

_Static_assert(MINUTE_WORDS == 16, "as in the file");
_Static_assert(HOUR_WORDS == 65, "as in the file");

struct history_book {
	uint64_t minutes, hours; /* ever: the last is the one before */
	struct history_minute minute[HISTORY_MINUTES];
	struct history_hour hour[HISTORY_HOURS];
	/* At hand. */
	uint64_t elapsed_ns, seen, enforced;
	struct history_minute now;
	struct history_hour now_hour;
};

static void begin_minute(struct history_book *b)
{
	b->elapsed_ns = b->seen = b->enforced = 0;
	b->now = (struct history_minute){.sessions = HISTORY_NONE, .load_centi = HISTORY_NONE};
	memset(&b->now_hour, 0, sizeof(b->now_hour));
}

struct history_book *history_open(void)
{
	struct history_book *b = calloc(1, sizeof(*b));

	if (b)
		begin_minute(b);
	return b;
}

void history_close(struct history_book *b)
{
	free(b);
}

/* --- filled ----------------------------------------------------------------------------------- */

static void add(uint32_t *to, uint64_t n)
{
	*to = n < UINT32_MAX - *to ? *to + (uint32_t)n : UINT32_MAX;
}

static void raise_to(uint32_t *to, uint64_t n)
{
	if (n > *to)
		*to = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* The greatest but HISTORY_NONE, which is none. */
static void raise_known(uint32_t *to, uint64_t n)
{
	if (*to == HISTORY_NONE)
		*to = 0;
	raise_to(to, n < HISTORY_NONE ? n : HISTORY_NONE - 1);
}

void history_add_second(struct history_book *b, const struct history_second *s)
{
	uint64_t took_ns = s->took_ns < NS / 2 ? NS / 2 : s->took_ns, ten;

	/* The middle of it says which ten seconds it is of: ticks jitter. */
	ten = (b->elapsed_ns + took_ns / 2) / (10 * NS);
	add(&b->now.ten[ten < HISTORY_TENS ? ten : HISTORY_TENS - 1], s->attempts);
	b->elapsed_ns += took_ns;
	b->seen++;
	b->enforced += s->enforced;
	/* One that took long, since the machine was busy, is no peak. */
	raise_to(&b->now.peak, took_ns > NS * 3 / 2 ? s->attempts * NS / took_ns : s->attempts);
	if (s->sessions >= 0)
		raise_known(&b->now.sessions, (uint64_t)s->sessions);
	if (s->load_readable)
		raise_known(&b->now.load_centi, s->load_centi);
}

void history_add_prefix(struct history_book *b, enum history_kind kind, uint64_t attempts,
			uint64_t busiest)
{
	unsigned int bin = 0;

	if (!attempts)
		return;
	while (bin < HISTORY_BINS - 1 && attempts >> (bin + 1))
		bin++;
	add(&b->now_hour.bin[kind][bin].count, 1);
	add(&b->now_hour.bin[kind][bin].attempts, attempts);
	raise_to(&b->now.most[kind], attempts);
	raise_to(&b->now.most_ten[kind], busiest);
}

static void add_hour(struct history_book *b, uint32_t hour)
{
	struct history_hour *h = &b->hour[(b->hours + HISTORY_HOURS - 1) % HISTORY_HOURS];

	if (!b->hours || h->hour != hour) {
		h = &b->hour[b->hours++ % HISTORY_HOURS];
		memset(h, 0, sizeof(*h));
		h->hour = hour;
	}
	for (int kind = 0; kind < HISTORY_KINDS; kind++)
		for (int i = 0; i < HISTORY_BINS; i++) {
			add(&h->bin[kind][i].count, b->now_hour.bin[kind][i].count);
			add(&h->bin[kind][i].attempts, b->now_hour.bin[kind][i].attempts);
		}
}

void history_end_minute(struct history_book *b, uint64_t wall_s)
{
	uint64_t seconds = (b->elapsed_ns + NS / 2) / NS;

	if (seconds >= SECONDS_LEAST && wall_s / 60 < UINT32_MAX) {
		if (seconds > SECONDS_MOST)
			seconds = SECONDS_MOST;
		b->now.minute = (uint32_t)(wall_s / 60);
		b->now.seconds = (uint32_t)seconds;
		b->now.enforced = (uint32_t)(seconds * b->enforced / b->seen);
		b->minute[b->minutes++ % HISTORY_MINUTES] = b->now;
		add_hour(b, (uint32_t)(wall_s / 3600));
	}
	begin_minute(b);
}

const struct history_minute *history_minute(const struct history_book *b, size_t index)
{
	uint64_t kept = b->minutes < HISTORY_MINUTES ? b->minutes : HISTORY_MINUTES;

	return index < kept ? &b->minute[(b->minutes - kept + index) % HISTORY_MINUTES] : NULL;
}

const struct history_hour *history_hour(const struct history_book *b, size_t index)
{
	uint64_t kept = b->hours < HISTORY_HOURS ? b->hours : HISTORY_HOURS;

	return index < kept ? &b->hour[(b->hours - kept + index) % HISTORY_HOURS] : NULL;
}

/* --- the file --------------------------------------------------------------------------------- */

uint32_t history_sum(const uint8_t *bytes, size_t size)
{
	static uint32_t table[256];
	uint32_t sum = ~0U;

	if (!table[1])
		for (uint32_t i = 0; i < 256; i++) {
			table[i] = i;
			for (int bit = 0; bit < 8; bit++)
				table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320U : 0);
		}
	for (size_t i = 0; i < size; i++)
		sum = sum >> 8 ^ table[(sum ^ bytes[i]) & 0xff];
	return ~sum;
}

static uint8_t *put(uint8_t *at, const void *words, size_t count)
{
	for (size_t i = 0; i < count; i++, at += 4) {
		uint32_t word;

		memcpy(&word, (const uint8_t *)words + 4 * i, 4);
		word = htole32(word);
		memcpy(at, &word, 4);
	}
	return at;
}

static const uint8_t *get(const uint8_t *at, void *words, size_t count)
{
	for (size_t i = 0; i < count; i++, at += 4) {
		uint32_t word;

		memcpy(&word, at, 4);
		word = le32toh(word);
		memcpy((uint8_t *)words + 4 * i, &word, 4);
	}
	return at;
}

static size_t size_of(size_t minutes, size_t hours)
{
	return 4 * (HEAD_WORDS + minutes * MINUTE_WORDS + hours * HOUR_WORDS + 1);
}

uint8_t *history_encode(const struct history_book *b, size_t *size)
{
	uint32_t head[HEAD_WORDS - 2] = {
		HISTORY_VERSION,
		(uint32_t)(b->minutes < HISTORY_MINUTES ? b->minutes : HISTORY_MINUTES),
		(uint32_t)(b->hours < HISTORY_HOURS ? b->hours : HISTORY_HOURS)};
	uint8_t *bytes, *at;
	uint32_t sum;

	*size = size_of(head[1], head[2]);
	bytes = malloc(*size);
	if (!bytes)
		return NULL;
	memcpy(bytes, MAGIC, 8);
	at = put(bytes + 8, head, HEAD_WORDS - 2);
	for (size_t i = 0; i < head[1]; i++)
		at = put(at, history_minute(b, i), MINUTE_WORDS);
	for (size_t i = 0; i < head[2]; i++)
		at = put(at, history_hour(b, i), HOUR_WORDS);
	sum = history_sum(bytes, *size - 4);
	put(at, &sum, 1);
	return bytes;
}

int history_decode(struct history_book *b, const uint8_t *bytes, size_t size)
{
	uint32_t head[HEAD_WORDS - 2], sum;
	const uint8_t *at;

	if (size < size_of(0, 0) || memcmp(bytes, MAGIC, 8))
		return -EBADMSG;
	at = get(bytes + 8, head, HEAD_WORDS - 2);
	get(bytes + size - 4, &sum, 1);
	if (sum != history_sum(bytes, size - 4))
		return -EBADMSG;
	if (head[0] > HISTORY_VERSION)
		return -EPROTO;
	if (head[0] != HISTORY_VERSION || head[1] > HISTORY_MINUTES || head[2] > HISTORY_HOURS ||
	    size != size_of(head[1], head[2]))
		return -EBADMSG;
	for (size_t i = 0; i < head[1]; i++) {
		at = get(at, &b->minute[i], MINUTE_WORDS);
		if (b->minute[i].seconds < SECONDS_LEAST || b->minute[i].seconds > SECONDS_MOST ||
		    b->minute[i].enforced > b->minute[i].seconds)
			return -EBADMSG;
	}
	for (size_t i = 0; i < head[2]; i++)
		at = get(at, &b->hour[i], HOUR_WORDS);
	b->minutes = head[1];
	b->hours = head[2];
	return 0;
}
