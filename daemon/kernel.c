// SPDX-License-Identifier: GPL-2.0-or-later
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <net/if.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "kernel_internal.h"
#include "listed.h"
#include "log.h"
#include "look.h"
#include "policy.h"

#include "gate.skel.h"

#define BPFFS		"/sys/fs/bpf"
#define RESCALE_TRIES	16
#define ONE_BUFFER_MTU	3400 /* what the driver with the least room in a page of 4 KiB takes */
#define ACTIVE_SETS	2
#define MAPPED_BYTES(x) (((x) + 4095UL) & ~4095UL)

uint64_t kernel_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

void kernel_facts(struct config_facts *facts)
{
	struct timespec tick;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	facts->tick_ns = (uint64_t)tick.tv_nsec;
	facts->cpus = cpus > 0 ? (uint32_t)cpus : 1;
}

/* libbpf's own words are for us, not for the operator; the last of them explain a failed load. */
static char libbpf_last[512];

static int keep_warning(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level != LIBBPF_WARN)
		return 0;
	if (getenv("SLUICE_DEBUG"))
		return vfprintf(stderr, format, args);
	vsnprintf(libbpf_last, sizeof(libbpf_last), format, args);
	libbpf_last[strcspn(libbpf_last, "\n")] = '\0';
	return 0;
}

static int check_bpffs(struct config_error *err)
{
	struct statfs fs;

	if (!statfs(BPFFS, &fs) && fs.f_type == BPF_FS_MAGIC)
		return 0;
	return fail(
		err, -ENODEV,
		"%s is not a BPF file system, so the filter could not outlive the daemon: mount it "
		"with 'mount -t bpf bpf %s'",
		BPFFS, BPFFS);
}

/*
 * State of a newer ABI is that of a newer sluiced: it is not for us to touch. That of an older one
 * goes on until the links run this program (kernel_attach), and is taken away then.
 */
static int check_abi(const struct kernel *k, struct config_error *err)
{
	DIR *folder = opendir(k->folder);
	struct dirent *entry;
	unsigned int abi;
	int found = 0;

	if (!folder)
		return errno == ENOENT ? 0
				       : fail(err, -errno, "%s cannot be read: %s", k->folder,
					      strerror(errno));
	while (!found && (entry = readdir(folder)))
		if (sscanf(entry->d_name, "abi-%u", &abi) == 1 && abi > SLUICE_ABI)
			found = fail(
				err, -EPROTO,
				"%s/%s is the state of a sluiced with ABI %u, this one has ABI %d: "
				"stop that one and run 'sluice detach' first",
				k->folder, entry->d_name, abi, SLUICE_ABI);
	closedir(folder);
	return found;
}

/* The pinned map, if it is there and of the shape that this program expects; -1 otherwise. */
static int pinned_fd(const struct kernel *k, const struct bpf_map *map)
{
	char path[PIN_PATH_MAX + 64];
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	int fd;

	snprintf(path, sizeof(path), "%s/%s", k->maps_folder, bpf_map__name(map));
	fd = bpf_obj_get(path);
	if (fd < 0)
		return -1;
	if (!bpf_obj_get_info_by_fd(fd, &info, &size) && info.type == bpf_map__type(map) &&
	    info.key_size == bpf_map__key_size(map) &&
	    info.value_size == bpf_map__value_size(map) &&
	    info.max_entries == bpf_map__max_entries(map))
		return fd;
	log_line("the table %s has another size now and starts empty", bpf_map__name(map));
	close(fd);
	return -1;
}

/* Maps of the skeleton that live in the pin folder: all but the constants and the templates. */
static bool is_pinned_map(const struct kernel *k, const struct bpf_map *map)
{
	return map != k->program->maps.class_template_v4 &&
	       map != k->program->maps.class_template_v6 && !bpf_map__is_internal(map);
}

static int take_over_maps(struct kernel *k, struct config_error *err)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, k->program->obj)
	{
		int fd, bad;

		if (!is_pinned_map(k, map))
			continue;
		fd = pinned_fd(k, map);
		if (fd < 0)
			continue;
		bad = bpf_map__reuse_fd(map, fd);
		close(fd);
		if (bad)
			return fail(err, bad, "the table %s in %s cannot be taken over: %s",
				    bpf_map__name(map), k->maps_folder, strerror(-bad));
		if (map == k->program->maps.policies)
			k->inherited = true;
	}
	return 0;
}

static void size_maps(struct kernel *k, const struct config *c)
{
	struct policy_tables t;

	policy_tables(c, &t);
	bpf_map__set_max_entries(k->program->maps.sources, t.sources);
	bpf_map__set_max_entries(k->program->maps.subnets, t.subnets);
	bpf_map__set_max_entries(k->program->maps.admitted, t.admitted);
	bpf_map__set_max_entries(k->program->maps.deferred, t.deferred);
	bpf_map__set_autocreate(k->program->maps.class_template_v4, false);
	bpf_map__set_autocreate(k->program->maps.class_template_v6, false);
}

/* Has this process the capabilities that a load needs? */
static bool may_load(void)
{
	const cap_value_t need[] = {CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON};
	cap_t have = cap_get_proc();
	bool all = have != NULL;

	for (size_t i = 0; have && i < sizeof(need) / sizeof(need[0]); i++) {
		cap_flag_value_t set = CAP_CLEAR;

		cap_get_flag(have, need[i], CAP_EFFECTIVE, &set);
		all &= set == CAP_SET;
	}
	cap_free(have);
	return all;
}

static int load_program(struct kernel *k, struct config_error *err)
{
	int bad = gate_bpf__load(k->program);

	/* -EACCES is also what the verifier says of a program that it does not like. */
	if (bad == -EPERM || (bad == -EACCES && !may_load()))
		return fail(
			err, bad,
			"the kernel does not let this process load the filter: run it as root, or "
			"with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
	if (bad)
		return fail(err, bad, "the kernel refuses the filter: %s (%s)", strerror(-bad),
			    libbpf_last);
	return 0;
}

static int map_live(struct kernel *k, struct config_error *err)
{
	void *at = mmap(NULL, MAPPED_BYTES(sizeof(struct live)), PROT_READ | PROT_WRITE, MAP_SHARED,
			bpf_map__fd(k->program->maps.live), 0);

	if (at == MAP_FAILED)
		return fail(err, -errno, "the count of sessions cannot be mapped: %s",
			    strerror(errno));
	k->live = at;
	return 0;
}

static int map_presence(struct kernel *k, struct config_error *err)
{
	void *at = mmap(NULL, MAPPED_BYTES(sizeof(struct presence)), PROT_READ | PROT_WRITE,
			MAP_SHARED, bpf_map__fd(k->program->maps.presence), 0);

	if (at == MAP_FAILED)
		return fail(err, -errno, "the presence filter cannot be mapped: %s",
			    strerror(errno));
	k->presence = at;
	return 0;
}

static int map_control(struct kernel *k, struct config_error *err)
{
	int fd = bpf_map__fd(k->program->maps.control);
	void *at = mmap(NULL, MAPPED_BYTES(sizeof(struct control)), PROT_READ | PROT_WRITE,
			MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return fail(err, -errno, "the control words cannot be mapped: %s", strerror(errno));
	k->control = at;
	k->control->abi = SLUICE_ABI;
	tc_remember(k->control->made_qdisc);
	if (!k->control->seed[0] && !k->control->seed[1] &&
	    getrandom(k->control->seed, sizeof(k->control->seed), 0) < 0)
		return fail(err, -errno, "no random seed is to be had: %s", strerror(errno));
	return 0;
}

/*
 * A file of no types, for libbpf to look the kernel's members up in: a kernel without BTF has none,
 * and the part of the program that reads members is switched off. It lasts as long as we do.
 */
static bool empty_types(char *path, size_t size)
{
	static int fd = -1;
	struct btf *none;
	const void *raw;
	__u32 bytes;

	if (fd < 0) {
		none = btf__new_empty();
		raw = none ? btf__raw_data(none, &bytes) : NULL;
		fd = raw ? memfd_create("no-types", MFD_CLOEXEC) : -1;
		if (fd >= 0 && write(fd, raw, bytes) != (ssize_t)bytes) {
			close(fd);
			fd = -1;
		}
		btf__free(none);
	}
	snprintf(path, size, "/proc/self/fd/%d", fd);
	return fd >= 0;
}

/*
 * Does this kernel have frames in several buffers for XDP (Linux 5.18)? A program that knows of them
 * may run natively where jumbo frames come; all that is judged lies in the first buffer.
 */
static bool has_fragments(void)
{
	const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_XDP_HAS_FRAGS);
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, NULL, "GPL", pass, sizeof(pass) / sizeof(pass[0]),
			       &opts);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/*
 * Is one of the interfaces to run natively with frames that a page does not hold? Only then the
 * program is one of several buffers: in generic mode such a one loses the mark of HOLD.
 */
static bool wants_fragments(const struct config *c)
{
	int fd = c->xdp_mode == XDP_GENERIC ? -1 : socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool jumbo = false;

	for (uint32_t i = 0; fd >= 0 && i < c->interfaces; i++) {
		struct ifreq mtu = {};

		snprintf(mtu.ifr_name, sizeof(mtu.ifr_name), "%s", c->interface[i]);
		jumbo |= !ioctl(fd, SIOCGIFMTU, &mtu) && mtu.ifr_mtu > ONE_BUFFER_MTU;
	}
	if (fd >= 0)
		close(fd);
	return jumbo;
}

/* With or without the look-up of listeners. On an error nothing is left open. */
static int open_with(struct kernel *k, const struct config *c, bool ask_listener,
		     struct config_error *err)
{
	int bad;

	char no_types[64];
	LIBBPF_OPTS(bpf_object_open_opts, opts);

	k->inherited = false;
	if (!ask_listener && empty_types(no_types, sizeof(no_types)))
		opts.btf_custom_path = no_types;
	k->program = gate_bpf__open_opts(&opts);
	if (!k->program)
		return fail(err, -errno, "the filter cannot be opened: %s", strerror(errno));
	k->program->rodata->ask_listener = ask_listener;
	k->asks_listener = ask_listener;
	if (wants_fragments(c) && has_fragments())
		bpf_program__set_flags(k->program->progs.sluice_gate,
				       bpf_program__flags(k->program->progs.sluice_gate) |
					       BPF_F_XDP_HAS_FRAGS);
	size_maps(k, c);
	bad = take_over_maps(k, err);
	if (!bad)
		bad = load_program(k, err);
	if (bad) {
		gate_bpf__destroy(k->program);
		k->program = NULL;
	}
	return bad;
}

/* A kernel that does not let XDP look listeners up takes the program without that gate. */
static int open_and_load(struct kernel *k, const struct config *c, struct config_error *err)
{
	struct config_error first;
	int bad = open_with(k, c, true, &first), again;

	if (!bad)
		return 0;
	again = may_load() ? open_with(k, c, false, err) : bad;
	if (again)
		*err = first;
	return again ? bad : 0;
}

int kernel_open(const char *instance, const struct config *c, struct kernel **out,
		struct config_error *err)
{
	struct kernel *k = calloc(1, sizeof(*k));
	int bad, cpus;

	if (!k)
		return fail(err, -ENOMEM, "out of memory");
	libbpf_set_print(keep_warning);
	snprintf(k->folder, sizeof(k->folder), PIN_FOLDER "/%s", instance);
	snprintf(k->maps_folder, sizeof(k->maps_folder), PIN_FOLDER "/%s/abi-%d", instance,
		 SLUICE_ABI);
	cpus = libbpf_num_possible_cpus();
	k->cpus = cpus > 0 ? (uint32_t)cpus : 1; /* what a read of a per-CPU map gives */
	k->per_cpu = calloc(k->cpus, sizeof(*k->per_cpu));
	bad = k->per_cpu ? check_bpffs(err) : fail(err, -ENOMEM, "out of memory");
	if (!bad)
		bad = check_abi(k, err);
	if (!bad)
		bad = open_and_load(k, c, err);
	if (!bad)
		bad = map_control(k, err);
	if (!bad)
		bad = map_live(k, err);
	if (!bad)
		bad = map_presence(k, err);
	if (bad) {
		kernel_close(k);
		return bad;
	}
	*out = k;
	return 0;
}

/* Kept open, as only CAP_SYS_ADMIN would get it back from its slot. */
static void keep_trie(int *kept, int fd)
{
	if (*kept)
		close(*kept);
	*kept = fd;
}

void kernel_close(struct kernel *k)
{
	if (!k)
		return;
	kernel_hold_release(k);
	for (uint32_t i = 0; i < k->links; i++)
		if (k->link[i].fd >= 0)
			close(k->link[i].fd);
	kernel_sessions_close(k);
	for (int slot = 0; slot < 2; slot++)
		for (int family = 0; family < FAMILIES; family++)
			keep_trie(&k->trie_fd[slot][family], 0);
	if (k->presence)
		munmap(k->presence, MAPPED_BYTES(sizeof(struct presence)));
	if (k->live)
		munmap(k->live, MAPPED_BYTES(sizeof(struct live)));
	tc_remember(NULL);
	if (k->control)
		munmap(k->control, MAPPED_BYTES(sizeof(struct control)));
	gate_bpf__destroy(k->program);
	free(k->per_cpu);
	free(k);
}

int kernel_program_fd(const struct kernel *k)
{
	return bpf_program__fd(k->program->progs.sluice_gate);
}

int kernel_map_fd(const struct kernel *k, const char *name)
{
	return bpf_object__find_map_fd_by_name(k->program->obj, name);
}

int kernel_map_of(void *kernel, const char *name)
{
	struct kernel *k = kernel;
	unsigned int slot;
	int fd;

	if (sscanf(name, LOOK_TRIE_V4 "%u", &slot) == 1)
		fd = k->trie_fd[slot & 1][FAMILY_V4];
	else if (sscanf(name, LOOK_TRIE_V6 "%u", &slot) == 1)
		fd = k->trie_fd[slot & 1][FAMILY_V6];
	else
		return kernel_map_fd(k, name);
	return fd ? fd : -ENOENT;
}

static int make_folder(const char *path, struct config_error *err)
{
	if (!mkdir(path, 0700) || errno == EEXIST)
		return 0;
	return fail(err, -errno, "the pin folder %s cannot be made: %s", path, strerror(errno));
}

int kernel_pin_maps(struct kernel *k, struct config_error *err)
{
	struct bpf_map *map;
	int bad;

	bad = make_folder(PIN_FOLDER, err);
	if (!bad)
		bad = make_folder(k->folder, err);
	if (!bad)
		bad = make_folder(k->maps_folder, err);
	if (bad)
		return bad;
	bpf_object__for_each_map(map, k->program->obj)
	{
		char path[PIN_PATH_MAX + 64];
		int pinned;

		if (!is_pinned_map(k, map))
			continue;
		/* Whatever was not taken over at the load has another shape, and gives way. */
		pinned = pinned_fd(k, map);
		if (pinned >= 0) {
			struct bpf_map_info ours = {}, theirs = {};
			__u32 size = sizeof(ours);

			bpf_obj_get_info_by_fd(bpf_map__fd(map), &ours, &size);
			bpf_obj_get_info_by_fd(pinned, &theirs, &size);
			close(pinned);
			if (ours.id == theirs.id)
				continue;
		}
		snprintf(path, sizeof(path), "%s/%s", k->maps_folder, bpf_map__name(map));
		unlink(path);
		bad = bpf_obj_pin(bpf_map__fd(map), path);
		if (bad)
			return fail(err, bad, "the table %s cannot be pinned in %s: %s",
				    bpf_map__name(map), k->maps_folder, strerror(-bad));
	}
	return 0;
}

/* --- policy ----------------------------------------------------------------------------------- */

bool kernel_policy_inherited(struct kernel *k, struct policy *p)
{
	__u32 active = k->control->active & 1;

	return k->inherited && k->control->lease_until_ns != 0 &&
	       !bpf_map_lookup_elem(bpf_map__fd(k->program->maps.policies), &active, p);
}

int kernel_policy_set(struct kernel *k, const struct policy *p)
{
	uint64_t since_ns = kernel_now_ns() - k->flipped_ns;
	__u32 idle = !(k->control->active & 1);
	int bad;

	if (k->flipped_ns && since_ns < FLIP_GAP_NS)
		usleep((useconds_t)((FLIP_GAP_NS - since_ns) / 1000 + 1));
	bad = bpf_map_update_elem(bpf_map__fd(k->program->maps.policies), &idle, p, BPF_ANY);
	if (bad)
		return bad;
	__atomic_store_n(&k->control->active, idle, __ATOMIC_RELEASE);
	k->flipped_ns = kernel_now_ns();
	return 0;
}

void kernel_lease(struct kernel *k, uint64_t until_ns)
{
	__atomic_store_n(&k->control->lease_until_ns, until_ns, __ATOMIC_RELEASE);
}

bool kernel_leased(struct kernel *k)
{
	return kernel_now_ns() < k->control->lease_until_ns;
}

uint64_t kernel_debt_ns(struct kernel *k)
{
	uint64_t tat_ns = __atomic_load_n(&k->control->global_tat_ns, __ATOMIC_RELAXED);
	uint64_t now_ns = kernel_now_ns();

	return tat_ns > now_ns ? tat_ns - now_ns : 0;
}

void kernel_owe_at_most(struct kernel *k, uint64_t debt_ns)
{
	__u64 *word = &k->control->global_tat_ns;

	for (int i = 0; i < RESCALE_TRIES; i++) {
		__u64 old = __atomic_load_n(word, __ATOMIC_RELAXED);
		__u64 most = kernel_now_ns() + debt_ns;

		if (old <= most || __sync_bool_compare_and_swap(word, old, most))
			return;
	}
}

void kernel_rescale(struct kernel *k, uint64_t t_old_ns, const struct bucket *b)
{
	__u64 *word = &k->control->global_tat_ns;
	bool holds = k->control->hold_until_ns > kernel_now_ns();
	uint64_t most_ns = holds ? b->tau3_ns : b->tau1_ns;

	for (int i = 0; i < RESCALE_TRIES; i++) {
		__u64 old = __atomic_load_n(word, __ATOMIC_RELAXED);
		uint64_t now_ns = kernel_now_ns();
		unsigned __int128 debt;

		if (old <= now_ns || !t_old_ns)
			return;
		debt = (unsigned __int128)(old - now_ns) * b->t_ns / t_old_ns;
		if (debt > most_ns)
			debt = most_ns;
		if (__sync_bool_compare_and_swap(word, old, now_ns + (uint64_t)debt))
			return;
	}
}

/* --- classes ---------------------------------------------------------------------------------- */

static int make_trie(const struct bpf_map *like, const char *name, int *fd)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);

	*fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, name, bpf_map__key_size(like),
			     bpf_map__value_size(like), bpf_map__max_entries(like), &opts);
	return *fd < 0 ? *fd : 0;
}

static int fill_tries(const struct class_list *list, int v4, int v6)
{
	int bad = 0;

	for (size_t i = 0; i < list->count && !bad; i++) {
		const struct class_entry *e = &list->entry[i];
		__u32 class = e->class;

		if (e->family == FAMILY_V4) {
			struct class_key_v4 key = {.bits = e->bits, .addr = e->addr.word[3]};

			bad = bpf_map_update_elem(v4, &key, &class, BPF_ANY);
		} else {
			struct class_key_v6 key = {.bits = e->bits};

			memcpy(key.addr, e->addr.byte, sizeof(key.addr));
			bad = bpf_map_update_elem(v6, &key, &class, BPF_ANY);
		}
	}
	return bad;
}

void kernel_present(struct kernel *k, int column, bool anybody)
{
	if (anybody)
		__atomic_fetch_or(&k->control->present, 1U << column, __ATOMIC_RELEASE);
	else
		__atomic_fetch_and(&k->control->present, ~(1U << column), __ATOMIC_RELEASE);
}

int kernel_classes_set(struct kernel *k, const struct class_list *list, uint32_t slot,
		       struct config_error *err)
{
	int v4 = -1, v6 = -1, bad;

	bad = make_trie(k->program->maps.class_template_v4, "classes_v4", &v4);
	if (!bad)
		bad = make_trie(k->program->maps.class_template_v6, "classes_v6", &v6);
	if (!bad)
		bad = fill_tries(list, v4, v6);
	if (!bad)
		bad = bpf_map_update_elem(bpf_map__fd(k->program->maps.classes_v4), &slot, &v4, 0);
	if (!bad)
		bad = bpf_map_update_elem(bpf_map__fd(k->program->maps.classes_v6), &slot, &v6, 0);
	if (!bad) {
		listed_fill(k->presence, slot, list, k->control->seed[1]);
		kernel_present(k, PRESENCE_LISTED(slot), list->count);
		keep_trie(&k->trie_fd[slot & 1][FAMILY_V4], v4);
		keep_trie(&k->trie_fd[slot & 1][FAMILY_V6], v6);
		return 0;
	}
	if (v4 >= 0)
		close(v4);
	if (v6 >= 0)
		close(v6);
	return fail(err, bad, "the class lists cannot be loaded: %s", strerror(-bad));
}

/* --- counters --------------------------------------------------------------------------------- */

int kernel_counters(struct kernel *k, struct counters *sum)
{
	const size_t words = sizeof(*sum) / sizeof(__u64);
	__u64 *total = (__u64 *)sum;
	__u32 zero = 0;
	int bad;

	bad = bpf_map_lookup_elem(bpf_map__fd(k->program->maps.counters), &zero, k->per_cpu);
	if (bad)
		return bad;
	memset(sum, 0, sizeof(*sum));
	for (uint32_t cpu = 0; cpu < k->cpus; cpu++) {
		const __u64 *one = (const __u64 *)&k->per_cpu[cpu];

		for (size_t i = 0; i < words; i++)
			total[i] += one[i];
	}
	return 0;
}

int kernel_sources(struct kernel *k, struct kernel_sources *s)
{
	int fd = bpf_map__fd(k->program->maps.sources);
	uint32_t most = bpf_map__max_entries(k->program->maps.sources);
	struct prefix_key key, *before = NULL;
	uint64_t now_ns = kernel_now_ns();

	memset(s, 0, sizeof(*s));
	for (uint32_t i = 0; i < most && !bpf_map_get_next_key(fd, before, &key); i++) {
		__u64 tat_ns;

		before = &key;
		if (bpf_map_lookup_elem(fd, &key, &tat_ns) || tat_ns <= now_ns)
			continue;
		s->count++;
		s->sum_ns += tat_ns - now_ns;
		if (tat_ns - now_ns > s->top_ns) {
			s->top_ns = tat_ns - now_ns;
			s->top = key.addr;
			s->top_bits = (uint32_t)key.bits;
		}
	}
	return 0;
}
