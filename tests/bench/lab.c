// SPDX-License-Identifier: GPL-2.0-or-later
#include "lab.h"

#include "drive.skel.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PORT	     25
#define EVENTS_SHARE 67 /* about what the daemon gives each of two CPUs */
#define IP_BYTES     20
#define TCP_BYTES    20

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

static void *map_memory(struct bpf_map *map, size_t bytes)
{
	void *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	return m == MAP_FAILED ? NULL : m;
}

int lab_open(struct lab *l)
{
	*l = (struct lab){.gate = gate_bpf__open_and_load()};
	if (!l->gate)
		return errno ? -errno : -EIO;
	l->control = map_memory(l->gate->maps.control, sizeof(*l->control));
	l->presence = map_memory(l->gate->maps.presence, sizeof(*l->presence));
	if (!l->control || !l->presence)
		return -errno;
	l->control->events_share = EVENTS_SHARE;
	return 0;
}

void lab_close(struct lab *l)
{
	if (l->control)
		munmap(l->control, sizeof(*l->control));
	if (l->presence)
		munmap(l->presence, sizeof(*l->presence));
	gate_bpf__destroy(l->gate);
	*l = (struct lab){};
}

void lab_put_syn(struct lab *l, uint32_t source, uint16_t port, uint32_t isn)
{
	uint32_t dest = htonl(0xc6130001), number = htonl(isn);
	uint16_t to = htons(port);
	uint8_t *frame = l->frame;

	memset(frame, 0, FRAME_BYTES);
	memcpy(frame, "\2\0\0\0\0\1\2\0\0\0\0\2\x08", 13);
	frame[14] = 0x45;
	frame[17] = 40;
	frame[22] = 64;
	frame[23] = IPPROTO_TCP;
	source = htonl(source);
	memcpy(frame + 26, &source, 4);
	memcpy(frame + 30, &dest, 4);
	frame[34] = 0x9c;
	memcpy(frame + 36, &to, 2);
	memcpy(frame + 38, &number, 4);
	frame[46] = 5 << 4;
	frame[47] = 2;
}

/* The sum of 16-bit words in network order: RFC 1071, before it is folded. */
static uint32_t sum_words(const uint8_t *at, size_t bytes)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < bytes; i += 2)
		sum += (uint32_t)at[i] << 8 | at[i + 1];
	return sum;
}

void lab_template(struct lab *l, struct drive_bpf *drive)
{
	uint16_t pseudo_tcp = IPPROTO_TCP + TCP_BYTES;

	lab_put_syn(l, 0, 0, 0);
	memcpy(drive->bss->template, l->frame, sizeof(drive->bss->template));
	drive->bss->ip_sum = sum_words(l->frame + 14, IP_BYTES);
	drive->bss->tcp_sum =
		sum_words(l->frame + 26, 8) + sum_words(l->frame + 34, TCP_BYTES) + pseudo_tcp;
}

int lab_park(struct bpf_program *program)
{
	int ifindex = (int)if_nametoindex("park");

	/* Until we end: the link is never destroyed. */
	return ifindex && bpf_program__attach_xdp(program, ifindex) ? 0 : -errno;
}

double lab_run(const struct lab *l, int program, uint32_t times, uint32_t *verdict)
{
	uint8_t out[256];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = l->frame, .data_size_in = FRAME_BYTES,
		    .data_out = out, .data_size_out = sizeof(out), .repeat = (int)times);

	if (bpf_prog_test_run_opts(program, &opts))
		return -errno;
	*verdict = opts.retval;
	return opts.duration;
}

void lab_policy(struct policy *p, const struct limit *limit)
{
	const struct bucket wide = {.t_ns = 50,
				    .tau1_ns = NSEC_PER_SEC,
				    .tau2_ns = 2 * NSEC_PER_SEC,
				    .tau3_ns = 3 * NSEC_PER_SEC,
				    .debt_max_ns = 4000 * NSEC_PER_SEC};

	memset(p, 0, sizeof(*p));
	p->mode = MODE_ENFORCE;
	p->port_bits[PORT / 8] |= 1 << PORT % 8;
	p->global = p->global_queue = p->per_source = p->per_subnet = wide;
	p->refuse = p->trusted = wide;
	p->remember = (struct bucket){.t_ns = 1ULL << 60, .debt_max_ns = 1ULL << 60};
	if (limit->denied)
		p->per_source = (struct bucket){.t_ns = 3000 * NSEC_PER_SEC,
						.debt_max_ns = 4000 * NSEC_PER_SEC};
	if (limit->refuse)
		p->tier_override = (struct override){.until_ns = now_ns() + 1000 * NSEC_PER_SEC,
						     .value = TIER_REFUSE};
	if (limit->no_more)
		p->per_source.t_ns = p->per_subnet.t_ns = 0;
	for (int i = 0; i < FAMILIES; i++) {
		memset(&p->source[i].mask, 0xff, sizeof(p->source[i].mask));
		memset(&p->subnet[i].mask, 0xff, sizeof(p->subnet[i].mask) - 1);
		p->source[i].bits = 128;
		p->subnet[i].bits = 120;
	}
}

int lab_put_policy(struct lab *l, const struct policy *p)
{
	for (__u32 set = 0; set < 2; set++)
		if (bpf_map_update_elem(bpf_map__fd(l->gate->maps.policies), &set, p, BPF_ANY))
			return -errno;
	return 0;
}

int lab_limit(struct lab *l, const struct limit *limit)
{
	static struct policy p;

	lab_policy(&p, limit);
	l->control->global_tat_ns = limit->full ? now_ns() + 2000 * NSEC_PER_SEC : 0;
	return lab_put_policy(l, &p);
}

int lab_empty_program(void)
{
	const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "empty", "GPL", pass, 2, NULL);

	return fd < 0 ? -errno : fd;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double lab_median(double *figures, size_t count)
{
	qsort(figures, count, sizeof(*figures), by_value);
	return figures[count / 2];
}
