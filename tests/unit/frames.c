// SPDX-License-Identifier: GPL-2.0-or-later
#include "frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const __u8 ext_kinds[EXT_KINDS] = {EXT_HOP_BY_HOP,  EXT_ROUTING,  EXT_FRAGMENT, EXT_AH,
				   EXT_DESTINATION, EXT_MOBILITY, EXT_HIP,	EXT_SHIM6};

struct shape shape_syn(bool v6)
{
	return (struct shape){
		.v6 = v6,
		.tpid = {0x88a8, 0x8100, 0x8100, 0x8100},
		.ihl = 5,
		.protocol = 6,
		.source = 0xc6336407,
		.dest = 0xc0000219,
		.source_port = 40321,
		.dest_port = 25,
		.isn = 0xdeadbeef,
		.flags = FRAME_TCP_SYN,
		.doff = 5,
		.tcp_bytes = 20,
	};
}

struct writer {
	__u8 *out;
	size_t n;
};

static void put8(struct writer *w, __u8 v)
{
	w->out[w->n++] = v;
}

static void put16(struct writer *w, __u16 v)
{
	put8(w, v >> 8);
	put8(w, v & 255);
}

static void put32(struct writer *w, __u32 v)
{
	put16(w, v >> 16);
	put16(w, v & 0xffff);
}

static void put_many(struct writer *w, __u8 v, int n)
{
	while (n-- > 0)
		put8(w, v);
}

/* Bytes of an extension header whose length byte is units. */
static int ext_bytes(__u8 kind, __u8 units)
{
	if (kind == EXT_FRAGMENT)
		return 8;
	return kind == EXT_AH ? (units + 2) * 4 : (units + 1) * 8;
}

static void put_ext(struct writer *w, const struct shape *s, int i)
{
	int bytes = ext_bytes(s->ext[i], s->ext_units[i]);

	put8(w, i + 1 < s->exts ? s->ext[i + 1] : s->protocol);
	put8(w, s->ext[i] == EXT_FRAGMENT ? 0 : s->ext_units[i]);
	if (s->ext[i] == EXT_FRAGMENT) {
		put16(w, s->ext_fragment);
		put32(w, 0x12345678);
		return;
	}
	put8(w, 4); /* as a routing type: segment routing */
	put8(w, s->ext[i] == EXT_ROUTING ? s->segments_left : 0xff);
	put_many(w, 0xee, bytes - 4);
}

static void put_v6(struct writer *w, const struct shape *s, int l4_bytes)
{
	int payload = l4_bytes;

	for (int i = 0; i < s->exts; i++)
		payload += ext_bytes(s->ext[i], s->ext_units[i]);
	put32(w, 0x6ab12345); /* a traffic class and a flow label, which mean nothing here */
	put16(w, payload + s->length_error);
	put8(w, s->exts ? s->ext[0] : s->protocol);
	put8(w, 57);
	for (int i = 0; i < 2; i++) {
		put32(w, 0x20010db8);
		put32(w, 0x00aa00bb + i);
		put32(w, 0);
		put32(w, i ? s->dest : s->source);
	}
	for (int i = 0; i < s->exts; i++)
		put_ext(w, s, i);
}

static void put_v4(struct writer *w, const struct shape *s, int l4_bytes)
{
	put8(w, 4 << 4 | s->ihl);
	put8(w, 0x2e);
	put16(w, (s->ihl < 5 ? 5 : s->ihl) * 4 + l4_bytes + s->length_error);
	put16(w, 0x4242);
	put16(w, s->fragment);
	put8(w, 57);
	put8(w, s->protocol);
	put16(w, 0xbad0);
	put32(w, s->source);
	put32(w, s->dest);
	put_many(w, 1, (s->ihl - 5) * 4); /* no-operation options */
}

size_t shape_write(const struct shape *s, __u8 *out, size_t *l3, size_t *l4)
{
	struct writer w = {.out = out};
	int l4_bytes = s->tcp_bytes + s->payload_bytes;

	for (int i = 0; i < 12; i++)
		put8(&w, i < 6 ? 0x20 + i : 0x30 + i);
	for (int i = 0; i < s->vlans; i++) {
		put16(&w, s->tpid[i]);
		put16(&w, 100 + i);
	}
	put16(&w, s->v6 ? 0x86dd : 0x0800);
	if (l3)
		*l3 = w.n;
	(s->v6 ? put_v6 : put_v4)(&w, s, l4_bytes);
	if (l4)
		*l4 = w.n;
	put16(&w, s->source_port);
	put16(&w, s->dest_port);
	put32(&w, s->isn);
	put32(&w, 0);
	put8(&w, s->doff << 4 | 1); /* AE: an AccECN SYN sets it, and it does not matter */
	put8(&w, s->flags);
	put16(&w, 64240);
	put16(&w, 0xbad1); /* never looked at */
	put16(&w, 0);
	put_many(&w, 1, s->tcp_bytes - 20);
	put_many(&w, 'x', s->payload_bytes);
	put_many(&w, 0, s->padding_bytes);
	return w.n;
}

void *frames_copy(const __u8 *bytes, size_t n, __u8 **data)
{
	__u8 *room = malloc(n + 2);

	if (!room) {
		fprintf(stderr, "frames: no memory\n");
		exit(1);
	}
	*data = room + 2;
	memcpy(*data, bytes, n);
	return room;
}

enum frame_kind frames_parse(const __u8 *bytes, size_t n, struct frame *f)
{
	__u8 *data;
	void *room = frames_copy(bytes, n, &data);
	enum frame_kind kind = frame_parse(data, data + n, frames_policy(), f);

	free(room);
	return kind;
}

enum frame_kind shape_parse(const struct shape *s, struct frame *f)
{
	__u8 bytes[SHAPE_MAX_BYTES];

	return frames_parse(bytes, shape_write(s, bytes, NULL, NULL), f);
}

const struct policy *frames_policy(void)
{
	static struct policy p;

	p.port_bits[25 / 8] = 1 << 25 % 8;
	p.port_bits[465 / 8] = 1 << 465 % 8;
	p.port_bits[65535 / 8] = 1 << 65535 % 8;
	return &p;
}

const char *frames_kind_name(unsigned int kind)
{
	static const char *const names[FRAME_KINDS] = {
#define X(id, name, sentence) name,
		FRAME_TABLE(X)
#undef X
	};

	return kind < FRAME_KINDS ? names[kind] : "?";
}
