// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mode.c - sluice mode: whether the gate acts on its verdicts (enforce), only counts them
 * (monitor), or does not judge at all (off). config hands it back to the configuration.
 */
#include <string.h>

#include "command.h"
#include "override.h"
#include "text.h"

static bool is_mode(const char *word)
{
	return !strcmp(word, "monitor") || !strcmp(word, "enforce") || !strcmp(word, "off") ||
	       !strcmp(word, "config");
}

int command_mode(const struct options *o, int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : NULL;
	char shown[128];

	if (mode && !is_mode(mode)) {
		text_escape(shown, sizeof(shown), mode);
		text_complain("'%s' is no mode: monitor, enforce, off or config was expected",
			      shown);
		return EXIT_USAGE;
	}
	if (o->for_s && (!mode || !strcmp(mode, "config"))) {
		text_complain("--for says how long a mode is set by hand: it needs one of monitor, "
			      "enforce, off");
		return EXIT_USAGE;
	}
	return override_command(o, "mode", mode);
}
