// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * known.c - the rule by which a source becomes known, and the table of those that are or may be.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config_values.h"
#include "known_internal.h"
#include "log.h"
#include "siphash.h"

#define V4_MAPPED_TEXT "::ffff:"

#define ROOM_TRIES 8 /* sources over their time that one new source lets go of, at most */
#define DAYS_MOST  UINT16_MAX

/*
 * The kernel is told an end that is so much too late, so that a known sender's every mail need not
 * be told; when the daemon lives, it deletes the entry in time.
 */
#define TELL_AHEAD_S 3600

uint64_t known_now_s(const struct known *k, uint64_t boot_ns)
{
	if (boot_ns < k->base_boot_ns)
		return k->base_s;
	return k->base_s + (boot_ns - k->base_boot_ns) / NSEC_PER_SEC;
}

/* --- the rule --------------------------------------------------------------------------------- */

static enum standing standing_at(const struct known *k, const struct slot *s, uint64_t now_s)
{
	if (s->bad_until_s > now_s)
		return STANDING_BAD;
	if (s->added)
		return STANDING_ADDED;
	if (s->days >= k->days && s->seen_s + k->for_s > now_s)
		return STANDING_KNOWN;
	if (s->good_until_s > now_s)
		return STANDING_GOOD;
	if (s->days && s->seen_s + k->candidate_s > now_s)
		return STANDING_CANDIDATE;
	return STANDING_NONE;
}

/* When a standing ends. What then follows is for standing_at() to say. */
static uint64_t due_of(const struct known *k, const struct slot *s, enum standing standing)
{
	uint64_t earned_s = s->seen_s + k->for_s;

	switch (standing) {
	case STANDING_BAD:
		return s->bad_until_s;
	case STANDING_KNOWN:
		return earned_s > s->good_until_s ? earned_s : s->good_until_s;
	case STANDING_GOOD:
		return s->good_until_s;
	case STANDING_CANDIDATE:
		return s->seen_s + k->candidate_s;
	default:
		return NEVER_NS;
	}
}

static enum class class_of(enum standing standing) {
	switch (standing){
		case STANDING_KNOWN : case STANDING_GOOD : case STANDING_ADDED : return CLASS_KNOWN;
		case STANDING_BAD : return CLASS_THROTTLED;
		default : return CLASS_UNKNOWN;
	}
}

const char *standing_name(enum standing standing)
{
	static const char *const names[STANDINGS] = {
		[STANDING_NONE] = "none",   [STANDING_CANDIDATE] = "candidate",
		[STANDING_KNOWN] = "known", [STANDING_GOOD] = "good",
		[STANDING_ADDED] = "added", [STANDING_BAD] = "bad",
	};

	return (unsigned int)standing < STANDINGS ? names[standing] : NULL;
}

/* --- the hash --------------------------------------------------------------------------------- */

static uint32_t *bucket_of(const struct known *k, const struct prefix_key *key)
{
	struct siphash h;

	siphash_start(&h, k->seed);
	siphash_word(&h, key->addr.half[0]);
	siphash_word(&h, key->addr.half[1]);
	siphash_word(&h, key->bits);
	return &k->bucket[siphash_end(&h, 3) & k->bucket_mask];
}

uint32_t known_find(const struct known *k, const struct prefix_key *key)
{
	uint32_t link = *bucket_of(k, key);

	while (link && memcmp(&k->slot[link - 1].key, key, sizeof(*key)))
		link = k->slot[link - 1].chain;
	return link ? link - 1 : NO_SLOT;
}

uint32_t known_take(struct known *k, const struct prefix_key *key)
{
	uint32_t i, *head = bucket_of(k, key);

	if (!k->free_count || k->heap_size >= k->most)
		return NO_SLOT;
	if (k->free) {
		i = k->free - 1;
		k->free = k->slot[i].chain;
	} else {
		i = k->touched++;
	}
	k->free_count--;
	k->slot[i] = (struct slot){.key = *key, .chain = *head};
	*head = i + 1;
	return i;
}

static void release(struct known *k, uint32_t i)
{
	uint32_t *link = bucket_of(k, &k->slot[i].key);

	while (*link != i + 1)
		link = &k->slot[*link - 1].chain;
	*link = k->slot[i].chain;
	k->slot[i] = (struct slot){.chain = k->free};
	k->free = i + 1;
	k->free_count++;
}

/* --- the heap: whose standing ends first ------------------------------------------------------ */

static void heap_put(struct known *k, uint32_t place, uint32_t i)
{
	k->heap[place] = i;
	k->slot[i].place = place;
}

static bool sooner(const struct known *k, uint32_t a, uint32_t b)
{
	return k->slot[a].due_s < k->slot[b].due_s;
}

/* Moves the entry at a place up or down until it stands right. */
static void heap_sift(struct known *k, uint32_t place)
{
	uint32_t i = k->heap[place], child;

	for (; place && sooner(k, i, k->heap[(place - 1) / 2]); place = (place - 1) / 2)
		heap_put(k, place, k->heap[(place - 1) / 2]);
	while ((child = 2 * place + 1) < k->heap_size) {
		if (child + 1 < k->heap_size && sooner(k, k->heap[child + 1], k->heap[child]))
			child++;
		if (!sooner(k, k->heap[child], i))
			break;
		heap_put(k, place, k->heap[child]);
		place = child;
	}
	heap_put(k, place, i);
}

static void heap_add(struct known *k, uint32_t i)
{
	heap_put(k, k->heap_size++, i);
	heap_sift(k, k->slot[i].place);
}

static void heap_remove(struct known *k, uint32_t i)
{
	uint32_t place = k->slot[i].place, last = k->heap[--k->heap_size];

	if (last == i)
		return;
	heap_put(k, place, last);
	heap_sift(k, place);
}

/* --- the list of candidates, the one seen longest ago first ----------------------------------- */

static void list_add(struct known *k, uint32_t i)
{
	k->slot[i].older = k->newest;
	k->slot[i].newer = NO_SLOT;
	if (k->newest == NO_SLOT)
		k->oldest = i;
	else
		k->slot[k->newest].newer = i;
	k->newest = i;
}

static void list_remove(struct known *k, uint32_t i)
{
	uint32_t older = k->slot[i].older, newer = k->slot[i].newer;

	if (older == NO_SLOT)
		k->oldest = newer;
	else
		k->slot[older].newer = newer;
	if (newer == NO_SLOT)
		k->newest = older;
	else
		k->slot[newer].older = older;
}

/* --- what the kernel is to be told ------------------------------------------------------------ */

/* Does the kernel judge the source as we do, near enough? */
static bool is_told(const struct slot *s)
{
	if (s->told_class != class_of(s->standing))
		return false;
	if (s->standing == STANDING_KNOWN)
		return s->told_until_s >= s->due_s && s->told_until_s <= s->due_s + TELL_AHEAD_S;
	return s->told_class == CLASS_UNKNOWN || s->told_until_s == s->due_s;
}

static void queue_change(struct known *k, uint32_t i)
{
	struct slot *s = &k->slot[i];

	if (s->queued || is_told(s))
		return;
	s->queued = true;
	s->next_change = NO_SLOT;
	if (k->last_change == NO_SLOT)
		k->first_change = i;
	else
		k->slot[k->last_change].next_change = i;
	k->last_change = i;
}

static uint32_t unqueue_change(struct known *k)
{
	uint32_t i = k->first_change;

	k->first_change = k->slot[i].next_change;
	if (k->first_change == NO_SLOT)
		k->last_change = NO_SLOT;
	k->slot[i].queued = false;
	return i;
}

static uint64_t until_ns(uint64_t until_s, uint64_t now_s, uint64_t mono_ns)
{
	if (until_s == NEVER_NS)
		return NEVER_NS;
	return mono_ns + (until_s > now_s ? (until_s - now_s) * NSEC_PER_SEC : 0);
}

bool known_next_change(struct known *k, uint64_t boot_ns, uint64_t mono_ns,
		       struct known_change *change)
{
	uint64_t now_s = known_now_s(k, boot_ns);

	while (k->first_change != NO_SLOT) {
		struct slot *s = &k->slot[k->first_change];
		uint32_t i;
		bool told;

		if (s->standing != STANDING_NONE && s->due_s <= now_s)
			known_settle(k, k->first_change, now_s);
		i = unqueue_change(k);
		told = is_told(s); /* again: a change that was taken back */
		if (!told) {
			s->told_class = class_of(s->standing);
			s->told_until_s = s->due_s;
			if (s->standing == STANDING_KNOWN)
				s->told_until_s += TELL_AHEAD_S;
			*change = (struct known_change){.key = s->key};
			change->learned.class = s->told_class;
			if (s->told_class != CLASS_UNKNOWN)
				change->learned.until_ns =
					until_ns(s->told_until_s, now_s, mono_ns);
		}
		if (s->standing == STANDING_NONE)
			release(k, i);
		if (!told)
			return true;
	}
	return false;
}

void known_tell_all(struct known *k)
{
	for (uint32_t n = 0; n < k->heap_size; n++) {
		k->slot[k->heap[n]].told_class = CLASS_UNKNOWN;
		queue_change(k, k->heap[n]);
	}
}

/* --- entries ---------------------------------------------------------------------------------- */

void known_settle(struct known *k, uint32_t i, uint64_t now_s)
{
	struct slot *s = &k->slot[i];
	enum standing was = s->standing, is = standing_at(k, s, now_s);

	if (was == STANDING_CANDIDATE && is != was)
		list_remove(k, i);
	if (is == STANDING_CANDIDATE && is != was)
		list_add(k, i);
	k->counts.now[was] -= was != STANDING_NONE;
	k->counts.now[is] += is != STANDING_NONE;
	s->standing = is;
	s->due_s = due_of(k, s, is);
	if (was == STANDING_NONE && is != was)
		heap_add(k, i);
	else if (is == STANDING_NONE && is != was)
		heap_remove(k, i);
	else if (is != STANDING_NONE)
		heap_sift(k, s->place);
	queue_change(k, i);
	if (is == STANDING_NONE && !s->queued)
		release(k, i);
}

/* Takes from a source all that it stands on. */
static void bury(struct known *k, uint32_t i)
{
	struct slot *s = &k->slot[i];

	s->days = 0;
	s->good_until_s = 0;
	s->bad_until_s = 0;
	s->added = false;
	known_settle(k, i, 0);
	k->changed = true;
}

static size_t expire(struct known *k, uint64_t now_s, size_t budget)
{
	size_t looked = 0;

	for (; looked < budget && k->heap_size && k->slot[k->heap[0]].due_s <= now_s; looked++) {
		uint32_t before = k->heap_size;

		known_settle(k, k->heap[0], now_s);
		k->counts.expired += before - k->heap_size;
		k->changed = true;
	}
	return looked;
}

size_t known_expire(struct known *k, uint64_t boot_ns, size_t budget)
{
	return expire(k, known_now_s(k, boot_ns), budget);
}

/* The living entry of a key, brought up to now; or NO_SLOT. */
static uint32_t find_living(struct known *k, const struct prefix_key *key, uint64_t now_s)
{
	uint32_t i = known_find(k, key);

	if (i == NO_SLOT || k->slot[i].standing == STANDING_NONE)
		return NO_SLOT;
	if (k->slot[i].due_s <= now_s) {
		known_settle(k, i, now_s);
		k->changed = true;
		if (k->slot[i].standing == STANDING_NONE) {
			k->counts.expired++;
			return NO_SLOT;
		}
	}
	return i;
}

static bool make_room(struct known *k, uint64_t now_s)
{
	if (k->heap_size < k->most)
		return true;
	expire(k, now_s, ROOM_TRIES);
	if (k->heap_size < k->most)
		return true;
	if (k->oldest == NO_SLOT)
		return false;
	bury(k, k->oldest);
	k->counts.evicted++;
	return true;
}

/*
 * The entry of a key that lives or is to live. One that is gone, while the kernel has not been told
 * yet, comes back to life with nothing but what the kernel knows.
 */
static uint32_t find_or_make(struct known *k, const struct prefix_key *key, uint64_t now_s)
{
	uint32_t i = find_living(k, key, now_s);
	struct slot *s;

	if (i != NO_SLOT)
		return i;
	if (make_room(k, now_s)) {
		i = known_find(k, key);
		if (i == NO_SLOT)
			i = known_take(k, key);
	}
	if (i == NO_SLOT) {
		k->counts.refused++;
		return NO_SLOT;
	}
	s = &k->slot[i];
	s->seen_s = 0;
	s->counted_s = 0;
	s->days = 0;
	s->good_until_s = 0;
	s->bad_until_s = 0;
	s->added = false;
	return i;
}

/* A good session counts; as a day if the last one is far enough back. */
static void count_session(struct known *k, uint32_t i, uint64_t now_s)
{
	struct slot *s = &k->slot[i];
	enum standing was = s->standing;

	if (!s->days || now_s >= s->counted_s + KNOWN_DAY_S) {
		s->days += s->days < DAYS_MOST;
		s->counted_s = now_s;
	}
	s->seen_s = now_s > s->seen_s ? now_s : s->seen_s;
	if (was == STANDING_CANDIDATE) {
		list_remove(k, i);
		list_add(k, i);
	}
	known_settle(k, i, now_s);
	k->counts.good_sessions++;
	k->counts.promoted += was == STANDING_CANDIDATE && s->standing == STANDING_KNOWN;
	k->changed = true;
}

bool known_session_end(struct known *k, const struct session_end *e, uint64_t boot_ns)
{
	uint64_t now_s = known_now_s(k, boot_ns);
	uint32_t i;

	if (!e->in_order || e->bytes < k->bytes)
		return false;
	i = find_living(k, &e->source, now_s);
	if (i == NO_SLOT && e->flags & SESSION_PRESSED) {
		k->counts.pressed++;
	} else {
		if (i == NO_SLOT)
			i = find_or_make(k, &e->source, now_s);
		if (i != NO_SLOT && k->slot[i].standing != STANDING_BAD)
			count_session(k, i, now_s);
	}
	return k->first_change != NO_SLOT;
}

/* --- by hand ---------------------------------------------------------------------------------- */

int known_add(struct known *k, const struct prefix_key *key, uint64_t boot_ns)
{
	uint64_t now_s = known_now_s(k, boot_ns);
	uint32_t i = find_or_make(k, key, now_s);

	if (i == NO_SLOT)
		return -ENOSPC;
	k->slot[i].added = true;
	k->slot[i].bad_until_s = 0;
	known_settle(k, i, now_s);
	k->changed = true;
	return 0;
}

int known_mark(struct known *k, const struct prefix_key *key, bool good, uint64_t for_s,
	       uint64_t boot_ns)
{
	uint64_t now_s = known_now_s(k, boot_ns);
	uint32_t i = find_or_make(k, key, now_s);
	struct slot *s;

	if (i == NO_SLOT)
		return -ENOSPC;
	s = &k->slot[i];
	if (good) {
		s->good_until_s = now_s + (for_s ? for_s : k->for_s);
		s->bad_until_s = 0;
	} else {
		s->good_until_s = 0;
		s->bad_until_s = now_s + (for_s ? for_s : KNOWN_BAD_S);
		s->days = 0;
	}
	known_settle(k, i, now_s);
	k->changed = true;
	return 0;
}

int known_forget(struct known *k, const struct prefix_key *key, uint64_t boot_ns)
{
	uint32_t i = find_living(k, key, known_now_s(k, boot_ns));

	if (i == NO_SLOT)
		return -ENOENT;
	bury(k, i);
	return 0;
}

size_t known_forget_all(struct known *k)
{
	size_t count = k->heap_size;

	while (k->heap_size)
		bury(k, k->heap[k->heap_size - 1]);
	return count;
}

size_t known_room(const struct known *k)
{
	size_t room = k->most - k->heap_size;

	/* Those that are gone, while the kernel has not been told yet, have their slots still. */
	return (room < k->free_count ? room : k->free_count) + k->counts.now[STANDING_CANDIDATE];
}

/* --- looked at -------------------------------------------------------------------------------- */

static bool view_of(const struct known *k, const struct slot *s, uint64_t now_s,
		    struct known_view *view)
{
	uint64_t due_s;

	*view = (struct known_view){.key = s->key, .standing = STANDING_NONE};
	if (s->standing == STANDING_NONE)
		return false;
	view->standing = standing_at(k, s, now_s);
	due_s = due_of(k, s, view->standing);
	view->days = s->days;
	view->seen_s = !s->days ? NEVER_NS : now_s > s->seen_s ? now_s - s->seen_s : 0;
	view->left_s = due_s == NEVER_NS ? NEVER_NS : due_s - now_s;
	return view->standing != STANDING_NONE;
}

bool known_get(const struct known *k, const struct prefix_key *key, uint64_t boot_ns,
	       struct known_view *view)
{
	uint32_t i = known_find(k, key);

	if (i != NO_SLOT)
		return view_of(k, &k->slot[i], known_now_s(k, boot_ns), view);
	*view = (struct known_view){.key = *key, .standing = STANDING_NONE};
	return false;
}

size_t known_list(const struct known *k, uint64_t boot_ns, size_t *cursor, struct known_view *view,
		  size_t most)
{
	uint64_t now_s = known_now_s(k, boot_ns);
	size_t i = *cursor, count = 0;

	for (; i < k->slots && count < most; i++)
		count += view_of(k, &k->slot[i], now_s, &view[count]);
	*cursor = i < k->slots ? i : 0;
	return count;
}

void known_counts(const struct known *k, struct known_counts *counts)
{
	*counts = k->counts;
	counts->sources = k->heap_size;
	counts->most = k->most;
}

const char *known_problem(const struct known *k)
{
	return *k->write_problem.text ? k->write_problem.text : k->read_problem.text;
}

/* --- keys and text ---------------------------------------------------------------------------- */

static bool is_v4(const struct prefix_key *key)
{
	return !key->addr.word[0] && !key->addr.word[1] && key->addr.word[2] == V4_MAPPED_WORD;
}

void known_key_text(const struct prefix_key *key, char text[static KNOWN_KEY_TEXT])
{
	int length = format_address(&key->addr, text, KNOWN_KEY_TEXT);

	snprintf(text + length, KNOWN_KEY_TEXT - (size_t)length, "/%u",
		 (unsigned int)(key->bits - (is_v4(key) ? 96 : 0)));
}

static void mask(union addr *a, uint64_t bits)
{
	for (uint64_t i = bits; i < 128; i++)
		a->byte[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
}

int known_parse(const char *text, const struct config *c, struct prefix_key *key,
		struct config_error *err)
{
	char copy[KNOWN_KEY_TEXT], shown[SHOWN_MAX], meant[KNOWN_KEY_TEXT], *slash;
	const char *address = text;
	union addr given;
	enum family family;
	uint32_t bits, most, length;

	/* IPv4 as a dual-stack server logs it (RFC 4291, 2.5.5.2). */
	if (!strncasecmp(text, V4_MAPPED_TEXT, strlen(V4_MAPPED_TEXT)) && strchr(text, '.'))
		address = text + strlen(V4_MAPPED_TEXT);
	snprintf(copy, sizeof(copy), "%s", address);
	slash = strchr(copy, '/');
	if (slash)
		*slash = '\0';
	memset(key, 0, sizeof(*key));
	if (strlen(text) >= sizeof(copy) || value_address(copy, &key->addr, &family))
		return fail(err, -EINVAL, "'%s' is no address: one such as %s was expected",
			    value_shown(text, shown), "192.0.2.1 or 2001:db8::1");
	most = family == FAMILY_V4 ? 32 : 128;
	length = family == FAMILY_V4 ? c->source_prefix_v4 : c->source_prefix_v6;
	bits = length;
	if (slash && value_count(slash + 1, 1, most, &bits))
		return fail(err, -EINVAL,
			    "'%s' has no such length: a number from 1 to %u was expected",
			    value_shown(text, shown), most);
	given = key->addr;
	key->bits = bits + (128 - most);
	mask(&key->addr, key->bits);
	known_key_text(key, meant);
	if (slash && memcmp(&given, &key->addr, sizeof(given)))
		return fail(err, -EINVAL, "'%s' has host bits set: %s was meant?",
			    value_shown(text, shown), meant);
	if (bits != length)
		return fail(
			err, -ERANGE,
			"%s is not one source, which is a /%u here: other prefixes are listed in "
			"the files of 'sluice class'",
			meant, length);
	return 0;
}

/* What no SYN that is judged can come from, or what is not one sender. */
static bool is_no_sender(const union addr *a)
{
	bool v4 = !a->half[0] && a->word[2] == V4_MAPPED_WORD;
	const uint8_t *b = a->byte + (v4 ? 12 : 0);

	if (v4)
		return !b[0] || b[0] == 127 || b[0] >= 224 || (b[0] == 169 && b[1] == 254);
	if (b[0] == 0xff || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80))
		return true;
	/* ::/64 is what is left of :: and of ::1 */
	return !a->half[0] && !a->word[2] && (!a->word[3] || a->word[3] == htonl(1));
}

int known_parse_sender(const char *text, const struct config *c, struct prefix_key *key,
		       struct config_error *err)
{
	char shown[SHOWN_MAX];
	int bad = known_parse(text, c, key, err);

	if (!bad && is_no_sender(&key->addr))
		bad = fail(err, -EINVAL,
			   "%s is no sender's address: it is unspecified, loopback, link-local or "
			   "multicast",
			   value_shown(text, shown));
	return bad;
}

/* --- open and close --------------------------------------------------------------------------- */

void known_clear(struct known *k)
{
	/* What was never used is not written: memory is taken as the table fills. */
	memset(k->slot, 0, k->touched * sizeof(*k->slot));
	if (k->touched)
		memset(k->bucket, 0, (k->bucket_mask + 1UL) * sizeof(*k->bucket));
	k->touched = 0;
	k->free = 0;
	k->free_count = (uint32_t)k->slots;
	k->heap_size = 0;
	k->oldest = k->newest = NO_SLOT;
	k->first_change = k->last_change = NO_SLOT;
	k->counts = (struct known_counts){};
	k->changed = false;
}

void known_configure(struct known *k, const struct config *c, uint64_t boot_ns)
{
	uint64_t now_s = known_now_s(k, boot_ns);

	k->days = c->known_days;
	k->bytes = c->known_bytes;
	k->for_s = c->known_for_ns / NSEC_PER_SEC;
	k->candidate_s = k->for_s < KNOWN_CANDIDATE_S ? k->for_s : KNOWN_CANDIDATE_S;
	for (uint32_t i = 0; i < k->touched; i++)
		if (k->slot[i].standing != STANDING_NONE)
			known_settle(k, i, now_s);
}

struct known *known_open(const struct config *c, size_t most, const uint64_t seed[2],
			 uint64_t wall_s, uint64_t boot_ns)
{
	struct known *k = calloc(1, sizeof(*k));
	size_t slots = most + most / 16 + 16; /* some for those that the kernel thinks alive yet */
	uint32_t buckets = 16;

	if (!k)
		return NULL;
	while (buckets < slots)
		buckets *= 2;
	k->slot = calloc(slots, sizeof(*k->slot));
	k->bucket = calloc(buckets, sizeof(*k->bucket));
	k->heap = calloc(slots, sizeof(*k->heap));
	if (!k->slot || !k->bucket || !k->heap) {
		known_close(k);
		return NULL;
	}
	k->most = most;
	k->slots = slots;
	k->bucket_mask = buckets - 1;
	k->seed[0] = seed[0];
	k->seed[1] = seed[1];
	k->base_s = wall_s < KNOWN_CLOCK_MAX_S ? wall_s : KNOWN_CLOCK_MAX_S;
	k->base_boot_ns = boot_ns;
	k->saved_boot_ns = boot_ns;
	known_clear(k);
	known_configure(k, c, boot_ns);
	return k;
}

void known_close(struct known *k)
{
	if (!k)
		return;
	free(k->slot);
	free(k->bucket);
	free(k->heap);
	free(k);
}
