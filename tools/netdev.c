// SPDX-License-Identifier: GPL-2.0-or-later
#include "netdev.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* From linux/netdev.h of Linux 6.3, which the headers of older distributions lack. */
#define NETDEV_FAMILY	    "netdev"
#define NETDEV_DEV_GET	    1
#define NETDEV_A_IFINDEX    1
#define NETDEV_A_FEATURES   3
#define NETDEV_ACT_BASIC    0x01ULL
#define NETDEV_ACT_RX_SG    0x20ULL
#define NETLINK_ANSWER_WAIT 2 /* seconds */

static int ethtool(int fd, const char *name, void *command)
{
	struct ifreq request = {.ifr_data = command};

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	return ioctl(fd, SIOCETHTOOL, &request) ? -errno : 0;
}

static void look_by_ioctl(int fd, const char *name, struct netdev *n)
{
	struct ethtool_drvinfo driver = {.cmd = ETHTOOL_GDRVINFO};
	struct ethtool_value flags = {.cmd = ETHTOOL_GFLAGS};
	struct ifreq mtu = {};

	snprintf(mtu.ifr_name, sizeof(mtu.ifr_name), "%s", name);
	if (!ioctl(fd, SIOCGIFMTU, &mtu))
		n->mtu = (uint32_t)mtu.ifr_mtu;
	if (!ethtool(fd, name, &driver))
		snprintf(n->driver, sizeof(n->driver), "%.31s", driver.driver);
	if (!ethtool(fd, name, &flags)) {
		n->flags_known = true;
		n->strips_vlan = flags.data & ETH_FLAG_RXVLAN;
		n->large_receive = flags.data & ETH_FLAG_LRO;
	}
}

/* Sends one generic netlink request and hands the answer's attributes to the callback. */
static int ask(struct mnl_socket *s, struct nlmsghdr *request, mnl_attr_cb_t callback, void *data)
{
	char buffer[8192]; /* MNL_SOCKET_BUFFER_SIZE is not a constant */
	ssize_t size;

	if (mnl_socket_sendto(s, request, request->nlmsg_len) < 0)
		return -errno;
	size = mnl_socket_recvfrom(s, buffer, sizeof(buffer));
	if (size < 0)
		return -errno;
	for (struct nlmsghdr *h = (void *)buffer; mnl_nlmsg_ok(h, (int)size);
	     h = mnl_nlmsg_next(h, (int *)&size)) {
		const struct nlmsgerr *err = mnl_nlmsg_get_payload(h);

		if (h->nlmsg_type == NLMSG_ERROR)
			return err->error;
		mnl_attr_parse(h, sizeof(struct genlmsghdr), callback, data);
		return 0;
	}
	return -EPROTO;
}

static struct nlmsghdr *start(char *buffer, uint16_t type, uint8_t command)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *g;

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST;
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->cmd = command;
	g->version = 1;
	return h;
}

static int take_family(const struct nlattr *a, void *data)
{
	if (mnl_attr_get_type(a) == CTRL_ATTR_FAMILY_ID)
		*(uint16_t *)data = mnl_attr_get_u16(a);
	return MNL_CB_OK;
}

static int take_features(const struct nlattr *a, void *data)
{
	struct netdev *n = data;

	if (mnl_attr_get_type(a) == NETDEV_A_FEATURES) {
		n->features_known = true;
		n->native = mnl_attr_get_u64(a) & NETDEV_ACT_BASIC;
		n->native_fragments = mnl_attr_get_u64(a) & NETDEV_ACT_RX_SG;
	}
	return MNL_CB_OK;
}

static void look_by_netlink(struct netdev *n)
{
	struct timeval wait = {.tv_sec = NETLINK_ANSWER_WAIT};
	struct mnl_socket *s = mnl_socket_open(NETLINK_GENERIC);
	char buffer[1024];
	struct nlmsghdr *h;
	uint16_t family = 0;

	if (!s)
		return;
	setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	h = start(buffer, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	mnl_attr_put_strz(h, CTRL_ATTR_FAMILY_NAME, NETDEV_FAMILY);
	if (!mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) && !ask(s, h, take_family, &family) &&
	    family) {
		h = start(buffer, family, NETDEV_DEV_GET);
		mnl_attr_put_u32(h, NETDEV_A_IFINDEX, n->ifindex);
		ask(s, h, take_features, n);
	}
	mnl_socket_close(s);
}

int netdev_look(const char *name, struct netdev *n)
{
	int fd;

	*n = (struct netdev){.ifindex = if_nametoindex(name)};
	if (!n->ifindex)
		return -ENODEV;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	look_by_ioctl(fd, name, n);
	close(fd);
	look_by_netlink(n);
	return 0;
}
