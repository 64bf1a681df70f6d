// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tier.c - sluice tier: forces exactly the named set of delay, queue and refuse, or none of them
 * (normal), whatever the load. auto hands it back to the controller.
 */
#include <string.h>

#include "command.h"
#include "override.h"
#include "text.h"

/* Names joined by commas, each once, in any order. */
static bool is_set(const char *text)
{
	static const char *const names[] = {"delay", "queue", "refuse"};
	unsigned seen = 0;
	size_t i, length;

	for (;; text += length + 1) {
		length = strcspn(text, ",");
		for (i = 0; i < 3; i++)
			if (strlen(names[i]) == length && !strncmp(text, names[i], length))
				break;
		if (i == 3 || seen & 1U << i)
			return false;
		seen |= 1U << i;
		if (!text[length])
			return true;
	}
}

int command_tier(const struct options *o, int argc, char **argv)
{
	const char *tier = argc > 1 ? argv[1] : NULL;
	char shown[128];

	if (tier && strcmp(tier, "auto") && strcmp(tier, "normal") && !is_set(tier)) {
		text_escape(shown, sizeof(shown), tier);
		text_complain("'%s' is no set of tiers: auto, normal, or some of "
			      "delay,queue,refuse joined by commas was expected",
			      shown);
		return EXIT_USAGE;
	}
	if (o->for_s && (!tier || !strcmp(tier, "auto"))) {
		text_complain("--for says how long a tier is forced: it needs normal or some of "
			      "delay,queue,refuse");
		return EXIT_USAGE;
	}
	return override_command(o, "tier", tier);
}
