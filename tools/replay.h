/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay.h - sluice replay: what was asked, and all that the report says of what came of it.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "replay_capture.h"
#include "replay_clients.h"
#include "replay_tally.h"

#define REPLAY_OVERRIDES_MAX 64
#define REPLAY_FOR_MAX_S     (24U * 3600)

/* What was asked on the command line. Strings are those of argv. */
struct replay_options {
	const char *capture; /* a file; NULL: a storm that is made up */
	const char *config;  /* NULL: the usual file where there is one, else the defaults */
	const char *overrides[REPLAY_OVERRIDES_MAX]; /* section.key=value */
	uint32_t override_count;
	struct rate burst;	   /* of the storm */
	uint32_t sources, subnets; /* subnets of 0: each source has one of its own */
	uint32_t for_s;
	uint64_t seed;
	const struct client_model *client;
	uint32_t tiers;	 /* TIER_ */
	const char *svg; /* a file to draw into, or NULL */
	bool json;
};

/*
 * Reads the arguments. Returns 0, or the exit status plus one where there is nothing to replay:
 * help was asked for and printed, or something was not understood and said.
 */
int replay_options_read(struct replay_options *o, int argc, char **argv);

/* What there is to report. Everything is the caller's. */
struct replay_report {
	const struct replay_options *options;
	const struct config *config;
	const char *config_name; /* of its file, or NULL: the defaults */
	const struct tally *tally;
	const struct counters *counters;
	const struct capture_summary *capture; /* NULL: a storm */
};

/* For an operator, on standard output. */
void replay_report_text(const struct replay_report *r);

/* For a program, on standard output: replay_json.c says what it looks like. Returns 0 or -ENOMEM. */
int replay_report_json(const struct replay_report *r);

/* The time line of the report, on standard output. */
void replay_chart(const struct tally *t);

/* The same as a picture. Returns 0, or -errno with a sentence said. */
int replay_svg(const struct replay_report *r, const char *path);

/* What was replayed, in words: a capture or a storm, and whose clients. */
void replay_subject(const struct replay_report *r, char *text, size_t size);

/* A place as an operator writes it: 192.0.2.0/24. */
void replay_prefix(const struct prefix_key *key, char *text, size_t size);

#endif
