// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * set.c - sluice set: changes keys of the running configuration, checked as the config file is,
 * all of them or none. They hold until the daemon is started again, or for a time; or they are
 * saved beside the config file, where the next start reads them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "command.h"
#include "save.h"
#include "text.h"

static json_t *read_settings(int argc, char **argv)
{
	json_t *settings = json_array();

	if (argc < 2)
		text_complain(
			"KEY=VALUE was expected, such as connection-rate=20/s (see sluice get)");
	for (int i = 1; i < argc; i++) {
		char shown[256];

		if (strchr(argv[i], '=') && !json_array_append_new(settings, json_string(argv[i])))
			continue;
		text_escape(shown, sizeof(shown), argv[i]);
		text_complain("'%s': KEY=VALUE was expected, such as connection-rate=20/s", shown);
		argc = 0;
	}
	if (argc >= 2)
		return settings;
	json_decref(settings);
	return NULL;
}

/* The daemon has accepted the values: it has no right to write where its config is. */
static int save(const struct options *o, const json_t *answer)
{
	const char *file = json_string_value(json_object_get(answer, "file"));
	char path[SAVE_PATH_MAX] = "", shown[SAVE_PATH_MAX];
	int bad = file ? save_settings(file, json_object_get(answer, "set"), path) : -ENOENT;

	text_escape(shown, sizeof(shown), path);
	if (bad)
		text_complain("in force, but not saved: %s: %s", *path ? shown : "the config file",
			      bad == -EBADMSG ? "it is not as 'sluice set' has written it"
					      : strerror(-bad));
	else if (o->json)
		client_print(answer);
	else
		printf("in force, and saved in %s\n", shown);
	return bad ? EXIT_FAILED : EXIT_DONE;
}

int command_set(const struct options *o, int argc, char **argv)
{
	json_t *settings, *request, *answer;
	int status;

	if (o->save && o->for_s) {
		text_complain("--save or --for: what ends by itself is not saved");
		return EXIT_USAGE;
	}
	if (o->save && geteuid()) {
		text_complain("only root can save beside the config file: run this as root, or "
			      "without --save");
		return EXIT_FAILED;
	}
	settings = read_settings(argc, argv);
	if (!settings)
		return EXIT_USAGE;
	request = json_pack("{s:s, s:o, s:b}", "command", "set", "settings", settings, "save",
			    (int)o->save);
	if (o->for_s)
		json_object_set_new(request, "for_s", json_integer(o->for_s));
	if (!o->save)
		return client_tell(o, request);
	if (client_talk(o, request, &answer))
		return EXIT_FAILED;
	status = save(o, answer);
	json_decref(answer);
	return status;
}
