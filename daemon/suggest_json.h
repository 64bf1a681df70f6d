/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SUGGEST_JSON_H
#define SUGGEST_JSON_H

#include <jansson.h>

#include "suggest.h"

/* The answer that control.h describes, the caller's. from: daemon or file. NULL: no memory. */
json_t *suggest_json(const struct suggestions *s, const char *from);

/* Why there is none. */
#define SUGGEST_TOO_FEW \
	"only %u minutes were seen so far, and a proposal needs %u; a week says more"

#endif
