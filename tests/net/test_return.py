# SPDX-License-Identifier: GPL-2.0-or-later
"""An interface that is deleted and made again under the running daemon, and without it."""

import os
import signal
import time

from lib import links
from lib.frames import Sniffer, flood, spoof, syn_acks
from lib.gate import Gate, limits, xdp_on
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, ip, server_v4, source_v4

RATE, BURST = 5, 10
NOTICED = 3  # seconds: the daemon looks once a second


def shape(status):
    return [(i["attached"], i["mode"] if i["attached"] else None) for i in status["interfaces"]]


def limit_holds(t, net, what):
    time.sleep((BURST + 1) / RATE)  # the bucket is full again
    sniffer = Sniffer(net)
    rng = t.rng
    first, last, sent = spoof(net, flood(rng, 200, 3, lambda n: source_v4(rng.randrange(30000))),
                              server_v4()).result()
    may = RATE * (last - first) + BURST
    t.between(f"{what}: let in of {sent}", len(syn_acks(sniffer.finish())), may - 2, may + 1)


def foreign(t, net, gate):
    """It comes back with somebody else's program on it: left alone, named, replaced when it goes"""
    gate.process.send_signal(signal.SIGSTOP)  # or the daemon may well be first
    links.remove(net)
    links.make_again(net)
    link = net.hold_xdp(net.server, "s0", name="foreign")
    program = xdp_on(net, "s0")
    gate.process.send_signal(signal.SIGCONT)
    status, _ = gate.wait_for("foreign program", lambda s: not s["interfaces"][0]["attached"] and
                              str(program) in (s["interfaces"][0]["problem"] or ""), timeout=5)
    t.note(f"status says: {status['interfaces'][0]['problem']}")
    time.sleep(2)
    t.equal("the foreign program is left alone", xdp_on(net, "s0"), program)
    os.close(link)
    gate.wait_for("ours instead", lambda s: shape(s) == [(True, "native")], timeout=5)
    t.check(xdp_on(net, "s0") not in (None, program), "once it is gone ours is on the interface")


@scenario(limit=75)
def test_return(t):
    """A deleted interface is reported; made again it is attached again, and limits hold"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits(f"{RATE}/s", BURST, retry=0))
    gate.start()
    limit_holds(t, net, "before")
    links.remove(net)
    status, took = gate.wait_for("gone", lambda s: shape(s) == [(False, None)], timeout=5)
    t.check(took < NOTICED, f"that it is gone was in status after {took:.1f} s")
    problem = status["interfaces"][0]["problem"]
    t.check("gone" in (problem or ""), f"status says: {problem}")
    t.equal("the daemon lives on", (gate.process.poll(), status["ok"]), (None, True))
    time.sleep(t.rng.random() * 2)
    links.make_again(net)
    status, took = gate.wait_for("back", lambda s: shape(s) == [(True, "native")], timeout=10)
    t.check(took < NOTICED, f"attached again after {took:.1f} s")
    t.equal("status has no problem left", status["interfaces"][0]["problem"], None)
    t.check(xdp_on(net, "s0"), "the kernel has a program on it")
    t.equal("links pinned", gate.link_pins(), ["link-s0"])
    lines = [line for line in gate.log().splitlines() if "s0: " in line]
    t.check(len(lines) == 3 and "gone" in lines[1] and "attached again" in lines[2],
            f"the log, each once: {lines[1:]}")
    limit_holds(t, net, "made again")

    links.remove(net)  # and back before the daemon has looked
    links.make_again(net)
    time.sleep(NOTICED)
    t.equal("deleted and made at once", shape(gate.status()), [(True, "native")])
    t.check(xdp_on(net, "s0"), "the kernel has a program on it")
    limit_holds(t, net, "deleted and made at once")

    ip(net.server, "link set s0 down")
    time.sleep(1.5)
    ip(net.server, "link set s0 up")
    t.equal("down and up", shape(gate.status()), [(True, "native")])

    foreign(t, net, gate)
    limit_holds(t, net, "the foreign program gone")

    gate.end()
    links.remove(net)
    links.make_again(net)
    t.equal("deleted and made without daemon", xdp_on(net, "s0"), None)
    gate.start()
    t.equal("the next daemon attaches", shape(gate.status()), [(True, "native")])
    limit_holds(t, net, "the next daemon")
    served.finish()
