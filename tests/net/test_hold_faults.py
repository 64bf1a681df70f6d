# SPDX-License-Identifier: GPL-2.0-or-later
"""What can happen to the waiting room, and that nobody is left out by it: real clients, one queue.

A SYN that is lost in the room passes with the first retransmit that comes a second after its turn.
"""

import os
import signal
import time

from lib import links
from lib.child import within
from lib.clients import clients, connect_now, syn_times
from lib.gate import Gate, limits
from lib.room import DEVICE, EXACT, Wire, fifo, ip, stands, tc, turns, until
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4, source_v4

RATE, BURST = 10, 3
HORIZON = 5.0


class Queue:
    """A gate with a queue of SYNs standing behind it."""

    def __init__(self, t, connects=30, **options):
        self.t = t
        self.net = Net()
        self.served = sink(self.net)
        self.gate = Gate(self.net, limits(f"{RATE}/s", BURST, retry=30, pace_horizon="5s"),
                         **options)
        self.gate.start()
        self.wire = Wire(self.net)
        self.under_way = clients(self.net, [(0, source_v4(n), 0) for n in range(connects)],
                                 server_v4())
        until("SYNs wait", lambda: fifo(self.net)["waiting"] > 15)
        time.sleep(0.3)

    def waiting(self):
        return (fifo(self.net) or {"waiting": 0})["waiting"]

    def all_served(self, again=1.0):
        """All were served, the last with the first retransmit after its turn and a second."""
        attempts = self.under_way.result()
        turn = (len(attempts) - BURST) / RATE
        latest = min((s for s in syn_times(10) if s >= turn + again), default=60) + 0.3
        self.t.equal("served", sum(a.over is not None for a in attempts), len(attempts))
        waits = [a.wait or 99 for a in attempts]
        self.t.check(max(waits) <= latest, f"the longest wait {max(waits):.2f} s of {latest:.2f}")
        return attempts

    def held_again(self):
        """And after that all is as before: newcomers are held and let out in their turn."""
        self.gate.wait_for("HOLD is on", lambda s: s["hold"]["state"] == "on")
        until("the bucket is full", lambda: self.gate.status()["bucket"]["debt_ms"] == 0)
        wire = Wire(self.net)
        attempts = connect_now(self.net, [source_v4(100 + n) for n in range(13)], server_v4())
        self.t.equal("served then", sum(a.over is not None for a in attempts), 13)
        self.in_turn(wire.finish())

    def in_turn(self, seen):
        due = turns(seen, BURST, 1 / RATE)
        off = [(got[0] if got else 99) - turn for (_, got), turn in zip(seen, due)]
        self.t.check(max(map(abs, off)) <= EXACT,
                     f"furthest off its turn {max(off, key=abs) * 1000:.1f} ms")

    def wire_seen(self):
        """As Wire.finish(), which this is in the end: what forks later holds the sink's pipe."""
        seen, self.wire = self.wire.finish() if self.wire else [], None
        return seen

    def end(self):
        self.wire_seen()
        self.served.finish()


@scenario(limit=60)
def test_hold_overflow(t):
    """The queue takes fewer than were let in: who found no place comes in with a retransmit"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits(f"{RATE}/s", BURST, pace_horizon="5s"))
    gate.start()
    gate.process.send_signal(signal.SIGSTOP)  # or the limit is put right within a second
    tc(net, "qdisc", "change", "dev", DEVICE, "parent", "51:10", "handle", "52:", "pfifo", "limit",
       "5")
    attempts = connect_now(net, [source_v4(n) for n in range(20)], server_v4())
    lost = fifo(net)["drops"]
    t.check(lost >= 8, f"found no place: {lost}")
    t.equal("served", sum(a.over is not None for a in attempts), 20)
    t.check(max(a.wait for a in attempts) < 4.5,
            f"the longest wait {max(a.wait for a in attempts):.2f} s")
    gate.process.send_signal(signal.SIGCONT)
    gate.wait_for("the overflow is shown", lambda s: s["hold"]["overflowed"] == lost)
    gate.wait_for("the limit is put right", lambda s: s["hold"]["room"] > 50)
    served.finish()


@scenario(limit=60)
def test_hold_down(t):
    """The device is set down with a queue standing: it is up again within two seconds"""
    q = Queue(t)
    ip(q.net, "link", "set", DEVICE, "down")
    q.all_served()
    q.held_again()
    q.end()


@scenario(limit=60)
def test_hold_gone(t):
    """The device is deleted with a queue standing, and one comes while there is none"""
    q = Queue(t)
    ip(q.net, "link", "del", DEVICE)
    late = connect_now(q.net, [source_v4(200)], server_v4())
    t.check(late[0].over is not None and late[0].wait < 6.5,
            f"one that came just then waited {late[0].wait} s")
    q.all_served()
    q.held_again()
    q.end()


@scenario(limit=60)
def test_hold_flushed(t):
    """The queue is replaced with SYNs in it: they are lost, and come in with their retransmits"""
    q = Queue(t)
    tc(q.net, "qdisc", "replace", "dev", DEVICE, "root", "handle", "99:", "pfifo", "limit", "1000")
    q.all_served()
    q.held_again()
    q.end()


@scenario(limit=60)
def test_hold_root_deleted(t):
    """The root qdisc is deleted: what comes then passes unpaced, until the next look"""
    q = Queue(t)
    tc(q.net, "qdisc", "del", "dev", DEVICE, "root")
    q.all_served()
    q.held_again()
    q.end()


@scenario(limit=60)
def test_hold_mark_lost(t):
    """Nobody takes marked SYNs to the room any more: they pass at once"""
    q = Queue(t)
    q.all_served()
    q.gate.kill()
    tc(q.net, "filter", "del", "dev", "s0", "ingress")
    attempts = connect_now(q.net, [source_v4(200 + n) for n in range(20)], server_v4())
    t.equal("served", sum(a.over is not None for a in attempts), 20)
    t.check(max(a.wait for a in attempts) < 0.2,
            f"the longest wait {max(a.wait for a in attempts) * 1000:.1f} ms")
    q.gate.start()
    q.held_again()
    q.end()


@scenario(limit=60)
def test_hold_killed(t):
    """sluiced is killed with a queue standing: it is let out in turn; later comers are deferred"""
    q = Queue(t)
    q.gate.kill()
    attempts = q.all_served()
    q.in_turn(q.wire_seen())
    time.sleep(max(0, 5.5 - max(a.wait for a in attempts)))
    before = fifo(q.net)["out"]
    attempts = connect_now(q.net, [source_v4(200 + n) for n in range(20)], server_v4())
    t.equal("served later", sum(a.over is not None for a in attempts), 20)
    t.equal("of them through the queue", fifo(q.net)["out"] - before, 0)
    q.gate.start()
    q.held_again()
    q.end()


@scenario(limit=60)
def test_hold_frozen(t):
    """sluiced is stopped (SIGSTOP) for longer than HOLD holds without it: SYNs are deferred then"""
    q = Queue(t)
    q.gate.process.send_signal(signal.SIGSTOP)
    q.all_served()
    time.sleep(5.5)
    before = fifo(q.net)["out"]
    attempts = connect_now(q.net, [source_v4(200 + n) for n in range(20)], server_v4())
    t.equal("served later", sum(a.over is not None for a in attempts), 20)
    t.equal("of them through the queue", fifo(q.net)["out"] - before, 0)
    q.gate.process.send_signal(signal.SIGCONT)
    q.held_again()
    q.end()


@scenario(limit=60)
def test_hold_ended(t):
    """sluiced ends with a queue standing, and the next start takes the room over as it is"""
    q = Queue(t)
    q.gate.end()
    t.check(stands(q.net), f"{DEVICE} stands")
    t.check(q.waiting() > 5, f"still waiting: {q.waiting()}")
    q.gate.start()
    q.all_served()
    q.in_turn(q.wire_seen())
    q.held_again()
    q.gate.sluice("detach")
    q.gate.process.wait(20)
    t.equal("qdiscs that are left of two starts", tc(q.net, "qdisc", "show").count("clsact"), 0)
    q.end()


@scenario(limit=90)
def test_hold_interface(t):
    """The interface goes with SYNs of it in the queue, and returns: it is held on again"""
    q = Queue(t)
    links.remove(q.net)
    time.sleep(1.5)
    t.check(q.gate.status()["hold"]["problem"] is None, "the room has no problem")
    links.make_again(q.net)
    q.gate.wait_for("attached", lambda s: all(i["attached"] for i in s["interfaces"]))
    attempts = q.under_way.result()
    t.equal("served", sum(a.over is not None for a in attempts), len(attempts))
    q.held_again()
    q.end()


@scenario(limit=60)
def test_hold_not_ours(t):
    """A device of that name that is not ours is left alone: SYNs are deferred, and status says so"""
    net = Net()
    served = sink(net)
    ip(net, "link", "add", DEVICE, "type", "ifb")
    gate = Gate(net, limits(f"{RATE}/s", BURST, retry=30, pace_horizon="5s"))
    gate.start()
    hold = gate.status()["hold"]
    t.equal("state", hold["state"], "deferring")
    t.check("not ours" in (hold["problem"] or ""), f"problem: {hold['problem']}")
    shown = gate.sluice().stdout
    t.check("NOT HELD but deferred" in shown and "not ours" in shown, "sluice status says so")
    t.equal("said in the log", gate.log().count("not ours"), 1)
    doctor = within(net.server, gate.sluice, "doctor").stdout
    t.check("bad   hold" in doctor and "not ours" in doctor, "sluice doctor says so")
    attempts = connect_now(net, [source_v4(n) for n in range(20)], server_v4())
    t.equal("served", sum(a.over is not None for a in attempts), 20)
    t.check(max(a.wait for a in attempts) > 0.9, "by deferral")
    gate.end()
    t.check("state DOWN" in ip(net, "link", "show", DEVICE), "the device is as it was")
    ip(net, "link", "del", DEVICE)
    gate.start()
    t.equal("without it", gate.status()["hold"]["state"], "on")
    t.check("good  hold" in within(net.server, gate.sluice, "doctor").stdout, "and to doctor")
    served.finish()


@scenario(limit=400)
def test_hold_killed_often(t):
    """Killed at random moments under traffic that fits (SLUICE_KILLS=200): all are let in"""
    most = int(os.environ.get("SLUICE_KILLS") or 40)
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("40/s", 6, retry=100, pace_horizon="2s"))
    gate.start()
    seconds, plan, at = most * 0.75, [], 0.0
    while at < seconds:  # clusters, so that most must wait; 80 % of the rate in the long run
        size = t.rng.randrange(10, 40)
        plan += [(at, source_v4(t.rng.randrange(10000)), 0) for _ in range(size)]
        at += size / 32
    under_way = clients(net, plan, server_v4(), patience=40)
    end, kills = time.monotonic() + seconds, 0
    while time.monotonic() < end and kills < most:
        time.sleep(t.rng.random() * 0.5)
        gate.kill()
        kills += 1
        gate.spawn()
        if t.rng.random() < 0.5:  # else it is killed on its way up
            until("it answers", lambda: gate.status(quiet=True), timeout=15)
    t.check(kills >= most / 2, f"killed {kills} times")  # a busy machine starts slower
    attempts = under_way.result(timeout=120)
    lost = [a for a in attempts if a.over is None]
    t.equal(f"lost of {len(attempts)}", len(lost), 0)
    waits = sorted(a.wait for a in attempts if a.wait)
    t.note(f"waited: median {waits[len(waits) // 2]:.2f} s, longest {waits[-1]:.2f} s")
    queue = fifo(net)
    t.check(queue["out"] > len(attempts) / 3, f"through the queue: {queue['out']}")
    served.finish()


@scenario(limit=60)
def test_hold_too_slow(t):
    """A rate whose interval is longer than the horizon holds nobody, and status says why"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("6/10s", 3, retry=30, pace_horizon="800ms"))
    gate.start()
    hold = gate.status()["hold"]
    t.equal("state", hold["state"], "deferring")
    t.check("shorter than the interval" in (hold["problem"] or ""), f"problem: {hold['problem']}")
    attempts = connect_now(net, [source_v4(n) for n in range(10)], server_v4())
    t.equal("served", sum(a.over is not None for a in attempts), 10)
    t.equal("through the room", (fifo(net) or {"out": 0})["out"], 0)
    t.check("bad   hold" in within(net.server, gate.sluice, "doctor").stdout, "doctor: bad")
    del gate.sections["limits"]["pace-horizon"]
    gate.write_config()
    gate.sluice("reload")
    t.check("note  hold" in within(net.server, gate.sluice, "doctor").stdout,
            "doctor: a note where nobody has asked for it")
    gate.sluice("set", "connection-rate=10/s")
    gate.wait_for("HOLD is on", lambda s: s["hold"]["state"] == "on" and not s["hold"]["problem"])
    served.finish()
