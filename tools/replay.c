// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * replay.c - sluice replay: a capture, or a storm that is made up, through the gate in virtual
 * time. Asks no daemon and needs no rights but to read the files that it is given.
 */
#include "replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "classes.h"
#include "command.h"
#include "policy.h"
#include "replay_sim.h"
#include "replay_storm.h"
#include "text.h"

/* Between two looks at the clock. */
#define PROGRESS_EVERY	 8192U
#define PROGRESS_AFTER_S 2.0
#define PROGRESS_STEP_S	 0.2

/* All that a replay holds while it runs. */
struct replay {
	struct replay_options options;
	struct config config;
	const char *config_name;
	struct policy policy;
	struct policy_tables sizes;
	struct class_list classes;
	struct replay_gate *gate;
	struct sim *sim;
	struct capture *capture;
	uint64_t tick_ns;
	double began_s, shown_s;
	uint32_t steps; /* since the last look at the clock */
	bool progress;	/* standard error is a terminal */
};

/* --- progress ---------------------------------------------------------------------------------- */

static double clock_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* How far it is, on anything that takes long. */
static void show_progress(struct replay *r, double share)
{
	double now_s;

	if (!r->progress || ++r->steps < PROGRESS_EVERY)
		return;
	r->steps = 0;
	now_s = clock_s();
	if (now_s - r->began_s < PROGRESS_AFTER_S || now_s - r->shown_s < PROGRESS_STEP_S)
		return;
	r->shown_s = now_s;
	fprintf(stderr, "\rreplay: %3.0f %%, %llu attempts ", share * 100,
		(unsigned long long)sim_tally(r->sim)->attempts);
	fflush(stderr);
}

static void end_progress(const struct replay *r)
{
	if (r->shown_s > 0)
		fputs("\r\033[K", stderr);
}

/* --- setting up -------------------------------------------------------------------------------- */

/* The limits are of this config; the interface does not matter here, but none would be an error. */
static int read_config(struct replay *r)
{
	const struct replay_options *o = &r->options;
	const char *overrides[REPLAY_OVERRIDES_MAX] = {"gate.interface=lo"};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct config_facts facts = {.cpus = cpus > 0 ? (uint32_t)cpus : 1};
	struct config_error err;
	struct timespec tick;

	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	facts.tick_ns = r->tick_ns = (uint64_t)tick.tv_nsec;
	memcpy(overrides + 1, o->overrides, o->override_count * sizeof(*overrides));
	r->config_name = o->config;
	if (!r->config_name && !access(CONFIG_DEFAULT_FILE, F_OK))
		r->config_name = CONFIG_DEFAULT_FILE;
	if (config_load(r->config_name, overrides, o->override_count + 1, &facts, &r->config,
			&err) ||
	    classes_load(&r->config, &r->classes, &err)) {
		text_complain("%s", err.text);
		return -EINVAL;
	}
	if (policy_make(&r->config, 1, &r->policy)) {
		text_complain("a rate times its bursts is more than a bucket can hold");
		return -ERANGE;
	}
	policy_tables(&r->config, &r->sizes);
	return 0;
}

static int open_all(struct replay *r)
{
	struct sim_setup setup = {.client = r->options.client};
	struct capture_error err;
	int bad = read_config(r);

	if (bad)
		return bad;
	if (r->options.capture && capture_open(r->options.capture, &r->capture, &err)) {
		text_complain("%s", err.text);
		return -EINVAL;
	}
	bad = replay_gate_open(&r->policy, &r->sizes, r->options.tiers, &r->classes, &r->gate);
	setup.gate = r->gate;
	setup.tick_ns = r->tick_ns;
	setup.copies = r->capture != NULL;
	bad = bad ? bad : sim_open(&setup, &r->sim);
	if (bad)
		text_complain("there is not enough memory for tables of this size");
	return bad;
}

static void close_all(struct replay *r)
{
	capture_close(r->capture);
	sim_close(r->sim);
	replay_gate_close(r->gate);
	classes_free(&r->classes);
}

/* --- running ----------------------------------------------------------------------------------- */

static int failed(int err)
{
	if (err == -ENOSPC)
		text_complain("more than %u attempts wait at a time, which is the most that a "
			      "replay holds: try a shorter stretch, or clients that wait less",
			      SIM_WAITING_MAX);
	else
		text_complain("there is not enough memory to go on");
	return err;
}

static int run_storm(struct replay *r)
{
	const struct replay_options *o = &r->options;
	struct storm storm = {
		.interval_ns = (double)o->burst.period_ns / (double)o->burst.count,
		.sources = o->sources,
		.subnets = o->subnets,
		.for_ns = o->for_s * NSEC_PER_SEC,
		.random = o->seed,
		.port = r->config.port_host[0],
	};
	struct attempt a;
	uint64_t at_ns;
	int err;

	while (storm_next(&storm, &at_ns, &a)) { /* at most STORM_ATTEMPTS_MAX, about */
		err = sim_syn(r->sim, at_ns, &a);
		if (err)
			return failed(err);
		show_progress(r, (double)at_ns / (double)storm.for_ns);
	}
	return 0;
}

static int run_capture(struct replay *r)
{
	struct capture_error why;
	struct attempt a;
	uint64_t at_ns;
	int more, err;

	while ((more = capture_next(r->capture, &r->policy, &at_ns, &a, &why)) > 0) {
		err = sim_syn(r->sim, at_ns, &a);
		if (err)
			return failed(err);
		show_progress(r, capture_done(r->capture));
	}
	if (more)
		text_complain("%s", why.text);
	return more;
}

/* Those who still wait, each for a minute or so. */
static int drain(struct replay *r)
{
	int more;

	while ((more = sim_drain(r->sim, PROGRESS_EVERY)) > 0) {
		r->steps = PROGRESS_EVERY;
		show_progress(r, 1);
	}
	return more ? failed(more) : 0;
}

/* The figures, and the sentence for what was not whole. Returns the exit status. */
static int report(const struct replay *r)
{
	const struct replay_report report = {
		.options = &r->options,
		.config = &r->config,
		.config_name = r->config_name,
		.tally = sim_tally(r->sim),
		.counters = replay_gate_counters(r->gate),
		.capture = r->capture ? capture_summary(r->capture) : NULL,
	};
	int status = EXIT_DONE;

	if (!r->options.json)
		replay_report_text(&report);
	else if (replay_report_json(&report)) {
		text_complain("there is not enough memory for the report");
		status = EXIT_FAILED;
	}
	if (r->options.svg && replay_svg(&report, r->options.svg))
		status = EXIT_FAILED;
	if (report.capture && report.capture->damaged) {
		fflush(stdout);
		text_complain("%s", report.capture->damage);
		status = EXIT_FAILED;
	}
	return status;
}

int command_replay(const struct options *o, int argc, char **argv)
{
	struct replay *r = calloc(1, sizeof(*r));
	int status = EXIT_FAILED, err;

	if (!r) {
		text_complain("there is not enough memory");
		return EXIT_FAILED;
	}
	r->options.json = o->json;
	r->options.for_s = o->for_s;
	err = replay_options_read(&r->options, argc, argv);
	if (err) {
		free(r);
		return err - 1;
	}
	r->progress = isatty(STDERR_FILENO);
	if (!open_all(r)) {
		r->began_s = clock_s();
		err = r->capture ? run_capture(r) : run_storm(r);
		err = err ? err : drain(r);
		end_progress(r);
		if (!err)
			status = report(r);
	}
	close_all(r);
	free(r);
	return status;
}
