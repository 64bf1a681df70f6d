// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * set.c - sluice set: changes keys of the running configuration, checked as the config file is,
 * all of them or none. They hold until the daemon is started again.
 */
#include <string.h>

#include "client.h"
#include "command.h"
#include "text.h"

int command_set(const struct options *o, int argc, char **argv)
{
	json_t *settings = json_array();

	if (argc < 2) {
		text_complain(
			"KEY=VALUE was expected, such as connection-rate=20/s (see sluice get)");
		json_decref(settings);
		return EXIT_USAGE;
	}
	for (int i = 1; i < argc; i++) {
		if (!strchr(argv[i], '=') ||
		    json_array_append_new(settings, json_string(argv[i]))) {
			char shown[256];

			text_escape(shown, sizeof(shown), argv[i]);
			text_complain("'%s': KEY=VALUE was expected, such as connection-rate=20/s",
				      shown);
			json_decref(settings);
			return EXIT_USAGE;
		}
	}
	return client_tell(o, json_pack("{s:s, s:o}", "command", "set", "settings", settings));
}
