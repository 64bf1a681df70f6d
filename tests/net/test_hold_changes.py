# SPDX-License-Identifier: GPL-2.0-or-later
"""HOLD: what an operator changes while a queue stands takes effect on it, and breaks nothing."""

import time

from lib import room
from lib.clients import clients, connect_now
from lib.gate import Gate, limits
from lib.room import Wire, until
from lib.scenario import Skip, scenario
from lib.sink import sink
from lib.topology import Net, run, server_v4, source_v4


def repaired(gate):
    return gate.status()["faults"].get("word_repaired", 0)


def standing_queue(t, net, gate, count):
    """So many connect at once and wait. Returns (wire, their Child)."""
    wire = Wire(net)
    first = clients(net, [(0, source_v4(n), 0) for n in range(count)], server_v4(), patience=40)
    until("a queue stands", lambda: (room.fifo(net) or {"waiting": 0})["waiting"] > count / 2)
    return wire, first


def answered(t, what, seen, count):
    """When the first `count` connects of a Wire were answered: once each, in their order."""
    of = [a for _, a in seen[:count]]
    t.equal(f"{what}: SYN-ACKs to each", sorted({len(a) for a in of}), [1])
    ends = [a[0] for a in of if a]
    t.check(ends == sorted(ends), f"{what}: answered in their order")
    return ends


@scenario(limit=90)
def test_hold_horizon_shorter(t):
    """pace-horizon is shortened under 8 s of waiting: they leave in turn, and nobody joins them"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("10/s", 3, retry=0, pace_horizon="10s"))
    gate.start()
    wire, first = standing_queue(t, net, gate, 90)
    time.sleep(0.5)
    gate.sluice("set", "pace-horizon=800ms")
    until("followed", lambda: room.fifo(net)["limit"] < 100)
    held = gate.status()["hold"]["held"]
    later = clients(net, [(n * 0.1, source_v4(200 + n), 0) for n in range(40)], server_v4(),
                    patience=40)
    until("the queue is short", lambda: room.fifo(net)["waiting"] <= 15, 20)
    t.equal("held meanwhile", gate.status()["hold"]["held"] - held, 0)
    late = later.result()
    t.equal("served of the first", sum(a.over is not None for a in first.result()), 90)
    seen = wire.finish()
    ends = answered(t, "the first", seen, 90)
    t.between("the last of 90 at 10/s with a burst of 3, s", ends[-1] - ends[0], 8.5, 9.0)
    t.equal("served of the later", sum(a.over is not None for a in late), 40)
    t.equal("SYN-ACKs to each of the later", sorted({len(a) for _, a in seen[90:]}), [1])
    t.check(all(a[0] - syn > 0.9 for syn, a in seen[90:130]), "all of them by their retransmits")
    t.equal("words taken for leftovers", repaired(gate), 0)
    served.finish()


@scenario(limit=60)
def test_hold_burst_wider(t):
    """connection-burst is raised while 30 wait: newcomers still come behind them"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("10/s", 3, retry=0, pace_horizon="8s"))
    gate.start()
    wire, first = standing_queue(t, net, gate, 33)
    gate.sluice("set", "connection-burst=30")
    later = clients(net, [(n * 0.02, source_v4(200 + n), 0) for n in range(10)], server_v4(),
                    patience=20)
    t.equal("served of the first", sum(a.over is not None for a in first.result()), 33)
    t.equal("served of the later", sum(a.over is not None for a in later.result()), 10)
    ends = answered(t, "all", wire.finish(), 43)
    t.between("the last of 43 at 10/s with a burst of 3, s", ends[-1] - ends[0], 3.7, 4.4)
    served.finish()


@scenario(limit=60)
def test_hold_slower_than_horizon(t):
    """The rate falls below one per horizon: who waits already leaves at the new rate"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("20/s", 3, retry=0, pace_horizon="2s"))
    gate.start()
    wire, first = standing_queue(t, net, gate, 30)
    until("most have left", lambda: room.fifo(net)["waiting"] <= 9)
    gate.sluice("set", "connection-rate=20/min")
    waiting = room.fifo(net)["waiting"]
    time.sleep(6)
    left = waiting - room.fifo(net)["waiting"]
    t.between("in 6 s at 20/min have left", left, 1, 3)
    hold = gate.status()["hold"]
    t.equal("state", hold["state"], "deferring")
    t.check("shorter than the interval" in (hold["problem"] or ""), f"problem: {hold['problem']}")
    until("status tells how many wait",
          lambda: gate.status()["hold"]["waiting"] == room.fifo(net)["waiting"], 3)
    gate.sluice("set", "connection-rate=20/s")
    t.equal("served", sum(a.over is not None for a in first.result()), 30)
    answered(t, "all", wire.finish(), 30)
    served.finish()


@scenario(limit=90)
def test_hold_far_slower(t):
    """The rate falls so far that who waits would give up: all leave within 30 s, evenly; then as set"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("20/s", 3, retry=20, known=20, pace_horizon="10s"))
    gate.start()
    wire, first = standing_queue(t, net, gate, 150)
    gate.sluice("set", "connection-rate=1/s")
    attempts = first.result(timeout=60)
    t.equal("served", sum(a.over is not None for a in attempts), 150)
    owes = gate.status()["bucket"]["debt_ms"]
    ends = answered(t, "all", wire.finish(), 150)
    t.between("the last after seconds", ends[-1], 25, 34)
    late = [b - a for a, b in zip(ends, ends[1:]) if a > 4 and b < 24]
    t.between("smallest gap between them", min(late), 0.1, 0.35)
    t.between("largest gap between them", max(late), 0.15, 0.45)
    t.check(owes < 12000, f"the bucket owes {owes:.0f} ms then")
    served.finish()


@scenario(limit=60)
def test_hold_other_mode(t):
    """From native to generic mode and back by reload: who waits is let out first, in turn"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("10/s", 3, retry=30, pace_horizon="5s"))
    gate.start()
    for mode in ("generic", "native"):
        until("the bucket is full", lambda: gate.status()["bucket"]["debt_ms"] == 0)
        wire, first = standing_queue(t, net, gate, 25)
        gate.change("gate", xdp_mode=mode)
        done = gate.sluice("reload")
        t.equal(f"{mode}: {done.stdout.strip()}{done.stderr.strip()}", done.returncode, 0)
        t.equal("mode", gate.status()["interfaces"][0]["mode"], mode)
        t.equal("served", sum(a.over is not None for a in first.result()), 25)
        ends = answered(t, "all", wire.finish(), 25)
        t.between("the last of 25 at 10/s with a burst of 3, s", ends[-1] - ends[0], 2.1, 2.4)
        until("held again", lambda: gate.status()["hold"]["state"] == "on")
    served.finish()


@scenario(limit=60)
def test_hold_foreign_filter(t):
    """Somebody's tc program before ours that lets all pass: said, and SYNs are deferred instead"""
    net = Net()
    served = sink(net)
    run("tc", "-n", "s", "qdisc", "add", "dev", "s0", "clsact")
    run("tc", "-n", "s", "filter", "add", "dev", "s0", "ingress", "pref", "10", "protocol", "all",
        "bpf", "da", "bytecode", "1,6 0 0 0,")
    before = run("tc", "-n", "s", "filter", "show", "dev", "s0", "ingress")
    gate = Gate(net, limits("10/s", 3, retry=100, pace_horizon="5s"))
    gate.start()
    connect_now(net, [source_v4(n) for n in range(10)], server_v4())
    held = gate.status()["hold"]
    if held["released"]:
        t.note("the kernel asks our program first: nothing is lost")
    else:
        _, took = gate.wait_for("said", lambda s: s["hold"]["state"] == "deferring", 5)
        problem = gate.status()["hold"]["problem"]
        t.check("tc program before ours" in problem, f"problem: {problem}")
        out = gate.status()["hold"]["held"]
        attempts = connect_now(net, [source_v4(50 + n) for n in range(10)], server_v4())
        t.equal("served", sum(a.over is not None for a in attempts), 10)
        t.equal("held meanwhile", gate.status()["hold"]["held"] - out, 0)
    after = run("tc", "-n", "s", "filter", "show", "dev", "s0", "ingress")
    t.check(before.splitlines()[1] in after, "the other's filter is as it was")
    served.finish()


@scenario(limit=60)
def test_hold_new_interface(t):
    """An interface that a reload adds is paced from its first SYN on"""
    net = Net(links=2)
    served = sink(net)
    gate = Gate(net, limits("10/s", 3, retry=0, pace_horizon="5s"), interfaces=("s0",))
    gate.start()
    gate.change("gate", interface=["s0", "s1"])
    gate.sluice("reload")
    attempts = connect_now(net, [source_v4(n, 1) for n in range(13)], server_v4(1))
    waits = sorted(a.wait for a in attempts)
    t.between("the last of 13, s", waits[-1], 0.9, 1.1)
    served.finish()


def bridged(net):
    """Puts s0 into a bridge, which learns who is behind it; the server's address is the bridge's."""
    try:
        room.ip(net, "link", "add", "br0", "type", "bridge")
    except RuntimeError as why:
        raise Skip(f"no bridges here: {why}")
    room.ip(net, "link", "set", "br0", "address", "02:00:00:00:00:05", "up")
    room.ip(net, "addr", "flush", "dev", "s0")
    room.ip(net, "link", "set", "s0", "master", "br0")
    room.ip(net, "addr", "add", "198.19.255.1/24", "dev", "br0")
    room.ip(net, "route", "replace", "198.18.0.0/17", "via", "198.19.255.2", "dev", "br0")
    room.ip(net, "neigh", "replace", "198.19.255.2", "lladdr", "02:00:00:00:00:0c", "dev", "br0",
            "nud", "permanent")


@scenario(limit=60)
def test_hold_bridge(t):
    """In generic mode a bridge learns nothing by which a SYN would pass: the secret stays one"""
    net = Net()
    bridged(net)
    served = sink(net)
    gate = Gate(net, limits("10/s", 3, pace_horizon="5s"), xdp_mode="generic")
    gate.start()
    learned = set()
    wire, first = standing_queue(t, net, gate, 23)
    while room.fifo(net)["waiting"]:
        time.sleep(0.1)
        for line in run("bridge", "-n", "s", "fdb", "show", "br", "br0").splitlines():
            if "dev s0 master br0" in line:
                learned.add(line.split()[0])
    t.equal("served", sum(a.over is not None for a in first.result()), 23)
    answered(t, "all", wire.finish(), 23)
    t.equal("stations that the bridge has learned", sorted(learned - {"02:00:00:00:00:0c"}),
            ["02:53:4c:55:49:43"])
    served.finish()
