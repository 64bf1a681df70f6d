/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * daemon.h - what the rooms of sluiced share, and who may touch it.
 *
 * Two threads. The controller (controller.c) ticks once a second: it samples the load, steps the
 * tiers, writes the policy and renews the lease, and touches only /proc and maps. The main thread
 * does everything that may wait: files, sockets, log, interfaces. `lock` covers all of struct
 * daemon; neither thread waits for anything but the kernel while it holds it.
 */
#ifndef DAEMON_H
#define DAEMON_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "added.h"
#include "classes.h"
#include "config.h"
#include "control.h"
#include "kernel.h"
#include "pacing.h"
#include "settings.h"
#include "load.h"
#include "sockets.h"
#include "sluice.h"
#include "tier.h"

#define TICK_NS	      NSEC_PER_SEC
#define OVERRIDES_MAX 128 /* of the command line */
#define HISTORY_LONG  11  /* ticks: rates are over the last ten seconds */

/* What was judged so far, at one tick; families and classes together. */
struct history {
	uint64_t at_ns;
	uint64_t judged[MODES][VERDICTS][REASONS];
	uint64_t established; /* of the admitted: the handshake was completed */
};

struct daemon {
	/* Set once, before the second thread starts. */
	char instance[INSTANCE_MAX + 1];
	char runtime[128]; /* /run/sluice/<instance> */
	const char *file;  /* the config file; NULL: none */
	const char *const *overrides;
	size_t override_count;
	struct config_facts facts;
	struct kernel *kernel;
	struct known *known;	      /* the main thread's alone; see known.h */
	struct recent *recent;	      /* likewise; see recent.h */
	struct kernel_events *events; /* likewise; NULL: none can be read */
	struct history_book *past;    /* likewise; see history.h */
	uint64_t started_ns;
	int changed_fd; /* eventfd: the controller has ticked */

	pthread_mutex_t lock;
	struct config config;
	struct class_list classes;
	size_t class_prefixes[CLASSES];
	struct override mode_override, tier_override; /* by hand */
	uint32_t class_slot;			      /* that holds the lists of the config */
	struct policy policy;			      /* in force: as last written */
	uint64_t policy_t_ns; /* interval of the global bucket when it was last looked at */
	struct tier_state tier;
	enum tier_why tier_why; /* of the last change */
	uint32_t tier_why_load_centi;
	struct load_sample load;
	uint64_t ticked_ns;
	uint64_t lease_until_ns;
	uint64_t policy_changes, tier_changes;
	uint64_t policy_errors;
	struct history history[HISTORY_LONG];
	uint32_t history_count, history_next;
	struct added added;	       /* by hand into a class; likewise */
	struct settings settings;      /* of `set`; the main thread's alone */
	struct sessions_view sessions; /* the main thread's alone */
	bool asked_by_root; /* the request at hand: may it name files that root reads or writes? */
	struct pacing pacing; /* the main thread's alone */
	bool stopping;
	bool detached; /* nothing of ours is left in the kernel */
};

/* Known senders were changed by hand: tells the kernel. The main thread's, without the lock. */
void daemon_known_changed(struct daemon *d);

/* --- learning.c: all the main thread's --- */

/* Reads the known senders and tells the kernel of them. Returns 0, or -errno with a sentence. */
int learning_start(struct daemon *d, struct config_error *err);

/* A kernel_end_fn: learns from the end of a session. */
void learning_end_of_session(void *daemon, const struct session_end *end);

/* Lets go of what is over, tells the kernel what has changed, writes the file when it is time. */
void learning_tick(struct daemon *d);

/* The [known] keys may have changed. */
void learning_configure(struct daemon *d);

/* Writes the file. */
void learning_stop(struct daemon *d);

/* --- observing.c: all the main thread's --- */

/* Makes room for what is seen, and has the gate tell. Returns 0, or -errno with a sentence. */
int observing_start(struct daemon *d, struct config_error *err);

/* Takes the events that have come. At every tick, and before somebody asks. */
void observing_read(struct daemon *d);

/* The same, and adds a second to the line. Takes the lock. */
void observing_tick(struct daemon *d);

void observing_stop(struct daemon *d);

/* --- recording.c: all the main thread's --- */

/*
 * Reads the history of the last 31 days; a file that is damaged is set aside, and logged. Returns
 * 0, or -ENOMEM with a sentence.
 */
int recording_start(struct daemon *d, struct config_error *err);

/* Takes the last second that was observed; writes the file when it is time. */
void recording_tick(struct daemon *d);

/* Writes the file. Before observing_stop(). */
void recording_stop(struct daemon *d);

/* --- controller.c --- */

/* One tick: sample, step, write the policy if it changed, renew the lease. Takes the lock. */
void controller_tick(struct daemon *d);

/*
 * Makes the policy from config, tiers and overrides, and puts it in force if it differs from what
 * is. The caller holds the lock. Returns 0 or -errno; the old policy stays in force then.
 */
int controller_apply(struct daemon *d);

/* The tier set in force: a manual one, or the load's. The caller holds the lock. */
uint32_t controller_tiers(const struct daemon *d, uint64_t now_ns);

/* Runs the thread until controller_stop(). Returns 0 or an error number of pthread_create. */
int controller_start(struct daemon *d);
void controller_stop(struct daemon *d);

/* Leaves the filter with its static limits: no load tiers, no lease. */
void controller_leave(struct daemon *d);

/* Fills a history's sums from the counters. */
void controller_sum(const struct counters *c, struct history *h);

/*
 * Are most admitted attempts never completed? Then their sources are spoofed, or cannot hear us.
 * *percent is the share of those of the last ten seconds that were; 100 where there were few.
 */
bool controller_spoofed(const struct daemon *d, uint32_t *percent);

/* A sentence: why the tier set is what it is. The caller holds the lock. */
void controller_reason(const struct daemon *d, char *text, size_t size);

/* --- command.c --- */

/*
 * Answers one request of the control protocol. text need not end in NUL. Returns a JSON text that
 * the caller frees, or NULL when memory has run out. Takes the lock.
 */
char *command_answer(struct daemon *d, const char *text, size_t size);

/*
 * Puts a config and its class lists in force: at the start and at every change. All or nothing;
 * the list is taken over. The main thread's; takes the lock. Returns 0, or -errno and why.
 */
int command_put_in_force(struct daemon *d, const struct config *c, struct class_list *list,
			 struct config_error *err);

/* Applies the config file anew, all or nothing. Takes the lock. Returns 0, or -errno and why. */
int command_reload(struct daemon *d, struct config_error *err);

/*
 * Puts the settings that a predecessor has kept over the config that was read, which *c is, and
 * reads the class files of it anew then. Settings that do not fit are let go of, and logged.
 */
void command_set_start(struct daemon *d, struct config *c, struct class_list *list);

/* Lets go of the settings that have ended. At every tick; the main thread's, without the lock. */
void command_set_tick(struct daemon *d);

/* Reads what was added to the classes by hand, and puts it over the lists. */
void command_class_start(struct daemon *d, struct class_list *list);

/* Lets go of what has ended of it. As command_set_tick(). */
void command_class_tick(struct daemon *d);

/* --- server.c --- */

/* Opens the control socket. Returns 0, or -errno with a sentence. */
int server_open(struct daemon *d, struct config_error *err);
void server_close(struct daemon *d);

/* Adds the server's descriptors to a poll set that has room for 1 + CONTROL_CLIENTS; returns how
 * many. *timeout_ms is lowered to the next deadline of a client. */
struct pollfd;
uint32_t server_poll(struct pollfd *set, int *timeout_ms);

/* Serves what poll() has found in that set. */
void server_serve(struct daemon *d, const struct pollfd *set, uint32_t count);

/* --- metrics.c --- */

/* The exposition as text, to be freed; NULL when memory has run out. Takes the lock. */
char *metrics_text(struct daemon *d);

/* --- files.c --- */

/* Writes a file whole: temporary in the same folder, then rename. Returns 0 or -errno. */
int files_replace(const char *path, const char *text, size_t size, unsigned int mode);

/* Brings <runtime>/tier and the flag file <runtime>/queue up to date. Returns 0 or -errno. */
int files_tier(const struct daemon *d, uint32_t tiers);

/*
 * Writes <runtime>/lease, at every tick, for those who must not follow the set of a dead daemon:
 *
 *	until 5123.250		seconds of CLOCK_MONOTONIC; from then on the set counts as normal
 *	tier delay,queue	or normal
 *	reason a sentence
 *
 * until_ns 0: the daemon ends. A failure is logged once; what stands there runs out by itself.
 */
void files_lease(const struct daemon *d, uint64_t until_ns, uint32_t tiers, const char *reason);

#endif
