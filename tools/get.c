// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * get.c - sluice get: the keys of the configuration as they are in force, in the form of the
 * config file; of one key also what it does and what its default is.
 */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "command.h"
#include "text.h"

static const char *string_of(const json_t *key, const char *name)
{
	const char *text = json_string_value(json_object_get(key, name));

	return text ? text : "";
}

static void print_origin(const json_t *key, const char *points)
{
	const json_t *until = json_object_get(key, "until_s");
	char moment[96] = "the next start";

	if (json_is_number(until))
		text_moment(moment, sizeof(moment), json_number_value(until));
	printf("# %sset by hand, until %s\n", points, moment);
}

/* A default is shown as a comment: what the file would say if it said anything. */
static void print_keys(const json_t *keys)
{
	const char *section = "";
	const json_t *key;
	size_t i;

	json_array_foreach (keys, i, key) {
		if (strcmp(section, string_of(key, "section"))) {
			printf("%s[%s]\n", *section ? "\n" : "", string_of(key, "section"));
			section = string_of(key, "section");
		}
		printf("%s%s=%s\n", json_is_true(json_object_get(key, "given")) ? "" : "# ",
		       string_of(key, "key"), string_of(key, "value"));
		if (json_is_true(json_object_get(key, "set")))
			print_origin(key, "^ ");
	}
}

static void print_key(const json_t *key)
{
	bool set = json_is_true(json_object_get(key, "set"));

	printf("%s=%s\n# [%s] %s\n# default: %s\n", string_of(key, "key"), string_of(key, "value"),
	       string_of(key, "section"), string_of(key, "help"),
	       *string_of(key, "default") ? string_of(key, "default") : "none");
	if (set)
		print_origin(key, "");
}

int command_get(const struct options *o, int argc, char **argv)
{
	json_t *request, *answer, *shown;

	request = argc > 1 ? json_pack("{s:s, s:s}", "command", "get", "key", argv[1])
			   : json_pack("{s:s}", "command", "get");
	if (client_talk(o, request, &answer))
		return EXIT_FAILED;
	shown = o->json ? json_incref(answer) : text_escaped(json_object_get(answer, "keys"));
	if (o->json)
		client_print(answer);
	else if (argc > 1)
		print_key(json_array_get(shown, 0));
	else
		print_keys(shown);
	json_decref(shown);
	json_decref(answer);
	return EXIT_DONE;
}
