# SPDX-License-Identifier: GPL-2.0-or-later
"""Changes under way: what fails changes nothing, what is away comes back, what was set stays set."""

import os
import stat
import time

from lib.clients import connect_now
from lib.gate import OPEN, RUN, Gate, limits, xdp_on
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, ip, server_v4

KEPT = {"cap_net_admin": 12, "cap_bpf": 39}


def problem(status, name="s0"):
    return next(i["problem"] for i in status["interfaces"] if i["name"] == name)


@scenario(limit=30)
def test_least_privilege(t):
    """The daemon keeps two capabilities, its socket is 0660, and it can get no more"""
    gate = Gate(Net(), OPEN)
    gate.start()
    with open(f"/proc/{gate.process.pid}/status") as f:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    kept = sum(1 << bit for bit in KEPT.values())
    for name in ("CapEff", "CapPrm"):
        t.equal(name, int(fields[name], 16), kept)
    t.equal("NoNewPrivs", fields["NoNewPrivs"], "1")
    t.equal("mode of the socket", oct(stat.S_IMODE(os.stat(f"{RUN}/default/control").st_mode)),
            "0o660")


@scenario(limit=40)
def test_failed_start_touches_nothing(t):
    """A start that fails late leaves no filter where none was, and the running one as it was"""
    net = Net()
    gate = Gate(net, OPEN)
    os.makedirs(f"{RUN}/default/control/x")
    status, text = gate.fails()
    t.check(status == 1 and "control" in text, f"status {status}: {text}")
    t.equal("XDP program afterwards", xdp_on(net, "s0"), None)
    os.removedirs(f"{RUN}/default/control/x")
    gate.start()
    gate.end()
    before = xdp_on(net, "s0")
    os.makedirs(f"{RUN}/default/control/x")
    t.equal("over a filter that runs: status", gate.fails()[0], 1)
    t.equal("XDP program afterwards, as before", xdp_on(net, "s0"), before)


@scenario(limit=40)
def test_failed_reload_stays_attached(t):
    """A reload that names a missing interface and another xdp-mode leaves the filter on, in its mode"""
    net = Net()
    gate = Gate(net, OPEN)
    gate.start()
    before = xdp_on(net, "s0")
    gate.change("gate", interface=["s0", "nosuch0"], xdp_mode="generic")
    done = gate.sluice("reload")
    t.check(done.returncode == 1 and "nosuch0" in done.stderr, done.stderr.strip())
    t.equal("XDP program afterwards, as before", xdp_on(net, "s0"), before)
    t.equal("mode", gate.status()["interfaces"][0]["mode"], "native")
    t.equal("pinned", gate.link_pins(), ["link-s0"])


@scenario(limit=40)
def test_renamed(t):
    """A renamed interface keeps its filter and is ours again when it has its name back"""
    net = Net()
    gate = Gate(net, OPEN)
    gate.start()
    before = xdp_on(net, "s0")
    for old, new in (("s0", "zz0"), ("zz0", "s0")):
        ip(net.server, f"link set dev {old} down")
        ip(net.server, f"link set dev {old} name {new}")
        ip(net.server, f"link set dev {new} up")
        t.equal(f"XDP program on {new}", xdp_on(net, new), before)
        if new == "zz0":
            status, _ = gate.wait_for("the problem", lambda s: problem(s))
            t.check("renamed" in problem(status), problem(status))
            done = gate.sluice("set", "connection-rate=9/s")
            t.equal(f"limits can be changed meanwhile {done.stderr}", done.returncode, 0)
    gate.wait_for("no problem", lambda s: not problem(s))
    t.equal("XDP program in the end", xdp_on(net, "s0"), before)


@scenario(limit=40)
def test_pin_made_again(t):
    """A pin that somebody has removed is made again"""
    gate = Gate(Net(), OPEN)
    gate.start()
    os.unlink("/sys/fs/bpf/sluice/default/link-s0")
    end = time.monotonic() + 5
    while not gate.link_pins() and time.monotonic() < end:
        time.sleep(0.05)
    t.equal("pinned", gate.link_pins(), ["link-s0"])


@scenario(limit=40)
def test_manual_outlives_restart(t):
    """A mode and a tier set by hand are in force again after a restart, with the time they had left"""
    gate = Gate(Net(), OPEN, mode="monitor")
    gate.start()
    gate.sluice("mode", "enforce", "--for", "60s")
    gate.sluice("tier", "delay", "--for", "60s")
    gate.end()
    gate.start()
    status = gate.status()
    t.equal("mode", status["mode"]["name"], "enforce")
    t.between("its end, in s", status["mode"]["until_s"], 30, 60)
    t.equal("tier", status["tier"]["active"], ["delay"])


@scenario(limit=40)
def test_rescale(t):
    """A debt is rescaled when the rate changes: from 1/s to 100/s nobody waits for the old seconds"""
    net = Net()
    served = sink(net)
    # known-burst keeps nine seconds within what the new policy can owe: nothing repairs them.
    gate = Gate(net, limits("1/s", 10, known=5000), mode="enforce")
    gate.start()
    sources = [f"198.18.7.{n}" for n in range(1, 21)]
    connect_now(net, sources, server_v4(), patience=0.5)
    t.between("owed before, in ms", gate.status()["bucket"]["debt_ms"], 7000, 11000)
    gate.sluice("set", "connection-rate=100/s")
    t.between("owed after, in ms", gate.status()["bucket"]["debt_ms"], 0, 100)
    served.finish()


@scenario(limit=40)
def test_set_replaces_list(t):
    """A list set by hand replaces the one of -o, also after a reload"""
    gate = Gate(Net(), OPEN)
    gate.start("-o", "gate.port=2525")
    gate.sluice("set", "port=587")
    t.equal("set", gate.sluice("get", "port").stdout.splitlines()[0], "port=587")
    gate.sluice("reload")
    t.equal("reloaded", gate.sluice("get", "port").stdout.splitlines()[0], "port=587")
