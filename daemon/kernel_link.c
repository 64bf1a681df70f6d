// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kernel_link.c - the interfaces: attach, take over, look after, let go.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel_hold.h"
#include "kernel_internal.h"
#include "log.h"

#define LINK_PREFIX	"link-"
#define VLAN_LOOK_TICKS 4

static void link_path(const struct kernel *k, const char *interface, char *path, size_t size)
{
	snprintf(path, size, "%s/" LINK_PREFIX "%s", k->folder, interface);
}

/* The interface index that a link is attached to; 0 when it has been severed. */
static uint32_t link_ifindex(int fd)
{
	struct bpf_link_info info = {};
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size) || info.type != BPF_LINK_TYPE_XDP)
		return 0;
	return info.xdp.ifindex;
}

/* What XDP program is on the interface, and in which mode? An id of 0 is none. */
static int query(uint32_t ifindex, uint32_t *program_id, bool *native)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, q);
	int bad = bpf_xdp_query((int)ifindex, 0, &q);

	if (bad)
		return bad;
	*native = q.attach_mode == XDP_ATTACHED_DRV || (q.drv_prog_id && !q.skb_prog_id);
	*program_id = q.drv_prog_id ? q.drv_prog_id : q.skb_prog_id ? q.skb_prog_id : q.prog_id;
	return 0;
}

/* The program's name, where we may ask for it; an id is all that is left without CAP_SYS_ADMIN. */
static void program_name(uint32_t id, char *name, size_t size)
{
	struct bpf_prog_info info = {};
	__u32 info_size = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);

	snprintf(name, size, "a program");
	if (fd < 0)
		return;
	if (!bpf_obj_get_info_by_fd(fd, &info, &info_size) && info.name[0])
		snprintf(name, size, "the program '%.*s'", (int)sizeof(info.name), info.name);
	close(fd);
}

static int refuse_foreign(const char *interface, uint32_t id, struct config_error *err)
{
	char name[64];

	program_name(id, name, sizeof(name));
	return fail(
		err, -EBUSY,
		"%s already runs %s (XDP id %u) that is not ours: it is left alone; take it off, or "
		"name another interface",
		interface, name, id);
}

/* Makes a link in the wanted mode; automatic is native where the driver has it, else generic. */
static int create(const struct kernel *k, struct link *l, uint32_t ifindex,
		  struct config_error *err)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	const char *name = l->seen.name;
	uint32_t id;
	bool native;
	int fd = -EOPNOTSUPP;

	if (!query(ifindex, &id, &native) && id)
		return refuse_foreign(name, id, err);
	if (k->xdp_mode != XDP_GENERIC) {
		opts.flags = XDP_FLAGS_DRV_MODE;
		fd = bpf_link_create(kernel_program_fd(k), (int)ifindex, BPF_XDP, &opts);
		l->seen.native = true;
	}
	if (fd < 0 && fd != -EPERM && fd != -EBUSY && k->xdp_mode != XDP_NATIVE) {
		opts.flags = XDP_FLAGS_SKB_MODE;
		fd = bpf_link_create(kernel_program_fd(k), (int)ifindex, BPF_XDP, &opts);
		l->seen.native = false;
	}
	if (fd == -EPERM)
		return fail(
			err, fd,
			"%s: the kernel does not let this process attach the filter: CAP_NET_ADMIN "
			"is missing",
			name);
	if (fd < 0 && k->xdp_mode == XDP_NATIVE)
		return fail(
			err, fd,
			"%s cannot run XDP in native mode (%s): set xdp-mode=auto or generic, or "
			"lower its MTU if it is jumbo",
			name, strerror(-fd));
	if (fd < 0)
		return fail(err, fd, "%s cannot run XDP, neither native nor generic: %s", name,
			    strerror(-fd));
	l->fd = fd;
	l->ifindex = ifindex;
	l->seen.attached = true;
	l->seen.problem[0] = '\0';
	return 0;
}

static int pin(const struct kernel *k, const struct link *l, struct config_error *err)
{
	char path[PIN_PATH_MAX + 64];
	int bad;

	link_path(k, l->seen.name, path, sizeof(path));
	unlink(path);
	bad = bpf_obj_pin(l->fd, path);
	return bad ? fail(err, bad, "the link %s cannot be pinned: %s", path, strerror(-bad)) : 0;
}

static void let_go(struct link *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	l->seen.attached = false;
}

/* Takes the filter off now: a link that is only closed may linger until the kernel frees it. */
static void take_off(struct link *l)
{
	if (l->fd >= 0)
		bpf_link_detach(l->fd);
	let_go(l);
}

/*
 * Finds the link that a predecessor pinned, if it still sits on this very interface. An index alone
 * may be one of another network namespace, so the program is compared too. Returns 0 (l->fd says
 * whether there was one), or -EXDEV when the pin holds an interface that is not to be seen here.
 */
static int adopt(const struct kernel *k, struct link *l, uint32_t ifindex, struct config_error *err)
{
	char path[PIN_PATH_MAX + 64], name[IFNAMSIZ];
	struct bpf_link_info info = {};
	__u32 size = sizeof(info), id = 0;
	bool native = false;
	int fd;

	link_path(k, l->seen.name, path, sizeof(path));
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	if (bpf_obj_get_info_by_fd(fd, &info, &size) || info.type != BPF_LINK_TYPE_XDP ||
	    !info.xdp.ifindex) {
		unlink(path); /* severed: its interface was deleted */
		close(fd);
		return 0;
	}
	if (query(info.xdp.ifindex, &id, &native) || id != info.prog_id) {
		close(fd);
		return fail(
			err, -EXDEV,
			"%s holds an interface of another network namespace: choose another name "
			"with -i, or run 'sluice detach'",
			path);
	}
	if (info.xdp.ifindex != ifindex) {
		log_line(
			"%s: its filter had gone with the interface that is now %s; taken off there",
			l->seen.name, if_indextoname(info.xdp.ifindex, name) ? name : "another");
		unlink(path);
		bpf_link_detach(fd);
		close(fd);
		return 0;
	}
	l->fd = fd;
	l->ifindex = ifindex;
	l->seen.attached = true;
	l->seen.native = native;
	l->seen.problem[0] = '\0';
	return 0;
}

static bool mode_differs(const struct kernel *k, const struct link *l)
{
	return (k->xdp_mode == XDP_NATIVE && !l->seen.native) ||
	       (k->xdp_mode == XDP_GENERIC && l->seen.native);
}

static struct link *find_or_add(struct kernel *k, const char *name)
{
	struct link *l;

	for (uint32_t i = 0; i < k->links; i++)
		if (!strcmp(k->link[i].seen.name, name))
			return &k->link[i];
	if (k->links == MAX_INTERFACES)
		return NULL;
	l = &k->link[k->links++];
	*l = (struct link){.fd = -1, .hook = TC_HOOK_NONE};
	snprintf(l->seen.name, sizeof(l->seen.name), "%s", name);
	return l;
}

/* Puts a link back into the mode that it had. */
static void restore_mode(struct kernel *k, struct link *l, uint32_t had)
{
	uint32_t wanted = k->xdp_mode;
	struct config_error err;

	k->xdp_mode = had;
	if (create(k, l, l->ifindex, &err) || pin(k, l, &err))
		log_line("%s: nor can the former mode be restored: %s", l->seen.name, err.text);
	k->xdp_mode = wanted;
}

/*
 * A link in another mode than wanted cannot be changed, only made anew; traffic passes meanwhile.
 * When the wanted mode cannot be had, the old one is restored and the error stands.
 */
static int change_mode(struct kernel *k, struct link *l, struct config_error *err)
{
	uint32_t had = l->seen.native ? XDP_NATIVE : XDP_GENERIC;
	char path[PIN_PATH_MAX + 64];
	int bad;

	link_path(k, l->seen.name, path, sizeof(path));
	unlink(path);
	take_off(l);
	bad = create(k, l, l->ifindex, err);
	if (!bad)
		bad = pin(k, l, err);
	if (bad) {
		take_off(l);
		restore_mode(k, l, had);
		return bad;
	}
	l->changed_from = had;
	return 0;
}

/* Attaches one interface if it is not attached yet. */
static int attach_one(struct kernel *k, struct link *l, struct config_error *err)
{
	uint32_t ifindex = if_nametoindex(l->seen.name);
	int bad;

	/* One that is away for now is looked after, and no reason to refuse a change of limits. */
	if (!ifindex && l->ifindex)
		return 0;
	if (!ifindex)
		return fail(err, -ENODEV, "there is no interface called '%s' here", l->seen.name);
	if (l->fd >= 0 && l->ifindex != ifindex)
		let_go(l);
	if (l->fd < 0) {
		bad = adopt(k, l, ifindex, err);
		if (bad || l->fd >= 0)
			return bad;
		bad = create(k, l, ifindex, err);
		l->is_new = !bad;
		return bad;
	}
	return 0;
}

/* Undoes what a failed kernel_attach() did. */
static void roll_back(struct kernel *k, uint32_t links_before)
{
	for (uint32_t i = 0; i < k->links; i++) {
		struct link *l = &k->link[i];
		char path[PIN_PATH_MAX + 64];

		link_path(k, l->seen.name, path, sizeof(path));
		if (l->is_new || l->changed_from) {
			unlink(path);
			take_off(l);
		}
		if (l->changed_from)
			restore_mode(k, l, l->changed_from);
		l->is_new = false;
		l->changed_from = 0;
	}
	for (uint32_t i = links_before; i < k->links; i++)
		let_go(&k->link[i]);
	k->links = links_before;
}

static void drop_unwanted(struct kernel *k)
{
	char path[PIN_PATH_MAX + 64];
	uint32_t kept = 0;

	for (uint32_t i = 0; i < k->links; i++) {
		struct link *l = &k->link[i];

		if (l->wanted) {
			k->link[kept++] = *l;
			continue;
		}
		link_path(k, l->seen.name, path, sizeof(path));
		unlink(path);
		take_off(l);
		kernel_hold_let_go(l);
		log_line("%s: let go, the config no longer names it", l->seen.name);
	}
	k->links = kept;
}

/* Pins that a predecessor left for interfaces which the config does not name. */
static void drop_stale_pins(const struct kernel *k)
{
	DIR *folder = opendir(k->folder);
	struct dirent *entry;

	if (!folder)
		return;
	while ((entry = readdir(folder))) {
		const char *name = entry->d_name + strlen(LINK_PREFIX);
		bool known = false;

		if (strncmp(entry->d_name, LINK_PREFIX, strlen(LINK_PREFIX)))
			continue;
		for (uint32_t i = 0; i < k->links; i++)
			known |= !strcmp(k->link[i].seen.name, name);
		if (known || unlinkat(dirfd(folder), entry->d_name, 0))
			continue;
		tc_sweep(if_nametoindex(name), TC_INGRESS, NULL);
		log_line("%s: let go, the config no longer names it", name);
	}
	closedir(folder);
}

static void remove_folder(const char *path, const char *prefix);

/* Nothing runs on the maps of an older ABI any more. */
static void drop_older_abi(const struct kernel *k)
{
	DIR *folder = opendir(k->folder);
	struct dirent *entry;
	unsigned int abi;

	if (!folder)
		return;
	while ((entry = readdir(folder))) {
		char path[PIN_PATH_MAX + NAME_MAX + 2];

		if (sscanf(entry->d_name, "abi-%u", &abi) != 1 || abi >= SLUICE_ABI)
			continue;
		snprintf(path, sizeof(path), "%s/%s", k->folder, entry->d_name);
		remove_folder(path, "");
		log_line("the state of an older sluiced (ABI %u) is gone: buckets, attempts, "
			 "sessions and counters begin empty, a mode or tier set by hand is "
			 "released; limits, lists and known senders are read anew",
			 abi);
	}
	closedir(folder);
}

int kernel_attach(struct kernel *k, const struct config *c, struct config_error *err)
{
	uint32_t before = k->links, mode_before = k->xdp_mode;
	int bad = 0;

	k->xdp_mode = c->xdp_mode;
	for (uint32_t i = 0; i < k->links; i++)
		k->link[i].wanted = false;
	for (uint32_t i = 0; i < c->interfaces && !bad; i++) {
		struct link *l = find_or_add(k, c->interface[i]);

		bad = l ? attach_one(k, l, err)
			: fail(err, -E2BIG, "more than %d interfaces", MAX_INTERFACES);
		if (l)
			l->wanted = true;
	}
	if (!bad)
		bad = kernel_pin_maps(k, err);
	for (uint32_t i = 0; i < k->links && !bad; i++)
		if (k->link[i].is_new)
			bad = pin(k, &k->link[i], err);
	/* Last, as it is the only step that touches what runs. */
	for (uint32_t i = 0; i < k->links && !bad; i++)
		if (k->link[i].wanted && k->link[i].fd >= 0 && mode_differs(k, &k->link[i]))
			bad = change_mode(k, &k->link[i], err);
	if (bad) {
		roll_back(k, before);
		k->xdp_mode = mode_before;
		return bad;
	}
	/* From here on nothing is expected to fail: the old links run the new program. */
	for (uint32_t i = 0; i < k->links; i++) {
		struct link *l = &k->link[i];

		if (!l->is_new && !l->changed_from && l->wanted && l->fd >= 0 &&
		    bpf_link_update(l->fd, kernel_program_fd(k), NULL))
			snprintf(l->seen.problem, sizeof(l->seen.problem),
				 "still runs the program of an earlier start: %s", strerror(errno));
		if ((l->is_new || l->changed_from) && l->wanted)
			log_line("%s: attached, XDP %s", l->seen.name,
				 l->seen.native ? "native" : "generic");
		l->is_new = false;
		l->changed_from = 0;
	}
	drop_unwanted(k);
	kernel_tell_vlans(k);
	drop_stale_pins(k);
	drop_older_abi(k);
	return 0;
}

/* Says what is wrong with an interface, in the log once. */
static void note_problem(struct link *l, const char *sentence)
{
	if (!strcmp(l->seen.problem, sentence))
		return;
	log_line("%s: %s", l->seen.name, sentence);
	snprintf(l->seen.problem, sizeof(l->seen.problem), "%s", sentence);
}

/* A link that sits where it should: its pin must be there too, or the filter ends with us. */
static void tend_pin(struct kernel *k, struct link *l)
{
	char path[PIN_PATH_MAX + 64];
	struct config_error err;

	link_path(k, l->seen.name, path, sizeof(path));
	if (!access(path, F_OK))
		return;
	if (kernel_pin_maps(k, &err) || pin(k, l, &err))
		note_problem(
			l,
			"its pin is gone and cannot be made again: the filter ends with sluiced");
	else
		log_line("%s: its pin was gone and is made again", l->seen.name);
}

/* A link that does not sit where it should. */
static void tend_lost(struct kernel *k, struct link *l, uint32_t ifindex)
{
	struct config_error err = {};

	let_go(l);
	if (!ifindex) {
		note_problem(
			l, "the interface is gone; traffic of one that returns passes until it is "
			   "attached again");
		return;
	}
	if (adopt(k, l, ifindex, &err) ||
	    (l->fd < 0 && (create(k, l, ifindex, &err) || pin(k, l, &err)))) {
		note_problem(l, err.text);
		return;
	}
	log_line("%s: is back and attached again, XDP %s", l->seen.name,
		 l->seen.native ? "native" : "generic");
}

void kernel_tend(struct kernel *k)
{
	for (uint32_t i = 0; i < k->links; i++) {
		struct link *l = &k->link[i];
		uint32_t ifindex = if_nametoindex(l->seen.name);
		uint32_t at = l->fd >= 0 ? link_ifindex(l->fd) : 0;

		if (at && !ifindex) {
			l->renamed = true;
			note_problem(
				l,
				"the interface was renamed or moved away; the filter stays on it");
		} else if (!at || at != ifindex) {
			l->renamed = false;
			tend_lost(k, l, ifindex);
		} else {
			if (l->renamed)
				l->seen.problem[0] = '\0';
			l->renamed = false;
			tend_pin(k, l);
		}
	}
	/* A list of all devices is asked for: not each second. */
	if (k->vlan_looks++ % VLAN_LOOK_TICKS == 0)
		kernel_tell_vlans(k);
}

uint32_t kernel_interfaces(struct kernel *k, const struct kernel_interface **list)
{
	for (uint32_t i = 0; i < k->links; i++)
		k->list[i] = k->link[i].seen;
	*list = k->list;
	return k->links;
}

/* Removes the plain entries of a folder of pins, then the folder. */
static void remove_folder(const char *path, const char *prefix)
{
	DIR *folder = opendir(path);
	struct dirent *entry;

	if (!folder)
		return;
	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.' && !strncmp(entry->d_name, prefix, strlen(prefix)))
			unlinkat(dirfd(folder), entry->d_name, 0);
	closedir(folder);
	rmdir(path);
}

void kernel_detach(struct kernel *k)
{
	kernel_sessions_detach(k);
	remove_folder(k->maps_folder, "");
	remove_folder(k->folder, LINK_PREFIX);
	for (uint32_t i = 0; i < k->links; i++)
		take_off(&k->link[i]);
	kernel_hold_detach(k);
	k->links = 0;
}
