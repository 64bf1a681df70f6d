# SPDX-License-Identifier: GPL-2.0-or-later
"""Whoever has waited goes before a newcomer: what retry-burst is for.

Clients and gate share one kernel here, so the clients' timers fire with the very tick that moves
the gate's clock: a retransmit comes first after a refill far more often than it would from another
machine, and without seniority about four in ten get in by that alone. So the figures are also
taken from senders off the tick: frames built by hand, at the times when the kernel would send them.
"""

from lib.clients import clients, syn_times, waves
from lib.frames import Sniffer, Syn, flood, spoof, syn_acks
from lib.gate import NO_SUBNET, REST, Gate, limits
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4

SECONDS, RATE, PATIENCE = 90, 0.5, 20
COUNT = int(SECONDS * RATE)
GOOD = 4  # /24s where nobody spoofs


def good_source(n, host, link):
    return f"198.18.{link * 128 + n % GOOD}.{host}"


def spoofed(rng, link):
    return lambda _: f"198.18.{link * 128 + rng.randrange(GOOD, 127)}.{rng.randrange(1, 255)}"


def arrivals(rng):
    """Poisson arrivals, given how many: uniform. The first second of the storm takes the burst."""
    return sorted(1 + rng.uniform(0, SECONDS) for _ in range(COUNT))


class Pressed:
    """A gate in a storm, kernel clients and senders off the tick beside it."""

    def __init__(self, t, net, link, retry):
        self.retry, rng = retry, t.rng
        self.gate = Gate(net, limits("15/s", 60, retry=retry, known=200)
                         | NO_SUBNET | REST
                         | {"source-rate": "60/min", "source-burst": 5},
                         name=f"retry{retry}", interfaces=(f"s{link}",))
        self.gate.start()
        self.hand_made = [Syn(s, good_source(n, 26, link), 2000 + n, rng.getrandbits(32))
                          for n, s in enumerate(arrivals(rng))]
        sent = [Syn(s.seconds + late, *s[1:]) for s in self.hand_made
                for late in syn_times() if late <= PATIENCE]
        plan = [(s, good_source(n, 25, link), 0) for n, s in enumerate(arrivals(rng))]
        self.sniffer = Sniffer(net, link)
        self.storm = spoof(net, flood(rng, 1000, SECONDS + PATIENCE + 2, spoofed(rng, link)),
                           server_v4(link), link)
        self.off_tick = spoof(net, sorted(sent), server_v4(link), link)
        self.clients = clients(net, plan, server_v4(link), patience=PATIENCE)

    def finish(self):
        self.attempts = self.clients.result()
        self.off_tick.result()
        self.first, self.last, self.sent = self.storm.result()
        answered = {(s.address, s.port, s.ack) for s in syn_acks(self.sniffer.finish())}
        self.by_client = sum(a.connected is not None for a in self.attempts)
        self.by_hand = sum((s.source, s.port, (s.isn + 1) & 0xFFFFFFFF) in answered
                           for s in self.hand_made)


@scenario(limit=160)
def test_seniority(t):
    """An unknown sender beside 1,000 spoofed SYN/s gets in with retry-burst, and not without"""
    net = Net(links=2)
    served = sink(net)
    both = [Pressed(t, net, link, retry) for link, retry in ((0, 100), (1, 0))]
    for p in reversed(both):  # a later child holds the stop pipes of earlier ones
        p.finish()
    for p in both:
        what = f"retry-burst {p.retry}: through within {PATIENCE} s of {COUNT}"
        if p.retry:
            t.between(f"{what} kernel clients", p.by_client, 0.9 * COUNT, COUNT)
            t.between(f"{what} off the tick", p.by_hand, 0.9 * COUNT, COUNT)
        else:
            t.between(f"{what} off the tick", p.by_hand, 0, 0.4 * COUNT)
            t.note(f"{what} kernel clients: {p.by_client}")
        t.note(f"clients by SYN, first, second, ... retransmit: {waves(p.attempts)}")
        may = 15 * (p.last - p.first) + 60
        t.between(f"retry-burst {p.retry}: admitted of {p.sent} spoofed and theirs",
                  p.gate.reasons()["admitted"], 0.97 * may, may + p.retry + 2)
        rate = p.sent / (p.last - p.first)
        t.check(rate > 950, f"the storm was {rate:.0f} SYN/s")
    served.finish()
