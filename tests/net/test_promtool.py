# SPDX-License-Identifier: GPL-2.0-or-later
"""The metrics file as Prometheus sees it, and as somebody sees it who reads at any time."""

import os
import re
import subprocess
import time

from lib import exposition, promtool
from lib.clients import connect_now
from lib.frames import flood, spoof
from lib.gate import BUILD, TOP, Gate, limits, write
from lib.sandbox import WORK
from lib.scenario import Skip, scenario
from lib.sink import sink
from lib.topology import Net, server_v4, server_v6, source_v4, source_v6

REWRITES = 10000
RULES = os.path.join(TOP, "dist/prometheus/sluice.rules.yml")
RULES_TEST = os.path.join(TOP, "tests/prometheus/sluice.rules.test.yml")


@scenario(limit=60)
def test_promtool(t):
    """promtool check metrics accepts the file without a warning, quiet and after all verdicts"""
    tool, why = promtool.find()
    if not tool:
        raise Skip(why)
    net = Net()
    served = sink(net)
    path = os.path.join(WORK, "sluice.prom")
    gate = Gate(net, limits("10/s", 10, retry=0), metrics={"textfile": path, "interval": "1s"},
                classes={"blocked": write("blocked", "198.18.126.0/24\n")})
    gate.start()

    def accepted(what):
        time.sleep(2.3)
        with open(path) as f:
            text = f.read()
        done = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True,
                              text=True)
        said = (done.stdout + done.stderr).strip()
        t.check(done.returncode == 0 and not said, f"{what}: {done.returncode}"
                + (f": {said}" if said else ""))
        return text

    accepted("before any SYN")
    spoof(net, flood(t.rng, 100, 2, source_v4), server_v4()).result()
    spoof(net, flood(t.rng, 100, 1, source_v6), server_v6()).result()
    connect_now(net, [f"198.18.126.{n}" for n in range(1, 9)], server_v4(), patience=1)
    text = accepted("after all verdicts")
    for name, family in exposition.parse(text).items():
        # Words of a sentence that an operator reads, not the name again.
        words = set(family["help"].lower().strip(".").split())
        t.check(len(words - set(name.split("_"))) >= 3 and family["help"].endswith("."),
                f"{name}: {family['help']}")
    # It can be refused: a counter that is not named like one, and a help that is gone.
    broken = re.sub(r"sluice_syns_judged_total", "sluice_syns_judged", text)
    done = subprocess.run([tool, "check", "metrics"], input=broken, capture_output=True, text=True)
    t.check(done.returncode != 0, "a counter without _total is refused by it")
    served.finish()


@scenario(limit=60)
def test_rewrite(t):
    """A file that the daemon's code rewrites 10,000 times is never seen half, and is 0644"""
    program = os.path.join(WORK, "rewrite")
    os.makedirs(WORK, exist_ok=True)
    done = subprocess.run(
        [os.environ.get("CC") or "cc", "-std=c11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra",
         "-Werror", "-Ibpf", "-Idaemon", "-isystem", BUILD, "tests/net/rewrite.c",
         "daemon/files.c", "daemon/log.c", "-lpthread", "-o", program],
        cwd=TOP, capture_output=True, text=True)
    t.must(done.returncode == 0, f"cc: {done.stderr.strip() or 'done'}")
    os.umask(0o077)  # 0644 must not hang on it
    for how in ("replace", "in-place"):
        folder = os.path.join(WORK, how)
        os.mkdir(folder)
        path = os.path.join(folder, "sluice.prom")
        done = subprocess.run([program, how, path, str(REWRITES)], capture_output=True, text=True,
                              timeout=50)
        t.must(done.returncode == 0, f"{how}: {done.stdout.strip()}{done.stderr.strip()}")
        got = {k: int(v) for k, v in (w.split("=") for w in done.stdout.split())}
        if how == "in-place":
            # The reader can tell: without the daemon's care it does see halves.
            t.check(got["half"] > 0, f"written in place instead: {got['half']} seen half")
            continue
        t.equal("versions written", got["written"], REWRITES)
        t.check(got["reads"] > 500 and got["versions"] > 100,
                f"reads {got['reads']}, of {got['versions']} versions")
        t.equal("seen half", got["half"], 0)
        t.equal("seen missing", got["missing"], 0)
        t.equal("seen with another mode than 0644", got["mode"], 0)
        t.equal("seen older than before", got["older"], 0)
        t.equal("left in the folder", os.listdir(folder), ["sluice.prom"])


def _rules_test(tool, rules):
    """promtool's own test of the alerts, over these rules. Returns (status, what it said)."""
    with open(RULES_TEST) as f:
        test = f.read().replace("../../dist/prometheus/sluice.rules.yml", "sluice.rules.yml")
    path = write("rules.test.yml", test)
    with open(os.path.join(os.path.dirname(path), "sluice.rules.yml"), "w") as f:
        f.write(rules)
    done = subprocess.run([tool, "test", "rules", path], capture_output=True, text=True)
    return done.returncode, (done.stdout + done.stderr).strip()


@scenario(limit=60)
def test_alerts(t):
    """The alerts fire at what they should and at nothing else; each looks at metrics that there are"""
    tool, why = promtool.find()
    if not tool:
        raise Skip(why)
    with open(RULES) as f:
        rules = f.read()
    done = subprocess.run([tool, "check", "rules", RULES], capture_output=True, text=True)
    t.equal("promtool check rules", done.returncode, 0)
    status, said = _rules_test(tool, rules)
    t.equal("promtool test rules" + ("" if not status else f": {said}"), status, 0)
    # Each expression matters: with a condition that cannot hold, its alert is missed.
    for condition in re.findall(r"(?:== [01]|[>=]+ [0-9.]+)(?=$|\n)", rules, re.M):
        t.check(_rules_test(tool, rules.replace(condition, "> 1e30"))[0] != 0,
                f"without '{condition}' the test fails")
    gate = Gate(Net(), limits("10/s", 10, retry=0),
                metrics={"textfile": os.path.join(WORK, "sluice.prom"), "interval": "1s"})
    gate.start()
    path = os.path.join(WORK, "sluice.prom")
    while not os.path.exists(path):
        time.sleep(0.05)
    with open(path) as f:
        families = set(exposition.parse(f.read()))
    named = set(re.findall(r"sluice_[a-z_]+", re.sub(r"#.*", "", rules)))
    t.equal("named, and not there", named - families, set())
