# SPDX-License-Identifier: GPL-2.0-or-later
"""Reloads without end, under traffic."""

import os
import threading
import time

from lib import control
from lib.clients import clients, poisson
from lib.gate import ASIDE, Gate, limits, write
from lib.sandbox import WORK
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4, server_v6, source_v4, source_v6

# A flip is never twice within 100 ms, so 1,000 take 100 s and more: SLUICE_RELOADS=1000 for them.
RELOADS = int(os.environ.get("SLUICE_RELOADS") or 300)
WARM = 30  # reloads until the allocator has seen all there is to see
GROWTH_KB = 512
LIMIT = 60 + RELOADS // 2
SECONDS = RELOADS * 0.1  # no less do they take


def reload_all(gate, done):
    """Changes limits and lists with each reload. Appends what was not as it must be."""
    lists = ["198.18.3.0/24\n2001:db8:8103::/48\n" +
             "".join(f"10.{v}.{n}.0/24\n" for n in range(200)) for v in (1, 2)]
    rss, fds = [], []
    for n in range(RELOADS):
        write("blocked", lists[n % 2])
        gate.change("limits", connection_rate=f"{9000 + n}/s", connection_burst=9000 + n % 7)
        answer = control.ask(gate, command="reload")
        if not answer["ok"]:
            done["refused"].append(answer["error"])
        if n + 1 >= WARM:
            rss.append(control.rss_kb(gate))
            fds.append(control.descriptors(gate))
    done["rss"], done["fds"] = rss, fds
    done["ended"] = time.monotonic()


@scenario(limit=LIMIT)
def test_reload_often(t):
    """Hundreds of reloads under traffic: no connection lost, no SYN misjudged, nothing grows"""
    net = Net()
    served = sink(net)
    path = os.path.join(WORK, "sluice.prom")
    gate = Gate(net, limits("9000/s", 9000, retry=100, known=100) | ASIDE,
                classes={"blocked": write("blocked", "198.18.3.0/24\n2001:db8:8103::/48\n")},
                metrics={"textfile": path, "interval": "1s"})
    gate.start()
    plans = ([], [])
    for s in poisson(t.rng, 60, SECONDS):
        v6, blocked = t.rng.random() < 0.4, t.rng.random() < 0.3
        n = t.rng.randrange(4, 100)
        barred = 0x103 if v6 else 3  # source_v6(0x103) is of 2001:db8:8103::/48
        source = (source_v6 if v6 else source_v4)(barred if blocked else n)
        plans[v6].append((s, source, t.rng.random() * 0.5))
    began = time.monotonic()
    running = [clients(net, plan, server, patience=10)
               for plan, server in zip(plans, (server_v4(), server_v6()))]
    done = {"refused": []}
    thread = threading.Thread(target=reload_all, args=(gate, done))
    thread.start()
    thread.join(LIMIT - 30)
    attempts = [a for r in running for a in r.result()]
    t.must("ended" in done, f"{RELOADS} reloads came to their end")
    t.note(f"in {done['ended'] - began:.1f} s, {RELOADS / (done['ended'] - began):.1f} a second")
    t.equal("reloads refused", done["refused"], [])
    t.equal("the last one's connection-rate", gate.status()["limits"]["connection-rate"],
            f"{9000 + RELOADS - 1}/s")
    under = sum(a.syn < done["ended"] for a in attempts)
    t.check(under > 0.9 * len(attempts), f"of {len(attempts)} connects {under} during the reloads")
    barred = ("198.18.3.", "2001:db8:8103:")
    blocked = [a for a in attempts if a.source.startswith(barred)]
    admitted = [a for a in attempts if not a.source.startswith(barred)]
    t.equal(f"of {len(blocked)} blocked not refused",
            sum(a.error != "ECONNREFUSED" for a in blocked), 0)
    t.equal(f"of {len(admitted)} others lost", sum(a.over is None for a in admitted), 0)
    slowest = max(a.wait for a in admitted if a.wait is not None)
    t.check(slowest < 0.5, f"nobody was deferred: longest wait {slowest * 1000:.1f} ms")
    t.equal("SYNs by reason", gate.reasons(),
            {"admitted": len(admitted), "blocked": len(blocked)})
    t.between("RSS grew by kB, from the first 30 reloads to the last",
              max(done["rss"][-10:]) - max(done["rss"][:10]), -100000, GROWTH_KB)
    t.between("descriptors, from then on", max(done["fds"]), done["fds"][0] - 2,
              done["fds"][0] + 2)
    # One or two may be clients whose connection is just being closed; hundreds would be a leak.
    t.between("descriptors at the end", done["fds"][-1], 0, done["fds"][0] + 3)
    served.finish()
