// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * class.c - sluice class: the lists of prefixes, as they are in force.
 *
 *	class list [CLASS]	 prints them, a prefix and its class a line
 *	class load		 reads the files of the configuration again, as one set
 *	class load CLASS FILE	 takes this file for the class until the daemon is started again
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "command.h"
#include "text.h"

/* Prints one page. Returns the offset of the next, 0 behind the last, or -1. */
static json_int_t print_page(const struct options *o, const char *class, json_int_t offset)
{
	json_t *request = json_pack("{s:s, s:I}", "command", "class-list", "offset", offset);
	const json_t *prefixes, *one;
	json_t *answer;
	json_int_t next;
	size_t i;

	if (class)
		json_object_set_new(request, "class", json_string(class));
	if (client_talk(o, request, &answer))
		return -1;
	prefixes = json_object_get(answer, "prefixes");
	if (o->json)
		client_print(answer);
	else
		json_array_foreach (prefixes, i, one)
			printf("%s %s\n", json_string_value(json_object_get(one, "prefix")),
			       json_string_value(json_object_get(one, "class")));
	next = json_integer_value(json_object_get(answer, "next"));
	json_decref(answer);
	return next;
}

static int list(const struct options *o, const char *class)
{
	json_int_t offset = 0;

	do {
		offset = print_page(o, class, offset);
	} while (offset > 0);
	return offset ? EXIT_FAILED : EXIT_DONE;
}

/* The daemon has another working directory: it is given the whole path. */
static int load(const struct options *o, const char *class, const char *file)
{
	char whole[PATH_MAX];

	if (!class)
		return client_tell(o, json_pack("{s:s}", "command", "class-load"));
	if (!realpath(file, whole)) {
		char shown[256];

		text_escape(shown, sizeof(shown), file);
		text_complain("%s cannot be found: %s", shown, strerror(errno));
		return EXIT_FAILED;
	}
	return client_tell(o, json_pack("{s:s, s:s, s:s}", "command", "class-load", "class", class,
					"file", whole));
}

int command_class(const struct options *o, int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "list") && argc <= 3)
		return list(o, argc > 2 ? argv[2] : NULL);
	if (argc > 1 && !strcmp(argv[1], "load") && (argc == 2 || argc == 4))
		return load(o, argc > 2 ? argv[2] : NULL, argc > 2 ? argv[3] : NULL);
	text_complain("class list [CLASS], class load, or class load CLASS FILE was expected");
	return EXIT_USAGE;
}
