// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * setup.c - a row's words into policy sets, class tries and control words.
 *
 * The keys are the config file's. What a row does not name is out of its way: rates of a thousand
 * a second, no limits of sources and subnets, mode enforce, port 25. Rows must be right here, so
 * a word that is not understood is a mistake in the row and ends it.
 */
#include "packet.h"

#include "listed.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy.h"

#define WORDS_MAX 1024

static const struct config out_of_the_way = {
	.ports = 1,
	.port_host = {SMTP},
	.mode = MODE_ENFORCE,
	.connection_rate = {1000, NSEC_PER_SEC},
	.connection_burst = 1000,
	.retry_burst = 1000,
	.known_burst = 1000,
	.queue_rate = {500, NSEC_PER_SEC},
	.trusted_rate = {1000, NSEC_PER_SEC},
	.trusted_burst = 1000,
	.source_rate = {0, NSEC_PER_SEC},
	.source_burst = 1,
	.subnet_rate = {0, NSEC_PER_SEC},
	.subnet_burst = 1,
	.refuse_rate = {10000, NSEC_PER_SEC},
	.defer_budget_per_s = 4000,
	.source_prefix_v4 = 32,
	.source_prefix_v6 = 64,
	.subnet_prefix_v4 = 24,
	.subnet_prefix_v6 = 48,
};

static const struct {
	const char *name;
	size_t offset;
} rates[] =
	{
		{"connection-rate", offsetof(struct config, connection_rate)},
		{"queue-rate", offsetof(struct config, queue_rate)},
		{"trusted-rate", offsetof(struct config, trusted_rate)},
		{"source-rate", offsetof(struct config, source_rate)},
		{"subnet-rate", offsetof(struct config, subnet_rate)},
		{"refuse-rate", offsetof(struct config, refuse_rate)},
},
  numbers[] = {
	  {"connection-burst", offsetof(struct config, connection_burst)},
	  {"retry-burst", offsetof(struct config, retry_burst)},
	  {"known-burst", offsetof(struct config, known_burst)},
	  {"trusted-burst", offsetof(struct config, trusted_burst)},
	  {"source-burst", offsetof(struct config, source_burst)},
	  {"subnet-burst", offsetof(struct config, subnet_burst)},
	  {"defer-budget", offsetof(struct config, defer_budget_per_s)},
	  {"source-prefix-v4", offsetof(struct config, source_prefix_v4)},
	  {"source-prefix-v6", offsetof(struct config, source_prefix_v6)},
	  {"subnet-prefix-v4", offsetof(struct config, subnet_prefix_v4)},
	  {"subnet-prefix-v6", offsetof(struct config, subnet_prefix_v6)},
	  {"max-sessions", offsetof(struct config, max_sessions)},
	  {"known-share", offsetof(struct config, known_share_percent)},
	  {"max-sessions-per-source", offsetof(struct config, max_sessions_per_source)},
};

static int mode_word(const char *word)
{
	static const char *const names[] = {"off", "monitor", "enforce"};

	for (int i = 0; i < MODES; i++)
		if (!strncmp(word, names[i], strlen(names[i])))
			return i;
	return -1;
}

/* "delay,refuse" or "normal" */
static uint32_t tier_words(const char *words)
{
	return (strstr(words, "delay") ? TIER_DELAY : 0) |
	       (strstr(words, "queue") ? TIER_QUEUE : 0) |
	       (strstr(words, "refuse") ? TIER_REFUSE : 0);
}

/* "...@10s" ends 10 s after the start of the row, "...@never" when it is released. */
static uint64_t end_word(const char *word)
{
	const char *at = strchr(word, '@');

	if (!at)
		return 0;
	return strcmp(at, "@never") ? BENCH_START_NS + S(strtoul(at + 1, NULL, 10)) : NEVER_NS;
}

static int rate_word(const char *word, struct rate *r)
{
	char unit[8] = "";

	if (sscanf(word, "%lu/%7s", &r->count, unit) != 2)
		return -EINVAL;
	r->period_ns = strcmp(unit, "min") ? NSEC_PER_SEC : 60 * NSEC_PER_SEC;
	return strcmp(unit, "min") && strcmp(unit, "s") ? -EINVAL : 0;
}

static void list_words(char *value, struct config *c, bool ports)
{
	char *rest, *word;
	uint32_t family;

	c->ports = ports ? 0 : c->ports;
	for (word = strtok_r(value, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
		if (ports)
			c->port_host[c->ports++] = strtoul(word, NULL, 10);
		else
			twin_address(word, false, &c->address[c->addresses++], &family);
}

/* Keys of the config. Returns 0, or -ENOENT when the key is none of them. */
static int config_word(const char *key, char *value, struct config *c)
{
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
		if (!strcmp(key, rates[i].name))
			return rate_word(value, (void *)((char *)c + rates[i].offset));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (!strcmp(key, numbers[i].name)) {
			*(uint32_t *)((char *)c + numbers[i].offset) = strtoul(value, NULL, 10);
			return 0;
		}
	if (!strcmp(key, "pace-horizon"))
		c->pace_horizon_ns = MS(strtoul(value, NULL, 10)); /* "500ms" */
	else if (!strcmp(key, "source-session-time"))
		c->source_session_time_ns = S(strtoul(value, NULL, 10)); /* "60s" */
	else if (!strcmp(key, "port") || !strcmp(key, "address"))
		list_words(value, c, !strcmp(key, "port"));
	else if (!strcmp(key, "mode"))
		c->mode = mode_word(value);
	else
		return -ENOENT;
	return 0;
}

/* What the controller adds to a policy. */
static int policy_word(const char *key, const char *value, struct policy *p)
{
	if (!strcmp(key, "tiers"))
		p->tiers = tier_words(value);
	else if (!strcmp(key, "tier-override"))
		p->tier_override = (struct override){end_word(value), tier_words(value), 0};
	else if (!strcmp(key, "mode-override"))
		p->mode_override = (struct override){end_word(value), mode_word(value), 0};
	else if (!strcmp(key, "class-slot"))
		p->class_slot = strtoul(value, NULL, 10);
	else
		return -ENOENT;
	return 0;
}

int setup_policy(const char *text, struct config *c, struct policy *p, uint32_t cpus)
{
	char words[WORDS_MAX] = "", *rest, *word;
	struct policy added = {};

	*c = out_of_the_way;
	snprintf(words, sizeof(words), "%s", text ? text : "");
	for (word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		char *value = strchr(word, '=');

		if (!value)
			return -EINVAL;
		*value++ = 0;
		if (config_word(word, value, c) && policy_word(word, value, &added)) {
			complain("the row's policy names '%s', which is no key here", word);
			return -EINVAL;
		}
	}
	if (policy_make(c, cpus ? cpus : 1, p))
		return -EINVAL;
	p->tiers = added.tiers;
	p->tier_override = added.tier_override;
	p->mode_override = added.mode_override;
	p->class_slot = added.class_slot;
	return 0;
}

static uint32_t class_word(const char *word)
{
	static const char *const names[] = {"unknown", "trusted", "known", "throttled", "blocked"};

	for (uint32_t i = 0; i < CLASSES; i++)
		if (!strcmp(word, names[i]))
			return i;
	return strtoul(word, NULL, 10); /* a number that is no class, say */
}

/* One "192.0.2.0/24=known" into the trie of its family. */
static int class_add(char *word, bool v6, uint32_t slot, const int trie[FAMILIES])
{
	char *slash = strchr(word, '/'), *equals = strchr(word, '=');
	struct class_key_v4 key_v4;
	struct class_key_v6 key_v6;
	uint32_t bits, family, class;
	struct class_entry entry;
	uint64_t units = 0;
	union addr addr;

	if (!slash || !equals)
		return -EINVAL;
	*slash = *equals = 0;
	bits = strtoul(slash + 1, NULL, 10);
	class = class_word(equals + 1);
	if (v6 && !is_v6(word))
		bits = twin_prefix(bits);
	twin_address(word, v6, &addr, &family);
	entry = (struct class_entry){.addr = addr, .bits = bits, .family = family};
	listed_add(bench.presence, slot, &entry, bench.control->seed[1], &units);
	bench.control->present |= 1U << PRESENCE_LISTED(slot);
	key_v4 = (struct class_key_v4){bits, addr.word[3]};
	key_v6.bits = bits;
	memcpy(key_v6.addr, &addr, sizeof(addr));
	return bpf_map_update_elem(trie[family],
				   family == FAMILY_V4 ? (void *)&key_v4 : (void *)&key_v6, &class,
				   BPF_ANY)
		       ? -errno
		       : 0;
}

/* Makes the two tries of a slot, fills them and hands them over. NULL: the slot stays empty. */
static int setup_classes(uint32_t slot, const char *classes, bool v6)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	char words[WORDS_MAX], *rest, *word;
	int trie[FAMILIES], err = 0;

	if (!classes)
		return 0;
	trie[FAMILY_V4] = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "classes_v4",
					 sizeof(struct class_key_v4), 4, 1048576, &opts);
	trie[FAMILY_V6] = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "classes_v6",
					 sizeof(struct class_key_v6), 4, 1048576, &opts);
	if (trie[FAMILY_V4] < 0 || trie[FAMILY_V6] < 0)
		return -errno;
	snprintf(words, sizeof(words), "%s", classes);
	for (word = strtok_r(words, " ", &rest); word && !err; word = strtok_r(NULL, " ", &rest))
		err = class_add(word, v6, slot, trie);
	for (int family = 0; family < FAMILIES; family++) {
		err = err ? err : bench_trie_slot(slot, family == FAMILY_V6, trie[family]);
		close(trie[family]);
	}
	return err;
}

int setup_row(const struct row *row, bool v6)
{
	static struct policy p;
	struct config c;
	int err = bench_clear();

	if (err || row->zero_policy)
		return err;
	bench.control->abi = SLUICE_ABI;
	bench.control->seed[0] = 0x736c75696365;
	bench.control->seed[1] = 0x6d61696c;
	if (!row->no_lease)
		bench.control->lease_until_ns =
			BENCH_START_NS + (row->lease_ns ? row->lease_ns : S(36000));
	bench.control->hold_until_ns = row->room ? BENCH_START_NS + S(36000) : 0;
	for (uint32_t set = 0; set < 2 && !err; set++) {
		const char *policy = set && row->other ? row->other : row->policy;

		err = setup_policy(policy, &c, &p, row->cpus);
		err = err ? err : bench_policy(set, &p);
	}
	err = err ? err : setup_classes(0, row->classes, v6);
	return err ? err : setup_classes(1, row->classes_1, v6);
}
