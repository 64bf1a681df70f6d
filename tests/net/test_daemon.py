# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon comes and goes; the filter stays."""

import os
import signal
import time

from lib.clients import clients, connect_now, poisson
from lib.frames import Sniffer, Syn, flood, spoof, syn_acks
from lib.gate import OPEN, PINS, Gate, filter_gone, limits, xdp_on
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4, server_v6, source_v4, source_v6

REFUSING = {"refuse-la": 20, "hold": "1s", "lease": "5s"}


def admitted_by_wire(t, net, seconds, rate=200):
    """Spoofs SYNs for some seconds. Returns (SYN-ACKs, seconds between first and last SYN)."""
    sniffer = Sniffer(net)
    rng = t.rng
    syns = flood(rng, rate, seconds, lambda n: source_v4(rng.randrange(30000)))
    first, last, _ = spoof(net, syns, server_v4()).result()
    return len(syn_acks(sniffer.finish())), last - first


def static_limit_holds(t, net, what):
    """Limits 3/s, burst 3, empty bucket: what gets through in 3 s."""
    time.sleep(1.5)
    got, span = admitted_by_wire(t, net, 3)
    t.between(f"{what}: admitted in {span:.1f} s at 3/s, burst 3", got, 3 * span + 3 - 1.5,
              3 * span + 3 + 0.5)


@scenario(limit=60)
def test_kill_loses_nothing(t):
    """kill -9 of sluiced and its restart under traffic: no connection is lost or delayed"""
    net = Net()
    served = sink(net)
    gate = Gate(net, OPEN)
    gate.start()
    plan = [(s, (source_v4, source_v6)[n % 2](n), t.rng.random() * 3)
            for n, s in enumerate(poisson(t.rng, 50, 8))]
    halves = [clients(net, [p for p in plan if (":" in p[1]) == v6], server, patience=20)
              for v6, server in ((False, server_v4()), (True, server_v6()))]
    time.sleep(2 + t.rng.random())
    gate.kill()
    time.sleep(1 + t.rng.random())
    took = gate.start()
    time.sleep(1)
    gate.kill()
    attempts = [a for half in halves for a in half.result()]
    t.equal(f"sessions of {len(attempts)} that did not come to their end",
            sum(a.over is None for a in attempts), 0)
    t.check(max(a.wait for a in attempts) < 0.5,
            f"longest wait for a connection {max(a.wait for a in attempts) * 1000:.1f} ms")
    t.equal("accepted by the server", len(served.finish()), len(attempts))
    t.note(f"the restart took {took * 1000:.0f} ms")


@scenario(limit=60)
def test_kill_lapses_tiers(t):
    """kill -9 while refusing: the tier lapses with the lease, the static limits stay in force"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("3/s", 3, retry=0), load=REFUSING)
    gate.start()
    gate.load_file.set(50)
    gate.wait_for("refuse", lambda s: s["tier"]["name"] == "refuse")
    time.sleep(t.rng.random())
    gate.kill()
    killed = time.monotonic()
    errors, n = [], 0
    while time.monotonic() - killed < 12:
        (attempt,) = connect_now(net, [source_v4(n)], server_v4(), patience=2)
        n += 1
        if attempt.connected:
            break
        errors.append(attempt.error)
        time.sleep(0.1)
    t.between("seconds until the tier had lapsed, lease 5 s", attempt.syn - killed, 3.8, 6)
    t.check(len(errors) > 10 and set(errors) == {"ECONNREFUSED"},
            f"until then {len(errors)} connects: {set(errors)}")
    static_limit_holds(t, net, "without daemon and tier")
    gate.load_file.set(0)
    gate.start()
    static_limit_holds(t, net, "with a new daemon")
    served.finish()


@scenario(limit=60)
def test_restart_keeps_buckets(t):
    """A drained bucket stays drained over SIGTERM + start and kill -9 + start, without a gap"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("5/s", 50, retry=20, known=20))
    gate.start()
    program = xdp_on(net, "s0")
    sniffer = Sniffer(net)
    rng = t.rng
    syns = flood(rng, 400, 14, lambda n: source_v4(rng.randrange(30000)))
    flooding = spoof(net, syns, server_v4())
    for how in (signal.SIGTERM, signal.SIGKILL):
        time.sleep(2 + rng.random())
        gate.end(how)
        time.sleep(0.5 + rng.random())
        took = gate.start()
        t.note(f"{how.name}: up again after {took * 1000:.0f} ms")
    first, last, sent = flooding.result()
    answered = len(syn_acks(sniffer.finish()))
    may = 5 * (last - first) + 50
    t.between(f"let in of {sent}, over both restarts", answered, may - 2, may + 1)
    t.equal("counted as admitted by status", gate.reasons()["admitted"], answered)
    t.check(xdp_on(net, "s0") != program, "the link runs the program of the last start")
    t.equal("links pinned", gate.link_pins(), ["link-s0"])
    served.finish()


@scenario(limit=60)
def test_restart_keeps_attempts(t):
    """Attempts in flight, deferred and admitted, are remembered over a restart"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("6/min", 10, retry=20, known=0))
    gate.start()
    sniffer = Sniffer(net)
    rng = t.rng
    early = [Syn(0, source_v4(n), 2000 + n, rng.getrandbits(32)) for n in range(10)]
    late = [Syn(0, source_v4(n), 3000 + n, rng.getrandbits(32)) for n in range(10)]
    spoof(net, early, server_v4()).result()  # takes the burst
    spoof(net, late, server_v4()).result()  # deferred
    t.equal("before", gate.reasons(), {"admitted": 10, "connection-rate": 10})
    for how in (signal.SIGTERM, signal.SIGKILL):
        gate.end(how)
        gate.start()
    time.sleep(1)
    newcomers = [Syn(0, source_v4(n), 4000 + n, rng.getrandbits(32)) for n in range(10)]
    spoof(net, newcomers, server_v4()).result()
    spoof(net, early, server_v4()).result()
    spoof(net, late, server_v4()).result()
    reasons = gate.reasons()
    t.equal("retransmits of admitted attempts", reasons.get("retransmit"), 10)
    t.equal("retransmits of deferred attempts, by retry-burst", reasons["admitted"] - 10, 10)
    t.equal("newcomers deferred", reasons["connection-rate"] - 10, 10)
    t.equal("SYN-ACKs seen on the wire", len(syn_acks(sniffer.finish())), 30)
    served.finish()


@scenario(limit=60)
def test_stop_and_detach(t):
    """SIGTERM leaves the filter with its static limits; sluice detach takes it off"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("3/s", 3, retry=0), load=REFUSING | {"lease": "60s"})
    gate.start()
    gate.load_file.set(50)
    gate.wait_for("refuse", lambda s: s["tier"]["name"] == "refuse")
    (attempt,) = connect_now(net, [source_v4(1)], server_v4(), patience=2)
    t.equal("before SIGTERM", attempt.error, "ECONNREFUSED")
    t.equal("exit status on SIGTERM", gate.end(), 0)
    (attempt,) = connect_now(net, [source_v4(2)], server_v4(), patience=2)
    t.check(attempt.over is not None, "after SIGTERM the refuse tier is gone at once")
    t.check(xdp_on(net, "s0"), "the filter is still on the interface")
    static_limit_holds(t, net, "without daemon")
    done = gate.sluice("detach")
    t.equal("sluice detach without daemon", (done.returncode, done.stderr), (0, ""))
    t.check(filter_gone(net, "s0"), "the filter is off the interface")
    t.check(not os.path.exists(f"{PINS}/{gate.name}"), "the pins are gone")
    got, _ = admitted_by_wire(t, net, 1)
    t.check(got > 100, f"then traffic passes: {got} SYN-ACKs in a second")
    gate.load_file.set(0)
    gate.start()
    done = gate.sluice("detach")
    t.equal("sluice detach with daemon", (done.returncode, done.stderr), (0, ""))
    t.check(filter_gone(net, "s0"), "the filter is off the interface")
    t.equal("exit status of the daemon", gate.process.wait(10), 0)
    t.check(not os.path.exists(f"{PINS}/{gate.name}"), "the pins are gone")
    got, _ = admitted_by_wire(t, net, 1)
    t.check(got > 100, f"then traffic passes: {got} SYN-ACKs in a second")
    served.finish()


@scenario(limit=45)
def test_manual_ends(t):
    """A tier set by hand outlives a restart and ends in time, even with the daemon dead"""
    net = Net()
    served = sink(net)
    gate = Gate(net, OPEN, load={"lease": "60s"})
    gate.start()

    def outcome(n):
        (attempt,) = connect_now(net, [source_v4(n)], server_v4(), patience=2)
        return "served" if attempt.over else attempt.error

    t.must(gate.sluice("tier", "refuse", "--for", "6s").returncode == 0,
           "sluice tier refuse --for 6s")
    began = time.monotonic()
    t.equal("at once", outcome(1), "ECONNREFUSED")
    gate.kill()
    gate.start()
    status = gate.status()["tier"]
    t.equal("after kill -9 and start", (outcome(2), status["name"], status["manual"]),
            ("ECONNREFUSED", "refuse", True))
    t.between("seconds left of it", status["until_s"], 0.5, 6 - (time.monotonic() - began) + 0.2)
    gate.kill()
    t.equal("daemon dead", outcome(3), "ECONNREFUSED")
    n = 4
    while outcome(n) != "served" and time.monotonic() - began < 20:
        n += 1
        time.sleep(0.1)
    t.between("seconds until it ended", time.monotonic() - began, 5.7, 6.8)
    gate.start()
    t.equal("status of the next daemon", gate.status()["tier"]["manual"], False)
    served.finish()
