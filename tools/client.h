/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client.h - asks sluiced over its control socket; control.h has the words of both sides.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include <jansson.h>

#include "command.h"

#define CLIENT_TIMEOUT_MS 5000 /* for all of it: connect, ask, and the whole answer */

/* One sentence for the operator, control characters escaped. */
struct client_error {
	char text[1024];
};

/*
 * Sends the request (and takes its reference) to the daemon of this instance. Returns 0 with
 * *answer an object whose "ok" is true, or with *err filled:
 *	-ESRCH		no such daemon runs
 *	-EACCES		the socket is not for this user
 *	-ETIMEDOUT	it did not answer in time
 *	-EREMOTEIO	it answered that it cannot, and why
 *	-EPROTO		what it answered is not understood
 *	other -errno	the socket failed
 */
int client_ask(const char *instance, json_t *request, json_t **answer, struct client_error *err);

/* The same, with the sentence written to standard error. */
int client_talk(const struct options *o, json_t *request, json_t **answer);

/*
 * Tells the daemon to do something: asks, and prints its message (or with --json the answer).
 * Takes the request's reference. Returns the exit status.
 */
int client_tell(const struct options *o, json_t *request);

/* Prints the answer as it came: the --json view. */
void client_print(const json_t *answer);

#endif
