// SPDX-License-Identifier: GPL-2.0-or-later
#include "override.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "text.h"

int override_origin(const json_t *setting, const char *automatic, char *out, size_t size)
{
	const json_t *manual = json_object_get(setting, "manual");
	const json_t *until = json_object_get(setting, "until_s");
	char moment[96];

	if (!json_is_boolean(manual) || !(json_is_number(until) || json_is_null(until)))
		return -EPROTO;
	if (json_is_false(manual)) {
		snprintf(out, size, "%s", automatic);
	} else if (json_is_null(until)) {
		snprintf(out, size, "by hand until released");
	} else {
		text_moment(moment, sizeof(moment), json_number_value(until));
		snprintf(out, size, "by hand until %s", moment);
	}
	return 0;
}

/* "delay,queue" as it would be typed, or "normal". */
static int show_tier(const json_t *tier, const char *origin)
{
	const json_t *active = json_object_get(tier, "active"), *member;
	const char *reason = json_string_value(json_object_get(tier, "reason"));
	size_t i;

	if (!json_is_array(active) || !reason)
		return -EPROTO;
	printf("tier %s", json_array_size(active) ? "" : "normal");
	json_array_foreach (active, i, member)
		printf("%s%s", i ? "," : "", json_string_value(member) ?: "?");
	printf(", %s: %s\n", origin, reason);
	return 0;
}

static int show_mode(const json_t *mode, const char *origin)
{
	const char *name = json_string_value(json_object_get(mode, "name"));

	if (!name)
		return -EPROTO;
	printf("mode %s, %s\n", name, origin);
	return 0;
}

static int show(const json_t *answer, const char *what)
{
	bool tier = !strcmp(what, "tier");
	json_t *clean = text_escaped(json_object_get(answer, what));
	char origin[160];
	int err = override_origin(clean, tier ? "by the load" : "by the configuration", origin,
				  sizeof(origin));

	if (!err)
		err = tier ? show_tier(clean, origin) : show_mode(clean, origin);
	json_decref(clean);
	if (err)
		text_complain("the status of the daemon does not say which %s is in force", what);
	return err;
}

int override_command(const struct options *o, const char *what, const char *value)
{
	json_t *answer, *request;
	int err;

	if (value) {
		request = json_pack("{s:s, s:s}", "command", what, what, value);
		if (o->for_s)
			json_object_set_new(request, "for_s", json_integer(o->for_s));
		if (client_talk(o, request, &answer))
			return EXIT_FAILED;
		if (o->json)
			client_print(answer);
		json_decref(answer);
		if (o->json)
			return EXIT_DONE;
	}
	if (client_talk(o, json_pack("{s:s}", "command", "status"), &answer))
		return EXIT_FAILED;
	if (o->json) {
		client_print(json_object_get(answer, what));
		err = 0;
	} else {
		err = show(answer, what);
	}
	json_decref(answer);
	return err ? EXIT_FAILED : EXIT_DONE;
}
