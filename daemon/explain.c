// SPDX-License-Identifier: GPL-2.0-or-later
#include "explain.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "classes.h"
#include "config_values.h"
#include "foresee.h"
#include "log.h"
#include "names.h"

/* When a client sends its SYN, in seconds: RFC 6298, the slowest that there are. */
static const uint32_t syn_times_s[] = {0, 1, 3, 7, 15, 31};

#define MS(ns) ((double)(ns) / NSEC_PER_MSEC)

int explain_parse(const char *text, struct attempt *a, struct config_error *err)
{
	enum family family;
	char shown[SHOWN_MAX];
	const char *why;

	*a = (struct attempt){};
	why = value_address(text, &a->source, &family);
	a->family = family;
	return why ? fail(err, -EINVAL, "%s: %s; expected one such as 192.0.2.1 or 2001:db8::1",
			  value_shown(text, shown), why)
		   : 0;
}

static uint16_t first_port(const struct policy *p)
{
	for (uint32_t port = 0; port < 65536; port++)
		if (p->port_bits[port / 8] >> (port % 8) & 1)
			return htons((uint16_t)port);
	return htons(25);
}

static bool is_v4(const union addr *a)
{
	return !a->half[0] && a->word[2] == V4_MAPPED_WORD;
}

bool explain_destination(const struct policy *p, struct attempt *a)
{
	bool v4 = a->family == FAMILY_V4;

	a->dest_port = first_port(p);
	for (uint32_t i = 0; i < p->addresses && i < MAX_ADDRESSES; i++)
		if (is_v4(&p->address[i]) == v4) {
			a->dest = p->address[i];
			return true;
		}
	if (v4)
		a->dest.word[2] = V4_MAPPED_WORD;
	return !p->addresses;
}

void explain_prefix(const struct prefix_key *key, uint32_t family, char *text, size_t size)
{
	char address[64];

	format_address(&key->addr, address, sizeof(address));
	snprintf(text, size, "%s/%u", address,
		 (uint32_t)key->bits - (family == FAMILY_V4 ? 96U : 0U));
}

static json_t *until_json(const struct override *o, uint64_t now_ns)
{
	if (o->until_ns <= now_ns || o->until_ns == NEVER_NS)
		return json_null();
	return json_real((double)(o->until_ns - now_ns) / NSEC_PER_SEC);
}

static json_t *mode_json(const struct look *l, const struct foresee_state *s)
{
	const struct override *o = &l->policy.mode_override;

	return json_pack("{s:s, s:b, s:o}", "name", name_mode(s->mode), "manual",
			 l->now_ns < o->until_ns, "until_s", until_json(o, l->now_ns));
}

static json_t *tiers_json(uint32_t tiers)
{
	static const char *const names[] = {"delay", "queue", "refuse"};
	json_t *list = json_array();

	for (int i = 0; i < 3; i++)
		if (tiers & 1U << i)
			json_array_append_new(list, json_string(names[i]));
	return list;
}

static json_t *class_json(const struct look *l, const struct foresee_state *s)
{
	bool learned = l->listed == CLASS_UNKNOWN && s->class != CLASS_UNKNOWN;

	return json_pack(
		"{s:s, s:s, s:o}", "name", class_name(s->class), "by",
		l->listed != CLASS_UNKNOWN ? "list"
		: learned		   ? "learned"
					   : "default",
		"until_s",
		learned && l->learned.until_ns != NEVER_NS
			? json_real((double)(l->learned.until_ns - l->now_ns) / NSEC_PER_SEC)
			: json_null());
}

static json_t *bucket_json(const struct foresee_bucket *b)
{
	if (!b->t_ns)
		return json_null();
	return json_pack("{s:f, s:I, s:f, s:f, s:I, s:f}", "per_s",
			 (double)NSEC_PER_SEC / (double)b->t_ns, "burst", (json_int_t)b->burst,
			 "debt_ms", MS(b->debt_ns), "may_ms", MS(b->may_ns), "free",
			 (json_int_t)b->free, "next_ms", MS(b->next_ns));
}

static json_t *sessions_json(const struct look *l, const struct foresee_state *s)
{
	const struct session_limits *limits = &l->policy.sessions;
	bool known = s->class == CLASS_KNOWN;

	return json_pack(
		"{s:I, s:i, s:b, s:f, s:f, s:I, s:i, s:i}", "held", (json_int_t)s->sessions,
		"most_of_source", (int)(limits->per_source << known), "slot_time",
		limits->slot_cost && !known, "slot_debt_ms", MS(s->slot_debt_ns), "slot_may_ms",
		MS(limits->slot_tau_ns), "live", (json_int_t)l->live.sessions, "most",
		(int)(known ? limits->most : limits->most_unknown), "pending", (int)s->pending);
}

static json_t *foresight_json(const struct foresight *f)
{
	return json_pack("{s:s, s:s, s:s, s:o}", "verdict", name_verdict(f->verdict), "reason",
			 name_reason(f->reason), "sentence", sentence_reason(f->reason), "hold_ms",
			 f->verdict == VERDICT_HOLD ? json_real(MS(f->hold_ns)) : json_null());
}

/* A client that sends its SYN until it is let in or refused. */
static json_t *client_json(const struct look *l, const struct attempt *a, bool lives)
{
	struct foresee *f = foresee_open(l, a, NULL, lives);
	json_t *list = json_array();

	for (size_t i = 0; f && i < sizeof(syn_times_s) / sizeof(syn_times_s[0]); i++) {
		struct foresight s = foresee_syn(f, a, l->now_ns + syn_times_s[i] * NSEC_PER_SEC);
		json_t *one = foresight_json(&s);

		json_object_set_new(one, "at_s", json_integer(syn_times_s[i]));
		json_array_append_new(list, one);
		if (s.verdict != VERDICT_DEFER)
			break;
	}
	foresee_close(f);
	return list;
}

static json_t *next_json(const struct look *l, const struct attempt *a, bool lives)
{
	uint64_t at_ns = foresee_when(l, a, lives);

	return at_ns == FORESEE_NEVER ? json_null() : json_real(MS(at_ns - l->now_ns));
}

json_t *explain_json(const struct look *l, const struct attempt *a, bool lives)
{
	struct foresee *f = foresee_open(l, a, NULL, lives);
	char address[64], source[80], subnet[80];
	struct foresee_state s;
	struct foresight now;
	json_t *answer;

	if (!f)
		return NULL;
	now = foresee_syn(f, a, l->now_ns);
	foresee_close(f);
	foresee_state(l, a, &s);
	format_address(&a->source, address, sizeof(address));
	explain_prefix(&l->source, a->family, source, sizeof(source));
	explain_prefix(&l->subnet, a->family, subnet, sizeof(subnet));
	answer = json_pack("{s:b, s:i, s:s, s:s, s:s, s:s}", "ok", 1, "shape", EXPLAIN_SHAPE,
			   "address", address, "family", name_family(a->family & 1), "source",
			   source, "subnet", subnet);
	json_object_set_new(answer, "guarded",
			    json_boolean(foresee_guards(l, &a->dest, a->dest_port)));
	json_object_set_new(answer, "mode", mode_json(l, &s));
	json_object_set_new(answer, "tiers", tiers_json(s.tiers));
	json_object_set_new(answer, "leased", json_boolean(s.leased));
	json_object_set_new(answer, "pressure", json_boolean(s.pressure));
	json_object_set_new(answer, "class", class_json(l, &s));
	json_object_set_new(answer, "buckets",
			    json_pack("{s:o, s:o, s:o, s:o}", "source",
				      bucket_json(&s.bucket[FORESEE_SOURCE]), "subnet",
				      bucket_json(&s.bucket[FORESEE_SUBNET]), "global",
				      bucket_json(&s.bucket[FORESEE_GLOBAL]), "trusted",
				      bucket_json(&s.bucket[FORESEE_TRUSTED])));
	json_object_set_new(answer, "sessions", sessions_json(l, &s));
	json_object_set_new(answer, "now", foresight_json(&now));
	json_object_set_new(answer, "next_ms", next_json(l, a, lives));
	json_object_set_new(answer, "client", client_json(l, a, lives));
	return answer;
}

json_t *explain_again(const struct look *l, const struct attempt *a,
		      const struct look_attempt *seen)
{
	struct foresee *f = foresee_open(l, a, seen, true);
	struct foresight s;

	if (!f)
		return json_null();
	s = foresee_syn(f, a, l->now_ns);
	foresee_close(f);
	return foresight_json(&s);
}
