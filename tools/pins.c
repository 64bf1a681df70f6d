// SPDX-License-Identifier: GPL-2.0-or-later
#include "pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "kernel_tc.h"
#include "pinned.h"
#include "text.h"

#define LINK_PREFIX "link-"
#define DEPTH_MAX   4 /* <name>/abi-N/<map> needs two */

static int open_folder(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int open_instance(const char *instance)
{
	int parent = open_folder(AT_FDCWD, PIN_FOLDER), fd;

	if (parent < 0)
		return parent;
	fd = open_folder(parent, instance);
	close(parent);
	return fd;
}

/* The stream has a position of its own, so a folder is read from its start each time. */
static int list_folder(int fd, DIR **list)
{
	int again = open_folder(fd, ".");

	if (again < 0)
		return again;
	*list = fdopendir(again);
	if (*list)
		return 0;
	close(again);
	return -ENOMEM;
}

static const char *next_name(DIR *list)
{
	const struct dirent *entry;

	do {
		entry = readdir(list);
	} while (entry && (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")));
	return entry ? entry->d_name : NULL;
}

static bool is_link(const char *name)
{
	return !strncmp(name, LINK_PREFIX, strlen(LINK_PREFIX));
}

static void note(struct pins *p, const char *name)
{
	const char *interface = name + strlen(LINK_PREFIX);
	size_t used = strlen(p->names);
	char shown[4 * IF_NAMESIZE + 8];

	if (!is_link(name)) {
		p->others++;
	} else if (!if_nametoindex(interface)) {
		p->orphans++;
	} else {
		p->links++;
		text_escape(shown, sizeof(shown), interface);
		snprintf(p->names + used, sizeof(p->names) - used, "%s%s", used ? ", " : "", shown);
	}
}

static int look(int fd, struct pins *p)
{
	const char *name;
	DIR *list;
	int err = list_folder(fd, &list);

	if (err)
		return err;
	while ((name = next_name(list)))
		note(p, name);
	closedir(list);
	return 0;
}

int pins_look(const char *instance, struct pins *p)
{
	int fd = open_instance(instance), err;

	memset(p, 0, sizeof(*p));
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	err = look(fd, p);
	close(fd);
	return err;
}

static int empty_folder(int fd, bool links_only, int depth, char *failed, size_t size);

/* Takes the filter off now: a link that only loses its pin may linger until the kernel frees it. */
static void detach_link(int folder, const char *name)
{
	char path[NAME_MAX + 64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", folder, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return;
	bpf_link_detach(fd);
	close(fd);
}

/* On older kernels the tc programs are filters of the interface, and no pin holds them. */
static void sweep_filters(uint32_t ifindex)
{
	if (!ifindex)
		return;
	tc_sweep(ifindex, TC_INGRESS, NULL);
	tc_sweep(ifindex, TC_EGRESS, NULL);
}

static int remove_entry(int fd, const char *name, int depth, char *failed, size_t size)
{
	struct stat st;
	int folder, err = 0;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : -errno;
	if (S_ISREG(st.st_mode) && is_link(name)) {
		detach_link(fd, name);
		sweep_filters(if_nametoindex(name + strlen(LINK_PREFIX)));
	}
	if (!S_ISDIR(st.st_mode))
		return unlinkat(fd, name, 0) && errno != ENOENT ? -errno : 0;
	if (depth >= DEPTH_MAX)
		return -ELOOP;
	folder = open_folder(fd, name);
	if (folder < 0)
		return folder;
	err = empty_folder(folder, false, depth + 1, failed, size);
	close(folder);
	if (!err && unlinkat(fd, name, AT_REMOVEDIR) && errno != ENOENT)
		err = -errno;
	return err;
}

static int empty_folder(int fd, bool links_only, int depth, char *failed, size_t size)
{
	const char *name;
	DIR *list;
	int err = list_folder(fd, &list);

	if (err)
		return err;
	while (!err && (name = next_name(list))) {
		if (links_only && !is_link(name))
			continue;
		err = remove_entry(fd, name, depth, failed, size);
		if (err && !*failed)
			text_escape(failed, size, name);
	}
	closedir(list);
	return err;
}

/* The folder itself goes by its name in its parent, as opened: neither is looked up by path. */
static int remove_folder(const char *instance)
{
	int parent = open_folder(AT_FDCWD, PIN_FOLDER), err = 0;

	if (parent < 0)
		return parent;
	if (unlinkat(parent, instance, AT_REMOVEDIR) && errno != ENOENT)
		err = -errno;
	close(parent);
	return err;
}

/* Which qdiscs are of our making stands in the pinned control words; what cannot be read stays. */
static void recall_qdiscs(const char *instance)
{
	static struct control c;
	struct pinned p = {.instance = instance};
	int fd = pinned_map(&p, "control");
	uint32_t zero = 0;

	if (fd >= 0 && !bpf_map_lookup_elem(fd, &zero, &c))
		tc_remember(c.made_qdisc);
	pinned_close(&p);
}

int pins_remove(const char *instance, struct pins *p, char *path, size_t path_size)
{
	char failed[4 * NAME_MAX + 8] = "";
	int fd = open_instance(instance), err;

	memset(p, 0, sizeof(*p));
	snprintf(path, path_size, "%s/%s", PIN_FOLDER, instance);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	err = look(fd, p);
	recall_qdiscs(instance);
	if (!err)
		err = empty_folder(fd, true, 0, failed, sizeof(failed));
	if (!err)
		err = empty_folder(fd, false, 0, failed, sizeof(failed));
	close(fd);
	if (!err)
		err = remove_folder(instance);
	if (err && *failed)
		snprintf(path, path_size, "%s/%s/%s", PIN_FOLDER, instance, failed);
	return err;
}
