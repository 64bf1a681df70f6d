// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * reload.c - sluice reload: the daemon reads its configuration anew and applies all of it, or
 * keeps what it has and says why.
 */
#include <stdio.h>

#include "client.h"
#include "command.h"
#include "text.h"

int command_reload(const struct options *o, int argc, char **argv)
{
	const char *message;
	json_t *answer;
	char shown[1024];

	(void)argc;
	(void)argv;
	if (client_talk(o, json_pack("{s:s}", "command", "reload"), &answer))
		return EXIT_FAILED;
	message = json_string_value(json_object_get(answer, "message"));
	if (o->json) {
		client_print(answer);
	} else {
		text_escape(shown, sizeof(shown),
			    message ? message : "the configuration was read anew and is in force");
		puts(shown);
	}
	json_decref(answer);
	return EXIT_DONE;
}
