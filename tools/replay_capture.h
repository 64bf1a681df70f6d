/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay_capture.h - the SYNs of a capture file: pcap or pcapng, gzipped or not.
 *
 * Frames are read one by one and parsed by bpf/frame.h. What the capture's snap length has cut off
 * behind the TCP header is of no matter to the gate, and is taken for zeros.
 */
#ifndef REPLAY_CAPTURE_H
#define REPLAY_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "sluice.h"

/* A capture lasts no longer than this. */
#define CAPTURE_MAX_S (366ULL * 24 * 3600)

/* So many addresses that SYNs went to are told apart. */
#define CAPTURE_DESTS 8

struct capture_summary {
	uint64_t frames;
	uint64_t kinds[FRAME_KINDS];
	uint64_t outgoing;  /* frames that the machine itself has sent, where the capture says so */
	uint64_t backwards; /* frames that were captured before the one before them */
	uint64_t back_most_ns;		/* and by how much at most */
	union addr dest[CAPTURE_DESTS]; /* that SYNs went to */
	uint32_t dests;			/* CAPTURE_DESTS: these, and perhaps others */
	bool damaged;			/* it ends early; what was read is good */
	char damage[384];		/* a sentence */
};

struct capture;

/* One sentence: what, where, and what was expected. */
struct capture_error {
	char text[512];
};

/* Opens a file. Returns 0 with *c (capture_close), or -errno with *err filled. */
int capture_open(const char *path, struct capture **c, struct capture_error *err);
void capture_close(struct capture *c);

/*
 * The next SYN to a guarded port and address, and its moment from the first frame of the file.
 * Returns 1, 0 at the end (summary.damaged says whether it came early), or -EINVAL with *err.
 */
int capture_next(struct capture *c, const struct policy *p, uint64_t *at_ns, struct attempt *a,
		 struct capture_error *err);

/* How much of the file has been read, 0 to 1. */
double capture_done(const struct capture *c);

/* Lives as long as the capture. */
const struct capture_summary *capture_summary(const struct capture *c);

#endif
