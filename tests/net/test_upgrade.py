# SPDX-License-Identifier: GPL-2.0-or-later
"""An upgrade to a sluiced whose maps have another layout."""

import os
import re
import shutil
import subprocess
import time

from lib.frames import Sniffer, flood, spoof, syn_acks
from lib.gate import PINS, TOP, Gate, limits, xdp_on
from lib.sandbox import WORK
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4, source_v4

RATE, BURST, FLOOD = 50, 50, 2000
# The links run the new program before its maps have their first policy: some ms, in which all pass.
UNJUDGED_S = 0.05


def other_layout():
    """Builds a sluiced of the next ABI: its policy begins with words that ours has not.

    Returns (program, ABI of ours). What an old map says would be nonsense to it.
    """
    folder = os.path.join(WORK, "next")
    for part in ("bpf", "daemon"):
        shutil.copytree(os.path.join(TOP, part), os.path.join(folder, part))
    shutil.copy(os.path.join(TOP, "Makefile"), folder)
    path = os.path.join(folder, "bpf/sluice.h")
    with open(path) as f:
        text = f.read()
    abi = int(re.search(r"^#define SLUICE_ABI (\d+)$", text, re.M).group(1))
    text = text.replace(f"#define SLUICE_ABI {abi}\n", f"#define SLUICE_ABI {abi + 1}\n")
    text, grown = re.subn(r"^struct policy \{$", "struct policy {\n\t__u64 grown[8];", text,
                          flags=re.M)
    if grown != 1:
        raise RuntimeError("there is no struct policy to grow")
    with open(path, "w") as f:
        f.write(text)
    words = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS")}
    subprocess.run(["make", "-s", "-j2", "-C", folder, "B=b", "CFLAGS=-O0", "b/sluiced"],
                   check=True, stdout=subprocess.DEVNULL, env=words)
    return os.path.join(folder, "b/sluiced"), abi


@scenario(limit=60)
def test_upgrade(t):
    """Other maps under a flood: limited but for a moment, the log says what begins empty"""
    program, abi = other_layout()
    net = Net()
    served = sink(net)
    gate = Gate(net, limits(f"{RATE}/s", BURST))
    gate.start()
    before = xdp_on(net, "s0")
    t.equal("forced by hand", gate.sluice("tier", "normal", "--for", "10m").returncode, 0)
    gate.wait_for("forced", lambda s: s["tier"]["manual"])
    sniffer = Sniffer(net)
    syns = flood(t.rng, FLOOD, 6, lambda n: source_v4(t.rng.randrange(30000)))
    flooding = spoof(net, syns, server_v4())
    time.sleep(2)
    gate.end()
    plain = gate.command
    gate.command = lambda *words, **how: plain(*words, **({"program": program} | how))
    took = gate.start()
    first, last, sent = flooding.result()
    answered = [s.time for s in syn_acks(sniffer.finish())]
    t.note(f"up again after {took * 1000:.0f} ms")
    may = RATE * (last - first) + 2 * BURST  # what begins empty grants its burst once more
    t.between(f"let in of {sent}", len(answered), may - 5, may + 3 + FLOOD * UNJUDGED_S)
    t.check(xdp_on(net, "s0") != before, "the link runs the new program")
    gaps = [b - a for a, b in zip(answered, answered[1:])]
    t.between("the longest time that nobody was let in, s", max(gaps), 0, 0.5)
    t.equal("pins", sorted(os.listdir(f"{PINS}/default")), [f"abi-{abi + 1}", "link-s0", "sessions"])
    said = [line for line in gate.log().splitlines() if f"ABI {abi}" in line]
    t.check(len(said) == 1 and all(w in said[0] for w in
                                   ("buckets", "attempts", "sessions", "counters", "by hand")),
            f"said once: {said}")
    status = gate.status()
    t.check(not status["tier"]["manual"], "the tier forced by hand is released")
    t.between("counted since", sum(r["count"] for r in status["reasons"]), 1, sent - FLOOD)
    gate.end()
    gate.command = plain
    status, text = gate.fails()
    t.check(status == 1 and f"ABI {abi + 1}" in text, f"back again: {status}, {text}")
    served.finish()
