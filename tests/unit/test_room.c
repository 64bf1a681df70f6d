// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The waiting room (daemon/hold.c) over a kernel that is played here: what it asks for, what it
 * leaves alone, and what it says when it cannot be had. The real one is met by the net ring.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/gen_stats.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "hold.h"
#include "netlink.h"
#include "played.h"
#include "unit.h"

#define ROOT_HANDLE (HOLD_CLASS & 0xffff0000U)

struct played_kernel kernel;

struct mnl_socket *netlink_open(int bus)
{
	(void)bus;
	return (struct mnl_socket *)&kernel; /* never looked into */
}

struct nlmsghdr *netlink_start(char *buffer, uint16_t type, uint16_t flags, size_t size,
			       void **header)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	*header = mnl_nlmsg_put_extra_header(h, size);
	return h;
}

/* An attribute of a message, or of one of its nests. NULL: it is not there. */
static const struct nlattr *find(const struct nlmsghdr *h, size_t header, uint16_t type)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, h, header) if (mnl_attr_get_type(a) == type) return a;
	return NULL;
}

static const struct nlattr *find_in(const struct nlattr *nest, uint16_t type)
{
	const struct nlattr *a;

	if (nest)
		mnl_attr_for_each_nested(a, nest) if (mnl_attr_get_type(a) == type) return a;
	return NULL;
}

static int get_link(mnl_cb_t callback, void *data)
{
	char buffer[NETLINK_REQUEST_BYTES];
	struct ifinfomsg *i;
	struct nlmsghdr *h = netlink_start(buffer, RTM_NEWLINK, 0, sizeof(*i), (void **)&i);
	struct nlattr *info;

	if (!kernel.device)
		return -ENODEV;
	i->ifi_index = 7;
	i->ifi_flags = kernel.up ? IFF_UP : 0;
	mnl_attr_put(h, IFLA_ADDRESS, sizeof(kernel.mac), kernel.mac);
	if (*kernel.alias)
		mnl_attr_put_strz(h, IFLA_IFALIAS, kernel.alias);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, kernel.kind);
	mnl_attr_nest_end(h, info);
	callback(h, data);
	return 0;
}

static int new_link(const struct nlmsghdr *h)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct nlattr *mac = find(h, sizeof(*i), IFLA_ADDRESS);
	const struct nlattr *alias = find(h, sizeof(*i), IFLA_IFALIAS);

	kernel.changes++;
	if (kernel.no_link)
		return kernel.no_link;
	kernel.device = true;
	if (h->nlmsg_flags & NLM_F_CREATE)
		strcpy(kernel.kind, "ifb");
	kernel.up |= !!(i->ifi_flags & IFF_UP);
	if (mac)
		memcpy(kernel.mac, mnl_attr_get_payload(mac), sizeof(kernel.mac));
	if (alias)
		snprintf(kernel.alias, sizeof(kernel.alias), "%s", mnl_attr_get_str(alias));
	return 0;
}

static struct nlmsghdr *tc_answer(char *buffer, uint16_t type, uint32_t parent, uint32_t handle)
{
	struct tcmsg *t;
	struct nlmsghdr *h = netlink_start(buffer, type, 0, sizeof(*t), (void **)&t);

	t->tcm_ifindex = 7;
	t->tcm_parent = parent;
	t->tcm_handle = handle;
	return h;
}

static int get_qdiscs(mnl_cb_t callback, void *data)
{
	struct gnet_stats_queue queue = {.qlen = kernel.waiting, .drops = 5};
	struct tc_fifo_qopt fifo = {.limit = kernel.limit};
	char buffer[NETLINK_REQUEST_BYTES];
	struct nlmsghdr *h;
	struct nlattr *stats;

	if (kernel.no_dump)
		return kernel.no_dump;
	if (kernel.root) {
		h = tc_answer(buffer, RTM_NEWQDISC, TC_H_ROOT, ROOT_HANDLE);
		mnl_attr_put_strz(h, TCA_KIND, "htb");
		callback(h, data);
	}
	if (!kernel.fifo)
		return 0;
	h = tc_answer(buffer, RTM_NEWQDISC, HOLD_CLASS, 0x520000);
	mnl_attr_put_strz(h, TCA_KIND, "pfifo");
	mnl_attr_put(h, TCA_OPTIONS, sizeof(fifo), &fifo);
	stats = mnl_attr_nest_start(h, TCA_STATS2);
	mnl_attr_put(h, TCA_STATS_QUEUE, sizeof(queue), &queue);
	mnl_attr_nest_end(h, stats);
	callback(h, data);
	return 0;
}

static int get_classes(mnl_cb_t callback, void *data)
{
	char buffer[NETLINK_REQUEST_BYTES];
	struct nlmsghdr *h;
	struct nlattr *options;

	if (!kernel.class)
		return 0;
	h = tc_answer(buffer, RTM_NEWTCLASS, TC_H_ROOT, HOLD_CLASS);
	options = mnl_attr_nest_start(h, TCA_OPTIONS);
	mnl_attr_put(h, TCA_HTB_PARMS, sizeof(kernel.htb), &kernel.htb);
	if (kernel.rate64)
		mnl_attr_put_u64(h, TCA_HTB_RATE64, kernel.rate64);
	mnl_attr_nest_end(h, options);
	callback(h, data);
	return 0;
}

static int new_qdisc(const struct nlmsghdr *h)
{
	const struct tcmsg *t = mnl_nlmsg_get_payload(h);

	kernel.changes++;
	if (kernel.no_qdisc)
		return kernel.no_qdisc;
	if (t->tcm_parent == TC_H_ROOT) {
		kernel.root = true;
		return 0;
	}
	kernel.fifo = true;
	kernel.limit = ((const struct tc_fifo_qopt *)mnl_attr_get_payload(
				find(h, sizeof(*t), TCA_OPTIONS)))
			       ->limit;
	return 0;
}

static int new_class(const struct nlmsghdr *h)
{
	const struct nlattr *options = find(h, sizeof(struct tcmsg), TCA_OPTIONS);
	const struct nlattr *rate64 = find_in(options, TCA_HTB_RATE64);

	kernel.changes++;
	if (kernel.no_class)
		return kernel.no_class;
	kernel.class = true;
	memcpy(&kernel.htb, mnl_attr_get_payload(find_in(options, TCA_HTB_PARMS)),
	       sizeof(kernel.htb));
	kernel.rate64 = rate64 ? mnl_attr_get_u64(rate64) : 0;
	return 0;
}

int netlink_ask(struct mnl_socket *s, struct nlmsghdr *request, mnl_cb_t callback, void *data)
{
	(void)s;
	switch (request->nlmsg_type) {
	case RTM_GETLINK:
		return get_link(callback, data);
	case RTM_GETQDISC:
		return get_qdiscs(callback, data);
	case RTM_GETTCLASS:
		return get_classes(callback, data);
	case RTM_NEWLINK:
		return new_link(request);
	case RTM_NEWQDISC:
		return new_qdisc(request);
	case RTM_NEWTCLASS:
		return new_class(request);
	case RTM_DELLINK:
		kernel.changes++;
		kernel.device = false;
		return 0;
	}
	return -EINVAL;
}

/* --- the tests -------------------------------------------------------------------------------- */

#define MS(n) ((uint64_t)(n)*NSEC_PER_MSEC)

static struct hold room;
static struct config_error err;

static void start(const char *instance)
{
	memset(&kernel, 0, sizeof(kernel));
	CU_ASSERT_EQUAL_FATAL(hold_open(&room, instance, &err), 0);
}

static int keep(uint64_t t_ns, uint64_t horizon_ns)
{
	struct hold_plan plan = {.t_ns = t_ns, .horizon_ns = horizon_ns};

	kernel.changes = 0;
	err.text[0] = '\0';
	return hold_keep(&room, &plan, &err);
}

static void says(const char *what)
{
	CHECK(strstr(err.text, what) != NULL, "'%s' is not in: %s", what, err.text);
}

static void test_made(void)
{
	start("default");
	CU_ASSERT_EQUAL(keep(MS(10), MS(800)), 0);
	CU_ASSERT(kernel.device && kernel.up && kernel.root && kernel.class && kernel.fifo);
	CU_ASSERT_STRING_EQUAL(kernel.alias, "sluice default");
	CU_ASSERT_EQUAL(kernel.htb.rate.mpu, HOLD_WEIGHT);
	CU_ASSERT_EQUAL(kernel.htb.ceil.rate, kernel.htb.rate.rate);
	/* 100 a second, never slower, and faster by a thousandth at most. */
	CU_ASSERT(kernel.htb.rate.rate >= 100 * HOLD_WEIGHT);
	CU_ASSERT(kernel.htb.rate.rate <= 100 * (HOLD_WEIGHT + HOLD_WEIGHT / 1000) + 1);
	CU_ASSERT_EQUAL(kernel.limit, 2 * 80 + 64);
	CU_ASSERT_EQUAL(keep(MS(10), MS(800)), 0);
	CU_ASSERT_EQUAL(kernel.changes, 0); /* as planned: nothing is touched */
	CU_ASSERT_EQUAL(room.seen.ifindex, 7);
	CU_ASSERT_EQUAL(room.seen.overflowed, 5);
}

static void test_changed(void)
{
	start("default");
	keep(MS(10), MS(800));
	kernel.waiting = 75;
	CU_ASSERT_EQUAL(keep(MS(200), MS(800)), 0);
	CU_ASSERT_EQUAL(kernel.changes, 2); /* rate and limit, in place */
	CU_ASSERT_EQUAL(room.seen.waiting, 75);
	CU_ASSERT_EQUAL(kernel.limit, 75); /* never less than waits already */
	kernel.waiting = 3;
	CU_ASSERT_EQUAL(keep(MS(200), MS(800)), 0);
	CU_ASSERT_EQUAL(kernel.limit, 2 * 4 + 64);
	kernel.up = false;
	kernel.class = false;
	CU_ASSERT_EQUAL(keep(MS(200), MS(800)), 0);
	CU_ASSERT(kernel.up && kernel.class);
	/* A million a second is more than a 32-bit rate can say. */
	CU_ASSERT_EQUAL(keep(1000, MS(800)), 0);
	CU_ASSERT(kernel.rate64 >= 1000000ULL * HOLD_WEIGHT);
	CU_ASSERT_EQUAL(keep(1000, MS(800)), 0);
	CU_ASSERT_EQUAL(kernel.changes, 0);
}

static void test_not_to_be_had(void)
{
	start("default");
	kernel.no_link = -EOPNOTSUPP;
	CU_ASSERT_EQUAL(keep(MS(10), MS(800)), -EOPNOTSUPP);
	says("this kernel has no ifb devices (CONFIG_IFB)");
	kernel.no_link = -EPERM;
	CU_ASSERT_EQUAL(keep(MS(10), MS(800)), -EPERM);
	says("CAP_NET_ADMIN is missing");
	says("slu-default");
	kernel.no_link = 0;
	kernel.no_qdisc = -ENOENT;
	CU_ASSERT_EQUAL(keep(MS(10), MS(800)), -ENOENT);
	says("this kernel has no HTB shaper (CONFIG_NET_SCH_HTB)");
	kernel.no_qdisc = 0;
	kernel.no_class = -ENOBUFS;
	CU_ASSERT_EQUAL(keep(MS(10), MS(800)), -ENOBUFS);
	says("the queue of the device slu-default cannot be set: No buffer space");
	kernel.no_dump = -EAGAIN;
	CU_ASSERT_EQUAL(keep(MS(10), MS(800)), -EAGAIN);
	says("cannot be looked at");
	kernel.no_class = kernel.no_dump = 0;
	CU_ASSERT_EQUAL(keep(MS(10), MS(800)), 0); /* and once it can be had, it is */
}

static void foreign(const char *kind, const char *alias)
{
	start("default");
	kernel.device = true;
	strcpy(kernel.kind, kind);
	strcpy(kernel.alias, alias);
	CU_ASSERT_EQUAL(keep(MS(10), MS(800)), -EEXIST);
	says("there is a device called slu-default that is not ours: it is left alone");
	CU_ASSERT_EQUAL(hold_remove(&room), 0);
	CU_ASSERT_EQUAL(kernel.changes, 0);
	CU_ASSERT(kernel.device);
}

static void test_foreign(void)
{
	foreign("ifb", "");
	foreign("ifb", "sluice other");
	foreign("veth", "sluice default");
	foreign("dummy", "");
}

/* Killed between the making of the device and its alias: its address says whose it is. */
static void test_half_made(void)
{
	start("default");
	keep(MS(10), MS(800));
	kernel.alias[0] = '\0';
	CU_ASSERT_EQUAL(keep(MS(10), MS(800)), 0);
	CU_ASSERT_STRING_EQUAL(kernel.alias, "sluice default");
	CU_ASSERT_EQUAL(hold_remove(&room), 0);
	CU_ASSERT(!kernel.device);
	CU_ASSERT_EQUAL(hold_look(&room, &err), 0);
	CU_ASSERT_EQUAL(room.seen.ifindex, 0);
}

/* A device that was deleted and made again counts from 0: what is said of it goes on. */
static void test_counts(void)
{
	start("default");
	keep(MS(10), MS(800));
	hold_look(&room, &err);
	CU_ASSERT_EQUAL(room.seen.overflowed, 5);
	kernel.no_dump = -EAGAIN;
	CU_ASSERT_EQUAL(hold_look(&room, &err), -EAGAIN);
	CU_ASSERT_EQUAL(room.seen.overflowed, 5);
	memset(&kernel, 0, sizeof(kernel));
	hold_look(&room, &err);
	CU_ASSERT_EQUAL(room.seen.overflowed, 5);
	keep(MS(10), MS(800));
	hold_look(&room, &err);
	CU_ASSERT_EQUAL(room.seen.overflowed, 10);
}

static void test_names(void)
{
	char a[IFNAMSIZ], b[IFNAMSIZ];

	hold_name("default", a);
	CU_ASSERT_STRING_EQUAL(a, "slu-default");
	hold_name("eleven-long", a);
	CU_ASSERT_STRING_EQUAL(a, "slu-eleven-long");
	hold_name("twelve-chars", a);
	hold_name("twelve-charz", b);
	CU_ASSERT_EQUAL(strlen(a), 14);
	CU_ASSERT(strncmp(a, "slu-", 4) == 0 && strcmp(a, b) != 0);
}

void suite_room(void)
{
	static CU_TestInfo tests[] = {
		{"made as planned, and then left as it is", test_made},
		{"changed in place; what was broken is put right", test_changed},
		{"no ifb, no privilege, no HTB: a sentence each", test_not_to_be_had},
		{"a device that is not ours is left alone", test_foreign},
		{"a device without its alias is still known as ours", test_half_made},
		{"a device made again, and its counters", test_counts},
		{"names that fit an interface", test_names},
		CU_TEST_INFO_NULL};

	unit_suite("room", tests);
}
