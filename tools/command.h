/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command.h - what sluice.c hands to a subcommand, one file each.
 *
 * A subcommand gets its own name in argv[0] and its arguments behind it; options are taken out
 * before. It returns the exit status of the program.
 */
#ifndef COMMAND_H
#define COMMAND_H

#include <stdbool.h>
#include <stdint.h>

enum exit_status {
	EXIT_DONE = 0,
	EXIT_FAILED = 1, /* why stands on standard error, one sentence */
	EXIT_USAGE = 2,
};

#define TIMEOUT_MAX_S 300 /* of --timeout */

struct options {
	const char *instance;
	bool json;	     /* print the daemon's answer as it is */
	uint32_t for_s;	     /* --for, in seconds; 0: not given */
	const char *exec;    /* --exec of hook, or NULL */
	uint32_t timeout_s;  /* --timeout of hook; 0: not given */
	bool follow;	     /* --follow of events */
	bool once;	     /* --once of top */
	bool save;	     /* --save of set */
	const char *comment; /* --comment of class add, or NULL */
	bool dns;	     /* --dns of class import */
	const char *address; /* --address of events, or NULL */
	const char *reason;  /* --reason of events, or NULL */
};

int command_status(const struct options *o, int argc, char **argv);
int command_events(const struct options *o, int argc, char **argv);
int command_explain(const struct options *o, int argc, char **argv);
int command_top(const struct options *o, int argc, char **argv);
int command_suggest(const struct options *o, int argc, char **argv);
int command_mode(const struct options *o, int argc, char **argv);
int command_tier(const struct options *o, int argc, char **argv);
int command_get(const struct options *o, int argc, char **argv);
int command_set(const struct options *o, int argc, char **argv);
int command_class(const struct options *o, int argc, char **argv);
int command_replay(const struct options *o, int argc, char **argv);
int command_known(const struct options *o, int argc, char **argv);
int command_doctor(const struct options *o, int argc, char **argv);
int command_hook(const struct options *o, int argc, char **argv);
int command_import(const struct options *o, int argc, char **argv);
int command_reload(const struct options *o, int argc, char **argv);
int command_detach(const struct options *o, int argc, char **argv);

#endif
