// SPDX-License-Identifier: GPL-2.0-or-later
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "explain.h"
#include "foresee.h"
#include "log.h"
#include "look.h"
#include "names.h"
#include "pinned.h"
#include "pins.h"
#include "top.h"

#define BETWEEN_S 1

/* What all CPUs have counted so far. */
struct sums {
	uint64_t attempts;
	uint64_t verdict[VERDICTS];
};

static void add_cell(struct sums *s, const struct counters *c, int verdict, int reason)
{
	uint64_t n = 0;

	for (int m = 0; m < MODES; m++)
		for (int f = 0; f < FAMILIES; f++)
			for (int k = 0; k < CLASSES; k++)
				n += c->judged[m][f][k][verdict][reason];
	s->verdict[verdict] += n;
	if (reason != REASON_RETRANSMIT && reason != REASON_REPLAY && reason != REASON_WAITING)
		s->attempts += n;
}

static void add_cpu(struct sums *s, const struct counters *c)
{
	for (int v = 0; v < VERDICTS; v++)
		for (int r = 0; r < REASONS; r++)
			add_cell(s, c, v, r);
	for (int f = 0; f < FAMILIES; f++)
		for (int v = 0; v < VERDICTS; v++)
			s->attempts -= c->again[f][v];
}

static int read_sums(struct pinned *p, struct sums *s, struct config_error *err)
{
	int cpus = libbpf_num_possible_cpus(), fd = pinned_map(p, "counters"), bad;
	struct bpf_map_info info = {};
	__u32 length = sizeof(info), zero = 0;
	struct counters *c;

	*s = (struct sums){};
	if (fd < 0 || cpus < 1)
		return fail(err, -ENOENT, "the map counters cannot be read");
	if (bpf_obj_get_info_by_fd(fd, &info, &length) || info.value_size != sizeof(*c))
		return fail(err, -EPROTO, "the map counters is of another version");
	c = calloc((size_t)cpus, sizeof(*c));
	bad = c ? bpf_map_lookup_elem(fd, &zero, c) : -ENOMEM;
	for (int i = 0; i < cpus && !bad; i++)
		add_cpu(s, &c[i]);
	free(c);
	return bad ? fail(err, bad, "the map counters cannot be read: %s", strerror(-bad)) : 0;
}

/* Those that the load had set until the lease ends, or that were set by hand until their end. */
static json_t *tiers_json(uint32_t tiers)
{
	static const struct {
		uint32_t tier;
		const char *name;
	} rows[] = {{TIER_DELAY, "delay"}, {TIER_QUEUE, "queue"}, {TIER_REFUSE, "refuse"}};
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (tiers & rows[i].tier)
			json_array_append_new(list, json_string(rows[i].name));
	return list;
}

static json_t *line_json(const struct sums *now, const struct sums *before,
			 const struct foresee_state *s, int64_t live)
{
	json_t *one = json_pack(
		"{s:f, s:f, s:I, s:n, s:I, s:o, s:s}", "ago_s", 0.0, "took_s", (double)BETWEEN_S,
		"attempts", (json_int_t)(now->attempts - before->attempts), "load", "sessions",
		(json_int_t)live, "tiers", tiers_json(s->tiers), "mode", name_mode(s->mode));

	for (int v = 0; v < VERDICTS; v++)
		json_object_set_new(
			one, name_verdict(v),
			json_integer((json_int_t)(now->verdict[v] - before->verdict[v])));
	return json_pack("[o]", one);
}

static json_t *missing_json(const char *instance, uint32_t tiers)
{
	struct pins p;

	if (pins_look(instance, &p))
		p = (struct pins){};
	return json_pack(
		"[s, s, s]", "No sluiced runs: this is read from its pinned maps.",
		!p.links ? "No filter is on an interface that exists."
		: tiers	 ? "The filter is attached, with its static limits; its tiers have not "
			   "lapsed yet."
			 : "The filter is attached, with its static limits.",
		"Not known: who attempts, the load, and what was before.");
}

static json_t *answer_of(const char *instance, const struct look *l, const struct attempt *a,
			 const struct sums *now, const struct sums *before)
{
	struct foresee_state s;
	json_t *answer;

	foresee_state(l, a, &s);
	answer = json_pack("{s:b, s:i, s:s, s:s, s:s, s:I, s:s, s:o, s:n, s:n, s:[], s:[], s:[]}",
			   "ok", 1, "shape", TOP_SHAPE, "from", "pins", "version", SLUICE_VERSION,
			   "instance", instance, "time_ms", (json_int_t)time(NULL) * 1000, "mode",
			   name_mode(s.mode), "tiers", tiers_json(s.tiers), "load", "storm", "wide",
			   "subnets", "sources");
	json_object_set_new(answer, "sessions",
			    json_pack("{s:I, s:i, s:i}", "live", (json_int_t)l->live.sessions,
				      "most", (int)l->policy.sessions.most, "pending",
				      (int)s.pending));
	json_object_set_new(
		answer, "bucket",
		json_pack("{s:f, s:f, s:f}", "per_s",
			  l->policy.global.t_ns ? 1e9 / (double)l->policy.global.t_ns : 0.0,
			  "debt_ms", (double)s.bucket[FORESEE_GLOBAL].debt_ns / NSEC_PER_MSEC,
			  "burst_ms", (double)l->policy.global.tau1_ns / NSEC_PER_MSEC));
	json_object_set_new(answer, "line", line_json(now, before, &s, l->live.sessions));
	json_object_set_new(answer, "missing", missing_json(instance, s.tiers));
	return answer;
}

json_t *top_pins(const char *instance, struct config_error *err)
{
	struct pinned pinned = {.instance = instance};
	const struct timespec between = {.tv_sec = BETWEEN_S};
	struct sums before, now;
	static struct look l;
	struct attempt any;
	json_t *answer = NULL;

	explain_parse("192.0.2.1", &any, err);
	if (!read_sums(&pinned, &before, err)) {
		nanosleep(&between, NULL);
		if (!read_sums(&pinned, &now, err) &&
		    !look_source(pinned_map, &pinned, &any, &l, err))
			answer = answer_of(instance, &l, &any, &now, &before);
	}
	pinned_close(&pinned);
	return answer;
}
