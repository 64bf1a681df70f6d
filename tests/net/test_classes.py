# SPDX-License-Identifier: GPL-2.0-or-later
"""The classes on real connections, a spoofed trusted address, and lists that change."""

import time

from lib import control
from lib.clients import clients, connect_now, poisson, waves
from lib.frames import Sniffer, flood, spoof, syn_acks
from lib.gate import BUDGETS, NO_SESSIONS, NO_SUBNET, REST, Gate, limits, write
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4, server_v6, source_v4, source_v6

TRUSTED = (("IPv4", "198.18.1", server_v4()), ("IPv6", "2001:db8:8101:", server_v6()))


def served_of(attempts):
    return sum(a.over is not None for a in attempts)


def errors_of(attempts):
    return {a.error for a in attempts}


@scenario(limit=60)
def test_classes_table(t):
    """Trusted, throttled and blocked, real connections of both families, as the table says"""
    net = Net()
    served = sink(net)
    classes = {"trusted": write("trusted", "198.18.1.0/24\n2001:db8:8101::/48\n"),
               "throttled": write("throttled", "198.18.2.0/24\n2001:db8:8102::/48\n"),
               "blocked": write("blocked", "198.18.3.0/24\n2001:db8:8103::/48\n")}
    gate = Gate(net, limits("1000/s", 300, retry=0, known=0) | NO_SUBNET | REST
                | {"source-rate": "10/s", "source-burst": 21}, classes=classes)
    gate.start()

    def prefix(v6, n):
        return f"2001:db8:81{n:02x}::" if v6 else f"198.18.{n}."

    for v6, family, server in ((False, "IPv4", server_v4()), (True, "IPv6", server_v6())):
        # One connection of an unknown source costs it 0.1 s, of a throttled one 1 s; both may
        # owe 2 s before.
        for what, n, at_once, rate in (("unknown", 9, 21, 10), ("throttled", 2, 3, 1)):
            sniffer = Sniffer(net)
            address = prefix(v6, n) + "5"
            first, last, sent = spoof(net, flood(t.rng, 50, 4, lambda _: address), server).result()
            got = len(syn_acks(sniffer.finish()))
            t.between(f"{family}: {what}, let in of {sent} from one source", got,
                      at_once + rate * (last - first) - 1.5, at_once + rate * (last - first) + 1)
        blocked = connect_now(net, [prefix(v6, 3) + str(n) for n in range(1, 21)], server)
        t.equal(f"{family}: blocked", errors_of(blocked), {"ECONNREFUSED"})
        slowest = max(a.wait for a in blocked)
        t.check(slowest < 0.1, f"{family}: blocked, refused within {slowest * 1000:.1f} ms")

        t.must(gate.sluice("tier", "refuse", "--for", "1m").returncode == 0, "sluice tier refuse")
        for what, n, expected in (("trusted", 1, {None}), ("throttled", 2, {"ECONNREFUSED"}),
                                  ("unknown", 8, {"ECONNREFUSED"})):
            tried = connect_now(net, [prefix(v6, n) + str(m) for m in range(1, 21)], server)
            t.equal(f"{family}: {what} in tier refuse", errors_of(tried), expected)
        t.must(gate.sluice("tier", "auto").returncode == 0, "sluice tier auto")
    gate.change("limits", connection_rate="6/min", connection_burst=5)
    t.must(gate.sluice("reload").returncode == 0, "reload with 6/min, burst 5")
    spoof(net, flood(t.rng, 200, 0.5, lambda n: f"198.18.{20 + n % 50}.9"), server_v4()).result()
    for v6, family, server in ((False, "IPv4", server_v4()), (True, "IPv6", server_v6())):
        tried = connect_now(net, [prefix(v6, 8) + str(m) for m in range(1, 21)], server,
                            patience=0.7)
        t.equal(f"{family}: unknown, bucket drained", served_of(tried), 0)
        tried = connect_now(net, [prefix(v6, 1) + str(m) for m in range(1, 21)], server,
                            patience=0.7)
        t.equal(f"{family}: trusted, bucket drained", served_of(tried), 20)
    served.finish()


@scenario(limit=60)
def test_classes_spoofed(t):
    """A flood of a trusted address gets trusted-rate x t + trusted-burst, others get in beside"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("50/s", 100, retry=100, known=100) | NO_SUBNET | BUDGETS | NO_SESSIONS
                | {"trusted-rate": "20/s", "trusted-burst": 30,
                   "source-rate": "60/min", "source-burst": 5},
                classes={"trusted": write("trusted", "198.18.1.0/24\n2001:db8:8101::/48\n")})
    gate.start()
    for family, source, server, other in (
            ("IPv4", "198.18.1.25", server_v4(), source_v4),
            ("IPv6", "2001:db8:8101::25", server_v6(), source_v6)):
        time.sleep(3)  # both buckets are full again
        before, over = gate.reasons(), gate.status()["faults"]["trusted_over"]
        storm = spoof(net, flood(t.rng, 500, 8, lambda _: source), server)
        plan = [(1 + t.rng.random() * 6, other(n), 0) for n in range(20, 50)]
        attempts = clients(net, plan, server, patience=10).result()
        first, last, sent = storm.result()
        after = gate.reasons()
        now = {k: v - before.get(k, 0) for k, v in after.items() if v > before.get(k, 0)}
        span = last - first
        t.between(f"{family}: passed as trusted of {sent} in {span:.1f} s", now["trusted"],
                  20 * span + 30 - 2, 20 * span + 30 + 1)
        t.equal(f"{family}: counted as trusted_over",
                gate.status()["faults"]["trusted_over"] - over, sent - now["trusted"])
        # What is beyond is one unknown source among others.
        t.between(f"{family}: admitted beyond, as an unknown source at 60/min, burst 5",
                  now["admitted"] - len(attempts), span - 1, span + 5 + 1)
        t.equal(f"{family}: the rest deferred by", now["source-rate"],
                sent + len(attempts) - now["trusted"] - now["admitted"])
        t.equal(f"{family}: of {len(attempts)} other senders at once", waves(attempts)[0],
                len(attempts))
    served.finish()


FLIPS, SECONDS, RATE = 40, 15, 200


def lists(rng, version):
    """10,000 blocked and 1,000 trusted prefixes; of ours, only these are the same in both."""
    blocked = ["198.18.3.0/24", "198.18.4.128/25", "2001:db8:8103::/48"]
    trusted = ["198.18.1.0/24", "198.18.4.0/25", "2001:db8:8101::/48"]
    seen = set()
    while len(seen) < 10000 - len(blocked):
        seen.add((rng.getrandbits(24), rng.choice((24, 28, 32))))
    blocked += sorted({f"{10 + version}.{n >> 16}.{n >> 8 & 255}.0/24" if bits == 24 else
                       f"{10 + version}.{n >> 16}.{n >> 8 & 255}.{(n & 255) & -(1 << 32 - bits)}"
                       f"/{bits}" for n, bits in seen})
    while len(blocked) < 10000:
        blocked.append(f"2001:db8:{version}:{len(blocked):x}::/64")
    rng.shuffle(blocked)
    trusted += [f"{20 + version}.{n >> 8}.{n & 255}.0/24" for n in range(997)]
    return "\n".join(blocked) + "\n", "\n".join(trusted) + "\n"


@scenario(limit=60)
def test_classes_flips(t):
    """Lists of 10,000 prefixes changed 40 times under 200 connects/s: not one is misjudged"""
    net = Net()
    served = sink(net)
    versions = [lists(t.rng, v) for v in (0, 1)]
    classes = {"blocked": write("blocked", versions[0][0]),
               "trusted": write("trusted", versions[0][1])}
    gate = Gate(net, limits("1000/s", 1000, retry=0, known=0) | NO_SUBNET | REST
                | {"source-rate": "off", "source-burst": 100}, classes=classes)
    gate.start()
    t.must(gate.sluice("tier", "refuse", "--for", "5m").returncode == 0, "sluice tier refuse")
    t.equal("prefixes blocked", control.ask(gate, command="class-list",
                                            **{"class": "blocked"})["count"], 10000)
    kinds = {"blocked": (("198.18.3.9", "198.18.4.200"), ("2001:db8:8103::9",)),
             "trusted": (("198.18.1.9", "198.18.4.100"), ("2001:db8:8101::9",)),
             "load": (("198.18.9.9",), ("2001:db8:8109::9",))}
    plans, expected = ([], []), dict.fromkeys(kinds, 0)
    for s in poisson(t.rng, RATE, SECONDS):
        kind, v6 = t.rng.choice(list(kinds)), t.rng.random() < 0.3
        plans[v6].append((s, t.rng.choice(kinds[kind][v6]), 0))
        expected[kind] += 1
    began = time.monotonic()
    running = [clients(net, plan, server, patience=5)
               for plan, server in zip(plans, (server_v4(), server_v6()))]
    flips = 0
    while time.monotonic() - began < SECONDS - 0.5 or flips < FLIPS:
        version = versions[(flips + 1) % 2]
        write("blocked", version[0])
        write("trusted", version[1])
        how = ("reload",) if flips % 4 == 3 else ("class", "load")
        done = gate.sluice(*how)
        if done.returncode:
            t.must(False, f"sluice {' '.join(how)}: {done.stderr.strip()}")
        flips += 1
        if flips >= FLIPS and time.monotonic() - began >= SECONDS - 0.5:
            break
        time.sleep(t.rng.uniform(0, 0.3))
    t.between("flips under traffic", flips, FLIPS, 1000)
    t.note(f"they took {time.monotonic() - began:.1f} s")
    attempts = [a for r in running for a in r.result()]
    kind_of = {s: k for k, both in kinds.items() for sources in both for s in sources}
    wrong = [(a.source, a.error) for a in attempts
             if (a.error is None) != (kind_of[a.source] == "trusted") or
             a.error not in (None, "ECONNREFUSED")]
    t.equal(f"of {len(attempts)} connects misjudged", (len(wrong), wrong[:3]), (0, []))
    t.equal("SYNs by reason", gate.reasons(), expected)
    served.finish()
