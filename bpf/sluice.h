/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sluice.h - the contract between the kernel program and user space.
 *
 * Plain data only: the shapes of the maps, the enumerations, and the tables of reasons and of
 * frames that are not judged. Both sides include it, so does every native test. Whoever changes
 * the size or the meaning of anything that lies in a pinned map raises SLUICE_ABI.
 *
 * Times are nanoseconds of CLOCK_MONOTONIC (the coarse clock of bpf_ktime_get_coarse_ns), named
 * _ns. Addresses and ports are in network byte order unless the name ends in _host.
 */
#ifndef SLUICE_H
#define SLUICE_H

#include <linux/types.h>

#define SLUICE_ABI 3

#ifndef __always_inline
#define __always_inline inline __attribute__((__always_inline__))
#endif

/*
 * A pure function that the verifier checks by itself, once, and whose result it then knows nothing
 * about. Cuts the paths that it has to walk from a product to a sum. Natively: plain inline.
 */
#ifdef __bpf__
#define VERIFIED_ALONE __attribute__((__noinline__))
#else
#define VERIFIED_ALONE static inline
#endif

/*
 * A function with a stack frame of its own: the kernel's stack is short, and what a look-up needs is
 * needed by nobody behind it. A call costs some ns: the flood path makes none for IPv4.
 */
#ifdef __bpf__
#define FRAME_OF_ITS_OWN static __attribute__((__noinline__, __unused__))
#else
#define FRAME_OF_ITS_OWN static inline
#endif

#define NSEC_PER_SEC  1000000000ULL
#define NSEC_PER_MSEC 1000000ULL

/* Bounds of what one policy set can name. The config check refuses more. */
#define MAX_ADDRESSES  32
#define MAX_INTERFACES 16

/* Times of the two attempt tables: RFC 6298 (first retransmit after 1 s), tcp(7) tcp_syn_retries. */
#define REMEMBER_MIN_NS	 (500 * NSEC_PER_MSEC) /* younger: a copy, not a retransmit */
#define REMEMBER_MAX_NS	 (64 * NSEC_PER_SEC)   /* older: an attempt of its own */
#define REPLAY_GAP_NS	 (500 * NSEC_PER_MSEC) /* an admitted SYN passes again at most this often */
#define REPLAY_WINDOW_NS (63 * NSEC_PER_SEC)   /* and for this long */
#define REPLAY_MAX	 10		       /* and this many times; Linux sends 9 */
#define HELD_GAP_NS	 NSEC_PER_SEC /* a SYN that was held passes again so long after its turn */

/*
 * CPUs read the coarse clock up to two ticks apart (20 ms with HZ=100, the slowest): one as it moves,
 * and one more where a CPU keeps what it has read for a tick (gate.bpf.c). A debt that is so much
 * above the most that a policy can owe may still be its own.
 */
#define CLOCK_APART_NS (20 * NSEC_PER_MSEC)

/* One slot charged by a throttled source costs this many of an unknown one's. */
#define THROTTLED_COST 10

/*
 * Attempts on their way to a session (coming.h) are counted by steps of 2^SHIFT ns in rings; each
 * ring is a power of two that has room for its window, for pace-horizon ahead of it, and for the
 * step that CPUs a tick apart may write at once.
 *
 * Of everybody: steps of 1.07 s. An attempt counts for COMING_STEPS of them, less than 10 s, of
 * which it is expected in the first COMING_YOUNG (a client answers the SYN-ACK within a round trip,
 * or after its own retransmit, 1 s: RFC 6298); what became of the COMING_PAST before is known.
 */
#define COMING_SHIFT 30
#define COMING_RING  32
#define COMING_STEPS 9
#define COMING_YOUNG 2
#define COMING_PAST  (COMING_STEPS - COMING_YOUNG)
#define COMING_AHEAD 11

/* Of one source: steps of 2.15 s; this one, the one before, and those ahead. */
#define COMING_OF_SOURCE_SHIFT 31
#define COMING_OF_SOURCE_RING  8

/*
 * The same in finer steps, of 34 ms: four of them are about the longest round trip to an accept
 * queue, and who has not arrived after half a second (NEAR_FRESH) will hardly ever. The ring has
 * room for pace-horizon; its steps are counted modulo 2^24 (6 days).
 */
#define NEAR_SHIFT     25
#define NEAR_MASK      0xffffffU
#define NEAR_RING      512
#define NEAR_STEPS     4
#define NEAR_FRESH     16
#define NEAR_OF_COMING 32 /* so many make a step of COMING_SHIFT */
#define NEAR_OF_YOUNG  16 /* the young ones are so many times NEAR_STEPS */

/*
 * In the waiting room, by when they have left it: steps of 268 ms, for pace-horizon and a second. Of
 * so many listeners apart (held_slot()): who waits for one has no place in the queue of another.
 */
#define HELD_LISTENERS 4
#define HELD_NOWHERE   HELD_LISTENERS /* no listener was found: no queue to have a place in */
#define HELD_SHIFT     28
#define HELD_RING      64
#define HELD_STEPS     43
#define HELD_LATE_NS   NSEC_PER_SEC

/* What is present (presence.h): attempts by stretches of 69 s, longer than any is remembered. */
#define PRESENCE_SHIFT	 36
#define PRESENCE_WORDS	 65536 /* a power of two: full, at 4,000 noted a second, 4 % seem noted */
#define PRESENCE_BITS	 48    /* of a word */
#define PRESENCE_SOURCES 32768 /* a power of two: with 100,000 listed 1.5 % seem listed */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define PRESENCE_MASK_V4 0x00ffffffU
#define PRESENCE_MASK_V6 0x0000ffffffffffffULL
#else
#define PRESENCE_MASK_V4 0xffffff00U
#define PRESENCE_MASK_V6 0xffffffffffff0000ULL
#endif

/* Slot time is charged at a cost for each second of it: a fixed point number with so many bits. */
#define SLOT_COST_SHIFT 16

/*
 * The class of the waiting room's queue (daemon/hold.c): 51:10. Its last digit is that of an
 * ordinary frame's priority, which whoever sees the frame after the queue takes it for.
 */
#define HOLD_CLASS 0x510010U

/* Buckets of the histograms: the n-th counts what took less than 2^n ms; the last what took more. */
#define TIME_BUCKETS 18

enum family { FAMILY_V4, FAMILY_V6, FAMILIES };

enum class { CLASS_UNKNOWN, CLASS_TRUSTED, CLASS_KNOWN, CLASS_THROTTLED, CLASS_BLOCKED, CLASSES };

/* What is decided about a SYN. In monitor mode it is decided and counted, and the SYN passes. */
enum verdict {
	VERDICT_PASS,	/* goes on into the TCP stack */
	VERDICT_DEFER,	/* dropped: the client's own retransmit asks again */
	VERDICT_HOLD,	/* waits in the kernel until its turn */
	VERDICT_REFUSE, /* answered by RST: the client goes to the next MX at once */
	VERDICT_DROP,	/* a copy of a SYN that was admitted: dropped, nothing is owed to it */
	VERDICTS
};

/*
 * The reasons, in the order of the gates (gate.h), each with the verdict of its gate, its name in
 * metrics, status and logs, and the sentence for an operator. The order is part of the ABI. (But
 * connection-rate is asked first of those that defer: while it denies, nothing else is looked up.)
 */
#define REASON_TABLE(X)                                                                           \
	X(TRUSTED, PASS, "trusted", "a trusted source within trusted-rate passes every gate")     \
	X(RETRANSMIT, PASS, "retransmit", "the SYN of an admitted attempt again: free, bounded")  \
	X(REPLAY, DROP, "replay", "an admitted SYN repeated faster or longer than any TCP does")  \
	X(WAITING, DROP, "waiting", "the SYN of an attempt that is held already: it waits on")    \
	X(BLOCKED, REFUSE, "blocked", "the source is listed as blocked")                          \
	X(LOAD, REFUSE, "load", "the refuse tier is active: the load is at or above refuse-la")   \
	X(SESSIONS, REFUSE, "sessions", "as many live sessions as max-sessions allows")           \
	X(SOURCE_SESSIONS, DEFER, "source-sessions", "the source holds too many sessions")        \
	X(SOURCE_TIME, DEFER, "source-time", "the source has used up its slot time")              \
	X(FIRST_TIME, DEFER, "first-time", "delay tier: a newcomer waits for one SYN retransmit") \
	X(SOURCE_RATE, DEFER, "source-rate", "the source opens more than source-rate allows")     \
	X(SUBNET_RATE, DEFER, "subnet-rate", "its subnet opens more than subnet-rate allows")     \
	X(CONNECTION_RATE, DEFER, "connection-rate", "all together more than connection-rate")    \
	X(BACKLOG, DEFER, "backlog", "the listener's accept queue has no room for this class")    \
	X(CONTENDED, DEFER, "contended",                                                          \
	  "other CPUs charged the same bucket four times meanwhile")                              \
	X(ADMITTED, PASS, "admitted", "conforms to every limit and is charged")

enum reason {
#define X(id, verdict, name, sentence) REASON_##id,
	REASON_TABLE(X)
#undef X
		REASONS
};

/*
 * What the parser says of a frame. Only FRAME_SYN is judged; everything else passes untouched and
 * is counted by its name. The first group is simply not ours, the second is not understood.
 */
#define FRAME_TABLE(X)                                                                          \
	X(SYN, "syn", "a SYN to a guarded port and address")                                    \
	X(NOT_IP, "not-ip", "neither IPv4 nor IPv6")                                            \
	X(NOT_TCP, "not-tcp", "IP, but not TCP")                                                \
	X(NOT_SYN, "not-syn", "TCP to a guarded port, but not a SYN")                           \
	X(OTHER_PORT, "other-port", "TCP to a port that is not guarded")                        \
	X(OTHER_ADDRESS, "other-address", "a SYN to a guarded port of an address that is not")  \
	X(GROUP, "group", "a SYN to a broadcast or multicast address, which TCP never answers") \
	X(OFF, "off", "a SYN to a guarded port and address while the mode is off")              \
	X(TRUNCATED, "truncated", "the frame ends before the headers do")                       \
	X(MALFORMED, "malformed", "an IP version, IHL or TCP data offset that cannot be")       \
	X(BAD_LENGTH, "bad-length",                                                             \
	  "the IP length does not hold the headers or exceeds the frame")                       \
	X(FRAGMENT, "fragment", "a fragment without the whole TCP header")                      \
	X(VLAN_DEPTH, "vlan-depth", "more than two VLAN tags")                                  \
	X(EXT_HEADERS, "ext-headers", "more than eight IPv6 extension headers")                 \
	X(ROUTED, "routed", "an IPv6 routing header with hops left: the last stop is elsewhere")

enum frame_kind {
#define X(id, name, sentence) FRAME_##id,
	FRAME_TABLE(X)
#undef X
		FRAME_KINDS
};

/* Frames up to this one in the table are not ours; those behind it were not understood. */
#define FRAME_LAST_NOT_OURS FRAME_OFF

enum mode { MODE_OFF, MODE_MONITOR, MODE_ENFORCE, MODES };

/* The load predicates. They are independent; the tier shown is the most severe active one. */
#define TIER_DELAY  1U
#define TIER_QUEUE  2U
#define TIER_REFUSE 4U
#define TIER_ALL    (TIER_DELAY | TIER_QUEUE | TIER_REFUSE)

/* An end that never comes, for overrides that last until they are released. */
#define NEVER_NS (~0ULL)

/* ::ffff:0:0/96 as it lies in memory: the third word of an IPv4 address (RFC 4291, 2.5.5.2). */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define V4_MAPPED_WORD 0xffff0000U
#else
#define V4_MAPPED_WORD 0x0000ffffU
#endif

/* The tables that the gate looks things up in (state.h), over maps or over plain memory. */
enum table {
	TABLE_SOURCE,
	TABLE_SUBNET,
	TABLE_ADMITTED,
	TABLE_DEFERRED,
	TABLE_HOLDER,
	TABLE_COMING,
	TABLE_LEARNED,
	TABLES
};

/* An address of either family; IPv4 as ::ffff:a.b.c.d. */
union addr {
	__u8 byte[16];
	__u32 word[4];
	__u64 half[2];
};

/* All that a gate may know of a SYN. The first five fields are its identity as an attempt. */
struct attempt {
	union addr source;
	union addr dest;
	__u16 source_port;
	__u16 dest_port;
	__u32 isn;
	__u32 family; /* enum family */
};

/* What the gate decides about one. */
struct decision {
	__u8 verdict;  /* enum verdict */
	__u8 reason;   /* enum reason */
	__u8 class;    /* enum class: what the lists say, also of a trusted source over its rate */
	__u8 again;    /* a retransmit of a remembered attempt */
	__u8 remember; /* deferred for the first time: its retransmit is to have seniority */
	__u8 paced;    /* goes through the waiting room: held, or the one that others wait behind */
};

/*
 * One token bucket's parameters; the state is a word of its own (gcra.h). The three tolerances
 * are cumulative: see policy.c, which makes them from a rate and the bursts.
 */
struct bucket {
	__u64 t_ns;	   /* what one connection owes: 1/rate */
	__u64 tau1_ns;	   /* tolerance of the first SYN of an unknown source */
	__u64 tau2_ns;	   /* of a remembered retransmit */
	__u64 tau3_ns;	   /* of a known source */
	__u64 debt_max_ns; /* the most that this policy can owe */
};

/* A manual setting with its own end: judged here, so it ends even if the daemon is dead. */
struct override {
	__u64 until_ns; /* 0: none; NEVER_NS: until released, or the lease lapses (tiers) */
	__u32 value;	/* enum mode, or a set of TIER_ */
	__u32 pad;
};

/* How much of an address makes a source or a subnet. The mask saves the program its shifts. */
struct prefix {
	union addr mask;
	__u32 bits; /* of 128: an IPv4 /24 is 120 */
	__u32 pad;
};

/* What sessions may hold. A limit of 0 is no limit. */
struct session_limits {
	__u32 most;	    /* max-sessions: live ones of all sources */
	__u32 most_unknown; /* of these what the known-share leaves to everybody else */
	__u32 pending_most; /* attempts on their way to a session count up to so many */
	__u32 per_source;   /* max-sessions-per-source; a known source has twice that */
	__u32 slot_cost;    /* of a ns of slot time, in 2^-SLOT_COST_SHIFT ns of debt; 0: off */
	__u32 learn_bytes;  /* known-bytes: sessions with less teach nothing */
	__u64 slot_tau_ns;  /* the debt beyond which an unknown source opens nothing new */
};

/* All that the program needs to judge. Two of them and an index: the idle one is filled. */
struct policy {
	__u32 mode;  /* enum mode, from the config */
	__u32 tiers; /* TIER_ set by the load; void when the lease has lapsed */
	struct override mode_override;
	struct override tier_override;
	struct bucket global;
	struct bucket global_queue; /* instead of global while the queue tier is active */
	struct bucket per_subnet;
	struct bucket per_source; /* tau2: as tau1; tau3: twice that, for known sources */
	struct bucket trusted;	  /* only t and tau1 are used */
	struct bucket refuse;	  /* RSTs a second; only t and tau1 are used */
	struct bucket remember;	  /* one CPU's share of defer-budget; only t and tau1 are used */
	struct session_limits sessions;
	__u64 hold_ns;	  /* pace-horizon: how long a SYN may be held; 0: not at all */
	__u32 class_slot; /* which pair of class tries: 0 or 1 */
	__u32 addresses;  /* entries in address[]; 0: any */
	struct prefix source[FAMILIES];
	struct prefix subnet[FAMILIES];
	union addr address[MAX_ADDRESSES];
	__u8 port_bits[65536 / 8]; /* guarded ports: bit port % 8 of byte port / 8 */
};

#define UNTAGGED_MOST  14	   /* there was room for so many beside refuse_tat_ns; */
#define UNTAGGED_EVERY 0xffffffffU /* where there are more: all of them, and all others */

/*
 * The words that change under traffic, each in a cache line of its own, so that the line that
 * every SYN reads (the first) is not the line that every admitted SYN writes (the second).
 */
struct control {
	__u32 abi;
	__u32 active; /* which policy set is in force: 0 or 1; flipped, never edited in place */
	__u64 lease_until_ns; /* the controller lives; 0 before its first renewal */
	__u64 seed[2];	      /* of the attempt fingerprints, random a load */
	__u64 hold_until_ns; /* the waiting room stands, as of now until then; 0: nothing is held */
	__u64 hold_drained_ns; /* what waited when the rate was last lowered has left by then */
	__u64 hold_tag;	       /* the source address of frames that come back, in memory order */
	__u32 present;	       /* columns of the presence filter where anybody is at all */
	__u32 events_share;    /* of SYNs a CPU and window that are told of (events.h); 0: none */
	__u64 global_tat_ns;
	__u64 pad1[7];
	__u64 trusted_tat_ns;
	__u32 hold_ifindex; /* of the waiting room; 0: there is none */
	__u32 pad2[13];
	__u64 refuse_tat_ns;
	__u32 untagged[UNTAGGED_MOST];	    /* ifindexes where an RST would lose its VLAN tag; 0 */
	__u32 hold_generic[MAX_INTERFACES]; /* ifindexes where generic XDP sees them again; 0 */
	__u32 made_qdisc[MAX_INTERFACES]; /* whose clsact qdisc sluiced has made; 0: a free place */
};

/* Key of the source and the subnet table: a prefix and its length, so that a changed length
 * never reads a word that was charged under another. */
struct prefix_key {
	union addr addr;
	__u64 bits; /* of 128; this wide so that the key has no padding */
};

/* What a source holds. Made when its first session begins: never by a SYN, which can be spoofed. */
struct holder {
	__u64 tat_ns;	/* of its slot time: one word, as every bucket */
	__u64 since_ns; /* up to when its open sessions have been charged */
	__u64 sessions; /* live ones */
};

#define SESSION_PRESSED	 1U /* began under pressure or in a load tier */
#define SESSION_ANSWERED 2U /* the MTA has sent its first bytes: the banner */

/* A live session on a guarded port; the key is the fingerprint of its addresses and ports. */
struct session {
	struct prefix_key source; /* as its holder is called */
	__u64 begun_ns;
	__u32 family;
	__u32 flags; /* SESSION_ */
};

/* Attempts of all sources by step: its number, how many were let in, how many are to arrive. */
struct coming {
	__u64 word[COMING_RING];
};

/* Of one source: the step in the upper half, how many in the lower. */
struct coming_of_source {
	__u64 word[COMING_OF_SOURCE_RING];
};

/* How many sessions there are, and how many attempts may become some. Written by all CPUs. */
struct live {
	__s64 sessions;
	__u64 changes;	     /* begins and ends: a look that sees no change has seen one state */
	__u64 let_in;	     /* to accept queues within a step of the clock (backlog.h) */
	__u64 held_until_ns; /* when the last one leaves the waiting room, as it was told */
	__u64 pad[4];
	struct coming everybody;	       /* attempts that may become sessions */
	struct coming known;		       /* of these the ones of known senders */
	__u64 near[NEAR_RING];		       /* the same, as in coming_of_source */
	__u64 held[HELD_LISTENERS][HELD_RING]; /* in the waiting room, by the step of their turn */
};

/* The columns of sources in the presence filter; in control.present is a bit for each. */
#define PRESENCE_LISTED(slot) ((slot)&1) /* by class slot */
#define PRESENCE_LEARNED      2

/* Who may be known; a bit that is not set is a sure no. */
struct presence {
	struct presence_attempt {
		__u64 word[2]; /* admitted or deferred, by even and odd stretch */
	} attempt[PRESENCE_WORDS];
	struct presence_source {
		__u64 column[4]; /* written by the daemon, before what it stands for is there */
	} source[PRESENCE_SOURCES];
};

/* A source that was learned, or marked: what it is worth until when, where no list names it. */
struct learned {
	__u64 until_ns;
	__u32 class; /* CLASS_KNOWN or CLASS_THROTTLED */
	__u32 pad;
};

/* What the daemon asks of the table of sessions when the kernel's list of sockets differs. */
enum session_fix_what {
	SESSION_FIX_BEGIN,  /* a live socket that is not in it: attempt */
	SESSION_FIX_END,    /* one in it that is no longer live: fingerprint */
	SESSION_FIX_HOLDER, /* a source's count that is not the number of its sessions */
};

struct session_fix {
	__u64 what; /* enum session_fix_what */
	__u64 fingerprint;
	struct attempt attempt; /* of the client; its ISN does not matter */
	struct prefix_key source;
	__u64 count;
};

/* A session that ended with learn_bytes or more, for whoever learns from it (ring buffer). */
struct session_end {
	struct prefix_key source;
	__u64 bytes; /* received from the source, in order */
	__u64 lasted_ns;
	__u32 family;
	__u32 flags;	/* SESSION_ */
	__u32 in_order; /* by FIN, not by RST or time-out */
	__u32 pad;
};

/* Key of the class tries: lpm_key of the kernel with the address of one family. */
struct class_key_v4 {
	__u32 bits;
	__u32 addr;
};

struct class_key_v6 {
	__u32 bits;
	__u8 addr[16];
};

#define ADMITTED_ESTABLISHED 1U /* the handshake was completed */
#define ADMITTED_KNOWN	     2U /* of a known sender */

/* An attempt that was admitted: a retransmit of it passes, within bounds. */
struct admitted {
	__u64 at_ns;
	__u64 passes; /* time of the last pass, its low byte replaced by how many: one exchange */
	__u64 coming; /* ADMITTED_ and the steps in which it is to be a session: admitted_coming() */
};

/* What each CPU counts. Read all at once by the daemon; written without locks. */
struct counters {
	__u64 judged[MODES][FAMILIES][CLASSES][VERDICTS][REASONS];
	__u64 again[FAMILIES][VERDICTS]; /* of the judged: retransmits of a remembered attempt */
	__u64 frames[FRAME_KINDS];	 /* FRAME_SYN: all that were judged */
	__u64 trusted_over;		 /* SYNs of trusted sources beyond trusted-rate */
	__u64 refuse_over;		 /* REFUSE that acted as DEFER: refuse-rate was spent */
	__u64 reset_failed;  /* REFUSE that acted as DEFER: the RST could not be built */
	__u64 remember_over; /* attempts not remembered: the budget was spent */
	__u64 refund_lost;   /* at most one T each was charged without an admission */
	__u64 insert_failed; /* a full or busy table: judged without its word */
	__u64 word_repaired; /* debts left over from another policy, put right */
	__u64 backlog_asked; /* SYNs for which a listener was found and asked */
	__u64 established;   /* admitted attempts whose handshake was completed */
	__u64 sessions_begun;
	__u64 sessions_ended;
	__u64 sessions_untracked;   /* the table of sessions was full: not counted */
	__u64 end_lost;		    /* ends that nobody learns from: the ring buffer was full */
	__u64 banner[TIME_BUCKETS]; /* time from the handshake to the first bytes of the MTA */
	__u64 banner_ns;	    /* the sum of them */
	__u64 held[TIME_BUCKETS];   /* how long SYNs were told to wait */
	__u64 held_ns;		    /* the sum of them */
	__u64 hold_unmarked; /* SYNs that passed early: the driver has no room for the mark */
	__u64 hold_queued;   /* marked SYNs that went into the waiting room */
	__u64 hold_no_room;  /* and those that passed early, as there was none */
	__u64 hold_back;     /* those that generic XDP saw again on their way out of it */
	__u64 hold_marked;   /* SYNs that were marked for it */
};

/* The bucket of a histogram that a time falls in: the first, of less than 2^n ms. */
VERIFIED_ALONE int time_bucket(__u64 ns)
{
	__u64 ms = ns / NSEC_PER_MSEC;
	int n = 0;

	for (; n < TIME_BUCKETS - 1; n++)
		if (ms < 1ULL << n)
			break;
	return n;
}

_Static_assert(sizeof(union addr) == 16, "an address is 16 bytes");
_Static_assert(sizeof(struct control) == 384, "six cache lines");
_Static_assert(sizeof(struct prefix_key) == 24, "no padding in a hash key");
_Static_assert(sizeof(struct holder) == 24 && sizeof(struct session) == 40, "no padding");
_Static_assert(COMING_RING > COMING_STEPS + COMING_AHEAD + 1, "room beyond the window");
_Static_assert((COMING_STEPS << (COMING_SHIFT - 20)) < 10 * 1000, "counts for less than 10 s");
_Static_assert((1ULL * COMING_YOUNG << COMING_SHIFT) ==
		       (1ULL * NEAR_OF_YOUNG * NEAR_STEPS << NEAR_SHIFT),
	       "a part of the young steps");
_Static_assert((1ULL << PRESENCE_SHIFT) > REMEMBER_MAX_NS &&
		       (1ULL << PRESENCE_SHIFT) > REPLAY_WINDOW_NS,
	       "this stretch and the one before have all that is remembered");
_Static_assert(sizeof(struct policy) % 8 == 0, "policy sets lie behind each other");
_Static_assert(sizeof(struct counters) <= 32768, "PCPU_MIN_UNIT_SIZE bounds a per-CPU value");

#endif
