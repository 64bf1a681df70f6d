// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kernel_vlan.c - where an answer would leave without the VLAN tag that its SYN came with.
 *
 * Hardware may take the tag off before native XDP sees the frame, and an RST that the program sends
 * back would go out untagged, into another VLAN. That an interface can do so is no sign of tags:
 * nearly all can. So it has to have VLANs, too: a VLAN device on it or on the bond, team or bridge
 * that it belongs to. (A VLAN device that was moved into another network namespace is not seen.)
 * On a bond it is a port of it that the program sees: the ports are told, too.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel_internal.h"
#include "log.h"
#include "netlink.h"

#define MASTERS_MOST 4 /* a port of a bond, in a bridge, ...: nobody builds higher */

/* Where an RST would lose its tag; all that are beyond the room count as UNTAGGED_EVERY. */
struct untagged {
	uint32_t ifindex[UNTAGGED_MOST];
	uint32_t count;
};

/* The kernel's list of devices is asked of one of them: VLANs on it, its master, its ports. */
struct upper {
	uint32_t ifindex;
	uint32_t master;
	bool has_vlan;
	struct untagged ports;
};

static void add(struct untagged *u, uint32_t ifindex)
{
	if (u->count < UNTAGGED_MOST)
		u->ifindex[u->count] = ifindex;
	u->count++;
}

static bool is_vlan(const struct nlattr *info)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, info) if (mnl_attr_get_type(a) ==
					      IFLA_INFO_KIND) return !strcmp(mnl_attr_get_str(a),
									     "vlan");
	return false;
}

static int take_device(const struct nlmsghdr *h, void *data)
{
	const struct ifinfomsg *device = mnl_nlmsg_get_payload(h);
	struct upper *u = data;
	const struct nlattr *a;
	uint32_t below = 0, master = 0;
	bool vlan = false;

	mnl_attr_for_each(a, h, sizeof(*device))
	{
		if (mnl_attr_get_type(a) == IFLA_LINK)
			below = mnl_attr_get_u32(a);
		if (mnl_attr_get_type(a) == IFLA_MASTER)
			master = mnl_attr_get_u32(a);
		if (mnl_attr_get_type(a) == IFLA_LINKINFO)
			vlan = is_vlan(a);
	}
	if ((uint32_t)device->ifi_index == u->ifindex)
		u->master = master;
	if (master == u->ifindex)
		add(&u->ports, (uint32_t)device->ifi_index);
	u->has_vlan |= vlan && below == u->ifindex;
	return MNL_CB_OK;
}

/* Is there a VLAN device on the interface, or on what it belongs to? Its own ports go to *ports. */
static bool has_vlans(uint32_t ifindex, struct untagged *ports)
{
	struct mnl_socket *s = netlink_open(NETLINK_ROUTE);
	struct upper u = {.master = ifindex};

	*ports = (struct untagged){};
	for (int i = 0; s && i < MASTERS_MOST && u.master && !u.has_vlan; i++) {
		char buffer[NETLINK_REQUEST_BYTES];
		struct ifinfomsg *all;
		struct nlmsghdr *h =
			netlink_start(buffer, RTM_GETLINK, NLM_F_DUMP, sizeof(*all), (void **)&all);

		u = (struct upper){.ifindex = u.master};
		if (netlink_ask(s, h, take_device, &u))
			break;
		if (!i)
			*ports = u.ports;
	}
	if (s)
		mnl_socket_close(s);
	return u.has_vlan;
}

static bool takes_tags_off(const char *name)
{
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
	struct ifreq request = {.ifr_data = (void *)&flags};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool does;

	if (fd < 0)
		return false;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	does = !ioctl(fd, SIOCETHTOOL, &request) && (flags.data & ETH_FLAG_RXVLAN);
	close(fd);
	return does;
}

/* Says it in the log when it begins. */
static void note(struct link *l, bool untagged)
{
	if (untagged && !l->untagged)
		log_line("%s: its hardware takes VLAN tags off, so an RST would leave in another "
			 "VLAN: who is to be refused is deferred instead ('ethtool -K %s rxvlan "
			 "off' or xdp-mode=generic brings refusals back)",
			 l->seen.name, l->seen.name);
	if (!untagged && l->untagged)
		log_line("%s: VLAN tags stay in the frame: refusals are sent again", l->seen.name);
	l->untagged = untagged;
}

void kernel_tell_vlans(struct kernel *k)
{
	struct untagged all = {}, ports;

	for (uint32_t i = 0; i < k->links; i++) {
		struct link *l = &k->link[i];
		bool here = l->fd >= 0 && l->seen.native && !l->renamed;

		note(l, here && takes_tags_off(l->seen.name) && has_vlans(l->ifindex, &ports));
		if (!l->untagged)
			continue;
		add(&all, l->ifindex);
		for (uint32_t n = 0; n < ports.count; n++)
			add(&all, n < UNTAGGED_MOST ? ports.ifindex[n] : UNTAGGED_EVERY);
	}
	if (all.count > UNTAGGED_MOST)
		all.ifindex[0] = UNTAGGED_EVERY;
	for (uint32_t i = 0; i < UNTAGGED_MOST; i++)
		__atomic_store_n(&k->control->untagged[i], all.ifindex[i], __ATOMIC_RELAXED);
}
