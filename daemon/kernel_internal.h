/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel_internal.h - shared by the two halves of the kernel room: kernel.c (program and maps) and
 * kernel_link.c (interfaces). Nobody else includes it.
 */
#ifndef KERNEL_INTERNAL_H
#define KERNEL_INTERNAL_H

#include "control.h"
#include "kernel.h"
#include "kernel_tc.h"

#define PIN_PATH_MAX 192

/* One interface, by the name of the config. */
struct link {
	struct kernel_interface seen;
	int fd;		       /* of the bpf_link; -1: not attached */
	uint32_t ifindex;      /* that the link was made for */
	bool is_new;	       /* attached by the kernel_attach() that is under way */
	uint32_t changed_from; /* likewise: the enum xdp_mode that it had before; 0: not changed */
	bool renamed;	       /* the interface has another name now, and the filter still */
	bool wanted;	       /* named by the config */
	bool untagged;	       /* an RST would leave it without its VLAN tag */
	struct tc_hook hook;   /* of HOLD's tc program */
	bool hook_native;      /* it is the one for native XDP */
};

struct kernel {
	struct gate_bpf *program;
	struct hold_bpf *hold;		/* NULL until it is needed */
	char folder[PIN_PATH_MAX];	/* /sys/fs/bpf/sluice/<instance> */
	char maps_folder[PIN_PATH_MAX]; /* .../abi-<N> */
	struct control *control;	/* mapped */
	struct live *live;		/* mapped */
	struct presence *presence;	/* mapped */
	bool asks_listener;		/* the program looks at accept queues */
	struct watch *watch;		/* kernel_sessions.c; NULL before its start */
	struct counters *per_cpu;	/* room to read all CPUs at once */
	uint32_t cpus;
	int trie_fd[2][FAMILIES]; /* of the class slots, as far as this daemon made them; 0: not */
	bool inherited;		  /* the policies map was there before us */
	uint64_t flipped_ns;	  /* when the active index was last changed by us */
	uint32_t xdp_mode;	  /* of the config: enum xdp_mode */
	uint32_t vlan_looks;	  /* kernel_tend() looks for VLANs every few times */
	uint32_t links;
	struct link link[MAX_INTERFACES];
	struct kernel_interface list[MAX_INTERFACES];
};

int kernel_program_fd(const struct kernel *k);

/* Is anybody in this column of the presence filter? Said before anybody is. */
void kernel_present(struct kernel *k, int column, bool anybody);

/* Of a map of the gate, by its name; -1: there is none. */
int kernel_map_fd(const struct kernel *k, const char *name);

/* Takes HOLD's tc program off one interface; lets go of all of them, which go on. */
void kernel_hold_let_go(struct link *l);
void kernel_hold_release(struct kernel *k);

/* Tells the program where it cannot refuse, as an RST would leave without its VLAN tag. */
void kernel_tell_vlans(struct kernel *k);

/* Pins every map of this load, in place of pins that it does not share. */
int kernel_pin_maps(struct kernel *k, struct config_error *err);

/* kernel_sessions.c, for kernel.c: the end, and what `detach` takes away. */
void kernel_sessions_close(struct kernel *k);
void kernel_sessions_detach(struct kernel *k);

#endif
