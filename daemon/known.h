/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * known.h - the senders that behaved: who is known, who may become so, and who is marked.
 *
 * A session is good when it ended in order and brought known-bytes or more. A source becomes known
 * by good sessions on known-days days. A day is not a date: the next one counts KNOWN_DAY_S (20 h)
 * after the last that counted, so that neither midnight nor a time zone makes two days of one, and
 * who mails every day at about the same time is not a day short. A session that began under
 * pressure counts only for a source that is in the table already, so a storm cannot promote
 * itself; and none comes into the table but by a session, so that spoofing neither makes an entry
 * nor pushes one out. known-for after its last good session a known source is forgotten, and a
 * candidate after KNOWN_CANDIDATE_S (14 days), or known-for if that is less.
 *
 * By hand: added is known until it is forgotten by hand; marked good is known at once until the
 * mark ends (KNOWN_GOOD: known-for); marked bad is throttled until the mark ends, what it had
 * earned is gone, and what it does meanwhile earns nothing. Added and bad is throttled until the
 * mark ends, then known again.
 *
 * The table has room for KNOWN_MOST sources. When it is full, first those go whose time is over,
 * then the candidate that was seen longest ago. Known, added and marked ones are never pushed out:
 * when all are such, the new one is refused, and counted. A session's end costs one look-up and
 * one step in a heap, O(log n), however full the table is.
 *
 * The clock. A table goes on by CLOCK_BOOTTIME, so that a step of the wall clock moves nothing. Its
 * seconds begin at the wall clock's, or where the file has ended, whichever is later; but where the
 * wall clock is ahead of the file by more than known-for, a clock that is wrong is more likely than
 * so long a sleep, and forgetting a good sender by mistake is worse than to keep a silent one: then
 * time goes on from where the file has ended. So the table's seconds may be behind the wall clock
 * for good; what is shown is "ago" and "from now", which is right all the same.
 *
 * One thread: nothing here locks. Times named boot_ns are CLOCK_BOOTTIME, mono_ns are
 * CLOCK_MONOTONIC, _s are seconds of the table.
 *
 * How the daemon uses it (all on the thread that may wait):
 *
 *	start		known_open(), known_load() and log what it says; then empty the kernel's map
 *			of what it has from before, and write out the changes: all are told anew
 *	session end	known_session_end()
 *	every tick	known_expire(k, boot_ns, KNOWN_MOST / 16); then known_next_change() until it
 *			returns false, each into the map `learned`
 *	new config	known_configure()
 *	every tick	if known_save_due(): known_save()
 *	end		known_save(), known_close()
 */
#ifndef KNOWN_H
#define KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

#define KNOWN_MOST	  65536 /* sources in the table */
#define KNOWN_DAY_S	  (20 * 3600ULL)
#define KNOWN_CANDIDATE_S (14 * 86400ULL)
#define KNOWN_BAD_S	  (24 * 3600ULL)   /* a bad mark, unless --for says otherwise */
#define KNOWN_MARK_MAX_S  (366 * 86400ULL) /* the longest mark */
#define KNOWN_SAVE_S	  600		   /* a changed table is written this often */
#define KNOWN_ASIDE	  3		   /* damaged files that are kept for a look */
#define KNOWN_KEY_TEXT	  64		   /* bytes for "2001:db8:.../64" */

struct known;

/* What a source is worth, and why. */
enum standing {
	STANDING_NONE,
	STANDING_CANDIDATE, /* good sessions, but not on enough days yet */
	STANDING_KNOWN,	    /* has earned it */
	STANDING_GOOD,	    /* marked good */
	STANDING_ADDED,	    /* by hand */
	STANDING_BAD,	    /* marked bad: throttled */
	STANDINGS
};

/* One source, as it is shown. */
struct known_view {
	struct prefix_key key;
	enum standing standing;
	uint32_t days;	 /* good ones that have counted */
	uint64_t seen_s; /* since its last good session; NEVER_NS: none yet */
	uint64_t left_s; /* until its standing ends; NEVER_NS: when it is forgotten by hand */
};

/* What the kernel's map of learned sources is to be told. */
struct known_change {
	struct prefix_key key;
	struct learned learned; /* class CLASS_UNKNOWN: delete the key */
};

struct known_counts {
	uint64_t now[STANDINGS]; /* sources of each standing */
	uint64_t sources, most;	 /* the sum of them, and the room */
	uint64_t good_sessions;	 /* that counted for somebody, since the start */
	uint64_t pressed;	 /* good ones of strangers, begun under pressure: not counted */
	uint64_t promoted;	 /* candidates that became known */
	uint64_t expired;	 /* whose time was over */
	uint64_t evicted;	 /* candidates that made room */
	uint64_t refused;	 /* for whom there was none */
};

/*
 * An empty table for the [known] keys of a config, at a moment of both clocks. most: its room, 1 to
 * KNOWN_MOST. seed: random, so that nobody outside can choose sources that collide. Returns NULL
 * when there is no memory; free it with known_close().
 */
struct known *known_open(const struct config *c, size_t most, const uint64_t seed[2],
			 uint64_t wall_s, uint64_t boot_ns);
void known_close(struct known *k);

/* Takes over the [known] keys of a new config, but for file: that one is of the start. */
void known_configure(struct known *k, const struct config *c, uint64_t boot_ns);

/*
 * Reads the file into the table, which must be new, and remembers its name for known_save(). An
 * empty path: the table is not kept. A file that is not there is an empty table. One that is
 * damaged, truncated, too large, of a newer version, or no plain file at all is set aside under
 * the name FILE.damaged-SECONDS (KNOWN_ASIDE of them stay), and the table is empty; if it cannot
 * be set aside it stays untouched, and the table is not kept. Returns 0, or -errno of that fault.
 * said->text is a sentence for the log and for status, or empty.
 */
int known_load(struct known *k, const char *path, uint64_t wall_s, uint64_t boot_ns,
	       struct config_error *said);

/*
 * Asked at the start, so that a folder that cannot be written is not found out when there is
 * something to lose: can the file be written? Returns 0, or -errno with a sentence in *err, which
 * known_problem() says from then on.
 */
int known_can_save(struct known *k, struct config_error *err);

/* Has the table changed, and is it time to write it? */
bool known_save_due(const struct known *k, uint64_t boot_ns);

/*
 * Writes the file if the table has changed: into a temporary of the same folder, to the disk, then
 * into its place. The folder is made (0755) where its parent exists. Waits for the disk. Returns
 * 0, or -errno with *err filled; it is due again KNOWN_SAVE_S later.
 */
int known_save(struct known *k, uint64_t boot_ns, struct config_error *err);

/* What is wrong with the file, as a sentence for status, or "". Owned by the table. */
const char *known_problem(const struct known *k);

/*
 * Learns from a session that ended. Returns whether there is something to tell the kernel.
 */
bool known_session_end(struct known *k, const struct session_end *e, uint64_t boot_ns);

/*
 * By hand. Return 0, or -ENOSPC when the table is full of known and marked ones; forget: -ENOENT.
 * for_s: how long a mark lasts, 1 to KNOWN_MARK_MAX_S; 0: known-for (good), KNOWN_BAD_S (bad).
 */
int known_add(struct known *k, const struct prefix_key *key, uint64_t boot_ns);
int known_mark(struct known *k, const struct prefix_key *key, bool good, uint64_t for_s,
	       uint64_t boot_ns);
int known_forget(struct known *k, const struct prefix_key *key, uint64_t boot_ns);

/* Forgets all. Returns how many there were. */
size_t known_forget_all(struct known *k);

/* How many new sources by hand would find room, candidates giving way. */
size_t known_room(const struct known *k);

/* Lets go of sources whose time is over, at most budget of them. Returns how many it looked at. */
size_t known_expire(struct known *k, uint64_t boot_ns, size_t budget);

/*
 * Takes the next change that the kernel is to be told of. False: there is none. What cannot be
 * written into the map is the caller's to count; known_tell_all() has everything told again.
 */
bool known_next_change(struct known *k, uint64_t boot_ns, uint64_t mono_ns,
		       struct known_change *change);
void known_tell_all(struct known *k);

/* Looks one source up. False, and a standing of NONE, when it is not in the table. */
bool known_get(const struct known *k, const struct prefix_key *key, uint64_t boot_ns,
	       struct known_view *view);

/*
 * Walks the table: fills up to most views from *cursor on (0: the beginning) and moves it. Returns
 * how many; *cursor is 0 behind the last. A source that stays in the table during a walk of several
 * steps is seen once, whatever happens to the others.
 */
size_t known_list(const struct known *k, uint64_t boot_ns, size_t *cursor, struct known_view *view,
		  size_t most);

void known_counts(const struct known *k, struct known_counts *counts);

/* "candidate", "known", "good", "added", "bad"; "none". Static storage. */
const char *standing_name(enum standing standing);

/*
 * Reads a plain address, or a prefix of exactly the length that makes a source, as the key of its
 * source. Returns 0, -EINVAL with a sentence, or -ERANGE with a sentence and *key filled, when the
 * prefix is one but of another length.
 */
int known_parse(const char *text, const struct config *c, struct prefix_key *key,
		struct config_error *err);

/* The same for one that is to be added or marked: -EINVAL also for what no sender can have. */
int known_parse_sender(const char *text, const struct config *c, struct prefix_key *key,
		       struct config_error *err);

/* Writes a key as a prefix of its own family: 192.0.2.1/32. */
void known_key_text(const struct prefix_key *key, char text[static KNOWN_KEY_TEXT]);

#endif
