// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * live.c - SYNs as fast as the kernel makes them, or so many a second, out of an interface.
 *
 *	live INTERFACE DEST-MAC CPU SOURCES RATE SECONDS
 *
 * Wants an interface `park` where nothing comes in (lab_park).
 * Frames are made by BPF_PROG_TEST_RUN with live frames on one CPU: spoofed, of SOURCES addresses in
 * 10.0.0.0/8, or of all of IPv4 if 0. RATE 0: without a pause. One line of JSON at the end.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lab.h"

#include "drive.skel.h"

#define BATCH	      64
#define FULL_SPEED    65536 /* frames between two looks at the clock */
#define TICK_NS	      1000000
#define SECONDS_MAX   600
#define NUMBERS_PER_S 16e6 /* no run begins with those of one before: more than it can send */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int send_frames(struct lab *l, int program, uint32_t count)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = l->frame, .data_size_in = FRAME_BYTES,
		    .repeat = (int)count, .flags = BPF_F_TEST_XDP_LIVE_FRAMES,
		    .batch_size = count < BATCH ? count : BATCH);

	return bpf_prog_test_run_opts(program, &opts) ? -errno : 0;
}

/* Returns the frames that were sent, or a negative error; *took: the seconds. */
static double send_all(struct lab *l, int program, double rate, double seconds, double *took)
{
	double began = now(), sent = 0;

	for (double past = 0; past < seconds; past = now() - began) {
		double due = rate > 0 ? rate * past - sent : FULL_SPEED;
		struct timespec tick = {.tv_nsec = TICK_NS};

		if (due >= 1) {
			int bad = send_frames(l, program, (uint32_t)due);

			if (bad)
				return bad;
			sent += (uint32_t)due;
		}
		if (rate > 0)
			nanosleep(&tick, NULL);
	}
	*took = now() - began;
	return sent;
}

int main(int argc, char **argv)
{
	struct drive_bpf *drive;
	struct ether_addr *mac;
	static struct lab lab;
	double seconds, sent, took = 0;
	cpu_set_t cpu;

	int bad;

	if (argc != 7 || !(mac = ether_aton(argv[2])) || !if_nametoindex(argv[1])) {
		fprintf(stderr, "live INTERFACE DEST-MAC CPU SOURCES RATE SECONDS was expected\n");
		return 2;
	}
	seconds = atof(argv[6]);
	if (seconds <= 0 || seconds > SECONDS_MAX) {
		fprintf(stderr, "live: '%s' seconds: 1 to %d were expected\n", argv[6],
			SECONDS_MAX);
		return 2;
	}
	CPU_ZERO(&cpu);
	CPU_SET(atoi(argv[3]), &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu))
		return perror("live: CPU"), 1;
	drive = drive_bpf__open_and_load();
	if (!drive)
		return perror("live: cannot load the generator"), 1;
	bad = lab_park(drive->progs.generate);
	if (bad)
		return fprintf(stderr, "live: park: %s\n", strerror(-bad)), 1;
	lab_template(&lab, drive);
	memcpy(drive->bss->template, mac, ETH_ALEN);
	drive->data->sources = (uint32_t)strtoul(argv[4], NULL, 10);
	drive->bss->first = (uint32_t)(uint64_t)(now() * NUMBERS_PER_S);
	drive->bss->out_ifindex = if_nametoindex(argv[1]);
	sent = send_all(&lab, bpf_program__fd(drive->progs.generate), atof(argv[5]), seconds,
			&took);
	if (sent < 0) {
		fprintf(stderr, "live: %s\n", strerror((int)-sent));
		return 1;
	}
	printf("{\"sent\": %.0f, \"seconds\": %.3f}\n", sent, took);
	return 0;
}
