// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel_sessions.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel_internal.h"
#include "listed.h"
#include "log.h"

#include "banner.skel.h"
#include "gate.skel.h"
#include "sessions.skel.h"

/* Only so that a frame's fingerprint is the kernel's: nothing is judged here. */
#include "tables.h"

#include "state.h"

#define SESSIONS_PIN "sessions"
#define BATCH	     4096 /* entries that one call reads of a table */

/* What kernel.c frees by kernel_sessions_close(). */
struct watch {
	struct sessions_bpf *sessions;
	struct banner_bpf *banner;
	struct bpf_link *link;
	struct ring_buffer *ends;
	kernel_end_fn *end_fn;
	void *end_data;
	uint32_t ends_left;
	uint32_t banner_ifindex[MAX_INTERFACES]; /* that the hook of the place was made for */
	struct tc_hook banner_hook[MAX_INTERFACES];
	struct kernel_watch seen;
};

uint32_t kernel_netns_inum(void)
{
	struct stat st;

	return stat("/proc/self/ns/net", &st) ? 0 : (uint32_t)st.st_ino;
}

/* --- the programs ----------------------------------------------------------------------------- */

/* Both objects declare all maps of the gate; they are to be the very maps that it has. */
static int share_maps(struct bpf_object *of, const struct kernel *k)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, of)
	{
		const char *name = bpf_map__name(map);
		const struct bpf_map *ours = bpf_object__find_map_by_name(k->program->obj, name);
		int bad;

		if (bpf_map__is_internal(map))
			continue;
		if (!ours || bpf_map__fd(ours) < 0) {
			bpf_map__set_autocreate(map, false);
			continue;
		}
		bad = bpf_map__reuse_fd(map, bpf_map__fd(ours));
		if (bad)
			return bad;
	}
	return 0;
}

/* Opens and loads what counts sessions, by one form of the tracepoint. NULL with *bad. */
static struct sessions_bpf *load_sessions(const struct kernel *k, bool raw, int *bad)
{
	struct sessions_bpf *s = sessions_bpf__open();

	if (!s) {
		*bad = -errno;
		return NULL;
	}
	s->rodata->netns_inum = kernel_netns_inum();
	bpf_program__set_autoload(s->progs.sluice_sessions, !raw);
	bpf_program__set_autoload(s->progs.sluice_sessions_raw, raw);
	*bad = share_maps(s->obj, k);
	if (!*bad)
		*bad = sessions_bpf__load(s);
	if (!*bad)
		return s;
	sessions_bpf__destroy(s);
	return NULL;
}

/* The new one is attached before the old one goes: a session that both see counts once. */
static int attach_sessions(struct kernel *k)
{
	struct watch *w = k->watch;
	char path[PIN_PATH_MAX + 64];
	struct bpf_link *link;

	link = bpf_program__attach(w->seen.raw ? w->sessions->progs.sluice_sessions_raw
					       : w->sessions->progs.sluice_sessions);
	if (!link)
		return -errno;
	snprintf(path, sizeof(path), "%s/" SESSIONS_PIN, k->folder);
	unlink(path);
	if (bpf_link__pin(link, path))
		log_line("%s cannot be made: sessions are counted only while sluiced runs", path);
	w->link = link;
	return 0;
}

static void start_sessions(struct kernel *k)
{
	struct watch *w = k->watch;
	int bad = 0;

	w->sessions = load_sessions(k, false, &bad);
	if (!w->sessions) {
		w->sessions = load_sessions(k, true, &bad);
		w->seen.raw = w->sessions != NULL;
	}
	if (w->sessions)
		bad = attach_sessions(k);
	w->seen.counting = !bad;
	if (bad)
		snprintf(w->seen.sessions, sizeof(w->seen.sessions),
			 "sessions are not counted, as this kernel does not take a program on the "
			 "tracepoint inet_sock_set_state (%s): max-sessions, "
			 "max-sessions-per-source and source-session-time have no effect",
			 strerror(-bad));
}

static int on_end(void *data, void *sample, size_t size)
{
	struct watch *w = data;
	struct session_end end;

	if (size < sizeof(end))
		return 0;
	memcpy(&end, sample, sizeof(end));
	if (w->end_fn)
		w->end_fn(w->end_data, &end);
	/* A number that is not 0 ends the reading: the rest waits its turn. */
	return w->ends_left && !--w->ends_left ? -EAGAIN : 0;
}

static void start_banner(struct kernel *k)
{
	struct watch *w = k->watch;
	int bad;

	for (int i = 0; i < MAX_INTERFACES; i++)
		w->banner_hook[i] = TC_HOOK_NONE;
	w->banner = banner_bpf__open();
	bad = w->banner ? share_maps(w->banner->obj, k) : -errno;
	if (!bad)
		bad = banner_bpf__load(w->banner);
	if (!bad)
		return;
	snprintf(
		w->seen.banner, sizeof(w->seen.banner),
		"the time to the banner is not measured: the kernel does not take the program (%s)",
		strerror(-bad));
	banner_bpf__destroy(w->banner);
	w->banner = NULL;
}

void kernel_sessions_start(struct kernel *k)
{
	k->watch = calloc(1, sizeof(*k->watch));
	if (!k->watch)
		return;
	if (!k->asks_listener)
		snprintf(k->watch->seen.listener, sizeof(k->watch->seen.listener),
			 "accept queues are not asked: this kernel does not let XDP look a "
			 "listener up, or has no BTF (/sys/kernel/btf/vmlinux)");
	start_sessions(k);
	if (k->watch->seen.sessions[0])
		log_line("%s", k->watch->seen.sessions);
	if (k->watch->seen.listener[0])
		log_line("%s", k->watch->seen.listener);
	k->watch->ends =
		ring_buffer__new(bpf_map__fd(k->program->maps.ends), on_end, k->watch, NULL);
	/* Without sessions there is nothing to time. */
	if (k->watch->seen.counting)
		start_banner(k);
	if (k->watch->seen.banner[0])
		log_line("%s", k->watch->seen.banner);
}

void kernel_banner_tend(struct kernel *k)
{
	struct watch *w = k->watch;
	struct config_error err;

	if (!w || !w->banner)
		return;
	w->seen.banner_hooks = 0;
	for (uint32_t i = 0; i < MAX_INTERFACES; i++) {
		struct tc_hook *hook = &w->banner_hook[i];
		const struct link *l = i < k->links ? &k->link[i] : NULL;
		uint32_t ifindex = l && l->fd >= 0 ? l->ifindex : 0;

		if (hook->ifindex && hook->ifindex != ifindex)
			tc_detach(hook);
		if (ifindex && !tc_attached(hook) &&
		    tc_attach(hook, ifindex, l->seen.name, TC_EGRESS,
			      bpf_program__fd(w->banner->progs.sluice_banner), NULL, &err) &&
		    strcmp(w->seen.banner, err.text)) {
			snprintf(w->seen.banner, sizeof(w->seen.banner), "%.255s", err.text);
			log_line("the time to the banner is not measured: %s", err.text);
		}
		w->seen.banner_hooks += tc_attached(hook);
	}
}

const struct kernel_watch *kernel_watch(struct kernel *k)
{
	static const struct kernel_watch none = {.sessions = "sessions are not counted: there was "
							     "no memory for it"};

	return k->watch ? &k->watch->seen : &none;
}

void kernel_sessions_close(struct kernel *k)
{
	struct watch *w = k->watch;

	if (!w)
		return;
	for (int i = 0; i < MAX_INTERFACES && w->banner; i++)
		tc_detach(&w->banner_hook[i]);
	ring_buffer__free(w->ends);
	/* A pinned link goes on; one that could not be pinned ends here. */
	bpf_link__destroy(w->link);
	banner_bpf__destroy(w->banner);
	sessions_bpf__destroy(w->sessions);
	free(w);
	k->watch = NULL;
}

void kernel_sessions_detach(struct kernel *k)
{
	char path[PIN_PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/" SESSIONS_PIN, k->folder);
	unlink(path);
	if (k->watch && k->watch->link)
		bpf_link__detach(k->watch->link);
}

/* --- the tables ------------------------------------------------------------------------------- */

uint32_t kernel_sessions_most(const struct kernel *k)
{
	return bpf_map__max_entries(k->program->maps.sessions);
}

int64_t kernel_sessions_live(const struct kernel *k)
{
	return __atomic_load_n(&k->live->sessions, __ATOMIC_RELAXED);
}

uint64_t kernel_sessions_changes(const struct kernel *k)
{
	return __atomic_load_n(&k->live->changes, __ATOMIC_RELAXED);
}

uint32_t kernel_sessions_pending(const struct kernel *k)
{
	return coming_count(&k->live->everybody, kernel_now_ns());
}

void kernel_sessions_adjust(struct kernel *k, int64_t by)
{
	__atomic_fetch_add(&k->live->sessions, by, __ATOMIC_RELAXED);
}

uint64_t kernel_session_key(const struct kernel *k, const struct attempt *a)
{
	struct attempt session = *a;

	session.isn = 0;
	return attempt_fingerprint(k->control->seed, &session);
}

/* Reads a hash whole, a batch at a time. Returns how many entries, or -errno. */
static int read_table(int fd, uint32_t most, void *keys, size_t key_bytes, void *values,
		      size_t value_bytes)
{
	uint64_t in = 0, out = 0;
	uint32_t have = 0;
	bool first = true;

	while (have < most) {
		uint32_t n = most - have < BATCH ? most - have : BATCH;
		int bad = bpf_map_lookup_batch(fd, first ? NULL : &in, &out,
					       (char *)keys + have * key_bytes,
					       (char *)values + have * value_bytes, &n, NULL);

		if (bad && bad != -ENOENT)
			return bad;
		have += n;
		if (bad)
			break;
		in = out;
		first = false;
	}
	return (int)have;
}

/* The two halves of a table, put together by whoever asked for it. */
static int read_halves(const struct bpf_map *map, size_t key_bytes, size_t value_bytes, char **keys,
		       char **values)
{
	uint32_t most = bpf_map__max_entries(map);
	int count = -ENOMEM;

	*keys = malloc(most * key_bytes);
	*values = malloc(most * value_bytes);
	if (*keys && *values)
		count = read_table(bpf_map__fd(map), most, *keys, key_bytes, *values, value_bytes);
	if (count >= 0)
		return count;
	free(*keys);
	free(*values);
	return count;
}

int kernel_sessions_list(struct kernel *k, struct kernel_session **list)
{
	char *keys, *values;
	int count = read_halves(k->program->maps.sessions, sizeof(uint64_t), sizeof(struct session),
				&keys, &values);

	if (count < 0)
		return count;
	*list = calloc((size_t)count + 1, sizeof(**list));
	for (int i = 0; *list && i < count; i++) {
		memcpy(&(*list)[i].key, keys + i * sizeof(uint64_t), sizeof(uint64_t));
		memcpy(&(*list)[i].session, values + i * sizeof(struct session),
		       sizeof(struct session));
	}
	free(keys);
	free(values);
	return *list ? count : -ENOMEM;
}

int kernel_holders_list(struct kernel *k, struct kernel_holder **list)
{
	char *keys, *values;
	int count = read_halves(k->program->maps.holders, sizeof(struct prefix_key),
				sizeof(struct holder), &keys, &values);

	if (count < 0)
		return count;
	*list = calloc((size_t)count + 1, sizeof(**list));
	for (int i = 0; *list && i < count; i++) {
		memcpy(&(*list)[i].key, keys + i * sizeof(struct prefix_key),
		       sizeof(struct prefix_key));
		memcpy(&(*list)[i].holder, values + i * sizeof(struct holder),
		       sizeof(struct holder));
	}
	free(keys);
	free(values);
	return *list ? count : -ENOMEM;
}

int kernel_session_fix(struct kernel *k, const struct session_fix *fix)
{
	struct session_fix copy = *fix;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &copy, .ctx_size_in = sizeof(copy));
	int bad;

	if (!k->watch || !k->watch->sessions)
		return -EOPNOTSUPP;
	bad = bpf_prog_test_run_opts(bpf_program__fd(k->watch->sessions->progs.sluice_session_fix),
				     &opts);
	if (bad)
		return bad;
	return opts.retval ? -ENOENT : 0;
}

int kernel_ends_fd(const struct kernel *k)
{
	return k->watch && k->watch->ends ? ring_buffer__epoll_fd(k->watch->ends) : -1;
}

void kernel_ends_read(struct kernel *k, kernel_end_fn *fn, void *data, uint32_t most)
{
	struct watch *w = k->watch;

	if (!w || !w->ends)
		return;
	w->end_fn = fn;
	w->end_data = data;
	w->ends_left = most;
	ring_buffer__consume(w->ends);
}

int kernel_learned_set(struct kernel *k, const struct prefix_key *key, const struct learned *l)
{
	int fd = bpf_map__fd(k->program->maps.learned), bad;

	if (l->class != CLASS_UNKNOWN) {
		listed_learn(k->presence, key, k->control->seed[1]);
		kernel_present(k, PRESENCE_LEARNED, true);
		return bpf_map_update_elem(fd, key, l, BPF_ANY);
	}
	bad = bpf_map_delete_elem(fd, key);
	return bad == -ENOENT ? 0 : bad;
}

int kernel_learned_sweep(struct kernel *k, bool (*keep)(void *data, const struct prefix_key *key),
			 void *data)
{
	int fd = bpf_map__fd(k->program->maps.learned);
	uint32_t most = bpf_map__max_entries(k->program->maps.learned);
	struct prefix_key key, next;
	bool more = !bpf_map_get_next_key(fd, NULL, &key);

	/*
	 * The next key is asked for while this one is there: from its beginning the map would be
	 * searched through all that is empty by then.
	 */
	for (uint32_t i = 0; i < most && more; i++) {
		more = !bpf_map_get_next_key(fd, &key, &next);
		if (!keep(data, &key) && bpf_map_delete_elem(fd, &key))
			return -EIO;
		key = next;
	}
	return 0;
}
