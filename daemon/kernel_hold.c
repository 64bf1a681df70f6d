// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel_hold.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "kernel_internal.h"
#include "kernel_tc.h"
#include "log.h"

#include "hold.skel.h"

#define OWE_TRIES 16

static int load(struct kernel *k, struct config_error *err)
{
	struct hold_bpf *h = k->hold ? NULL : hold_bpf__open();
	int bad;

	if (k->hold)
		return 0;
	if (!h)
		return fail(err, -errno, "the tc program of HOLD cannot be opened: %s",
			    strerror(errno));
	bad = bpf_map__reuse_fd(h->maps.control, kernel_map_fd(k, "control"));
	if (!bad)
		bad = bpf_map__reuse_fd(h->maps.counters, kernel_map_fd(k, "counters"));
	if (!bad)
		bad = hold_bpf__load(h);
	if (bad) {
		hold_bpf__destroy(h);
		return fail(err, bad, "the kernel refuses the tc program of HOLD: %s",
			    strerror(-bad));
	}
	k->hold = h;
	return 0;
}

static int attach_one(struct kernel *k, struct link *l, uint32_t room, struct config_error *err)
{
	const struct bpf_program *program =
		l->seen.native ? k->hold->progs.sluice_hold : k->hold->progs.sluice_hold_gen;
	int bad;

	if (l->hook.ifindex == l->ifindex && l->hook.to == room &&
	    l->hook_native == l->seen.native && tc_attached(&l->hook))
		return 0;
	bad = tc_divert(&l->hook, l->ifindex, l->seen.name, bpf_program__fd(program), room, err);
	l->hook_native = l->seen.native;
	return bad;
}

/* Tells the program where it is generic XDP; elsewhere nobody can claim to come from the room. */
static void tell_generic(struct kernel *k)
{
	for (uint32_t i = 0; i < MAX_INTERFACES; i++) {
		const struct link *l = &k->link[i];
		bool generic = i < k->links && l->fd >= 0 && !l->seen.native;

		__atomic_store_n(&k->control->hold_generic[i], generic ? l->ifindex : 0,
				 __ATOMIC_RELEASE);
	}
}

int kernel_hold_attach(struct kernel *k, uint32_t room, struct config_error *err)
{
	int bad = load(k, err);

	for (uint32_t i = 0; i < k->links && !bad; i++)
		if (k->link[i].fd >= 0)
			bad = attach_one(k, &k->link[i], room, err);
	tell_generic(k);
	return bad;
}

void kernel_hold_let_go(struct link *l)
{
	uint32_t ifindex = l->ifindex;

	tc_detach(&l->hook);
	/* Also what a predecessor has left there, which this start has never taken over. */
	tc_sweep(ifindex, TC_INGRESS, NULL);
}

void kernel_hold_detach(struct kernel *k)
{
	for (uint32_t i = 0; i < k->links; i++)
		kernel_hold_let_go(&k->link[i]);
}

void kernel_hold_release(struct kernel *k)
{
	for (uint32_t i = 0; i < k->links; i++)
		tc_release(&k->link[i].hook);
	hold_bpf__destroy(k->hold);
	k->hold = NULL;
}

/*
 * The address by which generic XDP knows what comes out of the room: random and local, so that
 * nobody on the wire can claim it. It stays for as long as the control words do.
 */
static void choose_tag(struct control *c)
{
	__u64 tag = 0;
	__u8 byte[ETH_ALEN];

	if (c->hold_tag || getrandom(byte, sizeof(byte), 0) != sizeof(byte))
		return;
	byte[0] = (__u8)((byte[0] & 0xfc) | 0x02);
	memcpy(&tag, byte, sizeof(byte));
	__atomic_store_n(&c->hold_tag, tag, __ATOMIC_RELEASE);
}

void kernel_hold_open(struct kernel *k, uint32_t ifindex, uint64_t until_ns)
{
	choose_tag(k->control);
	__atomic_store_n(&k->control->hold_ifindex, ifindex, __ATOMIC_RELEASE);
	__atomic_store_n(&k->control->hold_until_ns, until_ns, __ATOMIC_RELEASE);
}

void kernel_hold_close(struct kernel *k)
{
	__atomic_store_n(&k->control->hold_until_ns, 0, __ATOMIC_RELEASE);
}

void kernel_hold_drained(struct kernel *k, uint64_t at_ns)
{
	__atomic_store_n(&k->control->hold_drained_ns, at_ns, __ATOMIC_RELEASE);
}

void kernel_owe(struct kernel *k, uint64_t debt_ns)
{
	__u64 *word = &k->control->global_tat_ns;

	for (int i = 0; i < OWE_TRIES; i++) {
		__u64 old = __atomic_load_n(word, __ATOMIC_RELAXED);
		__u64 least = kernel_now_ns() + debt_ns;

		if (old >= least || __sync_bool_compare_and_swap(word, old, least))
			return;
	}
}
