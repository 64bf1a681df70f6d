/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * explain.h - what is foreseen of a source, as an answer of the control protocol (control.h): by
 * the daemon, or by the command line from the pinned maps.
 */
#ifndef EXPLAIN_H
#define EXPLAIN_H

#include <jansson.h>

#include "look.h"

#define EXPLAIN_SHAPE 1

/*
 * Reads one address as the source of an attempt that there is not. Returns 0, or -EINVAL with a
 * sentence.
 */
int explain_parse(const char *text, struct attempt *a, struct config_error *err);

/* To the first guarded port and address of the policy. Returns whether there is such an address. */
bool explain_destination(const struct policy *p, struct attempt *a);

/*
 * The answer, but for what no map has: "known", "recent", "attempts", and where the class is
 * listed. lives: a daemon runs and will renew the lease. NULL: no memory.
 */
json_t *explain_json(const struct look *l, const struct attempt *a, bool lives);

/* What a retransmit of a remembered attempt would meet now: {"verdict": ..., "reason": ...}. */
json_t *explain_again(const struct look *l, const struct attempt *a,
		      const struct look_attempt *seen);

/* "192.0.2.0/24" of a key, whose bits are of 128. */
void explain_prefix(const struct prefix_key *key, uint32_t family, char *text, size_t size);

#endif
