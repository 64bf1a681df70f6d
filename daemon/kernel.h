/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel.h - the only room that calls libbpf: the program, its maps, its links and their pins.
 *
 * Pins are /sys/fs/bpf/sluice/<instance>/link-<interface> and .../abi-<N>/<map>. A start takes
 * over what it finds there: maps keep their buckets, links go on without a gap. Nothing that was
 * running is changed before everything that can fail has succeeded.
 *
 * Calls are not thread-safe, except kernel_lease(), kernel_debt_ns(), kernel_owe_at_most() and
 * kernel_rescale(), which touch only mapped memory, and kernel_classes_set(); the daemon's lock
 * covers the rest.
 */
#ifndef KERNEL_H
#define KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "classes.h"
#include "config.h"
#include "sluice.h"

/* The idle policy set is not filled again before every reader has left it. */
#define FLIP_GAP_NS (100 * NSEC_PER_MSEC)

struct kernel;

/* How one interface fares. */
struct kernel_interface {
	char name[IFNAMSIZ];
	bool attached;
	bool native;
	char problem[256]; /* a sentence, or empty */
};

/* CLOCK_MONOTONIC, which the buckets' clock follows in steps of a tick. */
uint64_t kernel_now_ns(void);

/* What the config check wants to know of this machine. */
void kernel_facts(struct config_facts *facts);

/*
 * Loads the program over the pinned maps of this instance, or over new ones. Touches nothing that
 * runs. Returns 0 with *out owned by the caller (kernel_close), or -errno with a sentence: bpffs
 * not mounted, no privilege, state of another ABI.
 */
int kernel_open(const char *instance, const struct config *c, struct kernel **out,
		struct config_error *err);

/* Frees our hold; what is pinned goes on. */
void kernel_close(struct kernel *k);

/*
 * Attaches to the interfaces of the config that are not attached yet, pins maps and links, lets
 * existing links run this program, and lets go of interfaces that the config no longer names. On
 * an error everything that this call attached is taken away again and the rest is as it was.
 */
int kernel_attach(struct kernel *k, const struct config *c, struct config_error *err);

/* Reads the policy set that a predecessor left in force. Returns false if there was none. */
bool kernel_policy_inherited(struct kernel *k, struct policy *p);

/*
 * Fills the idle set and makes it the active one. Waits until FLIP_GAP_NS after the last flip.
 * Returns 0 or -errno; on an error the active set stays.
 */
int kernel_policy_set(struct kernel *k, const struct policy *p);

/*
 * Builds new class tries in a slot that no policy set in force names. Takes seconds for a million
 * prefixes, so it is called without the daemon's lock: only the main thread changes slots. Returns
 * 0 or -errno with a sentence; what is in force stays.
 */
int kernel_classes_set(struct kernel *k, const struct class_list *list, uint32_t slot,
		       struct config_error *err);

/* Does the lease of a predecessor still hold? */
bool kernel_leased(struct kernel *k);

/* The controller lives until then; 0: it has stopped, and load tiers lapse now. */
void kernel_lease(struct kernel *k, uint64_t until_ns);

/* What the global bucket owes now. */
uint64_t kernel_debt_ns(struct kernel *k);

/* Before a policy that can owe no more than that comes into force: nor does the bucket. */
void kernel_owe_at_most(struct kernel *k, uint64_t debt_ns);

/*
 * The global bucket's T has changed: its debt becomes the same number of connections, at most tau1;
 * while SYNs are held, at most tau3, as the debt is the queue (pacing.c then puts it right). Gives
 * up after a few tries against a storm; the bucket's own repair does the rest.
 */
void kernel_rescale(struct kernel *k, uint64_t t_old_ns, const struct bucket *b);

/* Sums the counters of all CPUs. Returns 0 or -errno. */
int kernel_counters(struct kernel *k, struct counters *sum);

/* What the sources' buckets owe: who has had the most connections lately. */
struct kernel_sources {
	uint32_t count;	 /* that owe something */
	uint64_t sum_ns; /* of all debts */
	uint64_t top_ns; /* the largest */
	union addr top;
	uint32_t top_bits; /* of 128 */
};

/* Walks the source table; a look at most at every entry that it can hold. Returns 0 or -errno. */
int kernel_sources(struct kernel *k, struct kernel_sources *s);

/* Looks after the links: an interface that was deleted and is back is attached again. */
void kernel_tend(struct kernel *k);

/* A look_map_fn (look.h) over the maps of a struct kernel. */
int kernel_map_of(void *kernel, const char *name);

/* How the interfaces fare. Returns their number; *list is valid until the next call here. */
uint32_t kernel_interfaces(struct kernel *k, const struct kernel_interface **list);

/* Takes the filter away: links, then pins. Traffic passes from then on. */
void kernel_detach(struct kernel *k);

#endif
