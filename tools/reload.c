// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * reload.c - sluice reload: the daemon reads its configuration anew and applies all of it, or
 * keeps what it has and says why.
 */
#include "client.h"
#include "command.h"

int command_reload(const struct options *o, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return client_tell(o, json_pack("{s:s}", "command", "reload"));
}
