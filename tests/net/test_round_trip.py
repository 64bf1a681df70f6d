# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients that are a round trip away: nothing is counted twice, or not at all, while they come."""

import time

from lib.clients import clients, connect_now
from lib.distance import far_away
from lib.frames import flood, spoof
from lib.gate import OPEN, Gate, limits
from lib.scenario import scenario
from lib.sink import sink, slow_sink
from lib.topology import Net, ip, server_v4, source_v4, tcp_counters

WIDE = dict(rate="1000/s", burst=1000, retry=100, known=100)
WATCHED = ("ListenOverflows", "ListenDrops", "SyncookiesSent")


def grown(net, before):
    after = tcp_counters(net.server)
    return {name: after[name] - before[name] for name in WATCHED}


def most_at_once(attempts, stay):
    """Of clients that stay so long after their banner: how many had a session at a time."""
    moments = [(a.connected, 1) for a in attempts if a.connected is not None]
    moments += [(a.banner + stay, -1) for a in attempts if a.banner is not None]
    now = most = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


def spoofed_storm(t, net, rate, seconds):
    """SYNs of addresses that nobody answers for, at a rate that the gate lets in."""
    ip(net.server, "route replace 203.0.113.0/24 via 198.19.255.2 dev s0")
    return spoof(net, flood(t.rng, rate, seconds, lambda n: f"203.0.113.{n % 250 + 1}"),
                 server_v4())


@scenario(limit=60)
def test_far_sessions(t):
    """110 connects at once, 100 ms away, 20 slots: never more than 20 sessions; all are served"""
    net = Net()
    far_away(net, 100)
    served = sink(net)
    gate = Gate(net, limits(**WIDE, max_sessions=20, known_share=0))
    gate.start()
    attempts = clients(net, [(0, source_v4(n), 0.2) for n in range(110)], server_v4(),
                       patience=30, end=31).result()
    most = most_at_once(attempts, 0.2)
    t.check(15 <= most <= 22, f"sessions at a time: {most} of 20")
    t.check(gate.reasons().get("sessions", 0) > 0, f"some waited: {gate.reasons()}")
    refused = sum(a.error == "ECONNREFUSED" for a in attempts)
    t.check(refused == 0 or refused < 60, f"refused: {refused}")
    served.finish()


@scenario(limit=60)
def test_far_source(t):
    """60 connects of one source at once, 100 ms away, 3 sessions each: 3, and 2 of another's 2"""
    net = Net()
    far_away(net, 100)
    served = sink(net)
    gate = Gate(net, limits(**WIDE, max_sessions_per_source=3))
    gate.start()
    plan = [(0, source_v4(1), 9)] * 60 + [(0.01, source_v4(2), 9)] * 2
    attempts = clients(net, plan, server_v4(), patience=3, end=6).result()
    t.equal("sessions of the one", sum(a.banner is not None for a in attempts[:60]), 3)
    t.equal("sessions of the other", sum(a.banner is not None for a in attempts[60:]), 2)
    served.finish()


@scenario(limit=60)
def test_far_source_held(t):
    """The same where most would be held: not more of one source wait than it may hold"""
    net = Net()
    far_away(net, 50)
    served = sink(net)
    gate = Gate(net, limits("20/s", 5, retry=0, max_sessions_per_source=3, pace_horizon="3s"))
    gate.start()
    attempts = clients(net, [(n / 1000, source_v4(1 + n % 4), 9) for n in range(60)], server_v4(),
                       patience=4, end=8).result()
    of = [sum(a.banner is not None for a in attempts[n::4]) for n in range(4)]
    t.equal("sessions of each of four", of, [3] * 4)
    t.check(gate.status()["hold"]["held"] > 0, "some were held")
    served.finish()


@scenario(limit=60)
def test_far_sessions_held(t):
    """Those who are held count for the slots that they will take"""
    net = Net()
    far_away(net, 50)
    served = sink(net)
    gate = Gate(net, limits("20/s", 10, retry=0, max_sessions=20, known_share=0,
                            pace_horizon="5s"))
    gate.start()
    attempts = clients(net, [(n / 1000, source_v4(n), 9) for n in range(110)], server_v4(),
                       patience=5, end=9).result()
    most = most_at_once(attempts, 9)
    t.check(18 <= most <= 22, f"sessions at a time: {most} of 20")
    t.check(gate.status()["hold"]["held"] > 0, "some were held")
    served.finish()


def burst_within(t, net, rate, burst, what):
    """A burst of clients while spoofed SYNs fill the requests. Returns (banners, hang)."""
    before = tcp_counters(net.server)
    storm = spoofed_storm(t, net, rate, 32)
    while grown(net, before)["SyncookiesSent"] < 10:
        time.sleep(0.05)
    before = tcp_counters(net.server)
    attempts = connect_now(net, [source_v4(n) for n in range(burst)], server_v4(), patience=20,
                           end=21)
    waits = sorted(a.banner - a.syn for a in attempts if a.banner is not None)
    hang = sum(a.connected is not None and a.banner is None for a in attempts)
    t.note(f"{what}: {len(waits)} banners of {burst}, {sum(w < 10 for w in waits)} within 10 s, "
           f"{hang} hang; {grown(net, before)}")
    storm.result()
    return len(waits), hang


def cookies(t, backlog, pause, rate, burst, gate_limits):
    """The same without and with Sluice. Returns ((banners, hang), (banners, hang))."""
    net = Net()
    far_away(net, 50)
    served = slow_sink(net, backlog, pause)
    without = burst_within(t, net, rate, burst, "without Sluice")
    served.finish()
    served = slow_sink(net, backlog, pause)
    gate = Gate(net, gate_limits)
    gate.start()
    gated = burst_within(t, net, rate, burst, "with Sluice")
    t.note(f"{gate.reasons()} {gate.status()['accept_queue']}")
    served.finish()
    return without, gated


@scenario(limit=150)
def test_cookies_short(t):
    """Backlog 10, spoofed 40/s let in, 60 connects 50 ms away: hardly one hangs; no fewer served"""
    (banners, hang), (with_banners, with_hang) = cookies(t, 10, 0.005, 40, 60, OPEN)
    t.check(hang > 5, f"without Sluice some hang: {hang}")
    t.check(with_hang <= 2, f"with it: {with_hang}")
    t.check(with_banners >= banners, f"served: {with_banners}, without {banners}")


@scenario(limit=150)
def test_cookies_long(t):
    """Backlog 100, spoofed 60/s let in, 200 connects 50 ms away: hardly one hangs"""
    wide = limits("100/s", 400, retry=400, known=400)
    (banners, hang), (with_banners, with_hang) = cookies(t, 100, 0.01, 60, 200, wide)
    t.check(with_hang <= 4, f"hang: {with_hang}, without {hang}")
    t.check(with_banners >= banners, f"served: {with_banners}, without {banners}")


@scenario(limit=120)
def test_no_backlog(t):
    """listen(0), listen(1): the kernel has cookies only; of 4 and 6 at once none hangs"""
    net = Net()
    gate = Gate(net, limits(**WIDE))
    gate.start()
    for away in (0, 30):
        for backlog, count in ((0, 4), (0, 4), (0, 4), (1, 6), (1, 6)):
            served = slow_sink(net, backlog, 0.005)
            attempts = connect_now(net, [source_v4(n) for n in range(count)], server_v4(),
                                   patience=15, end=16)
            banners = sum(a.banner is not None for a in attempts)
            t.equal(f"{away} ms away, backlog {backlog}: banners", banners, count)
            served.finish()
        if not away:
            far_away(net, 30)
