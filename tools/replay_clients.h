/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay_clients.h - when a client that gets no answer sends its SYN again, and when it gives up.
 */
#ifndef REPLAY_CLIENTS_H
#define REPLAY_CLIENTS_H

#include <stdint.h>

#define CLIENT_SYNS_MAX 10

struct client_model {
	const char *name;
	const char *sentence;
	unsigned int syns;		 /* how often it sends the SYN, at most CLIENT_SYNS_MAX */
	uint32_t at_ms[CLIENT_SYNS_MAX]; /* after the first, rising; the first is 0 */
	uint32_t gives_up_ms;		 /* after the first; 0: it never waits for an answer */
};

/* The models in order; the first is the default. NULL behind the last. Static storage. */
const struct client_model *client_at(unsigned int index);

/* NULL when none is called so. */
const struct client_model *client_find(const char *name);

#endif
