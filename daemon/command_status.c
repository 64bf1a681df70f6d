// SPDX-License-Identifier: GPL-2.0-or-later
#include "command.h"

#include <string.h>

#include "kernel_sessions.h"
#include "log.h"
#include "names.h"
#include "policy.h"

#define SECONDS(ns) ((double)(ns) / NSEC_PER_SEC)

static json_t *until_json(const struct override *o, uint64_t now_ns)
{
	if (o->until_ns <= now_ns || o->until_ns == NEVER_NS)
		return json_null();
	return json_real(SECONDS(o->until_ns - now_ns));
}

static json_t *mode_json(const struct daemon *d, uint64_t now_ns)
{
	const struct override *o = &d->mode_override;
	bool manual = now_ns < o->until_ns;

	return json_pack("{s:s, s:b, s:o}", "name", name_mode(manual ? o->value : d->policy.mode),
			 "manual", manual, "until_s", until_json(o, now_ns));
}

static json_t *tier_json(const struct daemon *d, uint64_t now_ns)
{
	const struct override *o = &d->tier_override;
	uint32_t active = controller_tiers(d, now_ns);
	json_t *names = json_array();
	char reason[512];

	if (active & TIER_DELAY)
		json_array_append_new(names, json_string("delay"));
	if (active & TIER_QUEUE)
		json_array_append_new(names, json_string("queue"));
	if (active & TIER_REFUSE)
		json_array_append_new(names, json_string("refuse"));
	controller_reason(d, reason, sizeof(reason));
	return json_pack("{s:s, s:o, s:b, s:o, s:s}", "name", tier_name(active), "active", names,
			 "manual", now_ns < o->until_ns, "until_s", until_json(o, now_ns), "reason",
			 reason);
}

static json_t *load_json(const struct daemon *d)
{
	return json_pack("{s:b, s:f, s:i, s:i, s:s, s:f, s:f, s:f}", "readable", d->load.readable,
			 "value", d->load.load_centi / 100.0, "running", (int)d->load.running,
			 "blocked", (int)d->load.blocked, "file", d->config.loadavg_file,
			 "delay_la", d->config.delay_la_centi / 100.0, "queue_la",
			 d->config.queue_la_centi / 100.0, "refuse_la",
			 d->config.refuse_la_centi / 100.0);
}

static json_t *limits_json(const struct daemon *d)
{
	json_t *limits = json_object();
	const struct config_key *key;
	char text[CONFIG_PATH_MAX];

	for (size_t i = 0; (key = config_key_at(i)); i++)
		if ((!strcmp(key->section, "limits") || !strcmp(key->name, "queue-rate")) &&
		    !config_format(&d->config, i, text, sizeof(text)))
			json_object_set_new(limits, key->name, json_string(text));
	return limits;
}

static json_t *bucket_json(struct daemon *d, uint64_t now_ns)
{
	const struct bucket *b = controller_tiers(d, now_ns) & TIER_QUEUE ? &d->policy.global_queue
									  : &d->policy.global;
	uint64_t debt_ns = kernel_debt_ns(d->kernel);

	return json_pack("{s:f, s:f, s:b}", "debt_ms", (double)debt_ns / NSEC_PER_MSEC, "burst_ms",
			 (double)b->tau1_ns / NSEC_PER_MSEC, "pressure", debt_ns > b->tau1_ns / 2);
}

/* Of all modes, families and classes. */
static uint64_t sum_of(const struct history *all, enum verdict v, enum reason r)
{
	uint64_t sum = 0;

	for (int m = 0; m < MODES; m++)
		sum += all->judged[m][v][r];
	return sum;
}

static json_t *waits_json(const struct counters *c)
{
	json_t *waits = json_array();

	for (int n = 0; n < TIME_BUCKETS; n++)
		json_array_append_new(waits, json_pack("{s:o, s:I}", "below_ms",
						       n < TIME_BUCKETS - 1 ? json_integer(1LL << n)
									    : json_null(),
						       "count", (json_int_t)c->held[n]));
	return waits;
}

/* Did somebody write the key, or is it the default? */
static bool is_chosen(const struct config *c, const char *name)
{
	const struct config_key *key;

	for (size_t i = 0; (key = config_key_at(i)); i++)
		if (!strcmp(key->name, name))
			return c->given >> i & 1;
	return false;
}

/* The waiting room (pacing.h), and what it has done. */
static json_t *hold_json(struct daemon *d, const struct counters *c, const struct history *all)
{
	const struct pacing *p = &d->pacing;
	const struct hold_seen *room = &p->hold.seen;

	return json_pack("{s:s, s:o, s:s, s:b, s:f, s:f, s:i, s:i, s:I, s:I, s:I, s:I, s:f, s:o}",
			 "state",
			 !p->wanted ? "off"
			 : p->open  ? "on"
				    : "deferring",
			 "problem", p->problem[0] ? json_string(p->problem) : json_null(), "device",
			 p->hold.name, "chosen", (int)is_chosen(&d->config, "pace-horizon"),
			 "horizon_ms", (double)d->config.pace_horizon_ns / NSEC_PER_MSEC, "wait_ms",
			 (double)pacing_wait_ns(d) / NSEC_PER_MSEC, "waiting", (int)room->waiting,
			 "room", (int)room->limit, "held",
			 (json_int_t)sum_of(all, VERDICT_HOLD, REASON_CONNECTION_RATE), "released",
			 (json_int_t)room->released, "overflowed", (json_int_t)room->overflowed,
			 "swallowed", (json_int_t)sum_of(all, VERDICT_DROP, REASON_WAITING),
			 "held_ms", (double)c->held_ns / NSEC_PER_MSEC, "waits", waits_json(c));
}

/* The newest and the oldest tick that are remembered; rates are the difference. */
static double rate_window(const struct daemon *d, const struct history **old,
			  const struct history **new)
{
	static const struct history none;

	*old = *new = &none;
	if (d->history_count < 2)
		return 0;
	*new = &d->history[(d->history_next + HISTORY_LONG - 1) % HISTORY_LONG];
	*old = &d->history[(d->history_next + HISTORY_LONG - d->history_count) % HISTORY_LONG];
	return SECONDS((*new)->at_ns - (*old)->at_ns);
}

static double per_second(uint64_t new, uint64_t old, double seconds)
{
	return seconds > 0 ? (double)(new - old) / seconds : 0;
}

/* A sum over the reasons of each verdict, and of all: in the mode that is in force. */
static void sum_verdicts(const uint64_t judged[VERDICTS][REASONS], uint64_t sum[VERDICTS + 1])
{
	memset(sum, 0, sizeof(uint64_t) * (VERDICTS + 1));
	for (int v = 0; v < VERDICTS; v++)
		for (int r = 0; r < REASONS; r++) {
			sum[v] += judged[v][r];
			sum[VERDICTS] += judged[v][r];
		}
}

static json_t *rates_json(const struct daemon *d, uint32_t mode)
{
	uint64_t before[VERDICTS + 1], now[VERDICTS + 1];
	const struct history *old, *new;
	double seconds = rate_window(d, &old, &new);
	json_t *rates = json_object();

	sum_verdicts(old->judged[mode], before);
	sum_verdicts(new->judged[mode], now);
	for (int v = 0; v <= VERDICTS; v++)
		json_object_set_new(rates, v < VERDICTS ? name_verdict(v) : "judged",
				    json_real(per_second(now[v], before[v], seconds)));
	json_object_set_new(rates, "over_s", json_real(seconds));
	return rates;
}

static json_t *totals_json(const struct history *all, uint32_t mode)
{
	json_t *totals = json_object();
	uint64_t sum[VERDICTS + 1];

	sum_verdicts(all->judged[mode], sum);
	for (int v = 0; v <= VERDICTS; v++)
		json_object_set_new(totals, v < VERDICTS ? name_verdict(v) : "judged",
				    json_integer((json_int_t)sum[v]));
	return totals;
}

static json_t *reasons_json(const struct daemon *d, const struct history *all)
{
	const struct history *old, *new;
	double seconds = rate_window(d, &old, &new);
	json_t *reasons = json_array();

	for (int m = 0; m < MODES; m++)
		for (int r = 0; r < REASONS; r++)
			for (int v = 0; v < VERDICTS; v++) {
				double a_second = per_second(new->judged[m][v][r],
							     old->judged[m][v][r], seconds);

				if (!all->judged[m][v][r])
					continue;
				json_array_append_new(
					reasons,
					json_pack("{s:s, s:s, s:s, s:I, s:f, s:s}", "mode",
						  name_mode(m), "reason", name_reason(r), "verdict",
						  name_verdict(v), "count",
						  (json_int_t)all->judged[m][v][r], "per_s",
						  a_second, "sentence", sentence_reason(r)));
			}
	return reasons;
}

static json_t *frames_json(const struct counters *c)
{
	json_t *frames = json_array();

	for (int k = FRAME_SYN + 1; k < FRAME_KINDS; k++)
		json_array_append_new(
			frames, json_pack("{s:s, s:b, s:I, s:s}", "kind", name_frame(k),
					  "understood", k <= FRAME_LAST_NOT_OURS, "count",
					  (json_int_t)c->frames[k], "sentence", sentence_frame(k)));
	return frames;
}

static json_t *faults_json(const struct counters *c)
{
	json_t *list = json_object();

	for (size_t i = 0; i < fault_count; i++) {
		__u64 n;

		memcpy(&n, (const char *)c + faults[i].offset, sizeof(n));
		json_object_set_new(list, faults[i].name, json_integer((json_int_t)n));
	}
	return list;
}

static json_t *interfaces_json(struct daemon *d)
{
	const struct kernel_interface *list;
	uint32_t n = kernel_interfaces(d->kernel, &list);
	json_t *array = json_array();

	for (uint32_t i = 0; i < n; i++) {
		const struct kernel_interface *one = &list[i];

		json_array_append_new(array, json_pack("{s:s, s:b, s:s, s:o}", "name", one->name,
						       "attached", one->attached, "mode",
						       !one->attached ? "none"
						       : one->native  ? "native"
								      : "generic",
						       "problem",
						       one->problem[0] ? json_string(one->problem)
								       : json_null()));
	}
	return array;
}

static json_t *sentence_or_null(const char *sentence)
{
	return *sentence ? json_string(sentence) : json_null();
}

/* What is known of slots: sessions, those on their way, what sources hold. */
static json_t *sessions_json(struct daemon *d)
{
	const struct session_limits *s = &d->policy.sessions;
	const struct kernel_watch *w = kernel_watch(d->kernel);

	return json_pack("{s:b, s:o, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:I}", "counted",
			 w->counting, "problem",
			 sentence_or_null(*w->sessions ? w->sessions : d->sessions.session_problem),
			 "live", (json_int_t)kernel_sessions_live(d->kernel), "pending",
			 (int)kernel_sessions_pending(d->kernel), "most", (int)s->most,
			 "most_unknown", (int)s->most_unknown, "sockets", (int)d->sessions.sockets,
			 "sources_holding", (int)d->sessions.holders, "sources_dry",
			 (int)d->sessions.dry, "healed", (json_int_t)d->sessions.healed);
}

static json_t *accept_queue_json(struct daemon *d)
{
	const struct sessions_view *v = &d->sessions;
	const struct kernel_watch *w = kernel_watch(d->kernel);

	return json_pack("{s:b, s:o, s:i, s:i, s:i}", "asked", !*w->listener, "problem",
			 sentence_or_null(*w->listener ? w->listener : v->queue_problem),
			 "listeners", (int)v->listeners, "waiting", (int)v->waiting, "most",
			 (int)v->most);
}

/* The time below which so many percent of the banners came; the bucket's upper end. */
static json_t *banner_quantile(const struct counters *c, uint64_t all, uint32_t percent)
{
	uint64_t below = 0;

	if (!all)
		return json_null();
	for (int n = 0; n < TIME_BUCKETS - 1; n++) {
		below += c->banner[n];
		if (below * 100 >= all * percent)
			return json_real((double)(1U << n) / 1000);
	}
	return json_real((double)(1U << (TIME_BUCKETS - 1)) / 1000);
}

static json_t *banner_json(struct daemon *d, const struct counters *c)
{
	uint64_t all = 0;

	for (int n = 0; n < TIME_BUCKETS; n++)
		all += c->banner[n];
	return json_pack("{s:o, s:I, s:o, s:o}", "problem",
			 sentence_or_null(kernel_watch(d->kernel)->banner), "count",
			 (json_int_t)all, "p50_s", banner_quantile(c, all, 50), "p99_s",
			 banner_quantile(c, all, 99));
}

static json_t *flood_json(const struct daemon *d)
{
	uint32_t percent;
	bool spoofed = controller_spoofed(d, &percent);

	return json_pack("{s:b, s:i}", "spoofed", spoofed, "established_percent", (int)percent);
}

/* What was set by hand, as it was written, and what is left of its time; null: the next start. */
static json_t *settings_json(const struct daemon *d)
{
	uint64_t now_ns = settings_now_ns();
	json_t *list = json_array();

	for (size_t i = 0; i < d->settings.count; i++) {
		const struct setting *s = &d->settings.one[i];
		json_t *left = json_null();

		if (s->until_boot_ns != NEVER_NS)
			left = json_real(s->until_boot_ns > now_ns
						 ? SECONDS(s->until_boot_ns - now_ns)
						 : 0.0);
		json_array_append_new(list,
				      json_pack("{s:s, s:o}", "text", s->text, "until_s", left));
	}
	return list;
}

json_t *command_status(struct daemon *d, const json_t *request, struct config_error *err)
{
	static struct counters c; /* only ever used under the lock */
	uint64_t now_ns = kernel_now_ns();
	uint32_t mode =
		now_ns < d->mode_override.until_ns ? d->mode_override.value : d->policy.mode;
	static struct history all; /* likewise */
	json_t *answer;
	int bad = kernel_counters(d->kernel, &c);

	(void)request;
	if (bad) {
		fail(err, bad, "the counters cannot be read: %s", strerror(-bad));
		return NULL;
	}
	controller_sum(&c, &all);
	answer = json_pack("{s:b, s:i, s:s, s:i, s:s, s:f, s:f, s:f}", "ok", 1, "shape", 1,
			   "version", SLUICE_VERSION, "abi", SLUICE_ABI, "instance", d->instance,
			   "uptime_s", SECONDS(now_ns - d->started_ns), "age_s",
			   SECONDS(now_ns - d->ticked_ns), "lease_s",
			   d->lease_until_ns > now_ns ? SECONDS(d->lease_until_ns - now_ns) : 0.0);
	json_object_set_new(answer, "mode", mode_json(d, now_ns));
	json_object_set_new(answer, "tier", tier_json(d, now_ns));
	json_object_set_new(answer, "load", load_json(d));
	json_object_set_new(answer, "limits", limits_json(d));
	json_object_set_new(answer, "settings", settings_json(d));
	json_object_set_new(answer, "bucket", bucket_json(d, now_ns));
	json_object_set_new(answer, "hold", hold_json(d, &c, &all));
	json_object_set_new(answer, "rates", rates_json(d, mode));
	json_object_set_new(answer, "totals", totals_json(&all, mode));
	json_object_set_new(answer, "reasons", reasons_json(d, &all));
	json_object_set_new(answer, "frames", frames_json(&c));
	json_object_set_new(answer, "faults", faults_json(&c));
	json_object_set_new(answer, "sessions", sessions_json(d));
	json_object_set_new(answer, "accept_queue", accept_queue_json(d));
	json_object_set_new(answer, "banner", banner_json(d, &c));
	json_object_set_new(answer, "flood", flood_json(d));
	json_object_set_new(answer, "known", command_known_status(d));
	json_object_set_new(answer, "interfaces", interfaces_json(d));
	return answer;
}
