/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel_sessions.h - the second half of what runs in the kernel: the programs that count sessions
 * (bpf/sessions.bpf.c) and time the banner (bpf/banner.bpf.c), and the tables they keep.
 *
 * They work over the gate's own maps. Nothing here is needed for the gate to run: what cannot be
 * loaded or attached is said in one sentence, and the gates that live on it have no opinion.
 * The main thread's, unless a function says otherwise.
 */
#ifndef KERNEL_SESSIONS_H
#define KERNEL_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel.h"
#include "sluice.h"

/* What there is and what not; an empty sentence: all well. Valid until the next call here. */
struct kernel_watch {
	bool counting;	       /* the tracepoint is attached */
	bool raw;	       /* by its untyped form */
	char sessions[256];    /* why sessions are not counted */
	char listener[256];    /* why accept queues are not asked */
	char banner[256];      /* why the banner is not timed */
	uint32_t banner_hooks; /* interfaces whose egress is looked at */
};

/* Which network namespace this is, as the tracepoint tells them apart. 0: unknown. */
uint32_t kernel_netns_inum(void);

/*
 * Loads and attaches what counts sessions; pins it, so that it goes on without us. Asked once,
 * while all capabilities of the start are there. Failures are in kernel_watch().
 */
void kernel_sessions_start(struct kernel *k);

/* Puts the banner's program on the egress of interfaces where it is missing. Asked every tick. */
void kernel_banner_tend(struct kernel *k);

const struct kernel_watch *kernel_watch(struct kernel *k);

/* Live sessions and attempts on their way, as the gate sees them now. Any thread. */
int64_t kernel_sessions_live(const struct kernel *k);
uint32_t kernel_sessions_pending(const struct kernel *k);

/* How many the table of sessions has room for. */
uint32_t kernel_sessions_most(const struct kernel *k);

/* A number that moves with every begin and end. Any thread. */
uint64_t kernel_sessions_changes(const struct kernel *k);

/* Moves the total: it has been seen to differ from the table for good. Any thread. */
void kernel_sessions_adjust(struct kernel *k, int64_t by);

/* The fingerprint of a session of this client, as the table's key has it. */
uint64_t kernel_session_key(const struct kernel *k, const struct attempt *a);

/* One entry each of the tables, for whoever walks them. */
struct kernel_session {
	uint64_t key;
	struct session session;
};

struct kernel_holder {
	struct prefix_key key;
	struct holder holder;
};

/*
 * Reads a table whole into *list, which the caller frees. Entries that come or go meanwhile may be
 * in it or not. Returns how many, or -errno.
 */
int kernel_sessions_list(struct kernel *k, struct kernel_session **list);
int kernel_holders_list(struct kernel *k, struct kernel_holder **list);

/* Puts one thing right (enum session_fix_what). Returns 0, -errno, or -ENOENT: it was right. */
int kernel_session_fix(struct kernel *k, const struct session_fix *fix);

/* Called for each session that has ended, by kernel_sessions_read(). */
typedef void kernel_end_fn(void *data, const struct session_end *end);

/* A descriptor that poll() finds readable when ends are to be read; -1: there are none. */
int kernel_ends_fd(const struct kernel *k);

/* Hands out the ends that have come, at most `most` of them. */
void kernel_ends_read(struct kernel *k, kernel_end_fn *fn, void *data, uint32_t most);

/* Sets, or takes away (class CLASS_UNKNOWN), what is learned of a source. Returns 0 or -errno. */
int kernel_learned_set(struct kernel *k, const struct prefix_key *key, const struct learned *l);

/*
 * Forgets what a predecessor has learned, but for the keys that are to be kept: for a start that
 * has written what it knows. Returns 0 or -errno.
 */
int kernel_learned_sweep(struct kernel *k, bool (*keep)(void *data, const struct prefix_key *key),
			 void *data);

#endif
