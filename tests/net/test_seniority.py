# SPDX-License-Identifier: GPL-2.0-or-later
"""Whoever has waited goes before a newcomer: what retry-burst is for."""

from lib.clients import clients, waves
from lib.frames import flood, spoof
from lib.gate import BUDGETS, NO_SUBNET, NO_TRUSTED, Gate, limits
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4

SECONDS, RATE, PATIENCE = 100, 0.5, 20
GOOD = 4  # senders share the 0.5/s, each in a /24 where nobody spoofs


def good_source(n, link):
    return f"198.18.{link * 128 + n}.25"


def spoofed(rng, link):
    return lambda _: f"198.18.{link * 128 + rng.randrange(GOOD, 127)}.{rng.randrange(1, 255)}"


@scenario(limit=160)
def test_seniority(t):
    """An unknown sender beside 1,000 spoofed SYN/s gets in with retry-burst, and not without"""
    net = Net(links=2)
    served = sink(net)
    source = {"source-rate": "60/min", "source-burst": 5}
    # Poisson arrivals, given how many there are: independent uniform times.
    count = int(SECONDS * RATE)
    times = sorted(t.rng.uniform(0, SECONDS) for _ in range(count))
    running = []
    for link, retry in ((0, 100), (1, 0)):
        gate = Gate(net, limits("15/s", 60, retry=retry, known=200)
                    | NO_SUBNET | NO_TRUSTED | BUDGETS | source,
                    name=f"retry{retry}", interfaces=(f"s{link}",))
        gate.start()
        storm = spoof(net, flood(t.rng, 1000, SECONDS + PATIENCE + 3, spoofed(t.rng, link)),
                      server_v4(link), link)
        # The first second of the storm takes the burst: no attempt before it is over.
        plan = [(1 + s, good_source(n % GOOD, link), 0) for n, s in enumerate(times)]
        good = clients(net, plan, server_v4(link), patience=PATIENCE)
        running.append((gate, retry, storm, good))
    for gate, retry, storm, good in running:
        attempts = good.result()
        first, last, sent = storm.result()
        within = sum(a.connected is not None and a.wait <= PATIENCE for a in attempts)
        admitted = gate.reasons()["admitted"]
        what = f"retry-burst {retry}: of {count} attempts through within {PATIENCE} s"
        if retry:
            t.between(what, within, 0.9 * count, count)
        else:
            t.between(what, within, 0, 0.4 * count - 1)
        t.note(f"through with the SYN, its first, second, ... retransmit: {waves(attempts)}")
        t.between(f"retry-burst {retry}: admitted of {sent} spoofed and theirs", admitted,
                  0.97 * (15 * (last - first) + 60), 15 * (last - first) + 60 + retry + 2)
        t.check(sent / (last - first) > 950, f"the storm was {sent / (last - first):.0f} SYN/s")
    served.finish()
