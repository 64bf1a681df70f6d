/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control.h - the control socket, /run/sluice/<name>/control, mode 0660.
 *
 * One request a connection: the client sends one JSON object, then shuts down its writing side
 * (or sends a newline); the daemon answers with one JSON object and closes. A request is bounded
 * by CONTROL_REQUEST_MAX bytes and CONTROL_TIMEOUT_MS; at most CONTROL_CLIENTS are served at once,
 * and the oldest idle one makes room for a new one. Who may ask: root, the daemon's own user, and
 * members of the socket's group (SO_PEERCRED, SO_PEERGROUPS).
 *
 *	{"command": "status"}
 *	{"command": "mode", "mode": "monitor|enforce|off|config", "for_s": 600}
 *	{"command": "tier", "tier": "auto|normal|delay,queue,refuse", "for_s": 600}
 *	{"command": "get", "key": "connection-rate"}	(key optional: all)
 *	{"command": "set", "settings": ["connection-rate=20/s", ...],
 *	 "for_s": 600, "save": false}	(both optional; KEY=config releases a key; save: only with
 *					 what a drop-in file can say)
 *	{"command": "class-list", "class": "trusted", "offset": 0}	(class optional)
 *	{"command": "class-add", "class": "blocked", "prefixes": ["192.0.2.0/24", ...],
 *	 "for_s": 3600, "comment": "a line"}	(both optional; "file": "/path" for the prefixes)
 *	{"command": "class-del", "prefixes": [...]}	or "all": true instead
 *	{"command": "class-load", "class": "trusted", "file": "/path"}	(both optional: all anew)
 *	{"command": "known-list", "source": "192.0.2.1", "offset": 0}	(both optional)
 *	{"command": "known-add", "sources": ["192.0.2.1", ...], "check": true}
 *					(check, optional: says what would be, and does nothing)
 *	{"command": "known-forget", "source": "192.0.2.1"}	(or "all")
 *	{"command": "known-mark", "source": "192.0.2.1", "mark": "good|bad", "for_s": 600}
 *	{"command": "sources"}		(for doctor: does one source have most of the traffic?)
 *	{"command": "events", "after": 4711, "address": "192.0.2.0/24", "reason": "load"}
 *					(all optional; after: the "next" of an earlier answer)
 *	{"command": "explain", "address": "192.0.2.1"}
 *	{"command": "top", "rows": 10, "seconds": 60}	(both optional)
 *	{"command": "suggest"}
 *	{"command": "reload"}
 *	{"command": "detach"}
 *
 * Their answers, beside "ok" and "message":
 *
 *	get:	    "keys": [{"section": "limits", "key": "connection-rate", "value": "100/s",
 *			     "default": "100/s", "given": false, "set": false, "until_s": null,
 *			     "help": "..."}, ...]
 *		    (given: written somewhere; set: by hand, for until_s or until the next start)
 *	set:	    "file": "/etc/sluice/sluice.conf" or null, "set": ["limits.connection-rate=20/s"]
 *	class-list: "prefixes": [{"prefix": "192.0.2.0/24", "class": "trusted",
 *		    "added": false}, ...],	(by hand; then until_s and comment, if it has them)
 *		    "count": 3, "next": null	(or the offset of the next page)
 *	known-list: "sources": [{"source": "192.0.2.1/32", "state": "known", "days": 5,
 *				"seen_s": 120, "until_s": 5183880}, ...], "count": 3, "next": null
 *		    (state: candidate, known, good, added, bad; of one source that is asked for also
 *		    none. days: good ones that have counted; seen_s: since its last good session,
 *		    null: none; until_s: until the state ends, null: never)
 *	known-add:  with check: "fresh": 12 (that would need a place), "room": 65000 (places), "bad":
 *		    null, or {"index": 3, "error": "a sentence"} of the first that is no source
 *	sources:    "sources": 120, "top": "192.0.2.7", "top_share": 0.93, "connections": 800.0
 *		    (recent connections: what the buckets still owe; top null while none does)
 *	events:	    "shape": 1, "boot": "5123000000000", "next": 4811, "more": false, "missed": 0,
 *		    "judged": 12000, "told": 11990, "lost": 0, "events": [{...}, ...]
 *		    (sampled decisions, the oldest first, at most CONTROL_EVENTS of them; more:
 *		    there are others behind next, a number of this boot of the daemon; missed:
 *		    events behind `after` that are no longer kept. judged: SYNs; told: events of
 *		    them, each of which stands for some; lost: events that found the ring to the
 *		    daemon full. These three since the maps were made)
 *		    of each: {"sequence": 4711, "time_ms": 1764040000123, "source": "192.0.2.1",
 *			      "source_port": 40000, "dest": "198.51.100.1", "port": 25,
 *			      "family": "ipv4", "class": "unknown", "mode": "enforce",
 *			      "verdict": "hold", "reason": "connection-rate", "again": false,
 *			      "wait_ms": 120.5, "stands_for": 1}
 *		    (time_ms: since 1970; again: a retransmit of a remembered attempt; wait_ms: of
 *		    a held one, else null)
 *
 *	explain:    of one address, all as of now; shape 1:
 *		    "from": "daemon", "address": "192.0.2.1", "family": "ipv4",
 *		    "source": "192.0.2.1/32", "subnet": "192.0.2.0/24",
 *		    "guarded": true,			(an address of its family is)
 *		    "mode": {"name": "enforce", "manual": false, "until_s": null},
 *		    "tiers": ["delay"], "leased": true, "pressure": false,
 *		    "class": {"name": "known", "by": "list|learned|default", "until_s": null,
 *			      "prefix": "192.0.2.0/24", "file": "/etc/...", "line": 3},
 *				(the last three null where it is not listed; file and line also
 *				where no file has the prefix any more)
 *		    "buckets": {"source": {"per_s": 1.0, "burst": 20, "debt_ms": 500.0,
 *				"may_ms": 19000.0, "free": 19, "next_ms": 0.0},
 *				"subnet": ..., "global": ..., "trusted": ...},	(null: off)
 *				(may_ms: what this source may owe; free: connections of it that fit
 *				now; next_ms: until one does)
 *		    "sessions": {"held": 2, "most_of_source": 0, "slot_time": true,
 *				 "slot_debt_ms": 0.0, "slot_may_ms": 60000.0,
 *				 "live": 40, "most": 0, "pending": 3},	(most: of its class; 0: off)
 *		    "now": {"verdict": "defer", "reason": "source-rate", "sentence": "...",
 *			    "hold_ms": null},
 *		    "next_ms": 950.0,	(until a new attempt is let in, if nobody else comes; null:
 *					not by waiting)
 *		    "client": [{"at_s": 0, and as in "now"}, {"at_s": 1, ...}],
 *				(a client that sends its SYN again, until it is no longer deferred)
 *		    "queue": {"waiting": 0, "most": 100},	(null: not known)
 *		    "known": {"state": "candidate", "days": 2, "days_needed": 3, "seen_s": 7200,
 *			      "until_s": 900000},	(as in known-list; null: none are kept)
 *		    "recent": {"over_s": 57.5, "attempts": 4, "share": 0.01, "pass": 3, ...},
 *				(from events: SYNs by verdict, and its share of all attempts)
 *		    "attempts": [{"source_port": 40000, "ago_s": 2.1, "verdict": "defer",
 *				  "reason": "source-rate", "remembered": "deferred|admitted|no",
 *				  "since_s": 2.1, "again": {as in "now"}}, ...]
 *				(those of events in the last 64 s, the newest first; again: what a
 *				retransmit would meet)
 *		    From the pinned maps: "from": "pins", "missing": ["a sentence", ...], and
 *		    without prefix, file, line, queue, known, recent and attempts.
 *
 *	top:	    shape 1:
 *		    "from": "daemon", "version": "0.1.0", "instance": "default",
 *		    "time_ms": 1764040000000, "mode": "enforce", "tiers": ["queue"],
 *		    "load": {"value": 0.52, "delay_la": 0.0, "queue_la": 16.0, "refuse_la": 24.0},
 *				(value null: not readable; thresholds 0: off)
 *		    "sessions": {"live": 12, "most": 0, "pending": 3},	(live null: not counted)
 *		    "bucket": {"per_s": 100.0, "debt_ms": 312.5, "burst_ms": 1990.0},
 *		    "line": [{"ago_s": 59.4, "took_s": 1.0, "attempts": 12, "pass": 11, "hold": 0,
 *			      "defer": 1, "refuse": 0, "drop": 0, "load": 0.5, "sessions": 12,
 *			      "tiers": [], "mode": "enforce"}, ...],
 *				(counted, the oldest second first; attempts: SYNs that are no
 *				retransmits of one that is remembered; the verdicts are of all SYNs)
 *		    "storm": {"over_s": 57.5, "events": 900, "syns": 9000, "attempts": 7000,
 *			      "lost": 0, "pass": ..., ...},
 *				(of the last minute, from events, which stand for so many SYNs;
 *				lost: events that found the ring full, since the maps were made)
 *		    "wide": [{"prefix": "198.51.0.0/16", "class": "unknown", "attempts": 4200,
 *			      "share": 0.6, "pass": ..., ...}, ...], "subnets": ..., "sources": ...
 *				(of the storm, by attempts, which "share" is of; class mixed: of
 *				several. wide: IPv4 /16, IPv6 /32)
 *		    From the pinned maps: "from": "pins", "missing": ["a sentence", ...], and only
 *		    mode, tiers, sessions, bucket and a line of one second.
 *
 *	suggest:    shape 1:
 *		    "from": "daemon", "minutes": 44640, "enforced": 0, "first_s": 1761300000,
 *		    "last_s": 1764000000, "attempts": 120000,
 *				(minutes that were looked at, of them those not in monitor mode;
 *				seconds since 1970)
 *		    "unknown": ["a sentence: what the past does not say", ...],
 *		    "proposals": [{"section": "limits", "key": "connection-rate", "value": "7/s",
 *				   "reason": "...", "touched": 0.0002, "at_most": false,
 *				   "touched_minutes": 12, "worst_s": 1763900000}, ...]
 *				(touched: the share of the attempts, null for a burst, which goes
 *				with its rate; at_most: it is an upper bound; worst_s: null: none)
 *		    From the file of a daemon that does not run: "from": "file".
 *
 * for_s is optional; until_s is seconds from now. Every answer has "ok": true, or "ok": false with
 * "error": one sentence.
 * The answer to status, shape 1 ("shape" is raised when a field changes its meaning):
 *
 *	{"ok": true, "shape": 1, "version": "0.1.0", "abi": 1, "instance": "default",
 *	 "uptime_s": 12.5, "age_s": 0.4, "lease_s": 29.6,
 *	 "mode": {"name": "monitor", "manual": false, "until_s": null},
 *	 "tier": {"name": "normal", "active": ["delay"], "manual": false, "until_s": null,
 *		  "reason": "a sentence: why the set is what it is"},
 *	 "load": {"readable": true, "value": 0.52, "running": 1, "blocked": 0,
 *		  "file": "/proc/loadavg",
 *		  "delay_la": 0, "queue_la": 16.0, "refuse_la": 24.0},		(0: off)
 *	 "limits": {"connection-rate": "100/s", ...},		(every key of [limits], as config)
 *	 "settings": [{"text": "limits.connection-rate=20/s", "until_s": null}],	(set by hand;
 *					until_s: what is left of its time, null: the next start)
 *	 "bucket": {"debt_ms": 312.5, "burst_ms": 1990.0, "pressure": false},	(the global word)
 *	 "hold": {"state": "off|on|deferring", "problem": null, "device": "slu-default",
 *		  "chosen": false,		(pace-horizon is written somewhere, not the default)
 *		  "horizon_ms": 800.0, "wait_ms": 120.0,	(of the next newcomer, if held)
 *		  "waiting": 12, "room": 224,		(SYNs in the queue, and what it takes)
 *		  "held": 900, "released": 890, "overflowed": 0, "swallowed": 31,
 *		  "held_ms": 98000.0,			(all their waits together)
 *		  "waits": [{"below_ms": 1, "count": 4}, ...]},	(null: the longest)
 *		 (deferring: pace-horizon is set and nothing can be held; problem says why)
 *	 "rates": {"judged": 12.0, "pass": 11.0, "defer": 1.0, "hold": 0.0, "refuse": 0.0,
 *		   "drop": 0.0, "over_s": 10.0},		(a second, over the last over_s)
 *	 "totals": {"judged": 1234, "pass": ..., "defer": ..., "hold": ..., "refuse": ...,
 *		    "drop": ...},
 *	 "reasons": [{"mode": "enforce", "reason": "admitted", "verdict": "pass", "count": 1200,
 *		      "per_s": 11.0, "sentence": "..."}, ...],	(those that have occurred, in each
 *		      mode; rates and totals are of the mode in force)
 *	 "frames": [{"kind": "truncated", "understood": false, "count": 3, "sentence": "..."}, ...],
 *	 "faults": {"refuse_over": 0, ...},			(struct counters, by field name)
 *	 "interfaces": [{"name": "eth0", "attached": true, "mode": "native",
 *			 "problem": null}, ...]}		(problem: a sentence)
 */
#ifndef CONTROL_H
#define CONTROL_H

#define CONTROL_REQUEST_MAX 65536
#define CONTROL_ANSWER_MAX  (1 << 20) /* of a status answer; a client reads no more */
#define CONTROL_PAGE	    5000      /* prefixes in one answer */
#define CONTROL_EVENTS	    500	      /* in one answer */
#define CONTROL_SETTINGS    64	      /* that `set` keeps until the restart */
#define CONTROL_SOURCES	    900	      /* that one known-add takes: each of up to 63 bytes fits */
#define CONTROL_TIMEOUT_MS  2000
#define CONTROL_CLIENTS	    64
#define RUNTIME_FOLDER	    "/run/sluice"	 /* /<name>/control, /tier, /queue, /lease */
#define LEASE_FILE_MAX	    1024		 /* bytes of the file lease, see daemon.h */
#define PIN_FOLDER	    "/sys/fs/bpf/sluice" /* /<name>/link-<interface>, /abi-N/<map> */
#define INSTANCE_MAX	    32			 /* characters: letters, digits, '-', '_' */

#endif
