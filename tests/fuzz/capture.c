// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads any bytes as a capture file: pcap, pcapng, gzipped or not. It ends with one printable
 * sentence, or with attempts at moments that never go back. An end of the process is a finding.
 *
 *	make build/fuzz/capture && build/fuzz/capture -max_len=4000
 */
#include <linux/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../tools/replay_capture.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define PROMISE(condition)                                                                      \
	do {                                                                                    \
		if (!(condition)) {                                                             \
			fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                                \
		}                                                                               \
	} while (0)

/* Every port is guarded, and every address: what parses as a SYN comes out. */
static const struct policy *open_policy(void)
{
	static struct policy p;

	memset(p.port_bits, 0xff, sizeof(p.port_bits));
	return &p;
}

static void promise_sentence(const char *text, size_t size)
{
	size_t length = strnlen(text, size);

	PROMISE(length > 0 && length < size);
	for (size_t i = 0; i < length; i++)
		PROMISE((unsigned char)text[i] >= ' ' && (unsigned char)text[i] < 0x7f);
}

static void promise_summary(const struct capture_summary *s, uint64_t syns)
{
	uint64_t kinds = 0;

	for (int k = 0; k < FRAME_KINDS; k++)
		kinds += s->kinds[k];
	PROMISE(kinds <= s->frames && kinds + 1 >= s->frames); /* the last may have no moment */
	PROMISE(s->kinds[FRAME_SYN] == syns);
	PROMISE(s->dests <= CAPTURE_DESTS && (s->dests || !syns));
	if (s->damaged)
		promise_sentence(s->damage, sizeof(s->damage));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	int fd = memfd_create("capture", MFD_CLOEXEC), more;
	uint64_t at_ns, last_ns = 0, syns = 0;
	struct capture_error err;
	struct capture *c;
	struct attempt a;
	char path[64];

	PROMISE(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (capture_open(path, &c, &err)) {
		promise_sentence(err.text, sizeof(err.text));
		close(fd);
		return 0;
	}
	while ((more = capture_next(c, open_policy(), &at_ns, &a, &err)) > 0) {
		PROMISE(at_ns >= last_ns && at_ns <= CAPTURE_MAX_S * NSEC_PER_SEC);
		PROMISE(a.family == FAMILY_V4 || a.family == FAMILY_V6);
		last_ns = at_ns;
		syns++;
		PROMISE(capture_done(c) >= 0 && capture_done(c) <= 1);
	}
	if (more)
		promise_sentence(err.text, sizeof(err.text));
	promise_summary(capture_summary(c), syns);
	capture_close(c);
	close(fd);
	return 0;
}
