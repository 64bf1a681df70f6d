// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * class.c - sluice class: the lists of prefixes, as they are in force.
 *
 *	class list [CLASS]	 prints them, a prefix and its class a line
 *	class add CLASS PREFIX...	 puts prefixes into a class by hand
 *	class del PREFIX...	 takes such out again
 *	class import CLASS FILE [--dns]	 the same with the prefixes of a file, one a line
 *	class load		 reads the files of the configuration again, as one set
 *	class load CLASS FILE	 takes this file for the class until the daemon is started again
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "class.h"
#include "client.h"
#include "command.h"
#include "text.h"

/* What was added by hand is marked as a comment, so that a file of it can be read again. */
static void print_prefix(const json_t *one)
{
	const char *comment = json_string_value(json_object_get(one, "comment"));
	const json_t *until = json_object_get(one, "until_s");
	char moment[96], shown[256];

	printf("%s %s", json_string_value(json_object_get(one, "prefix")),
	       json_string_value(json_object_get(one, "class")));
	if (json_is_true(json_object_get(one, "added")))
		printf(" # by hand");
	if (json_is_number(until)) {
		text_moment(moment, sizeof(moment), json_number_value(until));
		printf(" until %s", moment);
	}
	if (comment) {
		text_escape(shown, sizeof(shown), comment);
		printf(": %s", shown);
	}
	putchar('\n');
}

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
			print_prefix(one);
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

static json_t *prefixes_of(int count, char **text)
{
	json_t *prefixes = json_array();

	for (int i = 0; i < count; i++)
		json_array_append_new(prefixes, json_string(text[i]));
	return prefixes;
}

int class_add(const struct options *o, const char *class, const char *name, json_t *what)
{
	json_t *request =
		json_pack("{s:s, s:s, s:o}", "command", "class-add", "class", class, name, what);

	if (!request) {
		text_complain("prefixes in plain text were expected");
		return EXIT_USAGE;
	}
	if (o->for_s)
		json_object_set_new(request, "for_s", json_integer(o->for_s));
	if (o->comment && json_object_set_new(request, "comment", json_string(o->comment))) {
		text_complain("the comment is no UTF-8 text");
		json_decref(request);
		return EXIT_USAGE;
	}
	return client_tell(o, request);
}

/* An option that a verb would not heed is not taken: who gives an end relies on it. */
static int misused_options(const struct options *o, const char *verb)
{
	bool import = !strcmp(verb, "import"), adds = import || !strcmp(verb, "add");

	if ((o->for_s || o->comment) && !adds)
		text_complain("--for and --comment are for class add and class import alone");
	else if (o->dns && !import)
		text_complain("--dns is for class import alone");
	else
		return EXIT_DONE;
	return EXIT_USAGE;
}

int command_class(const struct options *o, int argc, char **argv)
{
	if (argc > 1 && misused_options(o, argv[1]))
		return EXIT_USAGE;
	if (argc > 1 && !strcmp(argv[1], "list") && argc <= 3)
		return list(o, argc > 2 ? argv[2] : NULL);
	if (argc > 1 && !strcmp(argv[1], "load") && (argc == 2 || argc == 4))
		return load(o, argc > 2 ? argv[2] : NULL, argc > 2 ? argv[3] : NULL);
	if (argc > 3 && !strcmp(argv[1], "add"))
		return class_add(o, argv[2], "prefixes", prefixes_of(argc - 3, argv + 3));
	if (argc == 4 && !strcmp(argv[1], "import"))
		return class_import(o, argv[2], argv[3]);
	if (argc == 3 && !strcmp(argv[1], "del") && !strcmp(argv[2], "all"))
		return client_tell(o, json_pack("{s:s, s:b}", "command", "class-del", "all", 1));
	if (argc > 2 && !strcmp(argv[1], "del"))
		return client_tell(o, json_pack("{s:s, s:o}", "command", "class-del", "prefixes",
						prefixes_of(argc - 2, argv + 2)));
	text_complain("class list [CLASS], class add CLASS PREFIX..., "
		      "class del PREFIX...|all, "
		      "class import CLASS FILE, class load, or class load CLASS FILE was expected");
	return EXIT_USAGE;
}
