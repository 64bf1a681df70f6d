# SPDX-License-Identifier: GPL-2.0-or-later
"""The load moves the thresholds: delay, queue, refuse, and back."""

import re
import time

from lib.clients import clients, connect_now
from lib.gate import OPEN, Gate, limits
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4, server_v6, source_v4, source_v6

LOAD = {"delay-la": 5, "queue-la": 10, "refuse-la": 20, "queue-rate": "5/s", "hold": "3s",
        "leave-ratio": 0.8, "refuse-max": "10m", "reject-log-interval": "1h"}
SAMPLE = 1.0  # the controller's interval, seconds


def refused(t, net, gate, xdp_mode):
    """40 connects at random times over a second, half of each family: all refused at once."""
    for family, source, server in (("IPv4", source_v4, server_v4()),
                                   ("IPv6", source_v6, server_v6())):
        plan = [(t.rng.random(), source(n), 0) for n in range(20)]
        attempts = clients(net, plan, server, patience=5).result()
        t.equal(f"{xdp_mode}, {family}: errors", {a.error for a in attempts}, {"ECONNREFUSED"})
        slowest = max(a.wait for a in attempts)
        t.check(slowest < 0.05, f"{xdp_mode}, {family}: refused within {slowest * 1000:.2f} ms")


def refuse(t, xdp_mode):
    net = Net()
    served = sink(net)
    gate = Gate(net, OPEN, load=LOAD | {"hold": "1s"}, xdp_mode=xdp_mode)
    gate.start()
    t.equal("interface", [(i["name"], i["mode"]) for i in gate.status()["interfaces"]],
            [("s0", xdp_mode)])
    gate.load_file.set(50)
    gate.wait_for("refuse by load", lambda s: s["tier"]["name"] == "refuse")
    refused(t, net, gate, xdp_mode)
    t.equal("refused with reason load", gate.reasons(), {"load": 40})
    gate.load_file.set(0)
    gate.wait_for("normal again", lambda s: s["tier"]["name"] == "normal")
    attempts = connect_now(net, [source_v4(n) for n in range(20)], server_v4(), patience=3)
    t.equal("served at load 0", sum(a.over is not None for a in attempts), 20)
    t.must(gate.sluice("tier", "refuse").returncode == 0, "sluice tier refuse")
    t.equal("manual", gate.status()["tier"]["manual"], True)
    refused(t, net, gate, f"{xdp_mode} by hand")
    t.must(gate.sluice("tier", "auto").returncode == 0, "sluice tier auto")
    attempts = connect_now(net, [source_v6(n) for n in range(20)], server_v6(), patience=3)
    t.equal("served after auto", sum(a.over is not None for a in attempts), 20)
    served.finish()


@scenario(limit=45)
def test_refuse_native(t):
    """Refuse tier, native XDP: ECONNREFUSED in under 50 ms, IPv4 and IPv6"""
    refuse(t, "native")


@scenario(limit=45)
def test_refuse_generic(t):
    """Refuse tier, generic XDP: ECONNREFUSED in under 50 ms, IPv4 and IPv6"""
    refuse(t, "generic")


def active(status):
    return ",".join(status["tier"]["active"])


def tier_words(gate):
    return ",".join(re.split(r"[ ,\n]+", gate.tier_file()))


def expect_tiers(t, gate, load, expected):
    """Sets the load and checks what comes of it in status, tier file and flag file."""
    gate.load_file.set(load)
    _, took = gate.wait_for(f"load {load}", lambda s: abs(s["load"]["value"] - load) < 0.001)
    time.sleep(0.3)  # files are written by another thread
    status = gate.status()
    t.equal(f"load {load}: active", active(status), expected)
    t.equal(f"load {load}: tier file", tier_words(gate), expected or "normal")
    t.equal(f"load {load}: flag file queue", gate.queue_flag(), "queue" in expected)
    t.check(took < SAMPLE + 0.6, f"load {load}: noticed after {took:.2f} s")
    return status


@scenario(limit=60)
def test_tiers_walk(t):
    """A load file played 0 -> 30 -> 0 walks the tiers and back, with hysteresis"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("1000/s", 50), load=LOAD)
    gate.start()
    expect_tiers(t, gate, 0, "")
    expect_tiers(t, gate, 4.99, "")
    expect_tiers(t, gate, 5, "delay")
    attempts = connect_now(net, [source_v4(n) for n in range(10)], server_v4(), patience=5)
    t.between("delay: newcomers wait", min(a.wait for a in attempts), 0.9, 1.2)
    t.equal("delay: served", sum(a.over is not None for a in attempts), 10)
    expect_tiers(t, gate, 12, "delay,queue")
    status = expect_tiers(t, gate, 30, "delay,queue,refuse")
    t.check("30" in status["tier"]["reason"], f"reason: {status['tier']['reason']}")
    time.sleep(3.2)  # the hold of all of them is over
    expect_tiers(t, gate, 16, "delay,queue,refuse")  # not below 20 x 0.8
    expect_tiers(t, gate, 15.9, "delay,queue")
    expect_tiers(t, gate, 7.9, "delay")
    expect_tiers(t, gate, 0, "")
    attempts = connect_now(net, [source_v4(n) for n in range(20)], server_v4(), patience=5)
    t.check(max(a.wait for a in attempts) < 0.5, "normal again: nobody waits")
    changes = [line for line in gate.log().splitlines() if " -> " in line]
    t.equal("lines in the log, one a change", len(changes), 6)
    t.check(all(re.search(r"load.* \d+\.\d\d", line) for line in changes),
            f"each with its number: {changes[2:3]}")
    served.finish()


@scenario(limit=60)
def test_tiers_hold(t):
    """A peak of the load between two samples of quiet keeps its tiers for `hold`"""
    net = Net()
    gate = Gate(net, OPEN, load=LOAD)
    gate.start()
    gate.load_file.set(30)
    gate.wait_for("refuse", lambda s: s["tier"]["name"] == "refuse")
    began = time.monotonic()
    gate.load_file.set(0)
    _, took = gate.wait_for("normal", lambda s: s["tier"]["name"] == "normal")
    t.between("refuse lasted, hold 3 s", time.monotonic() - began, 3 - 0.2, 3 + SAMPLE + 0.5)
    gate.load_file.set(4)
    write_broken = gate.load_file.path
    with open(write_broken, "w") as f:
        f.write("nonsense\n")
    status, _ = gate.wait_for("unreadable load", lambda s: not s["load"]["readable"])
    t.equal("unreadable load counts as", status["tier"]["name"], "normal")
    t.note(f"reason: {status['tier']['reason']}")


@scenario(limit=45)
def test_queue_rate(t):
    """Queue tier: connections are admitted at queue-rate, and at connection-rate again after"""
    from lib.frames import flood, spoof
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("100/s", 20, retry=0), load=LOAD | {"delay-la": 0})
    gate.start()
    rng = t.rng

    def admitted(rate, text):
        before = gate.reasons().get("admitted", 0)
        first, last, _ = spoof(net, flood(rng, 300, 5, lambda n: source_v4(n % 5000)),
                               server_v4()).result()
        may = rate * (last - first) + 20
        t.between(text, gate.reasons()["admitted"] - before, may - 2, may + 2)

    gate.load_file.set(12)
    gate.wait_for("queue", lambda s: active(s) == "queue")
    time.sleep(0.5)
    admitted(5, "admitted in 5 s at queue-rate 5/s, burst 20")
    gate.load_file.set(0)
    gate.wait_for("normal", lambda s: s["tier"]["name"] == "normal")
    time.sleep(4.5)  # what was owed at 5/s is owed no more
    admitted(100, "admitted in 5 s at connection-rate 100/s, burst 20")
    served.finish()
