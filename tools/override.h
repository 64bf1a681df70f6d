/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * override.h - what `mode` and `tier` have in common: a manual setting that wins over the
 * configuration or the controller, until it is released or its --for ends.
 */
#ifndef OVERRIDE_H
#define OVERRIDE_H

#include <jansson.h>
#include <stddef.h>

#include "command.h"

/* Asks for {"command": what, what: value} unless value is NULL; then prints what is in force. */
int override_command(const struct options *o, const char *what, const char *value);

/*
 * "by hand until 14:32:10 (in 9 min 30 s)", "by hand until released", or automatic, of a "mode" or
 * "tier" object. Returns 0, or -EPROTO when it does not say.
 */
int override_origin(const json_t *setting, const char *automatic, char *out, size_t size);

#endif
