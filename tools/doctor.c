// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * doctor.c - sluice doctor: can Sluice work here, and how well? Looks at the kernel, at the
 * interfaces and their drivers, and at what stands in front of this machine. Changes nothing.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "client.h"
#include "command.h"
#include "netdev.h"
#include "text.h"

#define NATIVE_MTU_MOST	   3498 /* of a 4,096-byte page, what drivers leave of it at the least */
#define ONE_SOURCE_SHARE   0.5
#define ONE_SOURCE_LEAST   100 /* connections: below that a share says nothing */
#define LEAST_KERNEL_MAJOR 5
#define LEAST_KERNEL_MINOR 15

/* good: works; note: works, but know this; bad: does not work. */
static void find(json_t *findings, const char *level, const char *subject, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static void find(json_t *findings, const char *level, const char *subject, const char *format, ...)
{
	char sentence[512];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	json_array_append_new(findings, json_pack("{s:s, s:s, s:s}", "level", level, "subject",
						  subject, "sentence", sentence));
}

/* --- the kernel ------------------------------------------------------------------------------- */

static void look_at_release(json_t *f)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;

	uname(&name);
	sscanf(name.release, "%u.%u", &major, &minor);
	if (major > LEAST_KERNEL_MAJOR ||
	    (major == LEAST_KERNEL_MAJOR && minor >= LEAST_KERNEL_MINOR))
		find(f, "good", "kernel", "Linux %s", name.release);
	else
		find(f, "bad", "kernel", "Linux %s is too old: %d.%d or later is needed",
		     name.release, LEAST_KERNEL_MAJOR, LEAST_KERNEL_MINOR);
}

static void look_at_bpf(json_t *f)
{
	static const struct {
		enum bpf_map_type type;
		const char *name;
	} maps[] = {
		{BPF_MAP_TYPE_LRU_HASH, "LRU hash tables"},
		{BPF_MAP_TYPE_LPM_TRIE, "prefix tries"},
		{BPF_MAP_TYPE_ARRAY_OF_MAPS, "maps in maps"},
	};
	bool missing = false;

	if (geteuid()) {
		find(f, "note", "bpf", "run doctor as root to see what the kernel's BPF can do");
		return;
	}
	if (libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_XDP, NULL) != 1) {
		find(f, "bad", "bpf",
		     "XDP programs cannot be loaded: is BPF built in, and is this "
		     "process allowed to (CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON)?");
		return;
	}
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		if (libbpf_probe_bpf_map_type(maps[i].type, NULL) != 1) {
			find(f, "bad", "bpf", "the kernel has no %s", maps[i].name);
			missing = true;
		}
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_ktime_get_coarse_ns, NULL) != 1) {
		find(f, "bad", "bpf", "XDP programs cannot read the coarse clock");
		missing = true;
	}
	if (!missing)
		find(f, "good", "bpf", "XDP programs, tables and clock are all there");
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_skc_lookup_tcp, NULL) == 1 &&
	    libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, BPF_FUNC_skc_to_tcp_sock, NULL) == 1)
		find(f, "good", "backlog", "a listener's accept queue can be looked up from XDP");
	else
		find(f, "note", "backlog",
		     "a listener's accept queue cannot be looked up from XDP: that gate has no "
		     "opinion here");
}

static void look_at_files(json_t *f)
{
	struct statfs fs;

	if (!access("/sys/kernel/btf/vmlinux", R_OK))
		find(f, "good", "btf", "the kernel's types are readable");
	else
		find(f, "note", "btf",
		     "the kernel has no BTF: sessions are not counted and accept queues not asked, "
		     "so max-sessions, source-session-time and the gate backlog have no effect");
	if (!statfs("/sys/fs/bpf", &fs) && fs.f_type == BPF_FS_MAGIC)
		find(f, "good", "bpffs", "mounted on /sys/fs/bpf");
	else
		find(f, "bad", "bpffs",
		     "not mounted on /sys/fs/bpf: 'mount -t bpf bpf /sys/fs/bpf' does it");
	if (access("/proc/loadavg", R_OK))
		find(f, "bad", "load", "/proc/loadavg cannot be read: no load, no tiers");
	else if (access("/proc/pressure/cpu", R_OK))
		find(f, "good", "load", "the load average is readable (pressure stall: not there)");
	else
		find(f, "good", "load", "the load average and pressure stall are readable");
}

/* --- the interfaces --------------------------------------------------------------------------- */

static void look_at_native(json_t *f, const char *name, const struct netdev *n)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, now);

	if (!n->features_known)
		find(f, "note", name,
		     "driver %s; whether it runs XDP natively shows when sluiced attaches (this "
		     "kernel does not tell before)",
		     *n->driver ? n->driver : "unknown");
	else if (n->native)
		find(f, "good", name, "driver %s runs XDP natively, XDP_TX (for the RST) among it",
		     *n->driver ? n->driver : "unknown");
	else
		find(f, "note", name,
		     "driver %s has no native XDP: the generic mode works, at a few times the cost",
		     *n->driver ? n->driver : "unknown");
	if (!strcmp(n->driver, "veth"))
		find(f, "note", name,
		     "veth: a native RST reaches the other end only if that end runs an XDP program "
		     "too; xdp-mode=generic needs nothing");
	if (!bpf_xdp_query((int)n->ifindex, 0, &now) && now.attach_mode != XDP_ATTACHED_NONE)
		find(f, "note", name, "runs the XDP program with the id %u now, in %s mode",
		     now.prog_id       ? now.prog_id
		     : now.drv_prog_id ? now.drv_prog_id
				       : now.skb_prog_id,
		     now.attach_mode == XDP_ATTACHED_SKB ? "generic" : "native");
}

static void look_at_interface(json_t *f, const char *name)
{
	struct netdev n;

	if (netdev_look(name, &n)) {
		find(f, "bad", name, "there is no such interface here");
		return;
	}
	look_at_native(f, name, &n);
	if (n.mtu > NATIVE_MTU_MOST && !(n.features_known && n.native_fragments))
		find(f, "note", name,
		     "MTU %u: many drivers run native XDP only up to about %d; generic works",
		     n.mtu, NATIVE_MTU_MOST);
	else
		find(f, "good", name, "MTU %u", n.mtu);
	if (!n.flags_known)
		return;
	if (n.strips_vlan)
		find(f, "note", name,
		     "its hardware may strip VLAN tags: with VLAN devices on it, who is to be "
		     "refused is deferred in native mode, as an RST would go out untagged "
		     "('ethtool -K %s rxvlan off' keeps the tags)",
		     name);
	else
		find(f, "good", name, "VLAN tags stay in the frame");
	if (n.large_receive)
		find(f, "note", name,
		     "LRO is on, and drivers refuse native XDP with it: 'ethtool -K %s lro off'",
		     name);
}

/* The interfaces named; else those of the daemon; else all but loopback. */
static void look_at_interfaces(json_t *f, const json_t *status, int argc, char **argv)
{
	const json_t *list = json_object_get(status, "interfaces"), *one;
	struct if_nameindex *all;
	size_t i;

	for (int n = 1; n < argc; n++)
		look_at_interface(f, argv[n]);
	if (argc > 1)
		return;
	if (json_array_size(list)) {
		json_array_foreach (list, i, one)
			look_at_interface(f, json_string_value(json_object_get(one, "name")));
		return;
	}
	all = if_nameindex();
	for (i = 0; all && all[i].if_index; i++)
		if (strcmp(all[i].if_name, "lo"))
			look_at_interface(f, all[i].if_name);
	if_freenameindex(all);
}

/* --- what stands in front --------------------------------------------------------------------- */

/* The waiting room of HOLD: only the daemon that keeps it knows how it fares. */
static void look_at_hold(json_t *f, const json_t *status)
{
	const char *state, *device;
	int chosen = 1;
	json_t *problem;
	double horizon;

	if (json_unpack((json_t *)status, "{s:{s:s, s:s, s:F, s:o, s?b}}", "hold", "state", &state,
			"device", &device, "horizon_ms", &horizon, "problem", &problem, "chosen",
			&chosen)) {
		find(f, "note", "hold", "this sluiced does not say whether it holds SYNs");
		return;
	}
	if (!strcmp(state, "on"))
		find(f, "good", "hold", "SYNs that come too early wait in %s, for at most %.0f ms",
		     device, horizon);
	else if (!strcmp(state, "off"))
		find(f, "note", "hold",
		     "off (pace-horizon=0): SYNs that come too early wait for their sender's "
		     "retransmit, a second or more");
	else
		/* Whoever did not ask for HOLD misses nothing that he was promised. */
		find(f, chosen ? "bad" : "note", "hold", "SYNs are deferred instead of held: %s",
		     json_string_value(problem) ?: "the waiting room is not there yet");
}

static void look_at_daemon(json_t *f, const struct options *o, const json_t *status,
			   const struct client_error *why)
{
	struct client_error err;
	double share, connections;
	const char *top;
	json_t *sources;

	if (!status) {
		find(f, "note", "sluiced", "%s", why->text);
		return;
	}
	find(f, "good", "sluiced", "runs, mode %s",
	     json_string_value(json_object_get(json_object_get(status, "mode"), "name")));
	look_at_hold(f, status);
	if (client_ask(o->instance, json_pack("{s:s}", "command", "sources"), &sources, &err))
		return;
	share = json_number_value(json_object_get(sources, "top_share"));
	connections = json_number_value(json_object_get(sources, "connections"));
	top = json_string_value(json_object_get(sources, "top"));
	if (top && connections >= ONE_SOURCE_LEAST && share >= ONE_SOURCE_SHARE)
		find(f, "note", "front",
		     "%s has %.0f %% of the recent connections: if that is a NAT or a load balancer in "
		     "front of this machine, the limits of a source hit all senders behind it (list it "
		     "as trusted, and limit on the balancer)",
		     top, share * 100);
	else if (connections < ONE_SOURCE_LEAST)
		find(f, "note", "front",
		     "too few recent connections to tell whether a NAT or a load balancer stands in "
		     "front (%.0f of %d)",
		     connections, ONE_SOURCE_LEAST);
	else
		find(f, "good", "front", "no single source has most of the recent connections");
	json_decref(sources);
}

static int print_findings(const struct options *o, const json_t *findings)
{
	json_t *shown = text_escaped(findings);
	const json_t *one;
	int status = EXIT_DONE;
	size_t i;

	json_array_foreach (findings, i, one)
		if (!strcmp(json_string_value(json_object_get(one, "level")), "bad"))
			status = EXIT_FAILED;
	if (o->json)
		client_print(findings);
	else
		json_array_foreach (shown, i, one)
			printf("%-4s  %-10s  %s\n",
			       json_string_value(json_object_get(one, "level")),
			       json_string_value(json_object_get(one, "subject")),
			       json_string_value(json_object_get(one, "sentence")));
	json_decref(shown);
	fflush(stdout);
	if (status)
		text_complain("Sluice cannot work here as it is: see what is marked bad");
	return status;
}

static int silent(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

int command_doctor(const struct options *o, int argc, char **argv)
{
	json_t *findings = json_array(), *status = NULL;
	struct client_error why;
	int result;

	libbpf_set_print(silent);
	if (client_ask(o->instance, json_pack("{s:s}", "command", "status"), &status, &why))
		status = NULL;
	look_at_release(findings);
	look_at_bpf(findings);
	look_at_files(findings);
	look_at_interfaces(findings, status, argc, argv);
	look_at_daemon(findings, o, status, &why);
	result = print_findings(o, findings);
	json_decref(status);
	json_decref(findings);
	return result;
}
