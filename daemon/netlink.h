/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netlink.h - one question to the kernel over netlink, and its answer.
 */
#ifndef NETLINK_H
#define NETLINK_H

#include <libmnl/libmnl.h>
#include <stdint.h>

/* Room for any request of ours; answers have a buffer of their own. */
#define NETLINK_REQUEST_BYTES 1024

/*
 * An open socket of a bus (NETLINK_ROUTE, NETLINK_SOCK_DIAG) that never waits longer than two
 * seconds; NULL with errno. mnl_socket_close().
 */
struct mnl_socket *netlink_open(int bus);

/* Starts a request in a buffer of NETLINK_REQUEST_BYTES, with `size` zeroed bytes of header behind
 * the netlink one, whose address goes to *header. NLM_F_REQUEST and NLM_F_ACK are added. */
struct nlmsghdr *netlink_start(char *buffer, uint16_t type, uint16_t flags, size_t size,
			       void **header);

/*
 * Sends the request and waits for its end. Each message of the answer goes to the callback, which
 * may be NULL. Returns 0, the kernel's -errno, or -errno of the socket (-EAGAIN: no answer).
 */
int netlink_ask(struct mnl_socket *s, struct nlmsghdr *request, mnl_cb_t callback, void *data);

#endif
