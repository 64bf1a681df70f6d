# SPDX-License-Identifier: GPL-2.0-or-later
"""HOLD: SYNs that come too early wait in the kernel and leave in their turn, seen by real clients."""

import time

from lib import room
from lib.child import within
from lib.clients import clients, connect_now
from lib.frames import Sniffer, syn_acks
from lib.gate import Gate, limits, write
from lib.room import DEVICE, EXACT, SPREAD, Wire, fifo, stands, until
from lib.scenario import Skip, scenario
from lib.sink import sink
from lib.topology import Net, run, server_v4, server_v6, source_v4, source_v6

BOTH = (("IPv4", source_v4, server_v4()), ("IPv6", source_v6, server_v6()))


def all_served(t, what, attempts):
    return t.equal(f"{what}: served", sum(a.over is not None for a in attempts), len(attempts))


def answers(t, what, seen):
    """When each connect was answered, which must be in the order of their SYNs and once each."""
    often = [len(a) for _, a in seen]
    t.equal(f"{what}: SYN-ACKs to each", sorted(set(often)), [1])
    ends = [a[0] if a else 1e9 for _, a in seen]
    t.check(ends == sorted(ends), f"{what}: answered in the order of their SYNs")
    return ends


def turns(t, what, seen, burst, interval):
    """Asserts that they were answered in order, a turn each behind the burst. Returns when."""
    ends = answers(t, what, seen)
    off = [end - turn for end, turn in zip(ends, room.turns(seen, burst, interval))]
    t.check(max(map(abs, off)) <= EXACT,
            f"{what}: furthest off its turn {max(off, key=abs) * 1000:.1f} ms")
    return ends


def at_once(t, what, net, sources, server, **options):
    """All connect at once; returns what the wire has seen of it."""
    wire = Wire(net)
    all_served(t, what, connect_now(net, sources, server, **options))
    return wire.finish()


def gaps_of(ends):
    return [b - a for a, b in zip(ends, ends[1:])]


def reasons(gate):
    """Judged SYNs by (verdict, reason)."""
    return {(r["verdict"], r["reason"]): r["count"] for r in gate.status()["reasons"]}


def order(t, xdp_mode):
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("5/s", 3, pace_horizon="5s"), xdp_mode=xdp_mode)
    gate.start()
    sniffer = Sniffer(net)
    for family, source, server in BOTH:
        time.sleep(2)  # the bucket is full again
        turns(t, family, at_once(t, family, net, [source(n) for n in range(20)], server), 3, 0.2)
    time.sleep(2)  # whatever would come out late
    t.equal("SYN-ACKs for 40 connects", len(syn_acks(sniffer.finish())), 40)
    t.equal("accepted by the server", len(served.finish()), 40)
    count, queue = reasons(gate), fifo(net)
    t.equal("held: all but the bursts", count["hold", "connection-rate"], 34)
    if xdp_mode == "native":  # else Linux sees that its SYN is still on this machine, and waits
        t.check(count["drop", "waiting"] >= 20, f"swallowed: {count['drop', 'waiting']}")
    t.equal("through the queue: the held and the last of each burst", queue["out"], 36)
    t.equal("waiting and dropped", queue["waiting"] + queue["drops"], 0)
    hold = gate.status()["hold"]
    t.equal("status: state, problem", (hold["state"], hold["problem"]), ("on", None))
    t.equal("status: held", hold["held"], 34)
    t.equal("status: released", hold["released"], 36)
    t.equal("status: in the histogram", sum(w["count"] for w in hold["waits"]), 34)
    t.between("status: waits together, seconds", hold["held_ms"] / 1000, 58.0, 62.0)


@scenario(limit=60)
def test_hold_order(t):
    """20 connects at once with 5/s: in the order of their SYNs, one every 200 ms, none twice"""
    order(t, "native")


@scenario(limit=60)
def test_hold_generic(t):
    """The same in generic mode, where a SYN that has waited passes the filter again"""
    order(t, "generic")


@scenario(limit=60)
def test_hold_book(t):
    """The sendmail book's example: 12 connects, 3/s, burst 3 end in 3 s, a third of one apart"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("3/s", 3, pace_horizon="5s"))
    gate.start()
    for family, source, server in BOTH:
        time.sleep(2)
        seen = at_once(t, family, net, [source(n) for n in range(12)], server)
        ends = turns(t, family, seen, 3, 1 / 3)
        t.between(f"{family}: the last after seconds", ends[-1], 2.98, 3.02)
    served.finish()


@scenario(limit=60)
def test_hold_thousand(t):
    """1,000 connects at once with 1,000/s: none is lost, none deferred, the last after a second"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("1000/s", 20, pace_horizon="5s"))
    gate.start()
    ends = answers(t, "at once", at_once(t, "at once", net, [source_v4(n) for n in range(1000)],
                                         server_v4()))
    t.between("the last after seconds", ends[-1], 0.96, 1.06)
    count = reasons(gate)
    t.equal("deferred", count.get(("defer", "connection-rate"), 0), 0)
    t.between("held", count["hold", "connection-rate"], 900, 980)
    t.equal("lost in the queue", fifo(net)["drops"], 0)
    t.equal("accepted by the server", len(served.finish()), 1000)


def rate_changed(t, before, after, wait, low, high):
    """A queue of 20 stands and the rate is changed: the rest leaves at the new one."""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits(f"{before}/s", 3, pace_horizon="10s"))
    gate.start()
    wire = Wire(net)
    under_way = clients(net, [(0, source_v4(n), 0) for n in range(20)], server_v4())
    time.sleep(wait)
    done = gate.sluice("set", f"connection-rate={after}/s")
    t.equal(f"set: {done.stdout.strip()}{done.stderr.strip()}", done.returncode, 0)
    all_served(t, "all", under_way.result())
    time.sleep(2)  # whatever would come out late
    ends = answers(t, "all", wire.finish())
    left = [end for end in ends if end > wait + 0.1 + 1 / min(before, after)]
    t.check(len(left) >= 5, f"left after the change: {len(left)}")
    t.between("smallest gap", min(gaps_of(left)), low, high)
    t.between("largest gap", max(gaps_of(left)), low, high)
    t.equal("through the queue", fifo(net)["out"], 18)
    served.finish()


@scenario(limit=60)
def test_hold_faster(t):
    """The rate is raised from 4/s to 20/s with a queue standing: it leaves at 20/s"""
    rate_changed(t, 4, 20, 1.1, 0.035, 0.065)


@scenario(limit=60)
def test_hold_slower(t):
    """The rate is lowered from 10/s to 3/s with a queue standing: it leaves at 3/s, none twice"""
    rate_changed(t, 10, 3, 0.65, 0.318, 0.348)


@scenario(limit=60)
def test_hold_to_and_fro(t):
    """The rate is lowered and raised again with a queue standing: nobody is let in twice"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("10/s", 3, pace_horizon="10s"))
    gate.start()
    wire = Wire(net)
    under_way = clients(net, [(0, source_v4(n), 0) for n in range(24)], server_v4())
    for wait, rate in ((0.6, 2), (2.0, 5), (0.5, 1), (2.0, 20)):
        time.sleep(wait)
        gate.sluice("set", f"connection-rate={rate}/s")
    all_served(t, "all", under_way.result())
    time.sleep(2)  # whatever would come out late
    answers(t, "all", wire.finish())
    t.equal("through the queue", fifo(net)["out"], 22)
    served.finish()


@scenario(limit=60)
def test_hold_tier(t):
    """The queue tier comes with a queue standing: it leaves at queue-rate from then on"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("10/s", 3, pace_horizon="10s"), load={"queue-rate": "4/s"})
    gate.start()
    wire = Wire(net)
    under_way = clients(net, [(0, source_v4(n), 0) for n in range(16)], server_v4())
    time.sleep(0.65)
    gate.sluice("tier", "queue")
    all_served(t, "all", under_way.result())
    left = [end for end in answers(t, "all", wire.finish()) if end > 0.65 + 0.25]
    t.check(len(left) >= 5, f"left after the change: {len(left)}")
    t.between("smallest gap", min(gaps_of(left)), 0.235, 0.265)
    t.between("largest gap", max(gaps_of(left)), 0.235, 0.265)
    served.finish()


@scenario(limit=60)
def test_hold_only_who_must(t):
    """Below the rate nothing enters the queue; known and trusted senders do not wait behind it"""
    net = Net()
    served = sink(net)
    known = write("known", "198.18.50.0/24\n")
    trusted = write("trusted", "198.18.60.0/24\n")
    gate = Gate(net, limits("5/s", 5, known=50, pace_horizon="5s"),
                classes={"known": known, "trusted": trusted})
    gate.start()
    quiet = clients(net, [(n / 2.5, source_v4(n), 0) for n in range(10)], server_v4()).result()
    all_served(t, "below the rate", quiet)
    t.equal("of them through the queue", fifo(net)["out"], 0)
    t.check(max(a.wait for a in quiet) < 0.05,
            f"the longest wait {max(a.wait for a in quiet) * 1000:.1f} ms")
    time.sleep(1)
    crowd = clients(net, [(0, source_v4(n), 0) for n in range(25)], server_v4())
    time.sleep(0.5)
    let_in = connect_now(net, ["198.18.50.1", "198.18.60.1", "198.18.50.2", "198.18.60.2"],
                         server_v4())
    t.check(max(a.wait or 9 for a in let_in) < 0.05,
            f"known and trusted: {max(a.wait or 9 for a in let_in) * 1000:.1f} ms")
    all_served(t, "the crowd", crowd.result())
    t.equal("through the queue: those that had to and the one before them", fifo(net)["out"], 21)
    served.finish()


@scenario(limit=60)
def test_hold_monitor(t):
    """Monitor holds nobody and counts whom enforce would have held"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("5/s", 3, pace_horizon="5s"), mode="monitor")
    gate.start()
    ends = answers(t, "all", at_once(t, "all", net, [source_v4(n) for n in range(20)],
                                     server_v4()))
    t.check(ends[-1] < 0.1, f"the last was answered after {ends[-1] * 1000:.1f} ms")
    t.equal("counted as held", reasons(gate)["hold", "connection-rate"], 17)
    t.equal("through the queue", fifo(net)["out"], 0)
    served.finish()


@scenario(limit=60)
def test_hold_beyond(t):
    """Beyond the horizon a SYN is deferred, and its retransmit does not queue behind the held"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("10/s", 3, retry=40, pace_horizon="800ms"))
    gate.start()
    attempts = connect_now(net, [source_v4(n) for n in range(30)], server_v4())
    all_served(t, "all", attempts)
    count = reasons(gate)
    t.between("held: 800 ms of 100 ms each", count["hold", "connection-rate"], 8, 9)
    t.equal("deferred", count["defer", "connection-rate"], 30 - 3 - count["hold", "connection-rate"])
    waits = sorted(a.wait for a in attempts)
    t.check(waits[10] < 0.85, f"the eleventh waited {waits[10]:.3f} s")
    t.check(waits[-1] < 1.2, f"the last was let in with its first retransmit: {waits[-1]:.3f} s")
    served.finish()


@scenario(limit=60)
def test_hold_off_and_on(t):
    """HOLD is turned off with a queue standing: it runs empty before the room is taken away"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("5/s", 3, pace_horizon="5s"))
    gate.start()
    t.check(stands(net), f"{DEVICE} stands")
    wire = Wire(net)
    under_way = clients(net, [(0, source_v4(n), 0) for n in range(15)], server_v4())
    time.sleep(0.5)
    gate.sluice("set", "pace-horizon=0")
    all_served(t, "those that waited", under_way.result())
    turns(t, "those that waited", wire.finish(), 3, 0.2)
    until("the room is gone", lambda: not stands(net))
    late = connect_now(net, [source_v4(n) for n in range(8)], server_v4(), patience=20)
    all_served(t, "those that come then", late)
    t.check(reasons(gate)["defer", "connection-rate"] > 0, "and they were deferred")
    gate.sluice("set", "pace-horizon=5s")
    until("the room is back", lambda: gate.status()["hold"]["state"] == "on")
    time.sleep(2)
    seen = at_once(t, "on again", net, [source_v4(n) for n in range(10)], server_v4())
    turns(t, "on again", seen, 3, 0.2)
    served.finish()


@scenario(limit=60)
def test_hold_detach(t):
    """detach with a queue standing: traffic passes at once, and what waited is still let out"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("5/s", 3, pace_horizon="5s"))
    gate.start()
    under_way = clients(net, [(0, source_v4(n), 0) for n in range(15)], server_v4())
    time.sleep(0.5)
    gate.sluice("detach")
    free = connect_now(net, [source_v4(n) for n in range(20, 60)], server_v4())
    t.check(max(a.wait for a in free) < 0.3, "newcomers pass at once")
    all_served(t, "those that waited", under_way.result())
    gate.process.wait(20)
    t.check(not stands(net), f"{DEVICE} is gone")
    served.finish()


@scenario(limit=60)
def test_hold_from_zero(t):
    """Turned on in a daemon that started without it, when it has given its capabilities up"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("5/s", 3))
    gate.start()
    t.check(not stands(net), f"no {DEVICE} yet")
    done = gate.sluice("set", "pace-horizon=5s")
    t.equal(f"set: {done.stderr.strip()}", done.returncode, 0)
    gate.wait_for("HOLD is on", lambda s: s["hold"]["state"] == "on")
    seen = at_once(t, "then", net, [source_v4(n) for n in range(8)], server_v4())
    turns(t, "then", seen, 3, 0.2)
    served.finish()


@scenario(limit=60)
def test_hold_detach_dead(t):
    """detach without a daemon: the filter goes, the queue runs empty, nothing is left behind"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("5/s", 3, pace_horizon="5s"))
    gate.start()
    under_way = clients(net, [(0, source_v4(n), 0) for n in range(15)], server_v4())
    time.sleep(0.5)
    gate.kill()
    done = within(net.server, gate.sluice, "detach")
    t.equal(f"detach: {done.stdout.strip()}{done.stderr.strip()}", done.returncode, 0)
    all_served(t, "those that waited", under_way.result())
    t.check(not stands(net), f"{DEVICE} is gone")
    t.equal("filters left", room.tc(net, "filter", "show", "dev", "s0", "ingress").strip(), "")
    t.equal("qdiscs left", room.tc(net, "qdisc", "show", "dev", "s0").count("clsact"), 0)
    served.finish()


@scenario(limit=60)
def test_hold_two_queues(t):
    """Two interfaces with two queues each, two senders at once: one room for all of them"""
    net = Net(links=2, queues=2)
    served = sink(net)
    gate = Gate(net, limits("50/s", 5, pace_horizon="5s"), interfaces=("s0", "s1"))
    gate.start()
    both = [clients(net, [(n / 1000, source_v4(n, link), 0) for n in range(60)], server_v4(link))
            for link in (0, 1)]
    attempts = [a for c in both for a in c.result()]
    all_served(t, "both", attempts)
    first = min(a.syn for a in attempts)
    t.between("the last after seconds", max(a.connected for a in attempts) - first,
              115 / 50 - 0.05, 115 / 50 + 0.1)
    t.equal("accepted by the server", len(served.finish()), 120)
    t.equal("lost in the queue", fifo(net)["drops"], 0)
    t.between("through the queue", fifo(net)["out"], 116 - SPREAD, 116 + SPREAD)


def vlan(t, xdp_mode, in_band):
    net = Net()
    try:
        for namespace, device, address in (("c", "c0", "198.19.7.2"), ("s", "s0", "198.19.7.1")):
            run("ip", "-n", namespace, "link", "add", f"{device}.7", "link", device, "type",
                "vlan", "id", "7")
            run("ip", "-n", namespace, "link", "set", f"{device}.7", "up")
            run("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", f"{device}.7")
    except RuntimeError as why:
        raise Skip(f"no VLAN devices here: {why}")
    run("ip", "-n", "s", "route", "replace", "198.18.0.0/17", "via", "198.19.7.2", "dev", "s0.7")
    if in_band:
        try:
            run("ip", "netns", "exec", "c", "ethtool", "-K", "c0", "tx-vlan-hw-insert", "off")
        except (RuntimeError, FileNotFoundError) as why:
            raise Skip(f"no ethtool: {why}")
    served = sink(net)
    gate = Gate(net, limits("5/s", 3, pace_horizon="5s"), xdp_mode=xdp_mode)
    gate.start()
    seen = at_once(t, "tagged", net, [source_v4(n) for n in range(12)], "198.19.7.1")
    if seen:  # a tag beside the frame is put back for whoever watches
        turns(t, "tagged", seen, 3, 0.2)
    t.between("through the queue", fifo(net)["out"], 10 - SPREAD, 10 + SPREAD)
    t.equal("accepted by the server", len(served.finish()), 12)


@scenario(limit=60)
def test_hold_vlan(t):
    """SYNs with a VLAN tag in the frame wait and come back to their VLAN"""
    vlan(t, "native", True)


@scenario(limit=60)
def test_hold_vlan_aside(t):
    """SYNs whose tag the hardware has taken off, as it were"""
    vlan(t, "native", False)


@scenario(limit=60)
def test_hold_vlan_generic(t):
    """SYNs with a VLAN tag in generic mode, which sees them again without it"""
    vlan(t, "generic", True)
