// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sources: RFC 6298 (a first retransmit after 1 s, then doubling); Linux, tcp_syn_retries = 6 and,
 * since 6.5, tcp_syn_linear_timeouts = 4 (Documentation/networking/ip-sysctl.rst), seen on 6.18;
 * Windows before 8: TcpMaxConnectRetransmissions = 2 and an initial RTO of 3 s.
 */
#include "replay_clients.h"

#include <stddef.h>
#include <string.h>

static const struct client_model models[] = {
	{"linux",
	 "Linux 6.5 and later: SYNs at 0, 1, 2, 3, 4, 5, 7, 11, 19 and 35 s",
	 10,
	 {0, 1000, 2000, 3000, 4000, 5000, 7000, 11000, 19000, 35000},
	 67000},
	{"linux-old",
	 "Linux before 6.5, and most others: SYNs at 0, 1, 3, 7, 15 and 31 s",
	 6,
	 {0, 1000, 3000, 7000, 15000, 31000},
	 63000},
	{"windows", "old Windows: SYNs at 0, 3 and 9 s", 3, {0, 3000, 9000}, 21000},
	{"spoofed", "a forged address: one SYN, and never again", 1, {0}, 0},
};

const struct client_model *client_at(unsigned int index)
{
	return index < sizeof(models) / sizeof(models[0]) ? &models[index] : NULL;
}

const struct client_model *client_find(const char *name)
{
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
		if (!strcmp(models[i].name, name))
			return &models[i];
	return NULL;
}
