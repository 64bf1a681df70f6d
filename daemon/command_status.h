/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * command_status.h - the answer to status, and the step that start and reload share.
 */
#ifndef COMMAND_STATUS_H
#define COMMAND_STATUS_H

#include <jansson.h>

#include "daemon.h"

/* Builds the answer. The caller holds the lock and owns the result; NULL: out of memory. */
json_t *command_status(struct daemon *d, const json_t *request, struct config_error *err);

#endif
