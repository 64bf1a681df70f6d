/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * played.h - the kernel that test_room.c plays behind netlink, for those who keep the room too.
 */
#ifndef PLAYED_H
#define PLAYED_H

#include <linux/pkt_sched.h>
#include <stdbool.h>
#include <stdint.h>

/* The played kernel: one device at most. */
struct played_kernel {
	/* What is there. */
	bool device, up, root, class, fifo;
	char kind[16], alias[64];
	uint8_t mac[6];
	struct tc_htb_opt htb;
	uint64_t rate64;
	uint32_t limit, waiting;
	/* What it answers to a change of that type, instead of doing it. */
	int no_link, no_qdisc, no_class, no_dump;
	/* What it was asked. */
	int changes;
};
extern struct played_kernel kernel;

#endif
