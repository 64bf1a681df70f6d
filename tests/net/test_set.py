# SPDX-License-Identifier: GPL-2.0-or-later
"""sluice set: for a time, saved, released; what was set by hand through a restart."""

import json
import os
import subprocess
import time

from lib.gate import OPEN, RUN, SLUICE, Gate
from lib.sandbox import WORK
from lib.scenario import scenario
from lib.topology import Net

DROP_IN = os.path.join(WORK, "conf.d", "90-sluice-set.conf")
KEPT = os.path.join(RUN, "default", "settings")


def value(gate, key):
    return json.loads(gate.sluice("--json", "get", key).stdout)["keys"][0]


def rate(gate):
    return value(gate, "connection-rate")["value"]


def wait_rate(t, gate, wanted, within):
    began = time.monotonic()
    while rate(gate) != wanted and time.monotonic() < began + within + 5:
        time.sleep(0.05)
    t.equal("connection-rate", rate(gate), wanted)
    return time.monotonic() - began


def must_set(t, gate, *words):
    done = gate.sluice("set", *words)
    t.must(done.returncode == 0, f"sluice set {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


@scenario(limit=60)
def test_set_for(t):
    """A setting with --for ends by itself, and what was in force before is in force again"""
    gate = Gate(Net(), OPEN)
    gate.start()
    must_set(t, gate, "connection-rate=20/s")
    must_set(t, gate, "connection-rate=50/s", "port=587", "--for", "3s")
    key = value(gate, "connection-rate")
    t.equal("in force", (key["value"], key["set"]), ("50/s", True))
    t.between("until, in s", key["until_s"], 1, 3)
    shown = gate.sluice("get").stdout
    t.check("connection-rate=50/s\n# ^ set by hand, until " in shown and "(in " in shown,
            "get shows until when")
    t.check(value(gate, "port")["value"] == "587", "a list is replaced")
    settings = {s["text"]: s["until_s"] for s in gate.status()["settings"]}
    t.equal("status has both of a key", settings.get("limits.connection-rate=20/s", 0), None)
    t.between("and until when", settings.get("limits.connection-rate=50/s", 0), 1, 3)
    shown = " ".join(gate.sluice("status").stdout.split())
    t.check("limits.connection-rate=50/s until " in shown, "status says so to people")
    gate.sluice("reload")
    t.equal("after a reload", rate(gate), "50/s")
    t.between("ended after, in s", wait_rate(t, gate, "20/s", 3), 0.5, 6)
    t.equal("the list", value(gate, "port")["value"], "25")
    t.equal("until", value(gate, "connection-rate")["until_s"], None)
    t.check(not os.path.exists(KEPT), "nothing is kept any more")
    must_set(t, gate, "connection-rate=config")
    t.equal("released", rate(gate), "10000/s")
    t.equal("set by hand", value(gate, "connection-rate")["set"], False)


@scenario(limit=60)
def test_set_for_restart(t):
    """--for goes on through restarts, kill -9 included, and ends in the new daemon, or at its start"""
    gate = Gate(Net(), OPEN)
    gate.start()
    must_set(t, gate, "connection-rate=50/s", "--for", "8s")
    must_set(t, gate, "connection-burst=500")
    began = time.monotonic()
    gate.process.kill()
    gate.process.wait()
    gate.start()
    t.equal("after kill -9", rate(gate), "50/s")
    t.equal("what has no end", value(gate, "connection-burst")["value"], "10000")
    t.between("until, in s", value(gate, "connection-rate")["until_s"], 1, 8)
    wait_rate(t, gate, "10000/s", 8)
    t.between("ended after, in s", time.monotonic() - began, 7, 11)

    said = must_set(t, gate, "connection-rate=50/s", "--for", "1s")
    t.check("if it does not run at the end, until it does" in said, said.strip())
    gate.end()
    time.sleep(1.1)
    gate.start()
    t.equal("ended while no daemon ran", rate(gate), "10000/s")
    t.check("limits.connection-rate=50/s, set by hand for a time, has ended while sluiced did not run"
            in gate.log(), "and that is in the log")


@scenario(limit=60)
def test_set_kept_damaged(t):
    """A file of settings that is cut, strange or of bad values does not keep the daemon from a start"""
    gate = Gate(Net(), OPEN)
    far = 1 << 62
    os.makedirs(os.path.dirname(KEPT))
    for text in ("", "sluice-settings 2 0\n", "sluice-settings 1 2\n" f"{far} limits.hold=1s\n",
                 "sluice-settings 1 1\n" f"{far} limits.connection-rate=fast\n",
                 "sluice-settings 1 1\n" f"{far} limits.connection-rate\n",
                 "sluice-settings 1 99\n", "\0" * 100, "sluice-settings 1 0\nmore\n"):
        with open(KEPT, "w") as f:
            f.write(text)
        gate.start()
        t.equal(f"{text[:50]!r}: connection-rate", rate(gate), "10000/s")
        t.check("let go of" in gate.log(), "it is said")
        gate.end()
        os.truncate(gate.log_path, 0)


@scenario(limit=60)
def test_set_save(t):
    """--save writes a drop-in that restarts read; later ones win, config takes one out"""
    gate = Gate(Net(), OPEN)
    gate.start()
    said = must_set(t, gate, "connection-rate=50/s", "hold=20s", "--save")
    t.check(DROP_IN in said, said.strip())
    must_set(t, gate, "connection-rate=60/s", "--save")
    gate.end()
    gate.start()
    t.equal("after a restart", rate(gate), "60/s")
    t.equal("what was saved before", value(gate, "hold")["value"], "20s")
    t.equal("set by hand", value(gate, "hold")["set"], False)
    must_set(t, gate, "connection-rate=config", "--save")
    with open(DROP_IN) as f:
        text = f.read()
    t.check("connection-rate" not in text and "hold=20s" in text, repr(text))
    t.equal("files beside it", os.listdir(os.path.dirname(DROP_IN)), ["90-sluice-set.conf"])

    refused = gate.sluice("set", "connection-rate=fast", "--save")
    t.check(refused.returncode == 1 and "expected" in refused.stderr, refused.stderr.strip())
    refused = gate.sluice("set", "port=587", "--save")
    t.check(refused.returncode == 1 and "is a list" in refused.stderr, refused.stderr.strip())
    refused = gate.sluice("set", "hold=9s", "--save", "--for", "1m")
    t.check(refused.returncode == 2 and "--save or --for" in refused.stderr, refused.stderr.strip())
    with open(DROP_IN) as f:
        t.equal("the file after what was refused", f.read(), text)
    with open(DROP_IN, "a") as f:
        f.write("what is this\n")
    refused = gate.sluice("set", "hold=9s", "--save")
    t.check(refused.returncode == 1 and "not saved" in refused.stderr, refused.stderr.strip())
    with open(DROP_IN) as f:
        t.equal("the file with a strange line", f.read(), text + "what is this\n")


@scenario(limit=60)
def test_set_save_cannot(t):
    """Who is not root, and a daemon without a config file: one sentence, nothing is changed"""
    gate = Gate(Net(), OPEN)
    gate.start()
    done = subprocess.run([SLUICE, "set", "hold=9s", "--save"], capture_output=True, text=True,
                          timeout=10, user=65534, group=65534, extra_groups=[])
    t.check(done.returncode == 1 and "only root" in done.stderr
            and len(done.stderr.splitlines()) == 1, done.stderr.strip())
    t.equal("hold", value(gate, "hold")["value"], "15s")
    t.check(not os.path.exists(DROP_IN), "nothing was saved")
    gate.sluice("detach")
    gate.process.wait(10)
    plain = Gate(gate.net, OPEN, name="plain")
    plain.command = lambda *extra, **_: [
        w for w in Gate.command(plain, "-o", "gate.interface=s0", *extra)
        if w not in ("-f", plain.config_path)]
    plain.start()
    done = plain.sluice("set", "hold=9s", "--save")
    t.check(done.returncode == 1 and "without a config file" in done.stderr, done.stderr.strip())
    t.equal("hold, not set", value(plain, "hold")["set"], False)
