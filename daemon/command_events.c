// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * command_events.c - the last decisions, a page at a time. Who follows asks again with the number
 * that it was given: nothing is kept for it, so one that never comes back harms nobody.
 */
#include "command.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "classes.h"
#include "config_values.h"
#include "kernel_events.h"
#include "log.h"
#include "names.h"
#include "recent.h"

/* Which events are asked for. */
struct wanted {
	bool by_prefix;
	enum family family;
	struct prefix prefix;
	union addr address;
	uint32_t reason; /* REASONS: any */
};

static int bad_prefix(struct config_error *err)
{
	return fail(err, -EINVAL,
		    "address: an address or a prefix such as 192.0.2.0/24 or 2001:db8::/32 was "
		    "expected");
}

/* An address, or a prefix without host bits. */
static int parse_prefix(const char *text, struct wanted *w, struct config_error *err)
{
	char copy[CONFIG_PATH_MAX], *slash;
	uint32_t most, bits;

	if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
		return bad_prefix(err);
	slash = strchr(copy, '/');
	if (slash)
		*slash = '\0';
	if (value_address(copy, &w->address, &w->family))
		return bad_prefix(err);
	most = w->family == FAMILY_V4 ? 32 : 128;
	bits = most;
	if (slash && value_count(slash + 1, 0, most, &bits))
		return bad_prefix(err);
	w->prefix.bits = bits + (128 - most);
	for (uint32_t i = 0; i < sizeof(w->prefix.mask.byte); i++) {
		uint32_t kept = w->prefix.bits > i * 8 ? w->prefix.bits - i * 8 : 0;

		w->prefix.mask.byte[i] = kept < 8 ? (uint8_t)(0xff00 >> kept) : 0xff;
		w->address.byte[i] &= w->prefix.mask.byte[i];
	}
	w->by_prefix = true;
	return 0;
}

static int parse_reason(const char *text, struct wanted *w, struct config_error *err)
{
	char names[512] = "";
	size_t used = 0;

	for (w->reason = 0; w->reason < REASONS; w->reason++) {
		if (!strcmp(text, name_reason(w->reason)))
			return 0;
		used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
					 w->reason ? ", " : "", name_reason(w->reason));
	}
	return fail(err, -EINVAL, "reason: one of %s was expected", names);
}

static int parse(const json_t *request, struct wanted *w, struct config_error *err)
{
	const json_t *address = json_object_get(request, "address"),
		     *reason = json_object_get(request, "reason");
	int bad = 0;

	*w = (struct wanted){.reason = REASONS};
	if (address && !json_is_string(address))
		return bad_prefix(err);
	if (reason && !json_is_string(reason))
		return fail(err, -EINVAL, "reason: a string was expected");
	if (address)
		bad = parse_prefix(json_string_value(address), w, err);
	if (!bad && reason)
		bad = parse_reason(json_string_value(reason), w, err);
	return bad;
}

static bool is_wanted(const struct wanted *w, const struct event *e)
{
	const union addr *a = &e->attempt.source;

	if (w->reason != REASONS && w->reason != e->reason)
		return false;
	return !w->by_prefix || (e->attempt.family == w->family &&
				 !((a->half[0] ^ w->address.half[0]) & w->prefix.mask.half[0]) &&
				 !((a->half[1] ^ w->address.half[1]) & w->prefix.mask.half[1]));
}

/* What is to be added to CLOCK_MONOTONIC for nanoseconds since 1970. */
static uint64_t epoch_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec - kernel_now_ns();
}

static json_t *event_json(const struct recent_event *r, uint64_t epoch)
{
	const struct event *e = &r->event;
	const struct attempt *a = &e->attempt;
	const char *class = class_name(e->class);
	char source[64], dest[64];

	format_address(&a->source, source, sizeof(source));
	format_address(&a->dest, dest, sizeof(dest));
	return json_pack(
		"{s:I, s:I, s:s, s:i, s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:b, s:o, s:I}",
		"sequence", (json_int_t)r->sequence, "time_ms",
		(json_int_t)((epoch + e->at_ns) / NSEC_PER_MSEC), "source", source, "source_port",
		(int)ntohs(a->source_port), "dest", dest, "port", (int)ntohs(a->dest_port),
		"family", name_family(a->family & 1), "class", class ? class : "unknown", "mode",
		e->mode < MODES ? name_mode(e->mode) : "off", "verdict",
		e->verdict < VERDICTS ? name_verdict(e->verdict) : "pass", "reason",
		e->reason < REASONS ? name_reason(e->reason) : "admitted", "again", (int)e->again,
		"wait_ms", r->wait_ns ? json_real((double)r->wait_ns / NSEC_PER_MSEC) : json_null(),
		"stands_for", (json_int_t)e->stands_for);
}

json_t *command_events(struct daemon *d, const json_t *request, struct config_error *err)
{
	json_int_t after = json_integer_value(json_object_get(request, "after"));
	uint64_t sequence = after > 0 ? (uint64_t)after : 0, missed = 0;
	json_t *events = json_array();
	const struct recent_event *e = NULL;
	struct kernel_events_count count;
	uint64_t epoch = epoch_ns();
	struct wanted w;
	char boot[32];

	if (!d->events) {
		json_decref(events);
		fail(err, -ENOENT, "this sluiced has no events: the kernel's ring cannot be read");
		return NULL;
	}
	if (parse(request, &w, err)) {
		json_decref(events);
		return NULL;
	}
	observing_read(d);
	/* A number of a daemon before this one: from the beginning. */
	if (sequence > recent_last(d->recent))
		sequence = 0;
	while (json_array_size(events) < CONTROL_EVENTS &&
	       (e = recent_after(d->recent, sequence, &missed))) {
		sequence = e->sequence;
		if (is_wanted(&w, &e->event))
			json_array_append_new(events, event_json(e, epoch));
	}
	kernel_events_count(d->events, &count);
	snprintf(boot, sizeof(boot), "%llu", (unsigned long long)d->started_ns);
	return json_pack("{s:b, s:i, s:s, s:I, s:b, s:I, s:I, s:I, s:I, s:o}", "ok", 1, "shape", 1,
			 "boot", boot, "next", (json_int_t)sequence, "more",
			 sequence < recent_last(d->recent), "missed", (json_int_t)missed, "judged",
			 (json_int_t)count.judged, "told", (json_int_t)count.sent, "lost",
			 (json_int_t)count.lost, "events", events);
}
