// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * metrics.c - the Prometheus exposition (text format 0.0.4) for the textfile collector.
 *
 * No label ever carries an address: the number of series does not grow with the senders.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon.h"
#include "kernel_sessions.h"
#include "known.h"
#include "log.h"
#include "names.h"
#include "policy.h"

#define SECONDS(ns) ((double)(ns) / NSEC_PER_SEC)

static void family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void build(FILE *out, const struct daemon *d)
{
	family(out, "sluice_build_info", "gauge",
	       "1; the labels are the version of sluiced and of its kernel interface.");
	fprintf(out, "sluice_build_info{name=\"%s\",version=\"%s\",abi=\"%d\"} 1\n", d->instance,
		SLUICE_VERSION, SLUICE_ABI);
	family(out, "sluice_tick_timestamp_seconds", "gauge",
	       "When the controller last looked at the load and renewed its lease. Older than a few "
	       "seconds: sluiced is stuck or dead, and only the static limits hold.");
	fprintf(out, "sluice_tick_timestamp_seconds{name=\"%s\"} %.3f\n", d->instance,
		(double)time(NULL) - SECONDS(kernel_now_ns() - d->ticked_ns));
}

/*
 * A combination that has never occurred is left out, but for the ones that alerts are made of: an
 * increase is only seen of a series that was there before it.
 */
static bool is_shown(uint64_t n, int mode, int verdict, int reason, uint32_t mode_now)
{
	return n || (mode == (int)mode_now &&
		     (verdict == (int)reason_verdict(reason) ||
		      (verdict == VERDICT_HOLD && reason == REASON_CONNECTION_RATE)));
}

static void judged(FILE *out, const struct daemon *d, const struct counters *c, uint32_t mode_now)
{
	family(out, "sluice_syns_judged_total", "counter",
	       "SYNs to the guarded ports, by the verdict that was reached and its reason. Under "
	       "mode=monitor the verdict was only counted and the SYN passed.");
	for (int m = 0; m < MODES; m++)
		for (int f = 0; f < FAMILIES; f++)
			for (int k = 0; k < CLASSES; k++)
				for (int v = 0; v < VERDICTS; v++)
					for (int r = 0; r < REASONS; r++) {
						uint64_t n = c->judged[m][f][k][v][r];

						if (!is_shown(n, m, v, r, mode_now))
							continue;
						fprintf(out,
							"sluice_syns_judged_total{name=\"%s\","
							"mode=\"%s\",family=\"%s\",class=\"%s\","
							"verdict=\"%s\",reason=\"%s\"} %" PRIu64
							"\n",
							d->instance, name_mode(m), name_family(f),
							class_name(k), name_verdict(v),
							name_reason(r), n);
					}
	family(out, "sluice_syns_again_total", "counter",
	       "Of the judged SYNs those that were retransmits of an attempt deferred before.");
	for (int f = 0; f < FAMILIES; f++)
		for (int v = 0; v < VERDICTS; v++)
			fprintf(out,
				"sluice_syns_again_total{name=\"%s\",family=\"%s\",verdict=\"%s\"} "
				"%" PRIu64 "\n",
				d->instance, name_family(f), name_verdict(v),
				(uint64_t)c->again[f][v]);
}

static void frames(FILE *out, const struct daemon *d, const struct counters *c)
{
	family(out, "sluice_frames_passed_total", "counter",
	       "Frames that passed without being judged, by why. understood=no: a header that could "
	       "not be read; many of them deserve a look with tcpdump.");
	for (int k = FRAME_SYN + 1; k < FRAME_KINDS; k++)
		fprintf(out,
			"sluice_frames_passed_total{name=\"%s\",kind=\"%s\",understood=\"%s\"} %" PRIu64
			"\n",
			d->instance, name_frame(k), k <= FRAME_LAST_NOT_OURS ? "yes" : "no",
			(uint64_t)c->frames[k]);
	family(out, "sluice_faults_total", "counter",
	       "Things that went wrong inside and what was done instead, by kind.");
	for (size_t i = 0; i < fault_count; i++)
		fprintf(out, "sluice_faults_total{name=\"%s\",fault=\"%s\"} %" PRIu64 "\n",
			d->instance, faults[i].name,
			(uint64_t) * (const __u64 *)((const char *)c + faults[i].offset));
}

static void tiers(FILE *out, const struct daemon *d, uint64_t now_ns, uint32_t mode_now)
{
	uint32_t active = controller_tiers(d, now_ns);
	const struct {
		const char *name;
		uint32_t bit, la_centi;
	} tier[] = {
		{"delay", TIER_DELAY, d->config.delay_la_centi},
		{"queue", TIER_QUEUE, d->config.queue_la_centi},
		{"refuse", TIER_REFUSE, d->config.refuse_la_centi},
	};

	family(out, "sluice_mode", "gauge",
	       "1 for the mode in force: off passes all, monitor only counts, enforce acts.");
	for (int m = 0; m < MODES; m++)
		fprintf(out, "sluice_mode{name=\"%s\",mode=\"%s\"} %d\n", d->instance, name_mode(m),
			m == (int)mode_now);
	family(out, "sluice_tier_active", "gauge",
	       "1 while the tier is active, by load or by hand.");
	for (int i = 0; i < TIER_COUNT; i++)
		fprintf(out, "sluice_tier_active{name=\"%s\",tier=\"%s\"} %d\n", d->instance,
			tier[i].name, !!(active & tier[i].bit));
	family(out, "sluice_tier_threshold", "gauge",
	       "The load average at which the tier begins; 0: the tier is off.");
	for (int i = 0; i < TIER_COUNT; i++)
		fprintf(out, "sluice_tier_threshold{name=\"%s\",tier=\"%s\"} %.2f\n", d->instance,
			tier[i].name, tier[i].la_centi / 100.0);
	family(out, "sluice_tier_changes_total", "counter",
	       "Changes of the active set by the load.");
	fprintf(out, "sluice_tier_changes_total{name=\"%s\"} %" PRIu64 "\n", d->instance,
		d->tier_changes);
	family(out, "sluice_load_readable", "gauge",
	       "0 while the load cannot be read; it then counts as normal.");
	fprintf(out, "sluice_load_readable{name=\"%s\"} %d\n", d->instance, d->load.readable);
	family(out, "sluice_load_average", "gauge",
	       "The 1-minute load average that the tiers follow.");
	fprintf(out, "sluice_load_average{name=\"%s\"} %.2f\n", d->instance,
		d->load.load_centi / 100.0);
}

static void limits(FILE *out, struct daemon *d, uint64_t now_ns)
{
	const struct bucket *global = controller_tiers(d, now_ns) & TIER_QUEUE
					      ? &d->policy.global_queue
					      : &d->policy.global;

	family(out, "sluice_connection_rate_limit", "gauge",
	       "Connections a second that are admitted in the long run: connection-rate, or "
	       "queue-rate while the tier queue is active.");
	fprintf(out, "sluice_connection_rate_limit{name=\"%s\"} %.6g\n", d->instance,
		(double)NSEC_PER_SEC / (double)global->t_ns);
	family(out, "sluice_connection_debt_seconds", "gauge",
	       "What the global bucket owes, as the time until it is full again. Past half of "
	       "sluice_connection_burst_seconds newcomers get one connection a source.");
	fprintf(out, "sluice_connection_debt_seconds{name=\"%s\"} %.6f\n", d->instance,
		SECONDS(kernel_debt_ns(d->kernel)));
	family(out, "sluice_connection_burst_seconds", "gauge",
	       "The debt beyond which the first SYN of an unknown source is deferred.");
	fprintf(out, "sluice_connection_burst_seconds{name=\"%s\"} %.6f\n", d->instance,
		SECONDS(global->tau1_ns));
}

/* Bounds of the buckets are powers of two milliseconds: exact as they are printed. */
/* times[n]: how many took less than 2^n ms; the last bucket has no upper end. */
static void histogram(FILE *out, const struct daemon *d, const char *name,
		      const __u64 times[static TIME_BUCKETS], uint64_t sum_ns, const char *help)
{
	uint64_t count = 0;

	family(out, name, "histogram", help);
	for (int n = 0; n < TIME_BUCKETS; n++) {
		count += times[n];
		if (n < TIME_BUCKETS - 1)
			fprintf(out, "%s_bucket{name=\"%s\",le=\"%.3f\"} %" PRIu64 "\n", name,
				d->instance, (double)(1 << n) / 1000, count);
	}
	fprintf(out, "%s_bucket{name=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, d->instance, count);
	fprintf(out, "%s_sum{name=\"%s\"} %.6f\n", name, d->instance, SECONDS(sum_ns));
	fprintf(out, "%s_count{name=\"%s\"} %" PRIu64 "\n", name, d->instance, count);
}

static void holding(FILE *out, struct daemon *d)
{
	const struct pacing *p = &d->pacing;
	const struct hold_seen *room = &p->hold.seen;

	family(out, "sluice_hold_horizon_seconds", "gauge",
	       "pace-horizon: the longest that a SYN is held; 0: nothing is held.");
	fprintf(out, "sluice_hold_horizon_seconds{name=\"%s\"} %.3f\n", d->instance,
		SECONDS(d->config.pace_horizon_ns));
	family(out, "sluice_hold_open", "gauge",
	       "1 while SYNs may be held; 0 with a horizon above 0: the waiting room is not to be "
	       "had, and they are deferred instead.");
	fprintf(out, "sluice_hold_open{name=\"%s\"} %d\n", d->instance, p->open);
	family(out, "sluice_hold_waiting", "gauge", "SYNs that waited at the last look.");
	fprintf(out, "sluice_hold_waiting{name=\"%s\"} %u\n", d->instance, room->waiting);
	family(out, "sluice_hold_wait_seconds", "gauge",
	       "How long a newcomer would be held now; beyond the horizon it is deferred.");
	fprintf(out, "sluice_hold_wait_seconds{name=\"%s\"} %.6f\n", d->instance,
		SECONDS(pacing_wait_ns(d)));
	family(out, "sluice_hold_released_total", "counter",
	       "SYNs that left the waiting room in their turn, since it was made. Retransmits that "
	       "were swallowed meanwhile: sluice_syns_judged_total with reason=waiting.");
	fprintf(out, "sluice_hold_released_total{name=\"%s\"} %" PRIu64 "\n", d->instance,
		room->released);
	family(out, "sluice_hold_overflowed_total", "counter",
	       "SYNs that the waiting room had no place for, since it was made: their next "
	       "retransmit passes.");
	fprintf(out, "sluice_hold_overflowed_total{name=\"%s\"} %" PRIu64 "\n", d->instance,
		room->overflowed);
}

static void house(FILE *out, struct daemon *d)
{
	const struct kernel_interface *list;
	uint32_t n = kernel_interfaces(d->kernel, &list);

	family(out, "sluice_interface_attached", "gauge",
	       "1 while the filter runs on the interface, in the XDP mode of the label; 0: its traffic "
	       "passes unlimited.");
	for (uint32_t i = 0; i < n; i++)
		fprintf(out,
			"sluice_interface_attached{name=\"%s\",interface=\"%s\",xdp=\"%s\"} %d\n",
			d->instance, list[i].name,
			!list[i].attached ? "none"
			: list[i].native  ? "native"
					  : "generic",
			list[i].attached);
	family(out, "sluice_class_prefixes", "gauge", "Prefixes listed for each class.");
	for (int k = CLASS_UNKNOWN + 1; k < CLASSES; k++)
		fprintf(out, "sluice_class_prefixes{name=\"%s\",class=\"%s\"} %zu\n", d->instance,
			class_name(k), d->class_prefixes[k]);
	family(out, "sluice_policy_changes_total", "counter",
	       "Times that a new set of limits was put in force.");
	fprintf(out, "sluice_policy_changes_total{name=\"%s\"} %" PRIu64 "\n", d->instance,
		d->policy_changes);
	family(out, "sluice_policy_errors_total", "counter",
	       "Times that a set of limits could not be written and the former one stayed.");
	fprintf(out, "sluice_policy_errors_total{name=\"%s\"} %" PRIu64 "\n", d->instance,
		d->policy_errors);
	family(out, "sluice_log_lines_dropped_total", "counter",
	       "Log lines dropped because standard error was not read fast enough.");
	fprintf(out, "sluice_log_lines_dropped_total{name=\"%s\"} %" PRIu64 "\n", d->instance,
		log_dropped());
}

static void number(FILE *out, const struct daemon *d, const char *name, const char *type,
		   double value, const char *help)
{
	family(out, name, type, help);
	fprintf(out, "%s{name=\"%s\"} %.15g\n", name, d->instance, value);
}

static void sessions(FILE *out, struct daemon *d, const struct counters *c)
{
	const struct session_limits *s = &d->policy.sessions;
	const struct sessions_view *v = &d->sessions;
	uint32_t percent;

	number(out, d, "sluice_sessions", "gauge", (double)kernel_sessions_live(d->kernel),
	       "Live sessions on the guarded ports.");
	number(out, d, "sluice_sessions_pending", "gauge", kernel_sessions_pending(d->kernel),
	       "Admitted attempts of the last ten seconds, and of those held, that are no sessions "
	       "yet.");
	number(out, d, "sluice_sessions_table_limit", "gauge", kernel_sessions_most(d->kernel),
	       "Live sessions that can be counted.");
	family(out, "sluice_sessions_limit", "gauge",
	       "Live sessions at which new ones are refused; 0: no limit.");
	fprintf(out, "sluice_sessions_limit{name=\"%s\",class=\"unknown\"} %u\n", d->instance,
		s->most_unknown);
	fprintf(out, "sluice_sessions_limit{name=\"%s\",class=\"known\"} %u\n", d->instance,
		s->most);
	number(out, d, "sluice_sessions_begun_total", "counter", (double)c->sessions_begun,
	       "Handshakes completed on the guarded ports: the sessions that began.");
	number(out, d, "sluice_sessions_ended_total", "counter", (double)c->sessions_ended,
	       "Sessions that were closed by the MTA, or reset by either side.");
	number(out, d, "sluice_sessions_healed_total", "counter", (double)v->healed,
	       "Counts of sessions that were put right by the kernel's own list of sockets.");
	number(out, d, "sluice_sources_holding", "gauge", v->holders,
	       "Sources that hold a session or owe slot time.");
	number(out, d, "sluice_sources_out_of_slot_time", "gauge", v->dry,
	       "Of these the ones that have used up their slot time.");
	number(out, d, "sluice_listeners", "gauge", v->listeners,
	       "Listening sockets on the guarded ports.");
	number(out, d, "sluice_accept_queue_waiting", "gauge", v->waiting,
	       "Connections in the fullest accept queue that the MTA has not taken yet.");
	number(out, d, "sluice_accept_queue_limit", "gauge", v->most,
	       "How many that queue has room for.");
	number(out, d, "sluice_established_total", "counter", (double)c->established,
	       "Admitted attempts whose handshake was completed.");
	number(out, d, "sluice_spoofed_flood", "gauge", controller_spoofed(d, &percent),
	       "1 while fewer than 20 % of the admitted attempts of ten seconds were completed.");
	histogram(out, d, "sluice_banner_seconds", c->banner, c->banner_ns,
		  "Time from the handshake to the first bytes that the MTA sent.");
}

static void known(FILE *out, const struct daemon *d)
{
	struct known_counts c;

	known_counts(d->known, &c);
	family(out, "sluice_known_sources", "gauge",
	       "Senders in the table of known ones, by what they are there.");
	for (int s = STANDING_CANDIDATE; s < STANDINGS; s++)
		fprintf(out, "sluice_known_sources{name=\"%s\",state=\"%s\"} %" PRIu64 "\n",
			d->instance, standing_name(s), c.now[s]);
	number(out, d, "sluice_known_sources_limit", "gauge", (double)c.most,
	       "How many the table has room for.");
	number(out, d, "sluice_known_promoted_total", "counter", (double)c.promoted,
	       "Candidates that became known.");
	number(out, d, "sluice_known_expired_total", "counter", (double)c.expired,
	       "Senders that were forgotten because they were silent for too long.");
	number(out, d, "sluice_known_evicted_total", "counter", (double)c.evicted,
	       "Candidates that made room for others.");
	number(out, d, "sluice_known_refused_total", "counter", (double)c.refused,
	       "Senders for whom the table had no room.");
	number(out, d, "sluice_known_kept", "gauge", !*known_problem(d->known),
	       "0 while something is wrong with the file of known senders.");
}

/* What this kernel does not let us see. */
static void watch(FILE *out, struct daemon *d)
{
	const struct kernel_watch *w = kernel_watch(d->kernel);
	const struct {
		const char *name;
		bool works;
	} part[] = {
		{"sessions", w->counting},
		{"accept_queue", !*w->listener},
		{"banner", w->counting && !*w->banner},
	};

	family(out, "sluice_watch", "gauge",
	       "1 where the kernel lets it be seen; 0: the gates that live on it have no opinion.");
	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++)
		fprintf(out, "sluice_watch{name=\"%s\",part=\"%s\"} %d\n", d->instance,
			part[i].name, part[i].works);
}

char *metrics_text(struct daemon *d)
{
	static struct counters c; /* only ever used under the lock */
	uint64_t now_ns = kernel_now_ns();
	char *text = NULL;
	size_t size = 0;
	uint32_t mode_now;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	pthread_mutex_lock(&d->lock);
	mode_now = now_ns < d->mode_override.until_ns ? d->mode_override.value : d->policy.mode;
	build(out, d);
	if (!kernel_counters(d->kernel, &c)) {
		judged(out, d, &c, mode_now);
		histogram(out, d, "sluice_hold_seconds", c.held, c.held_ns,
			  "How long SYNs were held, as told when they came.");
		frames(out, d, &c);
		sessions(out, d, &c);
	}
	holding(out, d);
	tiers(out, d, now_ns, mode_now);
	limits(out, d, now_ns);
	known(out, d);
	watch(out, d);
	house(out, d);
	pthread_mutex_unlock(&d->lock);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}
