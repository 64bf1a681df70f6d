// SPDX-License-Identifier: GPL-2.0-or-later
#include "recent.h"

#include <stdlib.h>
#include <string.h>

#include "siphash.h"

#define SLICES	 (RECENT_WINDOW_S / RECENT_SLICE_S)
#define SLICE_NS (RECENT_SLICE_S * NSEC_PER_SEC)
#define WAYS	 8 /* places that a prefix may have: 8 beside each other */

struct slice {
	uint32_t attempts;
	uint32_t verdict[VERDICTS];
};

struct place {
	struct prefix_key key; /* bits 0: empty */
	uint64_t touched;      /* number of the slice that was filled last */
	uint16_t family;
	uint16_t class;
	struct slice slice[SLICES];
};

struct recent {
	uint64_t seed[2];
	uint64_t last; /* sequence number */
	struct recent_event event[RECENT_EVENTS];
	struct recent_second second[RECENT_SECONDS];
	uint64_t seconds;  /* ever */
	uint64_t since_ns; /* the first event */
	struct place all;
	uint32_t events[SLICES]; /* of `all` */
	struct place place[RECENT_KINDS][RECENT_PLACES];
};

_Static_assert((RECENT_PLACES & (RECENT_PLACES - 1)) == 0, "a power of two");

struct recent *recent_open(const uint64_t seed[2])
{
	struct recent *r = calloc(1, sizeof(*r));

	if (r)
		memcpy(r->seed, seed, sizeof(r->seed));
	return r;
}

void recent_close(struct recent *r)
{
	free(r);
}

bool recent_is_attempt(uint32_t reason, bool again)
{
	return !again && reason != REASON_RETRANSMIT && reason != REASON_REPLAY &&
	       reason != REASON_WAITING;
}

/* --- who attempts ----------------------------------------------------------------------------- */

/* Empties what is older than the window. A number before the last one is one CPU's tick behind. */
static void forget(struct place *p, uint64_t number)
{
	if (number <= p->touched)
		return;
	for (uint64_t i = 0; i < SLICES && p->touched + 1 + i <= number; i++)
		p->slice[(p->touched + 1 + i) % SLICES] = (struct slice){};
	p->touched = number;
}

static void count(struct place *p, const struct event *e, uint64_t number)
{
	struct slice *s;

	forget(p, number);
	s = &p->slice[p->touched % SLICES];
	if (recent_is_attempt(e->reason, e->again))
		s->attempts += e->stands_for;
	if (e->verdict < VERDICTS)
		s->verdict[e->verdict] += e->stands_for;
	if (p->class != e->class)
		p->class = CLASSES;
}

static uint64_t weight(const struct place *p)
{
	uint64_t sum = 0;

	for (int i = 0; i < SLICES; i++)
		for (int v = 0; v < VERDICTS; v++)
			sum += p->slice[i].verdict[v];
	return sum;
}

static struct place *first_place(struct recent *r, enum recent_kind kind,
				 const struct prefix_key *key)
{
	struct siphash s;

	siphash_start(&s, (const __u64 *)r->seed);
	siphash_word(&s, key->addr.half[0]);
	siphash_word(&s, key->addr.half[1]);
	siphash_word(&s, key->bits);
	return &r->place[kind][siphash_end(&s, 3) & (RECENT_PLACES - WAYS)];
}

/* The place of a prefix: its own, an empty one, or that of the least busy. */
static struct place *place_of(struct recent *r, enum recent_kind kind, const struct prefix_key *key,
			      const struct event *e, uint64_t number)
{
	struct place *p = first_place(r, kind, key), *least = NULL;
	uint64_t least_weight = ~0ULL;

	for (int i = 0; i < WAYS; i++, p++) {
		uint64_t w;

		if (p->key.bits && !memcmp(&p->key, key, sizeof(*key)))
			return p;
		forget(p, number);
		w = p->key.bits ? weight(p) : 0;
		if (w < least_weight) {
			least_weight = w;
			least = p;
		}
	}
	*least = (struct place){.key = *key,
				.touched = number,
				.family = (uint16_t)(e->attempt.family & 1),
				.class = e->class};
	return least;
}

static void key_of(struct prefix_key *key, const union addr *a, uint32_t bits)
{
	key->addr = *a;
	for (uint32_t i = 0; i < sizeof(a->byte); i++) {
		uint32_t kept = bits > i * 8 ? bits - i * 8 : 0;

		if (kept < 8)
			key->addr.byte[i] &= (uint8_t)(0xff00 >> kept);
	}
	key->bits = bits;
}

static void count_all(struct recent *r, const struct event *e, uint64_t number)
{
	uint64_t before = r->all.touched;

	forget(&r->all, number);
	for (uint64_t i = before + 1; i <= r->all.touched && i <= before + SLICES; i++)
		r->events[i % SLICES] = 0;
	if (!e)
		return;
	count(&r->all, e, number);
	r->events[r->all.touched % SLICES]++;
}

static void count_prefixes(struct recent *r, const struct policy *p, const struct event *e)
{
	uint32_t family = e->attempt.family & 1;
	const uint32_t bits[RECENT_KINDS] = {
		[RECENT_SOURCE] = p->source[family].bits,
		[RECENT_SUBNET] = p->subnet[family].bits,
		[RECENT_WIDE] = family == FAMILY_V4 ? 96 + RECENT_WIDE_V4 : RECENT_WIDE_V6,
	};
	uint64_t number = e->at_ns / SLICE_NS;

	count_all(r, e, number);
	for (int kind = 0; kind < RECENT_KINDS; kind++) {
		struct prefix_key key;

		key_of(&key, &e->attempt.source, bits[kind]);
		count(place_of(r, kind, &key, e, number), e, number);
	}
}

static void row_of(struct recent_row *row, struct place *p, uint64_t number)
{
	forget(p, number);
	*row = (struct recent_row){.key = p->key, .family = p->family, .class = p->class};
	for (int i = 0; i < SLICES; i++) {
		row->attempts += p->slice[i].attempts;
		for (int v = 0; v < VERDICTS; v++)
			row->verdict[v] += p->slice[i].verdict[v];
	}
}

/* By attempts; of as many, the one that has the lower address, so that a view does not flicker. */
static bool is_busier(const struct recent_row *a, const struct recent_row *b)
{
	if (a->attempts != b->attempts)
		return a->attempts > b->attempts;
	return memcmp(&a->key, &b->key, sizeof(a->key)) < 0;
}

size_t recent_rows(struct recent *r, enum recent_kind kind, uint64_t now_ns, struct recent_row *row,
		   size_t most)
{
	size_t have = 0;

	if (most > RECENT_ROWS)
		most = RECENT_ROWS;
	for (int i = 0; i < RECENT_PLACES && most; i++) {
		struct place *p = &r->place[kind][i];
		struct recent_row one;
		size_t at;

		if (!p->key.bits)
			continue;
		row_of(&one, p, now_ns / SLICE_NS);
		if (!one.attempts || (have == most && !is_busier(&one, &row[have - 1])))
			continue;
		at = have < most ? have++ : have - 1;
		for (; at && is_busier(&one, &row[at - 1]); at--)
			row[at] = row[at - 1];
		row[at] = one;
	}
	return have;
}

void recent_walk(struct recent *r, enum recent_kind kind, uint64_t now_ns,
		 void (*see)(void *data, const struct recent_row *row, uint64_t busiest),
		 void *data)
{
	for (int i = 0; i < RECENT_PLACES; i++) {
		struct place *p = &r->place[kind][i];
		struct recent_row row;
		uint64_t busiest = 0;

		if (!p->key.bits)
			continue;
		row_of(&row, p, now_ns / SLICE_NS);
		for (int s = 0; s < SLICES; s++)
			if (p->slice[s].attempts > busiest)
				busiest = p->slice[s].attempts;
		if (row.attempts)
			see(data, &row, busiest);
	}
}

bool recent_find(struct recent *r, enum recent_kind kind, const struct prefix_key *key,
		 uint64_t now_ns, struct recent_row *row)
{
	struct place *p = first_place(r, kind, key);

	for (int i = 0; i < WAYS; i++, p++) {
		if (!p->key.bits || memcmp(&p->key, key, sizeof(*key)))
			continue;
		row_of(row, p, now_ns / SLICE_NS);
		return true;
	}
	return false;
}

void recent_sum(struct recent *r, uint64_t now_ns, struct recent_row *sum, uint64_t *events,
		double *over_s)
{
	uint64_t number = now_ns / SLICE_NS, from_ns;

	count_all(r, NULL, number);
	row_of(sum, &r->all, number);
	*events = 0;
	for (int i = 0; i < SLICES; i++)
		*events += r->events[i];
	from_ns = number >= SLICES - 1 ? (number - (SLICES - 1)) * SLICE_NS : 0;
	if (from_ns < r->since_ns)
		from_ns = r->since_ns;
	*over_s = *events && now_ns > from_ns ? (double)(now_ns - from_ns) / NSEC_PER_SEC : 0;
}

/* --- single events and seconds ---------------------------------------------------------------- */

void recent_add(struct recent *r, const struct policy *p, const struct event *e, uint64_t wait_ns)
{
	if (!r->last)
		r->since_ns = e->at_ns;
	r->last++;
	r->event[r->last % RECENT_EVENTS] =
		(struct recent_event){.sequence = r->last, .event = *e, .wait_ns = wait_ns};
	count_prefixes(r, p, e);
}

uint64_t recent_last(const struct recent *r)
{
	return r->last;
}

const struct recent_event *recent_after(const struct recent *r, uint64_t sequence, uint64_t *missed)
{
	uint64_t oldest = r->last > RECENT_EVENTS ? r->last - RECENT_EVENTS + 1 : 1;
	uint64_t next = sequence + 1;

	if (sequence >= r->last)
		return NULL;
	if (next < oldest) {
		if (sequence)
			*missed += oldest - next;
		next = oldest;
	}
	return &r->event[next % RECENT_EVENTS];
}

void recent_add_second(struct recent *r, const struct recent_second *s)
{
	r->second[r->seconds++ % RECENT_SECONDS] = *s;
}

const struct recent_second *recent_second(const struct recent *r, uint32_t age)
{
	if (age >= RECENT_SECONDS || age >= r->seconds)
		return NULL;
	return &r->second[(r->seconds - 1 - age) % RECENT_SECONDS];
}
