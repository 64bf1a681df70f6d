# SPDX-License-Identifier: GPL-2.0-or-later
"""Modes, classes, and a configuration that changes while traffic runs."""

import time

from lib.clients import connect_now
from lib.frames import Sniffer, flood, resets, spoof, syn_acks
from lib.gate import Gate, limits, write
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4, server_v6, source_v4, source_v6


class Burst:
    """Three seconds of 100 spoofed SYN/s, and what became of them."""

    def __init__(self, t, net, gate, rate=100, seconds=3):
        before = gate.reasons()
        frames_before = self.frames(gate)
        sniffer = Sniffer(net)
        rng = t.rng
        syns = flood(rng, rate, seconds, lambda n: source_v4(rng.randrange(30000)))
        first, last, self.sent = spoof(net, syns, server_v4()).result()
        self.seconds = last - first
        self.reasons = {k: v - before.get(k, 0) for k, v in gate.reasons().items()
                        if v > before.get(k, 0)}
        self.off = self.frames(gate) - frames_before
        seen = sniffer.finish()
        self.passed, self.refused = len(syn_acks(seen)), 0
        if gate.status()["tier"]["name"] == "refuse":
            self.refused = len(resets(seen))

    @staticmethod
    def frames(gate):
        return sum(f["count"] for f in gate.status()["frames"] if f["kind"] == "off")


@scenario(limit=60)
def test_modes(t):
    """monitor counts and passes all, off does not judge, enforce acts; switched live"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("10/s", 5, retry=0), mode="monitor")
    gate.start()
    t.equal("mode", gate.status()["mode"]["name"], "monitor")

    def judged_as_limited(b, mode):
        may = 10 * b.seconds + 5
        t.between(f"{mode}: admitted of {b.sent}", b.reasons.get("admitted"), may - 2, may + 1)
        t.equal(f"{mode}: judged", sum(b.reasons.values()), b.sent)

    b = Burst(t, net, gate)
    judged_as_limited(b, "monitor")
    t.equal("monitor: passed", b.passed, b.sent)

    t.must(gate.sluice("mode", "enforce").returncode == 0, "sluice mode enforce")
    time.sleep(1)  # the bucket is full again
    b = Burst(t, net, gate)
    judged_as_limited(b, "enforce")
    t.equal("enforce: passed", b.passed, b.reasons["admitted"])

    t.must(gate.sluice("mode", "off").returncode == 0, "sluice mode off")
    b = Burst(t, net, gate)
    t.equal("off: passed", b.passed, b.sent)
    t.equal("off: judged", b.reasons, {})
    t.equal("off: counted as such", b.off, b.sent)

    t.must(gate.sluice("mode", "monitor", "--for", "2s").returncode == 0,
           "sluice mode monitor --for 2s")
    t.equal("by hand", gate.status()["mode"]["manual"], True)
    time.sleep(2.2)
    t.must(gate.sluice("mode", "enforce").returncode == 0, "sluice mode enforce")
    t.must(gate.sluice("mode", "config").returncode == 0, "sluice mode config")
    mode = gate.status()["mode"]
    t.equal("back to the config's", (mode["name"], mode["manual"]), ("monitor", False))
    gate.sluice("tier", "refuse")
    b = Burst(t, net, gate)
    t.equal("monitor in refuse tier: would refuse", b.reasons, {"load": b.sent})
    t.equal("monitor in refuse tier: passed", b.passed, b.sent)
    served.finish()


@scenario(limit=60)
def test_reload(t):
    """sluice reload applies a new connection-rate; a bad file keeps the old and says why"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("5/s", 5, retry=0))
    gate.start()

    def let_in(rate, text):
        time.sleep(1.1)  # the bucket is full again
        b = Burst(t, net, gate, 200, 3)
        may = rate * b.seconds + 5
        t.between(f"{text}: let in of {b.sent}", b.passed, may - 2, may + 1)

    let_in(5, "at 5/s")
    gate.change("limits", connection_rate="40/s")
    let_in(5, "changed but not reloaded")
    done = gate.sluice("reload")
    t.equal("sluice reload", (done.returncode, done.stderr), (0, ""))
    t.equal("status", gate.status()["limits"]["connection-rate"], "40/s")
    let_in(40, "at 40/s")
    for key, value, word in (("connection-rate", "17", "17"), ("connection-rate", "0/s", "0"),
                             ("colour", "red", "colour")):
        gate.change("limits", **{key: value})
        done = gate.sluice("reload")
        t.equal(f"reload of {key} = {value}", done.returncode, 1)
        text = done.stderr.strip()
        line = 1 + next(n for n, s in enumerate(open(gate.config_path)) if s.startswith(key))
        t.check(word in text and len(text.splitlines()) == 1 and
                f"{gate.config_path}:{line}" in text, f"it says: {text}")
        gate.sections["limits"].pop("colour", None)
        gate.change("limits", connection_rate="40/s")
    t.equal("status", gate.status()["limits"]["connection-rate"], "40/s")
    let_in(40, "still at 40/s")
    gate.change("limits", connection_rate="5/s")
    gate.process.send_signal(1)  # SIGHUP
    gate.wait_for("reload", lambda s: s["limits"]["connection-rate"] == "5/s", timeout=3)
    let_in(5, "at 5/s after SIGHUP")
    served.finish()


@scenario(limit=45)
def test_classes(t):
    """blocked is refused, trusted passes, longest prefix wins; a bad class file keeps the old"""
    net = Net()
    served = sink(net)
    blocked = write("blocked", "# list\n198.18.5.0/24\n2001:db8:8005::/48  # six\n")
    trusted = write("trusted", "198.18.5.7\n198.18.6.0/24\n")
    gate = Gate(net, limits("10/s", 3, retry=0), classes={"blocked": blocked, "trusted": trusted})
    gate.start()

    def outcome(source, server):
        (a,) = connect_now(net, [source], server, patience=0.5)
        return "served" if a.over else a.error

    def expect(cases):
        for source, expected in cases:
            t.equal(f"{source}", outcome(source, server_v6() if ":" in source else server_v4()),
                    expected)
            time.sleep(0.15)

    listed = (("198.18.5.6", "ECONNREFUSED"), ("198.18.5.7", "served"), ("198.18.4.6", "served"),
              ("2001:db8:8005::9", "ECONNREFUSED"), ("2001:db8:8006::9", "served"))
    expect(listed)
    attempts = connect_now(net, [f"198.18.6.{n}" for n in range(1, 61)], server_v4(), patience=2)
    t.equal("60 trusted at once, burst 3: served", sum(a.over is not None for a in attempts), 60)
    time.sleep(3)
    write("blocked", "198.18.4.0/24\n198.18.9.1/24\n")
    done = gate.sluice("reload")
    t.equal("reload of a list with host bits", done.returncode, 1)
    t.check(f"{blocked}:2" in done.stderr and len(done.stderr.strip().splitlines()) == 1,
            f"it says: {done.stderr.strip()}")
    expect(listed)
    write("blocked", "198.18.4.0/24\n")
    done = gate.sluice("reload")
    t.equal("reload of a good list", (done.returncode, done.stderr), (0, ""))
    expect((("198.18.5.6", "served"), ("198.18.4.6", "ECONNREFUSED"),
            ("2001:db8:8005::9", "served")))
    served.finish()
