/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * frames.h - builds frames for tests from a description, byte by byte, and parses them out of a
 * heap buffer that ends exactly where the frame does, so that ASan sees any over-read.
 */
#ifndef FRAMES_H
#define FRAMES_H

#include <stdbool.h>

#include "frame.h"
#include "policy.h"

#define SHAPE_MAX_BYTES 4096
#define SHAPE_MAX_EXT	10

/* Kinds of extension header, RFC 8200 and the registry of protocol numbers. */
#define EXT_HOP_BY_HOP	0
#define EXT_ROUTING	43
#define EXT_FRAGMENT	44
#define EXT_AH		51
#define EXT_DESTINATION 60
#define EXT_MOBILITY	135
#define EXT_HIP		139
#define EXT_SHIM6	140
#define EXT_KINDS	8
#define NO_NEXT_HEADER	59

extern const __u8 ext_kinds[EXT_KINDS];

/* What a frame looks like. shape_syn() gives a plain one; a test changes what it is about. */
struct shape {
	bool v6;
	int vlans;
	__u16 tpid[4];
	int ihl;	/* words */
	__u16 fragment; /* IPv4: flags and offset, as in the header */
	int exts;	/* IPv6 */
	__u8 ext[SHAPE_MAX_EXT];
	__u8 ext_units[SHAPE_MAX_EXT]; /* the length byte of each; ignored for a fragment header */
	__u16 ext_fragment;	       /* offset and M of each fragment header */
	__u8 segments_left;	       /* of each routing header */
	__u8 protocol;
	__u32 source, dest; /* IPv4, or the last word of 2001:db8::/96 */
	__u16 source_port, dest_port;
	__u32 isn;
	__u8 flags;
	int doff;      /* words, as written; */
	int tcp_bytes; /* and the header bytes that are there */
	int payload_bytes;
	int padding_bytes; /* behind the IP packet */
	int length_error;  /* added to the IP length */
};

struct shape shape_syn(bool v6);

/* Writes the frame; returns its length. l3 and l4 get the offsets of the headers, if asked. */
size_t shape_write(const struct shape *s, __u8 *out, size_t *l3, size_t *l4);

/*
 * Copies the first n bytes to the heap so that the IP header is aligned, as in every driver, and
 * parses them with nothing readable behind them.
 */
enum frame_kind frames_parse(const __u8 *bytes, size_t n, struct frame *f);
enum frame_kind shape_parse(const struct shape *s, struct frame *f);

/* The buffer by itself: *data is the frame, the return value is what to free. */
void *frames_copy(const __u8 *bytes, size_t n, __u8 **data);

/* Guards ports 25, 465 and 65535, any address. */
const struct policy *frames_policy(void);

const char *frames_kind_name(unsigned int kind);

#endif
