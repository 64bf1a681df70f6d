/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netdev.h - what a network device says of itself: ethtool, and the kernel's netdev family.
 */
#ifndef NETDEV_H
#define NETDEV_H

#include <stdbool.h>
#include <stdint.h>

struct netdev {
	uint32_t ifindex;
	uint32_t mtu;
	char driver[32];
	bool flags_known;      /* the two behind it were to be had */
	bool strips_vlan;      /* hardware takes the tag off before XDP sees the frame */
	bool large_receive;    /* LRO: segments merged before XDP sees them */
	bool features_known;   /* Linux 6.3 and later tell */
	bool native;	       /* the driver runs XDP itself: PASS, DROP, TX */
	bool native_fragments; /* also on frames of several buffers: jumbo MTU */
};

/* Fills *n. Returns 0, or -ENODEV, or what the socket gave. What cannot be learnt stays unknown. */
int netdev_look(const char *name, struct netdev *n);

#endif
