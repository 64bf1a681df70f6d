# SPDX-License-Identifier: GPL-2.0-or-later
"""Known senders, from the kernel's sockets to the gate: who is learned, by what, and for how long."""

import json
import os
import socket
import time

from lib import kernel
from lib.child import enter
from lib.clients import connect_now
from lib.frames import flood, spoof
from lib.gate import Gate, limits, write
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4, server_v6, source_v4, source_v6

KNOWN_FILE = "/var/lib/sluice/default/known"
OPEN = dict(rate="1000/s", burst=1000, retry=100, known=100)


def deliver(net, source, server, size, reset=False):
    """One session that sends so many bytes, and ends in order or by RST."""
    back = os.open("/proc/self/ns/net", os.O_RDONLY)
    enter(net.client)
    s = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET)
    kernel.setns(back)
    os.close(back)
    s.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
    s.settimeout(10)
    s.bind((source, 0))
    s.connect((server, 25))
    s.recv(100)
    s.sendall(b"x" * size)
    s.recv(100)
    if reset:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    else:
        s.shutdown(socket.SHUT_WR)
        while s.recv(4096):  # what is unread at the close would make it an RST
            pass
    s.close()


def known(gate):
    done = gate.sluice("--json", "known", "list")
    return {s["source"].split("/")[0]: s["state"] for s in json.loads(done.stdout)["sources"]}


def wait_known(gate, source, state, timeout=5):
    end = time.monotonic() + timeout
    while known(gate).get(source) != state and time.monotonic() < end:
        time.sleep(0.1)
    return known(gate).get(source)


def gate_of(net, days, **limit):
    gate = Gate(net, limits(**(OPEN | limit)))
    gate.sections["known"] = {"known-days": days}
    gate.write_config()
    return gate


def passes(net, source, server):
    return connect_now(net, [source], server, patience=0.6, end=0.8)[0].banner is not None


@scenario(limit=60)
def test_known_learned(t):
    """A session of known-bytes that ends in order teaches; a short, a broken one, a SYN do not"""
    net = Net()
    served = sink(net)
    gate = gate_of(net, days=1)
    gate.start()
    for family, source, server in (("IPv4", source_v4, server_v4()),
                                   ("IPv6", lambda n: source_v6(n)[:-1], server_v6())):
        full = source if family == "IPv4" else source_v6
        deliver(net, full(1), server, 5000)
        deliver(net, full(2), server, 4000)
        deliver(net, full(3), server, 5000, reset=True)
        t.equal(f"{family}: 5,000 bytes, in order", wait_known(gate, source(1), "known"), "known")
        t.equal(f"{family}: 4,000 bytes", known(gate).get(source(2)), None)
        t.equal(f"{family}: 5,000 bytes, by RST", known(gate).get(source(3)), None)
    spoof(net, flood(t.rng, 200, 2, lambda n: f"198.18.{n % 100}.77"), server_v4()).result()
    t.equal("by spoofed SYNs nobody more", len(known(gate)), 2)
    # The gate knows: the bucket is drained for everybody else.
    gate.change("limits", connection_rate="1/min", connection_burst=3, known_burst=50)
    t.equal("reload", gate.sluice("reload").returncode, 0)
    for n in range(10, 14):
        passes(net, source_v4(n), server_v4())
    t.equal("a stranger", passes(net, source_v4(20), server_v4()), False)
    time.sleep(1.1)
    t.equal("the one that is known", passes(net, source_v4(1), server_v4()), True)
    t.equal("marked bad", gate.sluice("known", "mark", "bad", source_v4(1)).returncode, 0)
    time.sleep(0.2)
    t.equal("and marked bad", passes(net, source_v4(1), server_v4()), False)
    served.finish()


@scenario(limit=60)
def test_known_storm(t):
    """What begins under pressure teaches nothing of strangers, but counts for candidates"""
    net = Net()
    served = sink(net)
    gate = gate_of(net, days=2, rate="10/s", burst=40, known=100)
    gate.start()
    deliver(net, source_v4(1), server_v4(), 5000)
    t.equal("one day of two", wait_known(gate, source_v4(1), "candidate"), "candidate")
    pressing = spoof(net, flood(t.rng, 100, 4, lambda n: f"198.18.{n % 120}.99"), server_v4())
    gate.wait_for("pressure", lambda s: s["bucket"]["pressure"])
    deliver(net, source_v4(2), server_v4(), 5000)
    gate.sluice("tier", "delay")
    deliver(net, source_v4(3), server_v4(), 5000)
    pressing.result()
    time.sleep(1.2)
    t.equal("strangers of the storm", [known(gate).get(source_v4(n)) for n in (2, 3)],
            [None, None])
    t.equal("the candidate", known(gate).get(source_v4(1)), "candidate")
    status = gate.status()["known"]
    t.check(status["pressed"] >= 2, f"good sessions of strangers not counted: {status}")
    served.finish()


@scenario(limit=90)
def test_known_kept(t):
    """Known senders outlive a restart; a damaged, truncated or huge file is set aside and named"""
    net = Net()
    served = sink(net)
    gate = gate_of(net, days=1, rate="1/min", burst=3)
    gate.start()
    listed = write("senders", "".join(f"{source_v4(n)}\n" for n in range(50)))
    t.equal("known add FILE", gate.sluice("known", "add", listed).returncode, 0)
    t.equal("SIGTERM", gate.end(), 0)
    t.equal("the file's mode", oct(os.stat(KNOWN_FILE).st_mode & 0o777), "0o644")
    with open(KNOWN_FILE, "rb") as f:
        whole = f.read()
    gate.start()
    t.equal("known after a restart", len(known(gate)), 50)
    for n in range(60, 64):
        passes(net, source_v4(n), server_v4())
    t.equal("and so the gate treats them", [passes(net, source_v4(n), server_v4())
                                             for n in (7, 70)], [True, False])
    for what, content in (("truncated", whole[:-40]),
                          ("damaged", whole.replace(b"198.18.7.", b"198.18.8.", 1)),
                          ("of a newer version", whole.replace(b" 1 ", b" 9 ", 1)),
                          ("huge", whole + b"x" * (64 << 20)), ("empty", b"")):
        gate.end()
        with open(KNOWN_FILE, "wb") as f:
            f.write(content)
        gate.start()
        log = gate.log().splitlines()
        said = [line for line in log if "known" in line][-1:]
        t.equal(f"{what}: nobody is known", known(gate), {})
        t.check(said and "damaged-" in said[0], f"{what}: {said}")
        t.check(os.path.exists(KNOWN_FILE) is False, f"{what}: it was set aside")
        t.check(gate.status()["known"]["problem"], f"{what}: status says so")
    aside = [f for f in os.listdir(os.path.dirname(KNOWN_FILE)) if "damaged" in f]
    t.between("kept for a look", len(aside), 1, 3)
    served.finish()
