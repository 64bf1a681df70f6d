# SPDX-License-Identifier: GPL-2.0-or-later
"""The accept queue: nobody is let in whom the kernel would drop, or leave hanging by a cookie."""

from lib.clients import clients, connect_now
from lib.gate import OPEN, Gate, limits, write
from lib.scenario import scenario
from lib.sink import slow_sink
from lib.topology import Net, ip, server_v4, server_v6, source_v4, source_v6, tcp_counters
from lib.torrent import torrent

BURST, BACKLOG, PAUSE = 60, 10, 0.005
WATCHED = ("ListenOverflows", "ListenDrops", "SyncookiesSent")


def grown(net, before):
    after = tcp_counters(net.server)
    return {name: after[name] - before[name] for name in WATCHED}


def burst(t, net, what, sources, server):
    """60 connects at once against a queue of 10. Returns the longest wait for a banner."""
    before = tcp_counters(net.server)
    attempts = connect_now(net, sources, server, patience=30, end=31)
    waits = sorted(a.banner - a.syn for a in attempts if a.banner is not None)
    t.note(f"{what}: {len(waits)} banners, the last after {waits[-1] if waits else 0:.1f} s, "
           f"{grown(net, before)}")
    return waits, grown(net, before)


@scenario(limit=150)
def test_backlog(t):
    """Backlog 10, burst of 60: no overflow, no cookie, every banner within 10 s; 4 listeners"""
    net = Net()
    for what, hosts, source, server in (
            ("IPv4, dual-stack listener", ("::",), source_v4, server_v4()),
            ("IPv6, dual-stack listener", ("::",), source_v6, server_v6()),
            ("IPv4, listener of its own", ("0.0.0.0",), source_v4, server_v4()),
            ("IPv4, two listeners that share the port", ("0.0.0.0",) * 2, source_v4, server_v4())):
        served = slow_sink(net, BACKLOG, PAUSE, hosts)
        sources = [source(n) for n in range(BURST)]
        if what.startswith("IPv4, dual"):
            waits, seen = burst(t, net, "without Sluice", sources, server)
            t.check(len(waits) < BURST and sum(seen.values()) > 0,
                    f"without Sluice some hang: {BURST - len(waits)} of {BURST}")
            served.finish()
            served = slow_sink(net, BACKLOG, PAUSE, hosts)
        gate = Gate(net, OPEN)
        gate.start()
        waits, seen = burst(t, net, what, sources, server)
        t.equal(f"{what}: banners", len(waits), BURST)
        t.check(waits and waits[-1] < 10, f"{what}: the last within 10 s")
        t.equal(f"{what}: dropped by the kernel, or by cookie", seen, dict.fromkeys(WATCHED, 0))
        t.check(gate.reasons().get("backlog", 0) > 0, f"{what}: some waited for the queue")
        gate.end()
        gate.sluice("detach")
        served.finish()


@scenario(limit=30)
def test_no_listener(t):
    """No listener to be found: the gate has no opinion, and the kernel's own RST goes out"""
    net = Net()
    gate = Gate(net, OPEN)
    gate.start()
    attempts = connect_now(net, [source_v4(n) for n in range(20)], server_v4(), patience=3, end=4)
    t.equal("refused by the kernel", sum(a.error == "ECONNREFUSED" for a in attempts), 20)
    t.equal("judged", gate.reasons(), {"admitted": 20})
    status = gate.status()
    t.equal("listeners", status["accept_queue"]["listeners"], 0)
    t.check(status["accept_queue"]["asked"], "accept queues are asked here")


@scenario(limit=60)
def test_backlog_held(t):
    """Those who are held count for the queue that they will meet: none of them overflows it"""
    net = Net()
    served = slow_sink(net, BACKLOG, 0.5)
    gate = Gate(net, limits("40/s", 4, retry=100, pace_horizon="2s"))
    gate.start()
    before = tcp_counters(net.server)
    # All are there before the first that is held leaves: nothing is in the queue yet.
    attempts = clients(net, [(n * 0.001, source_v4(n), 0) for n in range(25)], server_v4(),
                       patience=30, end=31).result()
    waits = sorted(a.banner - a.syn for a in attempts if a.banner is not None)
    t.equal("dropped by the kernel, or by cookie", grown(net, before), dict.fromkeys(WATCHED, 0))
    t.check(gate.status()["hold"]["held"] > 0, "some were held")
    t.check(gate.reasons().get("backlog", 0) > 0, "others deferred, as the queue would be full")
    t.equal("banners within 30 s at 2/s", len(waits), 25)
    served.finish()


@scenario(limit=60)
def test_backlog_held_and_known(t):
    """Known senders find the places taken that those have who are still held"""
    net = Net()
    served = slow_sink(net, BACKLOG, 0.5)
    known = write("known", "198.18.50.0/24\n")
    gate = Gate(net, limits("10/s", 3, retry=100, known=100, pace_horizon="800ms"),
                classes={"known": known})
    gate.start()
    before = tcp_counters(net.server)
    plan = [(0, source_v4(n), 0) for n in range(6)]
    plan += [(0.05 + n * 0.001, f"198.18.50.{n + 1}", 0) for n in range(14)]
    attempts = clients(net, plan, server_v4(), patience=30, end=31).result()
    t.equal("dropped by the kernel, or by cookie", grown(net, before), dict.fromkeys(WATCHED, 0))
    t.check(gate.status()["hold"]["held"] > 0, "some were held")
    t.equal("banners within 30 s at 2/s", sum(a.banner is not None for a in attempts), 20)
    served.finish()


@scenario(limit=40)
def test_backlog_elsewhere(t):
    """A flood to an address where nobody listens fills the waiting room, and no accept queue"""
    net = Net()
    nobody = server_v4()[:-1] + "9"
    ip(net.server, f"addr add {nobody}/24 dev s0")
    served = slow_sink(net, BACKLOG, PAUSE, (server_v4(),))
    gate = Gate(net, limits("200/s", 20, retry=100, known=100, pace_horizon="500ms"),
                classes={"known": write("known", f"{source_v4(0)}/32\n")})
    gate.start()
    flood = torrent(net, [source_v4(n) for n in range(20, 120)], nobody, 8)
    gate.wait_for("the room is full", lambda s: s["hold"]["waiting"] > 3 * BACKLOG)
    attempts = connect_now(net, [source_v4(0)] * 5, server_v4(), patience=4, end=5)
    t.check(gate.status()["hold"]["waiting"] > 3 * BACKLOG, "and still is")
    t.between("of a known sender's 5 connects served",
              sum(a.banner is not None for a in attempts), 5, 5)
    t.equal("deferred for the queue", gate.reasons().get("backlog", 0), 0)
    flood.finish()
    served.finish()
