# SPDX-License-Identifier: GPL-2.0-or-later
"""Copies of an admitted SYN: what TCP itself sends passes, a flood of them does not."""


from lib.frames import Sniffer, Syn, spoof, syn_acks
from lib.gate import Gate, limits
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4, server_v6, source_v4, source_v6

FAMILIES = (("IPv4", source_v4, server_v4()), ("IPv6", source_v6, server_v6()))


@scenario(limit=40)
def test_retransmit(t):
    """The retransmits of an admitted SYN pass, free of charge, when no newcomer can"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("6/min", 3, retry=0))
    gate.start()
    for family, source, server in FAMILIES:
        sniffer = Sniffer(net)
        isn = t.rng.getrandbits(32)
        before = gate.reasons()
        others = [Syn(0.01, source(n), 5000, t.rng.getrandbits(32)) for n in range(1, 20)]
        ours = [Syn(s, source(0), 4000, isn) for s in (0, 1.02, 2.05, 3.07)]
        spoof(net, sorted(ours + others), server).result()
        reasons = gate.reasons()
        seen = [s for s in syn_acks(sniffer.finish()) if s.port == 4000]
        t.equal(f"{family}: SYN-ACKs to the SYN and three retransmits", len(seen), 4)
        t.equal(f"{family}: for", {s.ack for s in seen}, {(isn + 1) & 0xFFFFFFFF})
        t.equal(f"{family}: counted as retransmits",
                reasons.get("retransmit", 0) - before.get("retransmit", 0), 3)
        t.equal(f"{family}: of 19 others let in",
                reasons["admitted"] - before.get("admitted", 0) - 1, 2)
        gate.end()
        gate.sluice("detach")
        gate.start()
    served.finish()


@scenario(limit=40)
def test_replay(t):
    """1000 copies of an admitted SYN in 5 s: at most 10 pass"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("1000/s", 1000))
    gate.start()
    for family, source, server in FAMILIES:
        sniffer = Sniffer(net)
        isn = t.rng.getrandbits(32)
        before = gate.reasons()
        times = sorted(t.rng.uniform(0.01, 5) for _ in range(1000))
        spoof(net, [Syn(s, source(0), 4000, isn) for s in (0, *times)], server).result()
        reasons = gate.reasons()
        copies = reasons["retransmit"] - before.get("retransmit", 0)
        t.equal(f"{family}: admitted", reasons["admitted"] - before.get("admitted", 0), 1)
        t.between(f"{family}: copies that passed", copies, 8, 10)
        t.equal(f"{family}: dropped", reasons["replay"] - before.get("replay", 0), 1000 - copies)
        t.equal(f"{family}: SYN-ACKs seen on the wire", len(syn_acks(sniffer.finish())), 1 + copies)
    served.finish()
