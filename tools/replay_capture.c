// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libpcap takes the file formats apart, zlib unpacks below it. Every frame is given the shape that
 * bpf/frame.h reads: Ethernet. Whatever is wrong with a file is said with its name.
 */
#include "replay_capture.h"

#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "config_values.h"
#include "frame.h"

/* The longest frame that is looked at: an IP datagram behind two VLAN tags. */
#define IP_ALIGN   2
#define FRAME_MOST (ETH_HLEN + 8 + 65535)

/* Linux cooked captures: https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html and _SLL2 */
#define SLL_BYTES     16
#define SLL_PROTOCOL  14
#define SLL_TYPE      1 /* the lower byte of two */
#define SLL2_BYTES    20
#define SLL2_PROTOCOL 0
#define SLL2_TYPE     10
enum { PACKET_TYPE_HOST, PACKET_TYPE_BROADCAST, PACKET_TYPE_MULTICAST, PACKET_TYPE_OUTGOING = 4 };

struct capture {
	char name[SHOWN_MAX];
	pcap_t *pcap;
	gzFile gz;
	int link;
	off_t size; /* of the file */
	uint64_t first_ns, last_ns;
	bool begun;
	struct capture_summary summary;
	/* Two bytes in front, as drivers do, align the IP header, whose fields are read whole. */
	_Alignas(8) uint8_t room[IP_ALIGN + FRAME_MOST];
};

static int capture_fail(struct capture_error *err, int code, const char *name, const char *what)
{
	snprintf(err->text, sizeof(err->text), "%s: %s", name, what);
	return code;
}

/* --- the file ---------------------------------------------------------------------------------- */

/* A plain file, so that reading it never waits for anybody. Returns a descriptor or -errno. */
static int open_file(const char *path, const char *name, off_t *size, struct capture_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	char why[128];

	if (fd < 0) {
		int bad = -errno;

		snprintf(why, sizeof(why), "it cannot be opened: %s", strerror(-bad));
		return capture_fail(err, bad, name, why);
	}
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return capture_fail(err, -EINVAL, name,
				    "it is no plain file: a capture that is whole was expected");
	}
	if (!st.st_size) {
		close(fd);
		return capture_fail(err, -EINVAL, name,
				    "the file is empty: a pcap or pcapng capture was expected");
	}
	*size = st.st_size;
	return fd;
}

static ssize_t read_gz(void *cookie, char *buffer, size_t size)
{
	struct capture *c = cookie;
	int n = gzread(c->gz, buffer, size < 1U << 20 ? (unsigned int)size : 1U << 20);

	if (n < 0)
		errno = EIO;
	return n;
}

/* What zlib has to say against the file, or NULL. */
static const char *gz_damage(struct capture *c)
{
	int code = Z_OK;

	gzerror(c->gz, &code);
	switch (code) {
	case Z_OK:
	case Z_STREAM_END:
		return NULL;
	case Z_BUF_ERROR:
		return "the compressed file ends early";
	case Z_ERRNO:
		return "it cannot be read";
	default:
		return "the compressed data are damaged";
	}
}

static int is_understood(int link)
{
	switch (link) {
	case DLT_EN10MB:
	case DLT_LINUX_SLL:
	case DLT_LINUX_SLL2:
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
		return 1;
	}
	return 0;
}

/* Hands the stream to libpcap. On success it belongs to the capture. */
static int open_pcap(struct capture *c, FILE *stream, struct capture_error *err)
{
	char why[PCAP_ERRBUF_SIZE] = "", what[PCAP_ERRBUF_SIZE + 128];
	const char *name;

	c->pcap = pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO, why);
	if (!c->pcap) {
		const char *damage = gz_damage(c);

		fclose(stream);
		snprintf(what, sizeof(what), "no capture can be read from it: %s",
			 damage ? damage : why);
		return capture_fail(err, -EINVAL, c->name, what);
	}
	c->link = pcap_datalink(c->pcap);
	if (is_understood(c->link))
		return 0;
	name = pcap_datalink_val_to_name(c->link);
	snprintf(
		what, sizeof(what),
		"its frames are of link type %d (%s): Ethernet, Linux cooked or raw IP frames were "
		"expected",
		c->link, name ? name : "unknown");
	return capture_fail(err, -EPROTONOSUPPORT, c->name, what);
}

int capture_open(const char *path, struct capture **capture, struct capture_error *err)
{
	static const cookie_io_functions_t functions = {.read = read_gz};
	struct capture *c = calloc(1, sizeof(*c));
	FILE *stream;
	int fd, bad;

	*capture = NULL;
	if (!c)
		return capture_fail(err, -ENOMEM, "the capture", "there is not enough memory");
	value_shown(path, c->name);
	fd = open_file(path, c->name, &c->size, err);
	if (fd < 0) {
		free(c);
		return fd;
	}
	c->gz = gzdopen(fd, "rb");
	stream = c->gz ? fopencookie(c, "r", functions) : NULL;
	if (!c->gz)
		close(fd);
	bad = stream ? open_pcap(c, stream, err)
		     : capture_fail(err, -ENOMEM, c->name, "there is not enough memory");
	if (bad) {
		capture_close(c);
		return bad;
	}
	*capture = c;
	return 0;
}

void capture_close(struct capture *c)
{
	if (!c)
		return;
	if (c->pcap)
		pcap_close(c->pcap);
	if (c->gz)
		gzclose(c->gz);
	free(c);
}

double capture_done(const struct capture *c)
{
	double share = (double)gzoffset(c->gz) / (double)c->size;

	return share < 1 ? share : 1;
}

const struct capture_summary *capture_summary(const struct capture *c)
{
	return &c->summary;
}

/* --- one frame --------------------------------------------------------------------------------- */

/* What stands in front of the datagram, as Ethernet. Returns how many bytes of the frame it was. */
static int make_header(struct capture *c, const uint8_t *data, uint32_t bytes)
{
	uint8_t *header = c->room + IP_ALIGN;
	const uint8_t *protocol = NULL;
	int cut = 0, type = PACKET_TYPE_HOST;

	memset(header, 0, ETH_HLEN);
	if (c->link == DLT_LINUX_SLL && bytes >= SLL_BYTES) {
		type = data[SLL_TYPE];
		protocol = data + SLL_PROTOCOL;
		cut = SLL_BYTES;
	} else if (c->link == DLT_LINUX_SLL2 && bytes >= SLL2_BYTES) {
		type = data[SLL2_TYPE];
		protocol = data + SLL2_PROTOCOL;
		cut = SLL2_BYTES;
	}
	if (type == PACKET_TYPE_OUTGOING)
		c->summary.outgoing++;
	if (type == PACKET_TYPE_OUTGOING || type == PACKET_TYPE_BROADCAST ||
	    type == PACKET_TYPE_MULTICAST)
		header[0] = 1; /* a group: nobody answers these */
	if (protocol) {
		header[12] = protocol[0];
		header[13] = protocol[1];
	} else if (bytes && data[0] >> 4 == 6) {
		header[12] = ETH_P_IPV6 >> 8;
		header[13] = ETH_P_IPV6 & 0xff;
	} else {
		header[12] = ETH_P_IP >> 8;
	}
	return cut;
}

/*
 * The frame as it was on the wire: what the snap length has cut off are zeros. Returns its length;
 * *captured says how much of it is real.
 */
static uint32_t restore(struct capture *c, const struct pcap_pkthdr *h, const uint8_t *data,
			uint32_t *captured)
{
	uint32_t bytes = h->caplen, most = FRAME_MOST, header = 0, cut = 0, whole;
	uint8_t *frame = c->room + IP_ALIGN;

	if (c->link != DLT_EN10MB) {
		cut = (uint32_t)make_header(c, data, bytes);
		header = ETH_HLEN;
	}
	bytes -= cut;
	whole = (h->len > h->caplen ? h->len : h->caplen) - cut;
	most -= header;
	whole = whole < most ? whole : most;
	bytes = bytes < whole ? bytes : whole;
	memcpy(frame + header, data + cut, bytes);
	memset(frame + header + bytes, 0, whole - bytes);
	*captured = header + bytes;
	return header + whole;
}

static void note_dest(struct capture_summary *s, const union addr *dest)
{
	uint32_t i = 0;

	while (i < s->dests && memcmp(&s->dest[i], dest, sizeof(*dest)))
		i++;
	if (i < s->dests || s->dests == CAPTURE_DESTS)
		return;
	s->dest[s->dests++] = *dest;
}

/* What the frame is; FRAME_SYN with *a filled. */
static enum frame_kind take_frame(struct capture *c, const struct pcap_pkthdr *h,
				  const uint8_t *data, const struct policy *p, struct attempt *a)
{
	uint32_t captured, bytes = restore(c, h, data, &captured);
	uint64_t outgoing = c->summary.outgoing;
	const uint8_t *frame = c->room + IP_ALIGN;
	enum frame_kind kind;
	struct frame f;

	kind = frame_parse(frame, frame + bytes, p, &f);
	if (c->summary.outgoing != outgoing)
		return FRAME_GROUP;
	if (kind != FRAME_SYN)
		return kind;
	/* A header of which a part is missing could say anything. */
	if (f.l4_offset + sizeof(struct tcphdr) > captured)
		return FRAME_TRUNCATED;
	if (!frame_address_guarded(p, &f.attempt.dest))
		return FRAME_OTHER_ADDRESS;
	*a = f.attempt;
	note_dest(&c->summary, &a->dest);
	return FRAME_SYN;
}

/* --- time -------------------------------------------------------------------------------------- */

/* From the first frame. Returns 0, or -ERANGE for a moment that cannot be. */
static int take_time(struct capture *c, const struct pcap_pkthdr *h, uint64_t *at_ns)
{
	struct capture_summary *s = &c->summary;
	uint64_t seconds = (uint64_t)h->ts.tv_sec, nanoseconds = (uint64_t)h->ts.tv_usec, now_ns;

	/* tv_usec are nanoseconds: so the file was opened. */
	if (seconds > INT64_MAX / NSEC_PER_SEC - 1 || nanoseconds >= NSEC_PER_SEC)
		return -ERANGE;
	now_ns = seconds * NSEC_PER_SEC + nanoseconds;
	if (!c->begun)
		c->first_ns = c->last_ns = now_ns;
	c->begun = true;
	if (now_ns < c->last_ns) {
		s->backwards++;
		if (c->last_ns - now_ns > s->back_most_ns)
			s->back_most_ns = c->last_ns - now_ns;
		now_ns = c->last_ns;
	}
	if (now_ns - c->first_ns > CAPTURE_MAX_S * NSEC_PER_SEC)
		return -ERANGE;
	c->last_ns = now_ns;
	*at_ns = now_ns - c->first_ns;
	return 0;
}

/* The file ends, or libpcap cannot go on. What was read is good. */
static int take_end(struct capture *c, int result)
{
	struct capture_summary *s = &c->summary;
	const char *damage = gz_damage(c);

	if (result == PCAP_ERROR_BREAK && !damage)
		return 0;
	s->damaged = true;
	snprintf(
		s->damage, sizeof(s->damage),
		"%s: it cannot be read to its end, only the first %llu frames were replayed: %.120s",
		c->name, (unsigned long long)s->frames, damage ? damage : pcap_geterr(c->pcap));
	return 0;
}

int capture_next(struct capture *c, const struct policy *p, uint64_t *at_ns, struct attempt *a,
		 struct capture_error *err)
{
	struct pcap_pkthdr *header;
	const u_char *data;
	enum frame_kind kind;
	char what[160];
	int result;

	while ((result = pcap_next_ex(c->pcap, &header, &data)) == 1) { /* each reads of the file */
		c->summary.frames++;
		if (take_time(c, header, at_ns)) {
			snprintf(what, sizeof(what),
				 "the time of frame %llu is not within a year from the first: was "
				 "the clock set, or is the file damaged?",
				 (unsigned long long)c->summary.frames);
			return capture_fail(err, -EINVAL, c->name, what);
		}
		kind = take_frame(c, header, data, p, a);
		c->summary.kinds[kind]++;
		if (kind == FRAME_SYN)
			return 1;
	}
	return take_end(c, result);
}
