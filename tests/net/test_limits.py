# SPDX-License-Identifier: GPL-2.0-or-later
"""What the buckets let in, seen by real clients and by senders that never retransmit."""

import time

from lib.clients import clients, connect_now, poisson, waves
from lib.frames import Sniffer, flood, spoof, syn_acks
from lib.gate import NO_SUBNET, REST, Gate, limits
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4, server_v6, source_v4, source_v6


@scenario(limit=40)
def test_book(t):
    """12 connects at once, 3/s, burst 3: three at once, three with each retransmit, none lost"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("3/s", 3, retry=0))
    gate.start()
    for family, source, server in (("IPv4", source_v4, server_v4()),
                                   ("IPv6", source_v6, server_v6())):
        time.sleep(2 + t.rng.random())  # the bucket is full again, the phase is random
        attempts = connect_now(net, [source(n) for n in range(12)], server)
        through = waves(attempts)
        t.equal(f"{family}: served in the end", sum(a.over is not None for a in attempts), 12)
        t.equal(f"{family}: through at once", through[0], 3)
        for n in (1, 2, 3):
            t.between(f"{family}: through with retransmit {n}", through[n], 2, 4)
        first = max(a.wait for a in attempts if a.wait < 0.5)
        t.check(first < 0.3, f"{family}: those at once waited at most {first * 1000:.1f} ms")
        waits = sorted(a.wait for a in attempts)
        t.note(f"{family}: waited " + " ".join(f"{w:.2f}" for w in waits))
    t.equal("accepted by the server", len(served.finish()), 24)


@scenario(limit=200)
def test_source_110_percent(t):
    """One source at 66/min against source-rate 60/min loses nothing of what it may have"""
    net = Net()
    served = sink(net)
    source_limit = {"source-rate": "60/min", "source-burst": 3}
    gate = Gate(net, limits("1000/s", 1000, retry=100, known=100)
                | NO_SUBNET | REST | source_limit)
    gate.start()
    plan = [(s, source_v4(0), 0) for s in poisson(t.rng, 66 / 60, 120)]
    attempts = clients(net, plan, server_v4(), patience=40, end=165).result()
    may = min(len(attempts), 60 / 60 * 120 + 3)
    start = attempts[0].syn - plan[0][0]
    within = sum(a.connected is not None and a.connected < start + 120 for a in attempts)
    t.between(f"admitted of {len(attempts)} attempts",
              sum(a.banner is not None for a in attempts), 0.97 * may, len(attempts))
    t.check(within <= 123 + 1, f"admitted within the 120 s: {within}, at most rate x t + burst")
    served.finish()


@scenario(limit=60)
def test_overload_spoofed(t):
    """10x overload, 20 s, senders that never retransmit: rate x t + burst, within 2 %"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("100/s", 200, retry=100, known=200))
    gate.start()
    sniffer = Sniffer(net)
    rng = t.rng
    syns = flood(rng, 1000, 20, lambda n: source_v4(rng.randrange(30000)))
    first, last, sent = spoof(net, syns, server_v4()).result()
    answered = len(syn_acks(sniffer.finish()))
    may = 100 * (last - first) + 200
    reasons = gate.reasons()
    t.between(f"admitted of {sent}", reasons["admitted"], 0.98 * may, 1.02 * may)
    t.equal("SYN-ACKs seen on the wire", answered, reasons["admitted"])
    t.equal("admitted and deferred together", sum(reasons.values()), sent)
    served.finish()


@scenario(limit=60)
def test_overload_real(t):
    """10x overload, 20 s, real clients that retransmit: rate x t + burst + retry-burst"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("50/s", 100, retry=50, known=50))
    gate.start()
    plan = [(s, source_v4(t.rng.randrange(30000)), 0) for s in poisson(t.rng, 500, 20)]
    attempts = clients(net, plan, server_v4(), patience=60, end=20).result()
    began, ended = attempts[0].syn, time.monotonic()
    may = 50 * (20 - plan[0][0]) + 100 + 50
    connected = sum(a.connected is not None for a in attempts)
    t.between(f"connected of {len(attempts)}", connected, 0.98 * may, 1.02 * may)
    reasons = gate.reasons()
    # SYNs went on until the last socket was closed, which takes its time.
    t.between("admitted", reasons["admitted"], 0.98 * may, 1.02 * (50 * (ended - began) + 150))
    t.note(f"SYNs judged {sum(reasons.values())}, of them retransmits deferred again and again")
    served.finish()


@scenario(limit=30)
def test_subnet(t):
    """subnet-rate binds the sources of one /24 and of one /48 together, and nobody else"""
    net = Net()
    served = sink(net)
    subnet = {"subnet-rate": "60/min", "subnet-burst": 5}
    gate = Gate(net, limits("1000/s", 1000, retry=0) | subnet)
    gate.start()
    sniffer = Sniffer(net)
    rng = t.rng
    for name, server, inside, beside in (
            ("/24", server_v4(), lambda n: f"198.18.7.{1 + n % 250}", source_v4),
            ("/48", server_v6(), lambda n: f"2001:db8:9000:{n:x}::1", source_v6)):
        _, _, sent = spoof(net, flood(rng, 100, 3.5, inside), server).result()
        reasons = gate.reasons()
        t.equal(f"{name}: admitted of {sent} in 3.5 s at 60/min, burst 5", reasons["admitted"], 8)
        t.equal(f"{name}: the rest by", reasons["subnet-rate"], sent - reasons["admitted"])
        others = connect_now(net, [beside(n) for n in range(20, 40)], server, patience=3)
        t.equal(f"{name}: of 20 other subnets at once", waves(others)[0], 20)
        gate.end()
        gate.sluice("detach")
        gate.start()
    sniffer.finish()
    served.finish()
