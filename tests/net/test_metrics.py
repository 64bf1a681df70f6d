# SPDX-License-Identifier: GPL-2.0-or-later
"""The Prometheus textfile."""

import os
import stat
import time

from lib import exposition
from lib.clients import connect_now
from lib.frames import flood, spoof
from lib.gate import Gate, limits, write
from lib.sandbox import WORK
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4, server_v6, source_v4, source_v6


@scenario(limit=40)
def test_metrics(t):
    """The textfile parses, carries no address, and agrees with status"""
    net = Net()
    served = sink(net)
    path = os.path.join(WORK, "sluice.prom")
    os.umask(0o077)  # 0644 must not hang on it
    blocked = write("blocked", "198.18.126.0/24\n")
    gate = Gate(net, limits("10/s", 10, retry=0), metrics={"textfile": path, "interval": "1s"},
                classes={"blocked": blocked})
    gate.start()
    spoof(net, flood(t.rng, 100, 3, source_v4), server_v4()).result()
    spoof(net, flood(t.rng, 100, 2, source_v6), server_v6()).result()
    connect_now(net, [f"198.18.126.{n}" for n in range(1, 9)], server_v4(), patience=1)
    time.sleep(2.5)
    status = gate.status()
    with open(path) as f:
        text = f.read()
    families = exposition.parse(text)
    t.note(f"{len(families)} families, {sum(len(f['samples']) for f in families.values())} samples")
    t.equal("mode of the file", oct(stat.S_IMODE(os.stat(path).st_mode)), "0o644")
    t.equal("left beside it", [n for n in os.listdir(WORK) if n.startswith("sluice.prom.")], [])
    t.equal("families without a sample, a type or a help",
            [n for n, f in families.items() if not f["samples"] or not f["type"]], [])
    t.equal("counters, named otherwise than _total",
            [n for n, f in families.items()
             if (f["type"] == "counter") != n.endswith("_total")], [])
    t.equal("families of other names", [n for n in families if not n.startswith("sluice_")], [])
    values = {v for f in families.values() for k in f["samples"] for _, v in k}
    t.equal("addresses among the labels", [v for v in values if exposition.ADDRESS.search(v)], [])
    judged = families["sluice_syns_judged_total"]
    for row in status["reasons"]:
        t.equal(f"{row['verdict']} {row['reason']}",
                exposition.total(judged, reason=row["reason"], verdict=row["verdict"]),
                row["count"])
    t.equal("judged", exposition.total(judged), status["totals"]["judged"])
    by_family = {f: exposition.total(judged, family=f) for f in ("ipv4", "ipv6")}
    t.check(by_family["ipv4"] > 200 and by_family["ipv6"] > 100, f"by family: {by_family}")
    before = os.stat(path).st_mtime
    time.sleep(2.2)
    t.check(os.stat(path).st_mtime - before >= 1, "it is written anew every second")
    served.finish()
