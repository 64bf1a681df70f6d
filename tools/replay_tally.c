// SPDX-License-Identifier: GPL-2.0-or-later
#include "replay_tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "replay_table.h"

#define PLACES_AT_FIRST 1024U

int tally_open(struct tally **tally)
{
	struct tally *t = calloc(1, sizeof(*t));

	*tally = t;
	if (!t)
		return -ENOMEM;
	t->bin_ns = TALLY_BIN_NS;
	replay_seed(t->sources.seed);
	replay_seed(t->subnets.seed);
	return 0;
}

void tally_close(struct tally *t)
{
	if (!t)
		return;
	free(t->sources.place);
	free(t->subnets.place);
	free(t);
}

/* --- the time line ----------------------------------------------------------------------------- */

static void add_bin(struct tally_bin *to, const struct tally_bin *from)
{
	to->attempts += from->attempts;
	to->deferred += from->deferred;
	for (int i = 0; i < FATES; i++)
		to->fate[i] += from->fate[i];
}

/* Twice the width: two and two become one. */
static void widen(struct tally *t)
{
	for (uint32_t i = 0; i < TALLY_BINS / 2; i++) {
		struct tally_bin sum = t->bin[2 * i];

		add_bin(&sum, &t->bin[2 * i + 1]);
		t->bin[i] = sum;
	}
	memset(&t->bin[TALLY_BINS / 2], 0, sizeof(t->bin) / 2);
	t->bin_ns *= 2;
}

static struct tally_bin *bin_of(struct tally *t, uint64_t at_ns)
{
	while (at_ns / t->bin_ns >= TALLY_BINS) /* at most 64 times: at_ns has no more bits */
		widen(t);
	if (at_ns > t->end_ns)
		t->end_ns = at_ns;
	return &t->bin[at_ns / t->bin_ns];
}

uint32_t tally_columns(const struct tally *t, uint32_t most, uint32_t *each)
{
	uint32_t bins = (uint32_t)(t->end_ns / t->bin_ns) + 1;

	*each = (bins + most - 1) / most;
	return (bins + *each - 1) / *each;
}

struct tally_bin tally_column(const struct tally *t, uint32_t each, uint32_t column)
{
	struct tally_bin sum = {0};

	for (uint32_t i = column * each; i < (column + 1) * each && i < TALLY_BINS; i++)
		add_bin(&sum, &t->bin[i]);
	return sum;
}

/* --- sources and subnets ----------------------------------------------------------------------- */

/* The place of a key, or the free one where it belongs. There is always a free one. */
static struct tally_place *find_place(const struct tally_places *p, const struct prefix_key *key)
{
	uint32_t i = (uint32_t)replay_hash(p->seed, (const __u64 *)key, 3) & (p->size - 1);

	while (p->place[i].key.bits && memcmp(&p->place[i].key, key, sizeof(*key)))
		i = (i + 1) & (p->size - 1);
	return &p->place[i];
}

static int grow(struct tally_places *p)
{
	struct tally_places larger = *p;

	larger.size = p->size ? p->size * 2 : PLACES_AT_FIRST;
	larger.place = calloc(larger.size, sizeof(*larger.place));
	if (!larger.place)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->size; i++)
		if (p->place[i].key.bits)
			*find_place(&larger, &p->place[i].key) = p->place[i];
	free(p->place);
	p->place = larger.place;
	p->size = larger.size;
	return 0;
}

static int add_place(struct tally_places *p, const struct prefix_key *key,
		     const struct tally_end *end)
{
	struct tally_place *place;

	if (p->count >= p->size / 2 && grow(p))
		return -ENOMEM;
	place = find_place(p, key);
	if (!place->key.bits && p->count == TALLY_PLACES_MAX) {
		p->beyond[end->fate]++;
		return 0;
	}
	p->count += !place->key.bits;
	place->key = *key;
	place->class = end->class;
	place->fate[end->fate]++;
	if (end->fate != FATE_ADMITTED) {
		place->reason = end->reason;
		return 0;
	}
	place->wait_ms += end->wait_ms;
	if (end->wait_ms > place->wait_most_ms)
		place->wait_most_ms = (uint32_t)end->wait_ms;
	return 0;
}

static uint64_t left_out(const struct tally_place *p)
{
	return (uint64_t)p->fate[FATE_LOST] + p->fate[FATE_REFUSED];
}

/* The same order on every machine: by the address where two have lost as many. */
static bool is_worse(const struct tally_place *a, const struct tally_place *b)
{
	if (left_out(a) != left_out(b))
		return left_out(a) > left_out(b);
	return memcmp(&a->key, &b->key, sizeof(a->key)) < 0;
}

unsigned int tally_worst(const struct tally_places *p, const struct tally_place **worst,
			 unsigned int most)
{
	unsigned int count = 0, n;

	for (uint32_t i = 0; i < p->size; i++) {
		const struct tally_place *place = &p->place[i];

		if (!place->key.bits || !left_out(place))
			continue;
		if (count == most && !is_worse(place, worst[most - 1]))
			continue;
		n = count < most ? count++ : most - 1;
		for (; n && is_worse(place, worst[n - 1]); n--)
			worst[n] = worst[n - 1];
		worst[n] = place;
	}
	return count;
}

/* --- what happens ------------------------------------------------------------------------------ */

void tally_attempt(struct tally *t, uint64_t at_ns)
{
	uint32_t second = (uint32_t)(at_ns / NSEC_PER_SEC);

	t->attempts++;
	t->arrived_ns = at_ns;
	bin_of(t, at_ns)->attempts++;
	if (second != t->second) {
		t->second = second;
		t->this_second = 0;
	}
	if (++t->this_second > t->busiest_second)
		t->busiest_second = t->this_second;
}

void tally_syn(struct tally *t, uint64_t at_ns, uint8_t verdict, uint8_t reason, bool again)
{
	t->syns[verdict][reason]++;
	t->again += again;
	if (verdict == VERDICT_DEFER)
		bin_of(t, at_ns)->deferred++;
}

int tally_fate(struct tally *t, const struct tally_end *end)
{
	bin_of(t, end->at_ns)->fate[end->fate]++;
	t->fate[end->fate]++;
	t->fate_class[end->fate][end->class]++;
	t->fate_reason[end->fate][end->reason]++;
	if (end->fate == FATE_ADMITTED) {
		t->at_once += end->first && !end->held;
		t->held += end->held;
		t->wait_ms[end->wait_ms < TALLY_WAITS ? end->wait_ms : TALLY_WAITS - 1]++;
	}
	if (add_place(&t->sources, &end->source, end))
		return -ENOMEM;
	return add_place(&t->subnets, &end->subnet, end);
}

uint32_t tally_waited(const struct tally *t, double share)
{
	double wanted = share * (double)t->fate[FATE_ADMITTED];
	uint64_t sum = 0;
	uint32_t last = 0;

	for (uint32_t ms = 0; ms < TALLY_WAITS; ms++) {
		sum += t->wait_ms[ms];
		if (t->wait_ms[ms])
			last = ms;
		if (sum && (double)sum >= wanted)
			return ms;
	}
	return last;
}
