// SPDX-License-Identifier: GPL-2.0-or-later
#include "pinned.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "sluice.h"

int pinned_map(void *pinned, const char *name)
{
	struct pinned *p = pinned;
	char path[256];
	int fd;

	for (unsigned i = 0; i < p->count; i++)
		if (!strcmp(p->name[i], name))
			return p->fd[i];
	if (p->count == PINNED_MOST)
		return -EMFILE;
	snprintf(path, sizeof(path), "%s/%s/abi-%d/%s", PIN_FOLDER, p->instance, SLUICE_ABI, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return fd;
	snprintf(p->name[p->count], sizeof(p->name[0]), "%s", name);
	p->fd[p->count++] = fd;
	return fd;
}

void pinned_close(struct pinned *p)
{
	while (p->count)
		close(p->fd[--p->count]);
}
