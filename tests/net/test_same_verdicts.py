# SPDX-License-Identifier: GPL-2.0-or-later
"""Monitor judges exactly as enforce does."""

from lib.frames import Sniffer, Syn, resets, syn_acks
from lib.gate import BUDGETS, Gate, limits, write
from lib.links import copies, spoof_alike
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4, server_v6

# The n-th /24 or /48 of a link, by class.
CLASSES = {"trusted": 1, "known": 2, "throttled": 3, "blocked": 4}
UNKNOWN = (10, 120)
KINDS = ("trusted", "known", "throttled", "blocked", "unknown", "unknown", "unknown", "unknown")
TIERS = ("normal", "delay", "queue", "refuse", "delay,queue")
SECONDS, RATE = 4, 250


def v4(number, link):
    net, host = divmod(number, 256)
    return f"198.18.{link * 128 + net}.{host}"


def v6(number, link):
    net, host = divmod(number, 256)
    return f"2001:db8:{0x8000 + link * 0x4000 + net:x}:{host:x}::25"


def class_files(link):
    return {name: write(f"{name}{link}", f"{v4(n * 256, link)}/24\n"
                                         f"{v6(n * 256, link).split(':0:')[0]}::/48\n")
            for name, n in CLASSES.items()}


def number_of(rng):
    kind = rng.choice(KINDS)
    net = CLASSES.get(kind) or rng.randrange(*UNKNOWN)
    return net * 256 + rng.randrange(1, 8)


def schedule(rng):
    """Poisson SYNs of all classes; every fourth has copies as a client's retransmits."""
    t, once, again = 0.0, [], []
    while True:
        t += rng.expovariate(RATE)
        if t >= SECONDS:
            return sorted(once + copies(again, (1.02, 2.05)))
        syn = Syn(t, number_of(rng), rng.randrange(1024, 65536), rng.getrandbits(32))
        (again if rng.random() < 0.25 else once).append(syn)


def counted(gate):
    """Judged SYNs by reason and verdict, whatever the mode."""
    gate.reasons()  # waits for what is under way
    count = {}
    for r in gate.status()["reasons"]:
        key = f"{r['reason']}/{r['verdict']}"
        count[key] = count.get(key, 0) + r["count"]
    return count


def since(gate, before):
    return {k: v - before.get(k, 0) for k, v in counted(gate).items() if v > before.get(k, 0)}


def compare(t, what, one, two):
    """Within 5 %, or 30 SYNs: a tick of the gates' clock can fall between a frame and its twin, and
    a change of tier does not reach both at the same frame; what a source lost then is counted on."""
    for key in sorted(set(one) | set(two)):
        a, b = one.get(key, 0), two.get(key, 0)
        t.check(abs(a - b) <= max(30, 0.05 * max(a, b)), f"{what}: {key}: monitor {a}, enforce {b}")


@scenario(limit=90)
def test_same_verdicts(t):
    """Monitor and enforce on the same frames: the same verdicts by reason, but all pass"""
    net = Net(links=2)
    served = sink(net)
    gates = []
    for link, mode in ((0, "monitor"), (1, "enforce")):
        gate = Gate(net, limits("40/s", 80, retry=40, known=60) | BUDGETS
                    | {"trusted-rate": "10/s", "trusted-burst": 20, "source-rate": "60/min",
                       "source-burst": 6, "subnet-rate": "300/min", "subnet-burst": 12},
                    load={"queue-rate": "10/s"}, name=mode, interfaces=(f"s{link}",), mode=mode,
                    classes=class_files(link))
        gate.start()
        gates.append(gate)
    seen = set()
    for n, tiers in enumerate(TIERS):
        for gate in gates:
            t.must(gate.sluice("tier", tiers, "--for", "1m").returncode == 0,
                   f"{gate.name}: sluice tier {tiers}")
        before = [counted(gate) for gate in gates]
        sniffers = [Sniffer(net, link) for link in (0, 1)]
        source, dest = ((v4, server_v4), (v6, server_v6))[n % 2]
        sent = spoof_alike(net, schedule(t.rng), source, dest).result()
        now = [since(gate, b) for gate, b in zip(gates, before)]
        # The last one first: a later child holds the earlier one's end of its stop pipe.
        wire = [s.finish() for s in reversed(sniffers)][::-1]
        compare(t, tiers, *now)
        for gate, count in zip(gates, now):
            t.equal(f"{tiers}: judged by {gate.name}", sum(count.values()), sent)
        t.equal(f"{tiers}: monitor passes", len(syn_acks(wire[0])), sent)
        passes = sum(v for k, v in now[1].items() if k.endswith("/pass"))
        t.equal(f"{tiers}: enforce passes", len(syn_acks(wire[1])), passes)
        refused = sum(v for k, v in now[1].items() if k.endswith("/refuse"))
        t.equal(f"{tiers}: RSTs of monitor, of enforce", [len(resets(w)) for w in wire],
                [0, refused])
        seen |= set(now[1])
    wanted = {"trusted/pass", "retransmit/pass", "blocked/refuse", "load/refuse", "admitted/pass",
              "first-time/defer", "source-rate/defer", "subnet-rate/defer",
              "connection-rate/defer"}
    t.equal("reasons that did not occur", sorted(wanted - seen), [])
    served.finish()
