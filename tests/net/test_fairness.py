# SPDX-License-Identifier: GPL-2.0-or-later
"""While all together are pressed, nobody's newcomers get more than one interval ahead."""

from lib.clients import connect_now, waves
from lib.frames import Sniffer, flood, spoof, syn_acks
from lib.gate import NO_SUBNET, REST, Gate, limits
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4, server_v6, source_v4, source_v6

BURST, SOURCE_BURST, NEWCOMERS = 300, 20, 15
# All hosts of one /64 are one source.
GREEDY = (("IPv4", "198.18.120.7", lambda n: "198.18.120.7", server_v4(), source_v4),
          ("IPv6", "2001:db8:9000::/64", lambda n: f"2001:db8:9000::{1 + n:x}", server_v6(),
           source_v6))


def greedy(t, net, source, server, seconds):
    """20 SYN/s of one source that never retransmits. Returns (let in, seconds)."""
    sniffer = Sniffer(net)
    first, last, _ = spoof(net, flood(t.rng, 20, seconds, source), server).result()
    return len(syn_acks(sniffer.finish())), last - first


@scenario(limit=60)
def test_fairness(t):
    """Under pressure a greedy source gets its rate and no burst; newcomers get in beside it"""
    net = Net()
    served = sink(net)
    # At 1/s the global word hardly drains while this runs: the pressure stays where it is put.
    gate = Gate(net, limits("1/s", BURST, retry=0, known=0) | NO_SUBNET | REST
                | {"source-rate": "60/min", "source-burst": SOURCE_BURST})
    gate.start()
    for family, name, source, server, _ in GREEDY:
        got, span = greedy(t, net, lambda n: source(n).replace(".120.", ".121.")
                           .replace(":9000:", ":9001:"), server, 4)
        t.between(f"{family}, no pressure: one source like {name} let in in {span:.1f} s", got,
                  SOURCE_BURST + span - 1.5, SOURCE_BURST + span + 1)
    t.equal("pressure", gate.status()["bucket"]["pressure"], False)
    spoof(net, flood(t.rng, 400, 0.5, lambda n: f"198.18.{100 + n % 10}.{1 + n // 10}"),
          server_v4()).result()
    bucket = gate.status()["bucket"]
    t.must(bucket["pressure"], f"pressure, the bucket owes {bucket['debt_ms'] / 1000:.0f} of "
                               f"{bucket['burst_ms'] / 1000:.0f} s")
    for family, name, source, server, newcomer in GREEDY:
        sniffer = Sniffer(net)
        storm = spoof(net, flood(t.rng, 20, 6, source), server)
        # First SYNs of newcomers, while the greedy one is at it.
        through = 0
        for n in range(NEWCOMERS):
            through += waves(connect_now(net, [newcomer(n)], server, patience=0.9))[0]
        first, last, sent = storm.result()
        mine = [s for s in syn_acks(sniffer.finish()) if s.address.startswith(name.split("/")[0])]
        span = last - first
        # It may owe one interval before a SYN, so at most two at once, then its rate.
        t.between(f"{family}, pressure: {name} let in of {sent} in {span:.1f} s", len(mine),
                  span - 0.5, span + 2 + 0.1)
        t.equal(f"{family}, pressure: newcomers through at once", through, NEWCOMERS)
    bucket = gate.status()["bucket"]
    t.check(bucket["pressure"] and bucket["debt_ms"] < bucket["burst_ms"],
            f"pressure to the end, the bucket owes {bucket['debt_ms'] / 1000:.0f} s")
    reasons = gate.reasons()
    t.check(set(reasons) == {"admitted", "source-rate"}, f"reasons: {reasons}")
    served.finish()
