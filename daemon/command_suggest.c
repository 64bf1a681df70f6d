// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * command_suggest.c - limits from what was seen in the last 31 days.
 */
#include <errno.h>
#include <string.h>

#include "command.h"
#include "log.h"
#include "suggest_json.h"

json_t *command_suggest(struct daemon *d, const json_t *request, struct config_error *err)
{
	static struct suggestions s; /* the main thread's alone */
	int bad = d->past ? suggest_make(d->past, d->facts.cpus, &s) : -ENODATA;

	(void)request;
	if (!bad)
		return suggest_json(&s, "daemon");
	if (bad == -ENODATA)
		fail(err, bad, SUGGEST_TOO_FEW, s.minutes, SUGGEST_LEAST_MINUTES);
	else
		fail(err, bad, "no proposal can be made: %s", strerror(-bad));
	return NULL;
}
