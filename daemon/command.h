/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command.h - the commands of the control socket, one function each. command.c dispatches.
 *
 * Each returns an answer that the caller owns, or NULL with *err filled (an empty sentence: out of
 * memory).
 */
#ifndef COMMAND_H
#define COMMAND_H

#include <jansson.h>

#include "daemon.h"

/* {"ok": true, "message": sentence} */
json_t *answer_ok(const char *sentence);

/*
 * The end that a request asks for with for_s, of CLOCK_MONOTONIC; NEVER_NS: none. Returns 0, or
 * -EINVAL with a sentence.
 */
int command_until(const json_t *request, __u64 *until_ns, struct config_error *err);

/* The caller holds the lock. */
json_t *command_status(struct daemon *d, const json_t *request, struct config_error *err);
json_t *command_get(struct daemon *d, const json_t *request, struct config_error *err);
json_t *command_class_list(struct daemon *d, const json_t *request, struct config_error *err);
json_t *command_sources(struct daemon *d, const json_t *request, struct config_error *err);

/*
 * All that begin with "known-"; and the part of a status answer that is about known senders. The
 * main thread's, without the lock.
 */
json_t *command_known(struct daemon *d, const char *name, const json_t *request,
		      struct config_error *err);
json_t *command_known_status(const struct daemon *d);

/* What was seen lately. The main thread's, without the lock. */
json_t *command_events(struct daemon *d, const json_t *request, struct config_error *err);
json_t *command_explain(struct daemon *d, const json_t *request, struct config_error *err);
json_t *command_suggest(struct daemon *d, const json_t *request, struct config_error *err);
json_t *command_top(struct daemon *d, const json_t *request, struct config_error *err);

/* These read files first, and take the lock when they need it. */
json_t *command_set(struct daemon *d, const json_t *request, struct config_error *err);
json_t *command_class_add(struct daemon *d, const json_t *request, struct config_error *err);
json_t *command_class_del(struct daemon *d, const json_t *request, struct config_error *err);

/* Reads the class files of a config that is checked, and puts both in force. */
int command_config_in_force(struct daemon *d, const struct config *c, struct config_error *err);
json_t *command_class_load(struct daemon *d, const json_t *request, struct config_error *err);

#endif
