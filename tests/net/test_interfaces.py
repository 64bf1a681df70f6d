# SPDX-License-Identifier: GPL-2.0-or-later
"""Several interfaces, native and generic, several instances."""

import os
import socket

from lib.child import within
from lib.clients import connect_now, waves
from lib.frames import Sniffer, flood, spoof, syn_acks
from lib.gate import Gate, filter_gone, limits, xdp_on
from lib.scenario import Skip, scenario
from lib.sink import sink
from lib.topology import Net, ip, server_v4, server_v6, source_v4, source_v6


def shape(gate):
    return {i["name"]: (i["attached"], i["mode"]) for i in gate.status()["interfaces"]}


@scenario(limit=40)
def test_interfaces(t):
    """auto is native on veth and generic on lo, status says so; interfaces share one bucket"""
    net = Net(links=2)
    served = sink(net)
    gate = Gate(net, limits("1/s", 8, retry=0), interfaces=("s0", "s1", "lo"), xdp_mode="auto")
    gate.start()
    t.equal("interfaces", shape(gate),
            {"s0": (True, "native"), "s1": (True, "native"), "lo": (True, "generic")})
    t.equal("links pinned", gate.link_pins(), ["link-lo", "link-s0", "link-s1"])
    through = 0
    for link in (0, 1):
        for source, server in ((source_v4, server_v4), (source_v6, server_v6)):
            through += waves(connect_now(net, [source(n, link) for n in range(10)], server(link),
                                         patience=0.3))[0]
    t.between("let in by both interfaces and families, burst 8 at 1/s", through, 8, 10)
    gate.change("gate", interface=["s1"])
    t.equal("reload without s0 and lo", gate.sluice("reload").returncode, 0)
    t.equal("interfaces", shape(gate), {"s1": (True, "native")})
    t.check(filter_gone(net, "s0"), "the filter is off s0")
    attempts = connect_now(net, [source_v4(n) for n in range(30)], server_v4(), patience=0.5)
    t.equal("30 by s0, no longer guarded", waves(attempts)[0], 30)
    gate.change("gate", interface=["s1", "s0"], xdp_mode="generic")
    t.equal("reload with s0, generic", gate.sluice("reload").returncode, 0)
    t.equal("interfaces", shape(gate), {"s0": (True, "generic"), "s1": (True, "generic")})
    served.finish()


@scenario(limit=40)
def test_instances(t):
    """Two instances side by side: limits, counters, tiers and ends of their own"""
    net = Net(links=2)
    served = sink(net)
    one = Gate(net, limits("1/s", 4, retry=0), name="one", interfaces=("s0",))
    two = Gate(net, limits("10/s", 20, retry=0), name="two", interfaces=("s1",))
    one.start()
    two.start()
    for gate, link, rate, burst in ((one, 0, 1, 4), (two, 1, 10, 20)):
        sniffer = Sniffer(net, link)
        first, last, sent = spoof(net, flood(t.rng, 100, 3, lambda n: source_v4(n, link)),
                                  server_v4(link), link).result()
        may = rate * (last - first) + burst
        got = len(syn_acks(sniffer.finish()))
        t.between(f"{gate.name}: let in of {sent}", got, may - 1.5, may + 1)
        t.equal(f"{gate.name}: counted", gate.reasons()["admitted"], got)
    t.equal("one: sluice tier refuse", one.sluice("tier", "refuse").returncode, 0)
    (a,) = connect_now(net, [source_v4(1, 0)], server_v4(0), patience=1)
    (b,) = connect_now(net, [source_v4(1, 1)], server_v4(1), patience=1)
    t.equal("one refuses, two serves", (a.error, b.error), ("ECONNREFUSED", None))
    t.equal("one: sluice detach", one.sluice("detach").returncode, 0)
    t.check(filter_gone(net, "s0") and xdp_on(net, "s1"), "only the filter of one is off")
    t.equal("two: answers", two.status()["instance"], "two")
    served.finish()


def send_much(source, server, megabytes):
    """One session that sends so much; returns what the server said at its end."""
    with socket.socket() as s:
        s.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
        s.bind((source, 0))
        s.settimeout(10)
        s.connect((server, 25))
        banner = s.recv(100)
        for _ in range(megabytes):
            s.sendall(bytes(1 << 20))
        s.shutdown(socket.SHUT_WR)
        while s.recv(65536):
            pass
        return banner


@scenario(limit=40)
def test_jumbo(t):
    """MTU 9000: native XDP where the kernel has frames in several buffers; SYNs are judged as ever"""
    net = Net()
    for fd in net.held:  # a program that knows of one buffer only holds the MTU down
        os.close(fd)
    try:
        for namespace, device in ((net.client, "c0"), (net.server, "s0")):
            ip(namespace, f"link set {device} mtu 9000")
    except RuntimeError as why:
        raise Skip(f"no jumbo frames on veth here: {why}")
    served = sink(net)
    gate = Gate(net, limits("1/s", 8, retry=0), xdp_mode="auto")
    gate.start()
    if tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 2):
        t.equal("interfaces", shape(gate), {"s0": (True, "native")})
    t.equal("a mail of 8 MB gets through", within(net.client, send_much, source_v4(1), server_v4(), 8),
            b"220 sink\r\n")
    let_in = waves(connect_now(net, [source_v4(n) for n in range(20)], server_v4(),
                               patience=0.3))[0]
    t.between("let in of 20, seven are left of the burst", let_in, 7, 9)
    ip(net.client, "link set c0 mtu 1500")
    ip(net.server, "link set s0 mtu 1500")
    t.equal("still attached", shape(gate)["s0"][0], True)
    served.finish()
