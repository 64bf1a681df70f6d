/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lab.h - the gate's program, loaded and under a policy of limits that are out of the way, and how
 * long BPF_PROG_TEST_RUN takes for it.
 */
#ifndef LAB_H
#define LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice.h"

#include "gate.skel.h"

#define FRAME_BYTES 60

struct lab {
	struct gate_bpf *gate;
	struct control *control;
	struct presence *presence;
	uint8_t frame[FRAME_BYTES];
};

/* Which of the limits is in the way. */
struct limit {
	bool full;    /* the global bucket denies every first SYN, and nothing is remembered */
	bool denied;  /* the source's does after its first one */
	bool refuse;  /* the tier refuse holds */
	bool no_more; /* the global bucket is the only one */
};

/* Loads the program anew, and with it empty tables. Returns 0 or -errno. */
int lab_open(struct lab *l);
void lab_close(struct lab *l);

/* The policy of that limit: wide everywhere else, and none but the first is remembered. */
void lab_policy(struct policy *p, const struct limit *limit);

/* Puts a policy in force. Returns 0 or -errno. */
int lab_put_policy(struct lab *l, const struct policy *p);

/* Puts the policy of that limit in force. Returns 0 or -errno. */
int lab_limit(struct lab *l, const struct limit *limit);

/* Writes a SYN, IPv4, to 198.19.0.1. Addresses and numbers in host order. */
void lab_put_syn(struct lab *l, uint32_t source, uint16_t port, uint32_t isn);

/* Gives the driver that SYN to write others from. */
struct drive_bpf;
void lab_template(struct lab *l, struct drive_bpf *drive);

/*
 * Attaches a program to the interface `park`, on which nothing comes in: where a program of no
 * interface begins to run, and ends, the kernel rewrites code and waits, for some 20 ms each time.
 * Returns 0 or -errno.
 */
int lab_park(struct bpf_program *program);

/*
 * Runs the frame so often, on the CPU that the caller is on. Returns the nanoseconds of one run, or
 * a negative errno; *verdict is that of the last.
 */
double lab_run(const struct lab *l, int program, uint32_t times, uint32_t *verdict);

/* Returns the descriptor of a program that passes everything, or -errno. */
int lab_empty_program(void);

/* Of count figures, which it sorts. */
double lab_median(double *figures, size_t count);

#endif
