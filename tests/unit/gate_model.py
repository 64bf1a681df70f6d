#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A second opinion on the gate: the rules of its design in whole nanoseconds, written apart from gate.h.

Reads a trace on standard input and prints one line for each SYN: verdict, reason, whether it was a
retransmit of a deferred attempt, and the global, trusted, source and subnet words afterwards (0: none);
then live sessions and attempts on their way, and of its holder the word, up to when it is charged, its sessions.

    policy KEY=VALUE...                         rates are count/period_ns; 0/1 is off
    class NAME ADDRESS BITS                     32 hex digits, of 128 bits; the longest match wins
    force TIERS LEASE_UNTIL VALUE UNTIL         what the load says, the lease, a manual set and its end
    room UNTIL DRAINED                          the waiting room stands until; what waited has left by
    backlog WAITING YOUNG MOST BLIND            the listener's accept queue from now on; or: backlog none
    learned NAME FAMILY SOURCE UNTIL            by the prefix that makes a source now
    syn NOW FAMILY SOURCE DEST SPORT DPORT ISN  FAMILY is 4 or 6
    begin ... | end ...                         the same of the SYN whose session begins or ends
"""
import sys

MS = 10 ** 6
SECOND = 10 ** 9
NEVER = 2 ** 64 - 1
DELAY, QUEUE, REFUSE = 1, 2, 4


def interval(rate):
    """1/rate in whole ns, a half rounded up; 0 is off."""
    count, period = (int(x) for x in rate.split("/"))
    return (2 * period + count) // (2 * count) if count else 0


class Bucket:
    """One connection costs t; tau says up to which debt each kind of SYN conforms."""

    def __init__(self, t, tau, most):
        self.t, self.tau, self.most = t, tau, most

    @classmethod
    def shared(cls, t, burst, retry, known, hold):
        first = (burst - 1) * t
        waited = first + hold + retry * t
        return cls(t, {"first": first, "waited": waited, "known": waited + known * t},
                   waited + known * t + t)

    @classmethod
    def of_source(cls, t, burst):
        first = (burst - 1) * t
        # The most that it can owe: a known source's last charge or a throttled one's dear one.
        return cls(t, {"first": first, "waited": first, "known": 2 * first},
                   max(2 * first + t, first + 10 * t))

    @classmethod
    def plain(cls, t, burst):
        first = (burst - 1) * t
        return cls(t, {"first": first}, first + t)

    def debt(self, tat, now, may):
        """What is owed, as somebody sees it who may owe so much: a debt of another policy conforms."""
        debt = max(tat - now, 0)
        return min(self.tau["first"], may) if debt > self.most + 10 * MS else debt


class SlotTime:
    """What a source holds, and what the time of it costs: debt is charged when somebody looks."""

    burst = 120 * SECOND

    def __init__(self, now):
        self.tat, self.charged, self.sessions = 0, now, 0

    def settle(self, now, cost):
        """cost: ns of debt for 65,536 ns of a session; 0 is off."""
        if now <= self.charged:
            return
        since = now - min(now - self.charged, 2 ** 40)
        self.charged = now
        if self.sessions and cost:
            held = (now - since) * min(self.sessions, 1024)
            self.tat = min(max(self.tat, since) + held * cost // 65536, now + 8 * self.burst)


class Steps:
    """How many began in each step of 2**bits ns, and how many of them are still missing."""

    def __init__(self, bits):
        self.bits, self.begun, self.here = bits, {}, {}

    def begins(self, at):
        self.begun[at >> self.bits] = self.begun.get(at >> self.bits, 0) + 1

    def arrived(self, at):
        step = at >> self.bits
        if self.here.get(step, 0) < self.begun.get(step, 0):
            self.here[step] = self.here.get(step, 0) + 1

    def started(self, now, first, last):
        return sum(self.begun.get((now >> self.bits) + i, 0) for i in range(first, last + 1))

    def missing(self, now, first, last):
        return self.started(now, first, last) - sum(
            self.here.get((now >> self.bits) + i, 0) for i in range(first, last + 1))


class Model:
    def __init__(self):
        self.word = {"global": 0, "trusted": 0, "refuse": 0, "remember": 0}
        self.source, self.subnet = {}, {}
        self.admitted, self.deferred = {}, {}
        self.classes, self.learned = [], {}
        self.live, self.holders, self.sessions = 0, {}, {}
        self.on_the_way, self.everybody, self.known = {}, Steps(30), Steps(30)
        self.sources, self.near, self.in_room, self.room_last = {}, Steps(25), Steps(28), 0
        self.backlog, self.let_in = None, (0, 0, 0)
        self.load_tiers, self.lease, self.manual, self.manual_end = 0, NEVER, 0, 0
        self.room_until, self.drained = NEVER, 0

    def policy(self, keys):
        k = dict(pair.split("=") for pair in keys)
        n = {name: int(value) for name, value in k.items() if "/" not in value}
        shared = (n["retry"], n["known"], n["hold"])
        self.hold = n["hold"]
        self.normal = Bucket.shared(interval(k["connection"]), n["burst"], *shared)
        self.queue = Bucket.shared(interval(k["queue"]), n["burst"], *shared)
        self.per_subnet = Bucket.shared(interval(k["subnet"]), n["subnet_burst"], *shared)
        self.per_source = Bucket.of_source(interval(k["source"]), n["source_burst"])
        self.trusted = Bucket.plain(interval(k["trusted"]), n["trusted_burst"])
        count, period = (int(x) for x in k["refuse"].split("/"))
        self.refuse = Bucket.plain(interval(k["refuse"]), max(count * SECOND // period, 1))
        self.remember = Bucket.plain(SECOND // n["budget"], n["budget"])
        self.bits = {("source", 4): 96 + n["source_v4"], ("source", 6): n["source_v6"],
                     ("subnet", 4): 96 + n["subnet_v4"], ("subnet", 6): n["subnet_v6"]}

        most, share = n["sessions"], n["sessions"] * n["share"] // 100
        self.most = {"known": most, "others": most - share}
        self.pending_most = min(most // 4, self.most["others"] // 2)
        self.own_most = n["per_source"]
        self.slot_cost = 60 * SECOND * 65536 // n["minute"] if n["minute"] else 0

    def tiers(self, now):
        leased = now < self.lease
        if self.manual_end == NEVER:
            return self.manual if leased else 0
        if now < self.manual_end:
            return self.manual
        return self.load_tiers if leased else 0

    def rank(self, now, family, source):
        """The lists first; where they say nothing, what was learned and still holds."""
        cls = self.listed(source)
        name, until = self.learned.get(self.slot("source", family, source), ("", 0))
        return name if cls == "unknown" and now < until else cls

    def coming(self, now):
        """Admitted attempts of nine steps, and of those to come, that are no sessions yet."""
        return self.everybody.missing(now, -8, 11)

    @staticmethod
    def usually_lost(steps, now):
        """What two steps are expected to lose, by the seven before them, and a quarter more."""
        busy = sum(1 for i in range(-8, -1) if steps.begun.get((now >> 30) + i))
        return steps.missing(now, -8, -2) * 2 * 5 // (busy * 4) if busy else 0

    def fresh(self, now):
        """Of half a second, or still to leave the room."""
        if self.room_last <= now:
            return self.near.missing(now, -15, 0)
        later = 31 - (now >> 25) % 32  # the end of the step of everybody
        return self.near.missing(now, -15, later) + self.everybody.missing(now, 1, 11)

    def expected(self, steps, now, fresh=None):
        young = steps.missing(now, -1, 11)
        begun, lost = steps.started(now, -8, -2), steps.missing(now, -8, -2)
        fresh = young if fresh is None else min(young, fresh)
        share = fresh * (begun - lost + 1) // (begun + 1)
        return max(share, young - self.usually_lost(steps, now))

    def no_slot(self, now, known):
        """None, or what becomes of a newcomer as there is no slot."""
        if not self.most["known"]:
            return None
        most = self.most["known" if known else "others"]
        if self.live >= most:
            return "refused"
        if known:
            coming = self.expected(self.known, now)
        else:
            coming = max(self.expected(self.everybody, now, self.fresh(now)),
                         min(self.coming(now), self.pending_most))
        return "deferred" if self.live + coming >= most else None

    def holds_too_much(self, now, family, source, known):
        own = self.slot("source", family, source)
        holder = self.holders.get(own)
        sessions = holder.sessions if holder else 0
        coming = self.sources[own].missing(now, -1, 5) if own in self.sources else 0
        if self.own_most and sessions + coming >= self.own_most * (2 if known else 1):
            return "source-sessions"
        if not holder or known or not self.slot_cost:
            return None
        holder.settle(now, self.slot_cost)
        return "source-time" if holder.tat - now > SlotTime.burst else None

    def in_queue(self, now):
        """In the accept queue or about to be, as far as the kernel shows it."""
        waiting, young, _, blind = self.backlog
        if blind:
            lost = self.usually_lost(self.everybody, now) // 16
            young = max(young, self.near.missing(now, -3, 0) - lost)
        return waiting + young

    def waiting_in_room(self, now):
        """By what they were told; of the present step, the part that is left of it, and two."""
        if self.room_last <= now:
            return 0
        left = 2 ** 28 - now % 2 ** 28
        here = self.in_room.missing(now, 0, 0)
        return min(here, (here * left >> 28) + 2) + self.in_room.missing(now, 1, 42)

    def takes_place(self, now, rank, held):
        """What was let in within this step of the clock counts too; no more than eight unseen."""
        if not self.backlog:
            return True
        places = self.backlog[2] + 1  # sk_acceptq_is_full: one more than the backlog
        mine = {"known": places, "waited": places * 9 // 10, "first": (places + 1) // 2}[rank]
        shown = waiting = self.in_queue(now)
        step, base, count = self.let_in
        if step != now >> 20:
            base, count = shown, 0
        else:
            waiting = max(shown, min(base + count, shown + 8))
        if waiting + self.waiting_in_room(now) >= max(mine, 1):
            return False
        if not held:
            self.let_in = (now >> 20, base, count + 1)
        return True

    def begin(self, now, family, attempt):
        seen = self.admitted.get(attempt)
        if seen and not seen["established"]:
            seen["established"] = True
            self.everybody.arrived(seen["turn"])
            if seen["known"]:
                self.known.arrived(seen["turn"])
            self.near.arrived(seen["turn"])
            own = self.slot("source", family, attempt[0])
            if self.own_most and own in self.sources:
                self.sources[own].arrived(seen["turn"] >> 30 << 30)
        self.live += 1
        key = self.slot("source", family, attempt[0])
        holder = self.holders.setdefault(key, SlotTime(now))
        holder.settle(now, self.slot_cost)
        holder.sessions += 1
        self.sessions[attempt] = holder

    def end(self, now, attempt):
        self.live -= 1
        holder = self.sessions.pop(attempt)
        holder.settle(now, self.slot_cost)
        holder.sessions -= 1

    def listed(self, address):
        best, name = -1, "unknown"
        for cls, prefix, bits in self.classes:
            if address >> (128 - bits) == prefix >> (128 - bits) and bits > best:
                best, name = bits, cls
        return name

    def take(self, name, bucket, now, tau):
        """Charges one of the single words, if it conforms."""
        debt = bucket.debt(self.word[name], now, tau)
        if debt > tau:
            return False
        self.word[name] = now + debt + bucket.t
        return True

    def refused(self, reason, now, waited=False):
        if self.take("refuse", self.refuse, now, self.refuse.tau["first"]):
            return "REFUSE", reason, waited
        return "DEFER", reason, waited

    def retransmitted(self, attempt, now):
        """Of an admitted attempt: None if it is not, else what becomes of it."""
        seen = self.admitted.get(attempt)
        if seen is None or now - seen["at"] >= 63 * SECOND:
            return None
        if seen["held"] and now < max(seen["last"], self.drained) + SECOND:
            return "DROP", "waiting", False
        if seen["passes"] == 10 or now - seen["last"] < 500 * MS:
            return "DROP", "replay", False
        seen["passes"] += 1
        seen["last"] = now
        seen["held"] = False
        return "PASS", "retransmit", False

    def noted(self, attempt, now):
        """Notes a deferred attempt, if the budget allows."""
        if not self.take("remember", self.remember, now, self.remember.tau["first"]):
            return False
        self.deferred[attempt] = now
        return True

    def judge(self, now, family, attempt):
        source = attempt[0]
        cls = self.rank(now, family, source)
        tiers = self.tiers(now)
        shared = self.queue if tiers & QUEUE else self.normal

        if cls == "trusted":
            if self.take("trusted", self.trusted, now, self.trusted.tau["first"]):
                self.take("global", shared, now, shared.tau["first"])
                return "PASS", "trusted", False
            cls = "unknown"

        again = self.retransmitted(attempt, now)
        if again is not None:
            return again
        if cls == "blocked":
            return self.refused("blocked", now)
        if tiers & REFUSE:
            return self.refused("load", now)

        since = self.deferred.get(attempt)
        if since is not None and now - since > 64 * SECOND:
            since = None
        waited = since is not None and now - since >= 500 * MS
        slot = self.no_slot(now, cls == "known")
        if slot == "refused":
            return self.refused("sessions", now, waited)
        hold = self.hold if now < self.room_until and now < self.lease else 0
        hold = hold if hold >= shared.t else 0  # nobody's turn comes within it
        first = shared.tau["first"]
        may = shared.tau["known" if cls == "known" else
                         "waited" if waited and cls == "unknown" else "first"]
        if shared.debt(self.word["global"], now, first) > may + (hold if may == first else 0):
            if since is None:
                self.noted(attempt, now)
            return "DEFER", "connection-rate", waited
        reason = "sessions" if slot else self.holds_too_much(now, family, source, cls == "known")
        if not reason and tiers & DELAY and cls != "known" and not waited:
            if since is not None or self.noted(attempt, now):
                return "DEFER", "first-time", waited

        owed = 0
        if not reason:
            reason, owed = self.limits(now, family, source, cls, waited, shared, hold)
        if reason:
            if since is None:
                self.noted(attempt, now)
            return "DEFER", reason, waited
        # Who has a tolerance of its own never waits; who takes the last token stands in the queue.
        newcomer = hold and cls != "known" and not (
            waited and cls == "unknown" and shared.tau["waited"] > shared.tau["first"])
        wait = max(owed - shared.tau["first"], 0) if newcomer else 0
        held = bool(newcomer) and owed + shared.t > shared.tau["first"]
        known = cls == "known"
        if self.own_most:
            own = self.slot("source", family, source)
            self.sources.setdefault(own, Steps(31)).begins(now + wait)
        self.near.begins(now + wait)
        if wait:
            left = now + wait + min(shared.t, SECOND)  # up to an interval late
            self.room_last = max(self.room_last, left)
            if self.backlog:  # without a listener there is no queue to have a place in
                self.in_room.begins(left)
        self.everybody.begins(now + wait)
        if known:
            self.known.begins(now + wait)
        turn = now + wait + (max(shared.t - SECOND, 0) if held else 0)  # up to an interval late
        turn -= turn % 256  # as it lies beside a count
        self.admitted[attempt] = {"at": now, "last": turn, "passes": 0, "held": held,
                                  "turn": now + wait, "later": wait > 0, "known": known,
                                  "established": False}
        if wait:
            return "HOLD", "connection-rate", waited
        return "PASS", "admitted", waited

    def slot(self, which, family, source):
        bits = self.bits[which, family]
        return (source >> (128 - bits), bits)

    def limits(self, now, family, source, cls, waited, shared, hold):
        """None and what all owed, and all words are charged; or the reason, and none is."""
        rank = cls if cls == "known" else "waited" if waited and cls == "unknown" else "first"
        cost = self.per_source.t * (10 if cls == "throttled" else 1)
        own_tau = self.per_source.tau["known" if cls == "known" else "first"]
        all_debt = shared.debt(self.word["global"], now, shared.tau["first"])
        if 2 * all_debt > shared.tau["first"] and cls != "known" and not waited:
            own_tau = min(own_tau, self.per_source.t)

        own, net = self.slot("source", family, source), self.slot("subnet", family, source)
        own_debt = self.per_source.debt(self.source.get(own, 0), now, own_tau)
        net_debt = self.per_subnet.debt(self.subnet.get(net, 0), now, self.per_subnet.tau[rank])
        if self.per_source.t and own_debt > own_tau:
            return "source-rate", 0
        if self.per_subnet.t and net_debt > self.per_subnet.tau[rank]:
            return "subnet-rate", 0
        may = shared.tau[rank]
        if may == shared.tau["first"]:
            may += hold
        if all_debt > may:
            return "connection-rate", 0
        patience = cls if cls == "known" else "waited" if waited else "first"
        first = shared.tau["first"]
        held = hold and shared.tau[rank] == first and all_debt > first
        if not self.takes_place(now, patience, held):
            return "backlog", 0
        self.word["global"] = now + all_debt + shared.t
        if self.per_subnet.t:
            self.subnet[net] = now + net_debt + self.per_subnet.t
        if self.per_source.t:
            self.source[own] = now + own_debt + cost
        return None, all_debt

    def line(self, words):
        if words[0] == "policy":
            self.policy(words[1:])
        elif words[0] == "class":
            self.classes.append((words[1], int(words[2], 16), int(words[3])))
        elif words[0] == "force":
            self.load_tiers, self.lease, self.manual, self.manual_end = (int(x) for x in words[1:])
        elif words[0] == "room":
            self.room_until, self.drained = (int(x) for x in words[1:])
        elif words[0] == "backlog":
            self.backlog = None if words[1] == "none" else tuple(int(x) for x in words[1:])
        elif words[0] == "learned":
            key = self.slot("source", int(words[2]), int(words[3], 16))
            self.learned[key] = (words[1], int(words[4]))
        elif words[0] in ("syn", "begin", "end"):
            now, family = int(words[1]), int(words[2])
            attempt = (int(words[3], 16), int(words[4], 16)) + tuple(int(x) for x in words[5:])
            if words[0] == "begin":
                self.begin(now, family, attempt)
            elif words[0] == "end":
                self.end(now, attempt)
            else:
                self.answer(now, family, attempt)
        else:
            sys.exit("gate_model: not a line of a trace: " + " ".join(words))

    def answer(self, now, family, attempt):
        verdict, reason, again = self.judge(now, family, attempt)
        own = self.slot("source", family, attempt[0])
        holder = self.holders.get(own, SlotTime(0))
        print(verdict, reason, int(again), self.word["global"], self.word["trusted"],
              self.source.get(own, 0), self.subnet.get(self.slot("subnet", family, attempt[0]), 0),
              "sessions", self.live, self.coming(now),
              "holder", holder.tat, holder.charged, holder.sessions)


def main():
    model = Model()
    for text in sys.stdin:
        model.line(text.split())


main()
