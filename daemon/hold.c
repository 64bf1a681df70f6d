// SPDX-License-Identifier: GPL-2.0-or-later
#include "hold.h"

#include <errno.h>
#include <linux/gen_stats.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "netlink.h"

#define NAME_PREFIX  "slu-"
#define ALIAS_PREFIX "sluice "
#define ALIAS_MAX    128
#define MAC_BYTES    6

#define QDISC_HANDLE (HOLD_CLASS & 0xffff0000U) /* 51: */
#define FIFO_HANDLE  0x520000U			/* 52: */

/*
 * Credit of an idle class. Without any, each late wake-up of the queue would be lost for ever, and
 * the queue would fall behind the bucket; with more, the first ones of a queue leave too early.
 */
#define CREDIT_NS      (4 * NSEC_PER_MSEC)
#define PSCHED_TICK_NS 64U /* the unit of buffer and cbuffer: PSCHED_SHIFT of sch_generic.h */

/*
 * The class is faster than the bucket by one part in so many: should the queue ever be late, it
 * catches up, and it never grows without the bucket knowing.
 */
#define FASTER_BY 1024U

/*
 * What makes all SYNs weigh the same: mpu is the least that a frame counts as, and with the overhead
 * all those up to 2,000 bytes count as that. Should a kernel not honour mpu, as some did not, then
 * the overhead alone is the same within 3 percent.
 */
#define OVERHEAD (HOLD_WEIGHT - 2000U)

/* Room for so many beyond what the horizon lets in: for a bucket whose rate has just been lowered. */
#define LIMIT_SLACK 64U
#define LIMIT_MOST  1000000U

/* FNV-1a: names are few, and whoever may choose them is root. */
static uint64_t hash(const char *text)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (; *text; text++)
		h = (h ^ (uint8_t)*text) * 0x100000001b3ULL;
	return h;
}

void hold_name(const char *instance, char *name)
{
	if (strlen(NAME_PREFIX) + strlen(instance) < IFNAMSIZ)
		snprintf(name, IFNAMSIZ, NAME_PREFIX "%.11s", instance);
	else
		snprintf(name, IFNAMSIZ, NAME_PREFIX "%010llx",
			 (unsigned long long)(hash(instance) & 0xffffffffffULL));
}

/*
 * The device's address: set as it is made, in the same step, where the alias takes a second one. So
 * it is known as ours even if we are killed between the two.
 */
static void own_address(const struct hold *h, uint8_t mac[MAC_BYTES])
{
	uint64_t number = hash(h->instance);

	mac[0] = 0x02; /* locally administered */
	mac[1] = 0x51;
	for (int i = 2; i < MAC_BYTES; i++)
		mac[i] = (uint8_t)(number >> 8 * i);
}

int hold_open(struct hold *h, const char *instance, struct config_error *err)
{
	*h = (struct hold){};
	snprintf(h->instance, sizeof(h->instance), "%s", instance);
	hold_name(instance, h->name);
	h->netlink = netlink_open(NETLINK_ROUTE);
	if (!h->netlink)
		return fail(err, -errno, "no netlink socket is to be had: %s", strerror(errno));
	return 0;
}

void hold_close(struct hold *h)
{
	if (h->netlink)
		mnl_socket_close(h->netlink);
	h->netlink = NULL;
}

/* --- the device ------------------------------------------------------------------------------- */

/* What is known of a device of our name. */
struct device {
	uint32_t ifindex; /* 0: there is none */
	bool is_ifb, is_up;
	uint8_t mac[MAC_BYTES];
	char alias[ALIAS_MAX];
};

static int take_kind(const struct nlattr *a, void *data)
{
	struct device *d = data;

	if (mnl_attr_get_type(a) == IFLA_INFO_KIND)
		d->is_ifb = !strcmp(mnl_attr_get_str(a), "ifb");
	return MNL_CB_OK;
}

static int take_link_attribute(const struct nlattr *a, void *data)
{
	struct device *d = data;

	switch (mnl_attr_get_type(a)) {
	case IFLA_LINKINFO:
		mnl_attr_parse_nested(a, take_kind, d);
		break;
	case IFLA_ADDRESS:
		if (mnl_attr_get_payload_len(a) == MAC_BYTES)
			memcpy(d->mac, mnl_attr_get_payload(a), MAC_BYTES);
		break;
	case IFLA_IFALIAS:
		snprintf(d->alias, sizeof(d->alias), "%s", mnl_attr_get_str(a));
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

static int take_link(const struct nlmsghdr *h, void *data)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	struct device *d = data;

	d->ifindex = (uint32_t)i->ifi_index;
	d->is_up = i->ifi_flags & IFF_UP;
	mnl_attr_parse(h, sizeof(*i), take_link_attribute, d);
	return MNL_CB_OK;
}

static int device_find(const struct hold *h, struct device *d)
{
	char buffer[NETLINK_REQUEST_BYTES];
	struct ifinfomsg *i;
	struct nlmsghdr *m = netlink_start(buffer, RTM_GETLINK, 0, sizeof(*i), (void **)&i);
	int bad;

	*d = (struct device){};
	mnl_attr_put_strz(m, IFLA_IFNAME, h->name);
	bad = netlink_ask(h->netlink, m, take_link, d);
	return bad == -ENODEV ? 0 : bad;
}

static void own_alias(const struct hold *h, char *alias)
{
	snprintf(alias, ALIAS_MAX, ALIAS_PREFIX "%s", h->instance);
}

static bool device_is_ours(const struct hold *h, const struct device *d)
{
	uint8_t mac[MAC_BYTES];
	char alias[ALIAS_MAX];

	own_address(h, mac);
	own_alias(h, alias);
	return d->is_ifb && (!strcmp(d->alias, alias) || !memcmp(d->mac, mac, MAC_BYTES));
}

/* Makes the device, up at once. */
static int device_make(const struct hold *h)
{
	char buffer[NETLINK_REQUEST_BYTES];
	struct ifinfomsg *i;
	struct nlmsghdr *m = netlink_start(buffer, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
					   sizeof(*i), (void **)&i);
	uint8_t mac[MAC_BYTES];
	struct nlattr *info;

	own_address(h, mac);
	i->ifi_flags = IFF_UP;
	i->ifi_change = IFF_UP;
	mnl_attr_put_strz(m, IFLA_IFNAME, h->name);
	mnl_attr_put(m, IFLA_ADDRESS, MAC_BYTES, mac);
	info = mnl_attr_nest_start(m, IFLA_LINKINFO);
	mnl_attr_put_str(m, IFLA_INFO_KIND, "ifb");
	mnl_attr_nest_end(m, info);
	return netlink_ask(h->netlink, m, NULL, NULL);
}

/* Gives a device of ours its alias and brings it up. */
static int device_set(const struct hold *h, uint32_t ifindex)
{
	char buffer[NETLINK_REQUEST_BYTES], alias[ALIAS_MAX];
	struct ifinfomsg *i;
	struct nlmsghdr *m = netlink_start(buffer, RTM_NEWLINK, 0, sizeof(*i), (void **)&i);

	own_alias(h, alias);
	i->ifi_index = (int)ifindex;
	i->ifi_flags = IFF_UP;
	i->ifi_change = IFF_UP;
	mnl_attr_put_strz(m, IFLA_IFALIAS, alias);
	return netlink_ask(h->netlink, m, NULL, NULL);
}

static int device_keep(struct hold *h, struct device *d, struct config_error *err)
{
	char alias[ALIAS_MAX];
	int bad = device_find(h, d);

	if (!bad && !d->ifindex) {
		bad = device_make(h);
		if (bad == -EOPNOTSUPP)
			return fail(err, bad,
				    "this kernel has no ifb devices (CONFIG_IFB), in which SYNs "
				    "would wait");
		if (!bad)
			bad = device_find(h, d);
	}
	if (bad == -EPERM)
		return fail(err, bad,
			    "the kernel does not let this process make the device %s, in which "
			    "SYNs would wait: CAP_NET_ADMIN is missing",
			    h->name);
	if (bad)
		return fail(err, bad, "the device %s, in which SYNs would wait, cannot be made: %s",
			    h->name, strerror(-bad));
	if (!device_is_ours(h, d))
		return fail(err, -EEXIST,
			    "there is a device called %s that is not ours: it is left alone; "
			    "rename it, or choose another name with -i",
			    h->name);
	own_alias(h, alias);
	if (!d->is_up || strcmp(d->alias, alias))
		bad = device_set(h, d->ifindex);
	return bad ? fail(err, bad, "the device %s cannot be brought up: %s", h->name,
			  strerror(-bad))
		   : 0;
}

/* --- the queue -------------------------------------------------------------------------------- */

/* What is known of the qdiscs and the class on the device. */
struct queue {
	uint32_t ifindex;
	bool root, class, fifo;
	uint64_t bytes_per_s;
	bool weighed; /* the class weighs each frame as HOLD_WEIGHT */
	uint32_t limit, waiting, overflowed;
	uint64_t released;
};

/* Attributes are aligned to four bytes only. */
static int take_stats(const struct nlattr *a, void *data)
{
	const void *payload = mnl_attr_get_payload(a);
	size_t bytes = mnl_attr_get_payload_len(a);
	struct gnet_stats_queue queue = {};
	struct gnet_stats_basic basic = {};
	struct queue *q = data;

	switch (mnl_attr_get_type(a)) {
	case TCA_STATS_QUEUE:
		memcpy(&queue, payload, bytes < sizeof(queue) ? bytes : sizeof(queue));
		q->waiting = queue.qlen;
		q->overflowed = queue.drops;
		break;
	case TCA_STATS_BASIC:
		memcpy(&basic, payload, bytes < sizeof(basic) ? bytes : sizeof(basic));
		q->released = basic.packets;
		break;
	default:
		break;
	}
	return MNL_CB_OK;
}

static int take_fifo_attribute(const struct nlattr *a, void *data)
{
	struct queue *q = data;

	if (mnl_attr_get_type(a) == TCA_OPTIONS &&
	    mnl_attr_get_payload_len(a) >= sizeof(struct tc_fifo_qopt)) {
		const struct tc_fifo_qopt *o = mnl_attr_get_payload(a);

		q->limit = o->limit;
	}
	if (mnl_attr_get_type(a) == TCA_STATS2)
		mnl_attr_parse_nested(a, take_stats, q);
	return MNL_CB_OK;
}

static int take_is_htb(const struct nlattr *a, void *data)
{
	if (mnl_attr_get_type(a) == TCA_KIND)
		((struct queue *)data)->root = !strcmp(mnl_attr_get_str(a), "htb");
	return MNL_CB_OK;
}

static int take_qdisc(const struct nlmsghdr *h, void *data)
{
	const struct tcmsg *t = mnl_nlmsg_get_payload(h);
	struct queue *q = data;

	if (h->nlmsg_type != RTM_NEWQDISC || (uint32_t)t->tcm_ifindex != q->ifindex)
		return MNL_CB_OK;
	if (t->tcm_parent == TC_H_ROOT && t->tcm_handle == QDISC_HANDLE)
		mnl_attr_parse(h, sizeof(*t), take_is_htb, q);
	if (t->tcm_parent == HOLD_CLASS && t->tcm_handle == FIFO_HANDLE) {
		q->fifo = true;
		mnl_attr_parse(h, sizeof(*t), take_fifo_attribute, q);
	}
	return MNL_CB_OK;
}

static int take_htb_option(const struct nlattr *a, void *data)
{
	struct queue *q = data;

	if (mnl_attr_get_type(a) == TCA_HTB_PARMS &&
	    mnl_attr_get_payload_len(a) >= sizeof(struct tc_htb_opt)) {
		const struct tc_htb_opt *o = mnl_attr_get_payload(a);

		q->class = true;
		q->weighed = o->rate.mpu == HOLD_WEIGHT && o->ceil.mpu == HOLD_WEIGHT;
		if (!q->bytes_per_s)
			q->bytes_per_s = o->rate.rate;
	}
	if (mnl_attr_get_type(a) == TCA_HTB_RATE64)
		q->bytes_per_s = mnl_attr_get_u64(a);
	return MNL_CB_OK;
}

static int take_class_attribute(const struct nlattr *a, void *data)
{
	if (mnl_attr_get_type(a) == TCA_OPTIONS)
		mnl_attr_parse_nested(a, take_htb_option, data);
	return MNL_CB_OK;
}

static int take_class(const struct nlmsghdr *h, void *data)
{
	const struct tcmsg *t = mnl_nlmsg_get_payload(h);

	if (h->nlmsg_type == RTM_NEWTCLASS && t->tcm_handle == HOLD_CLASS)
		mnl_attr_parse(h, sizeof(*t), take_class_attribute, data);
	return MNL_CB_OK;
}

static int queue_find(const struct hold *h, uint32_t ifindex, struct queue *q)
{
	char buffer[NETLINK_REQUEST_BYTES];
	struct nlmsghdr *m;
	struct tcmsg *t;
	int bad;

	*q = (struct queue){.ifindex = ifindex};
	m = netlink_start(buffer, RTM_GETQDISC, NLM_F_DUMP, sizeof(*t), (void **)&t);
	t->tcm_ifindex = (int)ifindex;
	bad = netlink_ask(h->netlink, m, take_qdisc, q);
	if (bad || !q->root)
		return bad;
	m = netlink_start(buffer, RTM_GETTCLASS, NLM_F_DUMP, sizeof(*t), (void **)&t);
	t->tcm_ifindex = (int)ifindex;
	return netlink_ask(h->netlink, m, take_class, q);
}

static struct nlmsghdr *tc_start(char *buffer, uint16_t type, uint16_t flags, uint32_t ifindex,
				 uint32_t parent, uint32_t handle, const char *kind)
{
	struct tcmsg *t;
	struct nlmsghdr *m = netlink_start(buffer, type, flags, sizeof(*t), (void **)&t);

	t->tcm_ifindex = (int)ifindex;
	t->tcm_parent = parent;
	t->tcm_handle = handle;
	mnl_attr_put_strz(m, TCA_KIND, kind);
	return m;
}

/*
 * The shaper, in place of whatever is there: it is our device. Who does not name the class, as the
 * kernel's own IPv6 chatter, is let out at once.
 */
static int root_make(const struct hold *h, uint32_t ifindex)
{
	struct tc_htb_glob g = {.version = 3, .rate2quantum = 1};
	char buffer[NETLINK_REQUEST_BYTES];
	struct nlmsghdr *m = tc_start(buffer, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, ifindex,
				      TC_H_ROOT, QDISC_HANDLE, "htb");
	struct nlattr *options = mnl_attr_nest_start(m, TCA_OPTIONS);

	mnl_attr_put(m, TCA_HTB_INIT, sizeof(g), &g);
	mnl_attr_nest_end(m, options);
	return netlink_ask(h->netlink, m, NULL, NULL);
}

static uint64_t rate_of(const struct hold_plan *plan)
{
	uint64_t bytes_per_s = HOLD_WEIGHT * NSEC_PER_SEC / plan->t_ns;

	return bytes_per_s + bytes_per_s / FASTER_BY + 1;
}

/* Makes the class or changes its rate, also for those that wait. */
static int class_set(const struct hold *h, uint32_t ifindex, uint64_t bytes_per_s)
{
	uint32_t rate = bytes_per_s < UINT32_MAX ? (uint32_t)bytes_per_s : UINT32_MAX;
	struct tc_ratespec spec = {.linklayer = TC_LINKLAYER_ETHERNET,
				   .mpu = HOLD_WEIGHT,
				   .overhead = OVERHEAD,
				   .rate = rate};
	struct tc_htb_opt o = {.rate = spec,
			       .ceil = spec,
			       .buffer = CREDIT_NS / PSCHED_TICK_NS,
			       .cbuffer = CREDIT_NS / PSCHED_TICK_NS,
			       .quantum = HOLD_WEIGHT};
	char buffer[NETLINK_REQUEST_BYTES];
	struct nlmsghdr *m = tc_start(buffer, RTM_NEWTCLASS, NLM_F_CREATE, ifindex, QDISC_HANDLE,
				      HOLD_CLASS, "htb");
	struct nlattr *options = mnl_attr_nest_start(m, TCA_OPTIONS);

	if (bytes_per_s >= UINT32_MAX) {
		mnl_attr_put_u64(m, TCA_HTB_RATE64, bytes_per_s);
		mnl_attr_put_u64(m, TCA_HTB_CEIL64, bytes_per_s);
	}
	mnl_attr_put(m, TCA_HTB_PARMS, sizeof(o), &o);
	mnl_attr_nest_end(m, options);
	return netlink_ask(h->netlink, m, NULL, NULL);
}

static int fifo_set(const struct hold *h, uint32_t ifindex, uint32_t limit, bool is_new)
{
	struct tc_fifo_qopt o = {.limit = limit};
	char buffer[NETLINK_REQUEST_BYTES];
	struct nlmsghdr *m =
		tc_start(buffer, RTM_NEWQDISC, is_new ? NLM_F_CREATE | NLM_F_REPLACE : 0, ifindex,
			 HOLD_CLASS, FIFO_HANDLE, "pfifo");

	mnl_attr_put(m, TCA_OPTIONS, sizeof(o), &o);
	return netlink_ask(h->netlink, m, NULL, NULL);
}

/* Twice what the horizon lets in, and never less than what waits already. */
static uint32_t limit_of(const struct hold_plan *plan, const struct queue *q)
{
	uint64_t limit = 2 * (plan->horizon_ns / plan->t_ns) + LIMIT_SLACK;

	if (limit < q->waiting)
		limit = q->waiting;
	return limit < LIMIT_MOST ? (uint32_t)limit : LIMIT_MOST;
}

static int queue_keep(const struct hold *h, const struct queue *q, const struct hold_plan *plan,
		      struct config_error *err)
{
	uint64_t rate = rate_of(plan);
	uint32_t limit = limit_of(plan, q);
	int bad = q->root ? 0 : root_make(h, q->ifindex);

	if (bad == -ENOENT || bad == -EOPNOTSUPP)
		return fail(err, bad,
			    "this kernel has no HTB shaper (CONFIG_NET_SCH_HTB), which lets the "
			    "SYNs out at their rate");
	if (!bad && (!q->class || !q->weighed || q->bytes_per_s != rate))
		bad = class_set(h, q->ifindex, rate);
	if (!bad && (!q->fifo || q->limit != limit))
		bad = fifo_set(h, q->ifindex, limit, !q->fifo);
	return bad ? fail(err, bad, "the queue of the device %s cannot be set: %s", h->name,
			  strerror(-bad))
		   : 0;
}

/* Counters never run backwards, whoever has made the device anew. */
static uint64_t goes_on(uint64_t *former, uint64_t *last, uint64_t count)
{
	if (count < *last)
		*former += *last;
	*last = count;
	return *former + count;
}

/* Nothing is seen; what has been counted so far stays said. */
static void forget(struct hold *h)
{
	h->seen = (struct hold_seen){
		.released = h->former_released + h->last_released,
		.overflowed = h->former_overflowed + h->last_overflowed,
	};
}

static void note(struct hold *h, const struct queue *q)
{
	h->seen = (struct hold_seen){
		.ifindex = q->ifindex,
		.waiting = q->waiting,
		.limit = q->limit,
		.t_ns = q->bytes_per_s ? HOLD_WEIGHT * NSEC_PER_SEC / q->bytes_per_s : 0,
		.released = goes_on(&h->former_released, &h->last_released, q->released),
		.overflowed = goes_on(&h->former_overflowed, &h->last_overflowed, q->overflowed),
	};
}

int hold_keep(struct hold *h, const struct hold_plan *plan, struct config_error *err)
{
	struct device d;
	struct queue q;
	int bad;

	forget(h);
	bad = device_keep(h, &d, err);
	if (bad)
		return bad;
	bad = queue_find(h, d.ifindex, &q);
	if (bad)
		return fail(err, bad, "the queue of the device %s cannot be looked at: %s", h->name,
			    strerror(-bad));
	note(h, &q);
	return queue_keep(h, &q, plan, err);
}

int hold_look(struct hold *h, struct config_error *err)
{
	struct queue q = {};
	struct device d;
	int bad;

	forget(h);
	bad = device_find(h, &d);
	if (!bad && d.ifindex && device_is_ours(h, &d))
		bad = queue_find(h, d.ifindex, &q);
	if (bad)
		return fail(err, bad, "the device %s cannot be looked at: %s", h->name,
			    strerror(-bad));
	note(h, &q);
	return 0;
}

int hold_remove(struct hold *h)
{
	char buffer[NETLINK_REQUEST_BYTES];
	struct ifinfomsg *i;
	struct nlmsghdr *m;
	struct device d;
	int bad = device_find(h, &d);

	forget(h);
	if (bad || !d.ifindex || !device_is_ours(h, &d))
		return bad;
	m = netlink_start(buffer, RTM_DELLINK, 0, sizeof(*i), (void **)&i);
	i->ifi_index = (int)d.ifindex;
	return netlink_ask(h->netlink, m, NULL, NULL);
}
