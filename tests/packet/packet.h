/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packet.h - the packet ring: what the loaded program does with a frame, as a table of rows.
 *
 * Each row is one test: a sentence of what must happen and why, the policy it happens under, and
 * steps of {when, which frame, what must come out}. Nothing else may happen: after each step all
 * counters are compared, those that must not have moved too, and the bytes that came out.
 * Time is injected; nothing is attached or pinned.
 *
 * frames.c builds frames byte by byte and resets.c the RST that answers one, both from the RFCs
 * and not from the program's headers. bench.c is the loaded program and its maps, setup.c reads
 * the policy of a row, steps.c runs a row, run.c all of them. rows_*.c are the specification.
 */
#ifndef PACKET_H
#define PACKET_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "sluice.h"

/* --- frames -------------------------------------------------------------------------------- */

#define FRAME_MAX 4000

#define FIN	 0x01
#define SYN	 0x02
#define RST	 0x04
#define PSH	 0x08
#define ACK	 0x10
#define URG	 0x20
#define ECE	 0x40
#define CWR	 0x80
#define AE	 0x100 /* AccECN: the lowest bit of the byte before the flags */
#define NO_FLAGS 0x200

#define DOFF_0	    16 /* a data offset of zero */
#define IHL_0	    16
#define TAG_802_1Q  0x8100
#define TAG_802_1AD 0x88a8
#define MORE	    0x2000 /* IPv4: more fragments */
#define DONT	    0x4000 /* IPv4: don't fragment */
#define SMTP	    25

/* A frame in words. All zero is a SYN from an address of ours to port 25. */
struct spec {
	const char *from, *to;
	uint16_t from_port, to_port;
	uint32_t isn;
	uint16_t flags;	      /* 0: SYN */
	uint8_t doff;	      /* 0: as long as the header is; DOFF_0 */
	uint8_t tcp_options;  /* bytes */
	uint16_t payload;     /* bytes */
	uint8_t tcp_bytes;    /* 0: all; the IP payload ends after so many bytes of TCP */
	uint16_t window;      /* 0: 64240 */
	uint16_t urgent;      /* the urgent pointer */
	uint16_t tcp_check;   /* as offload leaves it: nothing in it can be relied on */
	uint8_t tags;	      /* VLAN tags, 0 to 3 */
	uint16_t tpid[3];     /* 0: 802.1Q */
	uint16_t ethertype;   /* 0: by the family */
	uint8_t version;      /* 0: by the family */
	uint8_t ihl;	      /* 0: as long as the header is; IHL_0 */
	uint8_t ip_options;   /* bytes, IPv4 */
	uint16_t fragment;    /* IPv4: flags and offset */
	uint8_t protocol;     /* 0: TCP; the last next header */
	uint8_t ttl;	      /* 0: 57 */
	uint32_t flow;	      /* IPv6: traffic class and flow label */
	const char *ext;      /* IPv6 extension headers, a letter each: frames.c */
	int length_lie;	      /* added to the length in the IP header */
	uint16_t cut;	      /* bytes missing at the end of the frame */
	uint16_t pad;	      /* bytes behind the datagram, as Ethernet pads */
	const uint8_t *bytes; /* instead of all that: this frame */
	uint16_t byte_count;
};

/* The frames that most rows need: who sends it, or which attempt it is. */
#define FROM(...)                   \
	{                           \
		.from = __VA_ARGS__ \
	}
#define ISN(...)                   \
	{                          \
		.isn = __VA_ARGS__ \
	}

/* The frame of a spec. v6: an address of the row stands for its twin (twin_address). */
size_t frame_build(const struct spec *s, bool v6, uint8_t *frame);

/* The source address that all of them have, as a number of its bytes in memory order. */
uint64_t frame_source_mac(void);

/*
 * The IPv6 twin of a.b.c.d is 20aa:bb:cc:dd::1 (each byte in hexadecimal), so that a row of IPv4
 * addresses holds for both families: what shares a /24 or a /32 has twins that share a /48 or /64.
 */
void twin_address(const char *text, bool v6, union addr *addr, uint32_t *family);
uint32_t twin_prefix(uint32_t bits_v4);
bool is_v6(const char *text);

/* The frame that must come back for a SYN that is refused. Returns its length. */
size_t reset_expect(const struct spec *s, bool v6, uint8_t *frame);
/* RFC 1071 over a frame of ours: 0 when all its checksums are right, else the name of one. */
const char *checksums_wrong(const uint8_t *frame, size_t bytes);

/* --- rows ---------------------------------------------------------------------------------- */

#define MS(n) ((uint64_t)(n)*NSEC_PER_MSEC)
#define S(n)  ((uint64_t)(n)*NSEC_PER_SEC)

/* What must come out of each frame of a step. */
struct want {
	enum xdp_action action;
	enum frame_kind kind;
	uint32_t mode, verdict, reason, rank; /* of a judged one: rank is its class */
	bool anonymous;			      /* the frame has lost its source address */
	bool marked; /* for the waiting room; the last, as rows go on behind it */
};

#define JUDGED(action_, mode_, verdict_, reason_, rank_) \
	.want = {.action = action_,                      \
		 .kind = FRAME_SYN,                      \
		 .mode = MODE_##mode_,                   \
		 .verdict = VERDICT_##verdict_,          \
		 .reason = REASON_##reason_,             \
		 .rank = CLASS_##rank_}
#define PASS(reason, rank)	       JUDGED(XDP_PASS, ENFORCE, PASS, reason, rank)
#define DEFER(reason, rank)	       JUDGED(XDP_DROP, ENFORCE, DEFER, reason, rank)
#define REFUSE(reason, rank)	       JUDGED(XDP_TX, ENFORCE, REFUSE, reason, rank)
#define DROP(reason, rank)	       JUDGED(XDP_DROP, ENFORCE, DROP, reason, rank)
#define MONITOR(verdict, reason, rank) JUDGED(XDP_PASS, MONITOR, verdict, reason, rank)
#define UNJUDGED(kind_)		       .want = {.action = XDP_PASS, .kind = FRAME_##kind_}
/* It waits for so long; the next of the same step a given time longer. */
#define HOLD(rank, wait, more)                                                         \
	JUDGED(XDP_PASS, ENFORCE, HOLD, CONNECTION_RATE, rank), .waits = {wait, more}, \
								.want.marked = true
/* It takes the last token: its turn is now, and it goes through the room. */
#define PACE(rank) PASS(ADMITTED, rank), .want.marked = true
/* It has been judged before: it passes, and nothing else is counted of it. */
#define CAME_BACK .want = {.action = XDP_PASS, .kind = FRAME_KINDS, .anonymous = true}

/* What differs between the frames of a step that is done several times. */
enum vary {
	VARY_ISN,    /* other attempts of one source */
	VARY_SOURCE, /* other sources of one subnet: the last number of the address */
	VARY_SUBNET, /* of other subnets: the last but one */
	VARY_NOTHING /* the very same frame */
};

/* What the words of the frame's source owe after the step. Milliseconds as fractions. */
struct owes {
	bool asked;
	uint64_t global_ns, subnet_ns, source_ns;
};
#define OWES(global, subnet, source) \
	.owes = {.asked = true, .global_ns = global, .subnet_ns = subnet, .source_ns = source}

/* How much the counters beside the verdicts have moved after the step. */
struct faults {
	uint64_t trusted_over, refuse_over, reset_failed, remember_over;
	uint64_t refund_lost, insert_failed, word_repaired;
	uint64_t hold_back, backlog_asked;
};

/* What the controller does before the frames of a step. */
struct change {
	bool flip;		 /* the other policy set comes into force */
	uint64_t lease_ns;	 /* the lease is renewed until then */
	uint64_t seed;		 /* of the attempts' fingerprints, as after another load */
	uint64_t global_owes_ns; /* the global word as another policy left it */
	uint64_t room_ns;	 /* the waiting room stands until then */
	uint64_t drained_ns;	 /* those who wait have left by then */
	bool tag;		 /* what comes back from it has the source address of the rows */
	bool native;		 /* and XDP is native here, which sees nothing come back */
	bool untagged;		 /* hardware takes VLAN tags off here */
	bool untagged_elsewhere; /* or on another interface */
	int64_t sessions;	 /* so many are live; -1 is as good as none */
	uint32_t coming;	 /* and so many attempts of this step are on their way to one */
	uint32_t lost;		 /* of each step before so many are, and will never arrive */
	struct {
		uint64_t sessions, owes_ns; /* of the frame's source, as of now */
	} holds;
	struct {
		uint32_t rank; /* a class; 0: nothing is learned */
		uint64_t until_ns;
	} learned; /* of the frame's source */
};

struct step {
	uint64_t at_ns;
	struct spec frame;
	struct want want;
	uint32_t times; /* 0: once */
	enum vary vary;
	uint64_t every_ns; /* between them */
	bool again;	   /* each counts as the retransmit of a remembered attempt */
	struct {
		uint64_t first_ns, more_ns;
	} waits; /* of those that are held */
	struct owes owes;
	struct faults counts;
	struct change first;
};

#define ROW_STEPS 16

enum families { BOTH_FAMILIES, ONLY_V4, ONLY_V6 };

struct row {
	const char *sentence;
	const char
		*policy; /* setup.c: key=value as in the config file; the rest is out of the way */
	const char *other;		   /* of the second set, in force after a flip */
	const char *classes;		   /* "192.0.2.0/24=known ...", in slot 0 */
	const char *classes_1;		   /* in slot 1 */
	uint64_t lease_ns;		   /* 0: long */
	bool no_lease;			   /* not renewed yet */
	bool room;			   /* the waiting room stands, for long */
	bool zero_policy;		   /* the maps as they are after a load */
	uint32_t cpus;			   /* that share defer-budget; 0: one */
	enum families families;		   /* a row of IPv4 addresses is run with their twins too */
	struct step step[ROW_STEPS];	   /* up to the first that is all zero */
	int (*run)(const struct row *row); /* instead of steps; -1: cannot be run here */
};

/* One frame, and what it is; tried bare and behind every stack of one and two VLAN tags. */
struct frame_row {
	const char *sentence;
	struct spec frame;
	enum frame_kind kind;
	enum families families;
	const char *policy;
	bool truncate; /* and cut at every byte: then it passes as truncated */
};

/* The tables; a row without a sentence ends them. */
extern const struct frame_row rows_frames_link[], rows_frames_ip[], rows_frames_tcp[];
extern const struct row rows_flags[], rows_limits[], rows_priority[], rows_trusted[],
	rows_attempts[], rows_classes[], rows_modes[], rows_tiers[], rows_resets[], rows_cpus[],
	rows_verifier[], rows_replay[], rows_hold[], rows_sessions[];

/* --- the bench ----------------------------------------------------------------------------- */

/* The moment that rows call 0. A multiple of 256 ns, as replays are timed. */
#define BENCH_START_NS 1000000000000ULL

struct bench {
	struct gate_bpf *skeleton;
	volatile struct control *control; /* the map itself */
	struct presence *presence;	  /* likewise */
	int program;
	int possible_cpus; /* each has counters of its own */
	int usable_cpus;   /* that the tests may be bound to */
};
extern struct bench bench;

/* What came out of one frame. */
struct outcome {
	uint32_t action;
	bool marked; /* for the waiting room, by metadata */
	size_t bytes;
	uint8_t frame[FRAME_MAX];
};

/*
 * Loads the program, and puts this process into a network namespace of its own: the program asks
 * the one it is run in for listeners. Returns 0 or -errno, with *why a sentence.
 */
int bench_open(const char **why);
void bench_close(void);
/* Every map as after a load. Returns 0 or -errno. */
int bench_clear(void);
int bench_policy(uint32_t set, const struct policy *p);
/* Puts a trie of a family into a class slot. */
int bench_trie_slot(uint32_t slot, bool v6, int trie);
/* Puts a frame through the program at a moment. Returns 0 or -errno. */
int bench_frame(uint64_t now_ns, const uint8_t *frame, size_t bytes, struct outcome *out);
/* The same frame n times without a pause; it must be one that passes or is dropped. */
int bench_repeat(uint64_t now_ns, const uint8_t *frame, size_t bytes, uint32_t n);
int bench_counters(struct counters *sum);
/* What the word of a key owes at a moment: 0 when there is none. */
enum bucket_table { SOURCES, SUBNETS };
uint64_t bench_debt(enum bucket_table table, const struct prefix_key *key, uint64_t now_ns);
/* What is live and on its way, what a source holds, what was learned of it. 0 or -errno. */
int bench_live(const struct live *l);
int bench_holder(const struct prefix_key *key, const struct holder *h);
int bench_learned(const struct prefix_key *key, const struct learned *l);
/* Binds the calling thread to the nth usable CPU. Returns 0 or -errno. */
int bench_pin(int nth);

/* --- running ------------------------------------------------------------------------------- */

/* Reads a row's policy. Returns 0 or -EINVAL; says why. */
int setup_policy(const char *text, struct config *c, struct policy *p, uint32_t cpus);
/* Clears the bench and sets it up for a row. Returns 0 or -errno. */
int setup_row(const struct row *row, bool v6);

/* Returns how many things were wrong; each is said by complain(). */
int row_run(const struct row *row);
int step_run(const struct row *row, const struct step *step, bool v6);
int frame_row_run(const struct frame_row *row);
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
