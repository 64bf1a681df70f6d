// SPDX-License-Identifier: GPL-2.0-or-later
#include "netlink.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define WAIT_S	     2
#define ANSWER_BYTES 32768 /* what the kernel fills at most for one part of a dump */
#define PARTS_MOST   4096  /* of an answer */

struct mnl_socket *netlink_open(int bus)
{
	struct timeval wait = {.tv_sec = WAIT_S};
	struct mnl_socket *s = mnl_socket_open2(bus, SOCK_CLOEXEC);

	if (!s)
		return NULL;
	setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID)) {
		mnl_socket_close(s);
		return NULL;
	}
	return s;
}

struct nlmsghdr *netlink_start(char *buffer, uint16_t type, uint16_t flags, size_t size,
			       void **header)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	*header = mnl_nlmsg_put_extra_header(h, size);
	return h;
}

int netlink_ask(struct mnl_socket *s, struct nlmsghdr *request, mnl_cb_t callback, void *data)
{
	static uint32_t last_seq;
	char buffer[ANSWER_BYTES];
	uint32_t seq = __atomic_add_fetch(&last_seq, 1, __ATOMIC_RELAXED);

	request->nlmsg_seq = seq;
	if (mnl_socket_sendto(s, request, request->nlmsg_len) < 0)
		return -errno;
	for (int i = 0; i < PARTS_MOST; i++) {
		const struct nlmsghdr *h = (const void *)buffer;
		ssize_t size = mnl_socket_recvfrom(s, buffer, sizeof(buffer));
		int run;

		if (size < 0)
			return -errno;
		/* What came too late for an earlier question. */
		if (mnl_nlmsg_ok(h, (int)size) && h->nlmsg_seq != seq)
			continue;
		run = mnl_cb_run(buffer, (size_t)size, seq, mnl_socket_get_portid(s), callback,
				 data);
		if (run < 0)
			return -errno;
		if (run == MNL_CB_STOP)
			return 0;
	}
	return -E2BIG;
}
