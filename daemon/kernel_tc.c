// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel_tc.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "netlink.h"

/* From linux/bpf.h of Linux 6.6, which the headers of older distributions lack. */
#define ATTACH_TCX_INGRESS 46
#define ATTACH_TCX_EGRESS  47
#define LINK_TYPE_TCX	   11

/* Behind what the kernel numbers by itself (from 0xC000 down): others' filters come first. */
#define FILTER_PRIORITY 0xC5C5
#define FILTER_HANDLE	0x51

#define OUR_PROGRAMS "sluice_"

static int attach_type(enum tc_direction direction)
{
	return direction == TC_INGRESS ? ATTACH_TCX_INGRESS : ATTACH_TCX_EGRESS;
}

static uint32_t program_id(int prog_fd)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);

	return bpf_obj_get_info_by_fd(prog_fd, &info, &size) ? 0 : info.id;
}

/* --- links ------------------------------------------------------------------------------------ */

/*
 * The interface and direction that a link is attached to; ifindex 0 when it has been severed. The
 * kernel's struct of a tcx link begins as that of an XDP link and goes on as that of a netns link.
 */
static bool link_sits(int fd, uint32_t ifindex, enum tc_direction direction)
{
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);

	return !bpf_obj_get_info_by_fd(fd, &info, &size) && info.type == LINK_TYPE_TCX && ifindex &&
	       info.xdp.ifindex == ifindex && (int)info.netns.attach_type == attach_type(direction);
}

/* The link that is to run the program: this hook's, or a predecessor's by its pin. -1: none. */
static int link_find(const struct tc_hook *hook, uint32_t ifindex, enum tc_direction direction,
		     const char *pin_path)
{
	int fd;

	if (hook->link_fd >= 0 && link_sits(hook->link_fd, ifindex, direction))
		return hook->link_fd;
	fd = pin_path ? bpf_obj_get(pin_path) : -1;
	if (fd < 0)
		return -1;
	if (link_sits(fd, ifindex, direction))
		return fd;
	unlink(pin_path); /* severed, or of an interface that has this name no more */
	bpf_link_detach(fd);
	close(fd);
	return -1;
}

/* Makes the pin of a link if there is none. */
static int link_pin(int fd, const char *name, const char *pin_path, struct config_error *err)
{
	int bad;

	if (!pin_path || !access(pin_path, F_OK))
		return 0;
	bad = bpf_obj_pin(fd, pin_path);
	return bad ? fail(err, bad, "%s: the link %s cannot be pinned: %s", name, pin_path,
			  strerror(-bad))
		   : 0;
}

/* Returns 0, -EOPNOTSUPP without a sentence where the kernel has no such links, or -errno. */
static int link_attach(struct tc_hook *hook, uint32_t ifindex, const char *name,
		       enum tc_direction direction, int prog_fd, const char *pin_path,
		       struct config_error *err)
{
	int fd = link_find(hook, ifindex, direction, pin_path);
	bool is_new = fd < 0;
	int bad;

	if (!is_new && bpf_link_update(fd, prog_fd, NULL)) {
		bad = fail(err, -errno, "%s: its tc program cannot be replaced: %s", name,
			   strerror(errno));
		if (fd != hook->link_fd)
			close(fd);
		return bad;
	}
	if (is_new) {
		fd = bpf_link_create(prog_fd, (int)ifindex,
				     (enum bpf_attach_type)attach_type(direction), NULL);
		if (fd == -EINVAL) /* no tcx: the caller makes a filter */
			return -EOPNOTSUPP;
		if (fd == -EOPNOTSUPP)
			return fd;
		if (fd < 0)
			return fail(err, fd, "%s: the kernel does not attach the tc program: %s",
				    name, strerror(-fd));
	}
	bad = link_pin(fd, name, pin_path, err);
	if (bad) {
		if (fd != hook->link_fd) /* one that was pinned before has its pin */
			close(fd);
		return bad;
	}
	if (hook->link_fd >= 0 && hook->link_fd != fd)
		close(hook->link_fd);
	hook->link_fd = fd;
	return 0;
}

/* --- filters ---------------------------------------------------------------------------------- */

/* What is at our place of the interface's clsact qdisc. */
struct filter {
	bool there;
	bool ours;
	uint32_t prog_id;
	uint32_t count; /* of all filters in this direction, when that was asked */
};

static int take_bpf_option(const struct nlattr *a, void *data)
{
	struct filter *f = data;

	if (mnl_attr_get_type(a) == TCA_BPF_NAME)
		f->ours = !strncmp(mnl_attr_get_str(a), OUR_PROGRAMS, strlen(OUR_PROGRAMS));
	if (mnl_attr_get_type(a) == TCA_BPF_ID)
		f->prog_id = mnl_attr_get_u32(a);
	return MNL_CB_OK;
}

static int take_option(const struct nlattr *a, void *data)
{
	if (mnl_attr_get_type(a) == TCA_OPTIONS)
		mnl_attr_parse_nested(a, take_bpf_option, data);
	return MNL_CB_OK;
}

static int take_filter(const struct nlmsghdr *h, void *data)
{
	const struct tcmsg *t = mnl_nlmsg_get_payload(h);
	struct filter *f = data;

	if (h->nlmsg_type != RTM_NEWTFILTER)
		return MNL_CB_OK;
	f->count++;
	if (TC_H_MAJ(t->tcm_info) >> 16 == FILTER_PRIORITY && t->tcm_handle == FILTER_HANDLE) {
		f->there = true;
		mnl_attr_parse(h, sizeof(*t), take_option, f);
	}
	return MNL_CB_OK;
}

/* Lists the filters of one direction. No clsact qdisc is no filter. */
static int filter_look(uint32_t ifindex, enum tc_direction direction, struct filter *f)
{
	struct mnl_socket *s = netlink_open(NETLINK_ROUTE);
	char buffer[NETLINK_REQUEST_BYTES];
	struct nlmsghdr *h;
	struct tcmsg *t;
	int bad;

	*f = (struct filter){};
	if (!s)
		return -errno;
	h = netlink_start(buffer, RTM_GETTFILTER, NLM_F_DUMP, sizeof(*t), (void **)&t);
	t->tcm_family = AF_UNSPEC;
	t->tcm_ifindex = (int)ifindex;
	t->tcm_parent = TC_H_MAKE(TC_H_CLSACT,
				  direction == TC_INGRESS ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
	bad = netlink_ask(s, h, take_filter, f);
	mnl_socket_close(s);
	return bad;
}

/* The interfaces whose clsact qdisc is of our making; 0: a free place. See tc_remember(). */
static uint32_t made_by_process[MAX_INTERFACES];
static uint32_t *made_qdisc = made_by_process;

void tc_remember(uint32_t *made)
{
	made_qdisc = made ? made : made_by_process;
}

static uint32_t *made_qdisc_find(uint32_t ifindex)
{
	for (int i = 0; i < MAX_INTERFACES; i++)
		if (made_qdisc[i] == ifindex)
			return &made_qdisc[i];
	return NULL;
}

/* Without a place, also of those that are gone, the empty qdisc will stay. */
static void made_qdisc_add(uint32_t ifindex)
{
	char name[IF_NAMESIZE];

	if (made_qdisc_find(ifindex))
		return;
	for (int i = 0; i < MAX_INTERFACES; i++)
		if (made_qdisc[i] && !if_indextoname(made_qdisc[i], name))
			made_qdisc[i] = 0;
	if (made_qdisc_find(0))
		*made_qdisc_find(0) = ifindex;
}

static struct bpf_tc_hook clsact(uint32_t ifindex, enum tc_direction direction)
{
	return (struct bpf_tc_hook){
		.sz = sizeof(struct bpf_tc_hook),
		.ifindex = (int)ifindex,
		.attach_point = direction == TC_INGRESS ? BPF_TC_INGRESS : BPF_TC_EGRESS,
	};
}

/* A clsact qdisc, and at our place of it nothing that is not ours. */
static int filter_prepare(uint32_t ifindex, const char *name, enum tc_direction direction,
			  struct config_error *err)
{
	struct bpf_tc_hook at = clsact(ifindex, direction);
	struct filter f;
	int bad = bpf_tc_hook_create(&at);

	if (bad && bad != -EEXIST)
		return fail(err, bad,
			    "%s: the kernel makes no clsact qdisc, which the tc program needs: %s",
			    name, strerror(-bad));
	if (!bad)
		made_qdisc_add(ifindex);
	bad = filter_look(ifindex, direction, &f);
	if (bad)
		return fail(err, bad, "%s: its tc filters cannot be listed: %s", name,
			    strerror(-bad));
	if (f.there && !f.ours)
		return fail(err, -EBUSY,
			    "%s: a tc filter that is not ours has priority %u and handle 0x%x: it "
			    "is left alone; move it, or name another interface",
			    name, FILTER_PRIORITY, FILTER_HANDLE);
	return 0;
}

static int filter_attach(uint32_t ifindex, const char *name, enum tc_direction direction,
			 int prog_fd, struct config_error *err)
{
	struct bpf_tc_hook at = clsact(ifindex, direction);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY,
		    .prog_fd = prog_fd, .flags = BPF_TC_F_REPLACE);
	int bad = filter_prepare(ifindex, name, direction, err);

	if (bad)
		return bad;
	bad = bpf_tc_attach(&at, &opts);
	return bad ? fail(err, bad, "%s: the kernel does not attach the tc program: %s", name,
			  strerror(-bad))
		   : 0;
}

/* The action of a diverting filter: what matches goes out through that device, and only there. */
static void put_mirred(struct nlmsghdr *h, uint32_t to)
{
	struct tc_mirred m = {.action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = to};
	struct nlattr *actions = mnl_attr_nest_start(h, TCA_BPF_ACT);
	struct nlattr *first = mnl_attr_nest_start(h, 1), *options;

	mnl_attr_put_strz(h, TCA_ACT_KIND, "mirred");
	options = mnl_attr_nest_start(h, TCA_ACT_OPTIONS);
	mnl_attr_put(h, TCA_MIRRED_PARMS, sizeof(m), &m);
	mnl_attr_nest_end(h, options);
	mnl_attr_nest_end(h, first);
	mnl_attr_nest_end(h, actions);
}

/* Puts a diverting filter at our place, or in place of the one that is there, without a gap. */
static int filter_divert(uint32_t ifindex, int prog_fd, uint32_t to)
{
	struct mnl_socket *s = netlink_open(NETLINK_ROUTE);
	char buffer[NETLINK_REQUEST_BYTES], label[64];
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);
	struct nlattr *options;
	struct nlmsghdr *h;
	struct tcmsg *t;
	int bad;

	if (!s)
		return -errno;
	if (bpf_obj_get_info_by_fd(prog_fd, &info, &size))
		info.id = 0;
	snprintf(label, sizeof(label), "%.15s:[%u]", info.name, info.id);
	h = netlink_start(buffer, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*t),
			  (void **)&t);
	t->tcm_family = AF_UNSPEC;
	t->tcm_ifindex = (int)ifindex;
	t->tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
	t->tcm_info = TC_H_MAKE((uint32_t)FILTER_PRIORITY << 16, htons(ETH_P_ALL));
	t->tcm_handle = FILTER_HANDLE;
	mnl_attr_put_strz(h, TCA_KIND, "bpf");
	options = mnl_attr_nest_start(h, TCA_OPTIONS);
	mnl_attr_put_u32(h, TCA_BPF_FD, (uint32_t)prog_fd);
	mnl_attr_put_strz(h, TCA_BPF_NAME, label);
	put_mirred(h, to);
	mnl_attr_nest_end(h, options);
	bad = netlink_ask(s, h, NULL, NULL);
	mnl_socket_close(s);
	return bad;
}

static void filter_remove(uint32_t ifindex, enum tc_direction direction)
{
	struct bpf_tc_hook at = clsact(ifindex, direction);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = FILTER_HANDLE, .priority = FILTER_PRIORITY);
	struct filter f;

	if (ifindex && !filter_look(ifindex, direction, &f) && f.there && f.ours)
		bpf_tc_detach(&at, &opts);
}

/* A clsact qdisc that we have made goes when nobody has a filter there. */
static void qdisc_remove(uint32_t ifindex)
{
	struct bpf_tc_hook at = clsact(ifindex, TC_INGRESS);
	uint32_t *made = ifindex ? made_qdisc_find(ifindex) : NULL;
	struct filter ingress, egress;

	if (!made || filter_look(ifindex, TC_INGRESS, &ingress) ||
	    filter_look(ifindex, TC_EGRESS, &egress))
		return;
	if (ingress.count || egress.count)
		return;
	at.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	bpf_tc_hook_destroy(&at);
	*made = 0;
}

/* --- both ------------------------------------------------------------------------------------- */

int tc_attach(struct tc_hook *hook, uint32_t ifindex, const char *name, enum tc_direction direction,
	      int prog_fd, const char *pin_path, struct config_error *err)
{
	int bad = -EOPNOTSUPP;

	if (pin_path && strlen(pin_path) >= sizeof(hook->pin))
		return fail(err, -ENAMETOOLONG, "%s: the pin path %s is too long", name, pin_path);
	/* Moved to another interface: what is on the former one ends. */
	if (hook->ifindex && (hook->ifindex != ifindex || hook->direction != direction))
		tc_detach(hook);
	if (!hook->only_classic)
		bad = link_attach(hook, ifindex, name, direction, prog_fd, pin_path, err);
	/* A filter of a predecessor on an older kernel, or none. */
	if (bad == -EOPNOTSUPP)
		bad = filter_attach(ifindex, name, direction, prog_fd, err);
	if (bad)
		return bad;
	hook->ifindex = ifindex;
	hook->direction = direction;
	hook->prog_id = program_id(prog_fd);
	snprintf(hook->pin, sizeof(hook->pin), "%s",
		 pin_path && hook->link_fd >= 0 ? pin_path : "");
	return 0;
}

int tc_divert(struct tc_hook *hook, uint32_t ifindex, const char *name, int prog_fd, uint32_t to,
	      struct config_error *err)
{
	int bad;

	if (hook->ifindex && (hook->ifindex != ifindex || hook->direction != TC_INGRESS))
		tc_detach(hook);
	bad = filter_prepare(ifindex, name, TC_INGRESS, err);
	if (bad)
		return bad;
	bad = filter_divert(ifindex, prog_fd, to);
	if (bad == -ENOENT || bad == -EOPNOTSUPP)
		return fail(err, bad,
			    "%s: this kernel has no bpf filters with the action mirred "
			    "(CONFIG_NET_CLS_BPF, CONFIG_NET_ACT_MIRRED): %s",
			    name, strerror(-bad));
	if (bad)
		return fail(err, bad, "%s: the kernel does not attach the tc program: %s", name,
			    strerror(-bad));
	hook->ifindex = ifindex;
	hook->to = to;
	hook->direction = TC_INGRESS;
	hook->prog_id = program_id(prog_fd);
	return 0;
}

bool tc_attached(const struct tc_hook *hook)
{
	struct filter f;

	if (!hook->ifindex)
		return false;
	if (hook->link_fd >= 0)
		return link_sits(hook->link_fd, hook->ifindex, hook->direction);
	return !filter_look(hook->ifindex, hook->direction, &f) && f.there && f.ours &&
	       f.prog_id == hook->prog_id;
}

void tc_detach(struct tc_hook *hook)
{
	bool classic = hook->only_classic;

	if (hook->pin[0])
		unlink(hook->pin);
	if (hook->link_fd >= 0) {
		bpf_link_detach(hook->link_fd);
		close(hook->link_fd);
	} else if (hook->ifindex) {
		filter_remove(hook->ifindex, hook->direction);
		qdisc_remove(hook->ifindex);
	}
	*hook = TC_HOOK_NONE;
	hook->only_classic = classic;
}

void tc_release(struct tc_hook *hook)
{
	if (hook->link_fd >= 0)
		close(hook->link_fd);
	*hook = TC_HOOK_NONE;
}

void tc_sweep(uint32_t ifindex, enum tc_direction direction, const char *pin_path)
{
	int fd = pin_path ? bpf_obj_get(pin_path) : -1;

	if (fd >= 0) {
		unlink(pin_path);
		bpf_link_detach(fd);
		close(fd);
	}
	filter_remove(ifindex, direction);
	qdisc_remove(ifindex);
}
