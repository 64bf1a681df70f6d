# SPDX-License-Identifier: GPL-2.0-or-later
"""Prefixes that are put into a class by hand: in force, kept, ended, damaged, and very many."""

import json
import os
import time

from lib.clients import clients, connect_now, poisson
from lib.gate import NO_SUBNET, OPEN, REST, Gate, limits, write
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4

KEPT = "/var/lib/sluice/default/classes"
OURS = "198.18.3.9"


def must(t, gate, *words):
    done = gate.sluice("class", *words)
    t.must(done.returncode == 0, f"sluice class {' '.join(words)}: {done.stdout}{done.stderr}")


def listed(gate):
    return gate.sluice("class", "list").stdout.splitlines()


def error_of(net, source=OURS):
    return connect_now(net, [source], server_v4())[0].error


@scenario(limit=60)
def test_class_add(t):
    """A prefix added by hand wins over the config's, lives through kill -9, ends, is taken out"""
    net = Net()
    served = sink(net)
    gate = Gate(net, OPEN, classes={"trusted": write("trusted", "198.18.3.0/24\n198.18.5.0/24\n")})
    gate.start()
    t.equal("before", error_of(net), None)
    must(t, gate, "add", "blocked", "198.18.3.0/24", "2001:db8::/48", "--comment", "noisy since May")
    must(t, gate, "add", "blocked", "198.18.4.0/24", "--for", "8s")
    began = time.monotonic()
    gate.kill()
    gate.start()
    t.equal("refused, after kill -9", error_of(net), "ECONNREFUSED")
    t.equal("with an end", error_of(net, "198.18.4.9"), "ECONNREFUSED")
    gate.sluice("reload")
    lines = listed(gate)
    t.equal("listed", [line for line in lines if "until" not in line],
            ["198.18.3.0/24 blocked # by hand: noisy since May", "198.18.5.0/24 trusted",
             "2001:db8::/48 blocked # by hand: noisy since May"])
    t.check(any(line.startswith("198.18.4.0/24 blocked # by hand until ") for line in lines),
            f"with its end: {lines}")
    while len(listed(gate)) > 3 and time.monotonic() < began + 15:
        time.sleep(0.05)
    t.between("ended after, in s", time.monotonic() - began, 6, 12)
    t.equal("what has ended", error_of(net, "198.18.4.9"), None)
    must(t, gate, "del", "198.18.3.0/24", "2001:db8::/48")
    t.equal("taken out: the config's again", (error_of(net), listed(gate)[0]),
            (None, "198.18.3.0/24 trusted"))
    must(t, gate, "add", "blocked", "198.18.3.0/24", "198.18.6.0/24")
    must(t, gate, "del", "all")
    t.equal("all taken out: the config's alone", listed(gate),
            ["198.18.3.0/24 trusted", "198.18.5.0/24 trusted"])
    for words, why in ((("del", "198.18.3.0/24"), "not added"),
                       (("add", "blocked", "198.18.3.1/24"), "host bits"),
                       (("add", "nobody", "198.18.3.0/24"), "was expected"),
                       (("add", "blocked", "example.org"), "no prefix"),
                       (("import", "blocked", write("list", "# ours\n192.0.2.1\nexample.org\n")),
                        "list:3: example.org is a domain")):
        done = gate.sluice("class", *words)
        t.check(done.returncode == 1 and why in done.stderr, done.stderr.strip())
    # What would not be heeded is not taken.
    for words in (("list", "--for", "1m"), ("del", "all", "--comment", "x"), ("load", "--for", "1m"),
                  ("load", "--dns"), ("add", "blocked", "192.0.2.1", "--dns")):
        done = gate.sluice("class", *words)
        t.check(done.returncode == 2 and "for class" in done.stderr, done.stderr.strip())
    t.equal("after what was refused", len(listed(gate)), 2)
    said = [gate.sluice("class", *words).stdout.strip() for words in
            (("del", "all"), ("add", "known", "192.0.2.1", "192.0.2.1/32", "192.0.2.2"),
             ("del", "192.0.2.1", "192.0.2.1"), ("del", "all"))]
    t.equal("how many", said, ["none was added by hand, so none was taken out",
                               "2 prefixes are now known by hand", "1 taken out",
                               "1 taken out: all that were added by hand"])
    served.finish()


@scenario(limit=60)
def test_class_kept_damaged(t):
    """A file of added prefixes that was cut or changed is set aside, and the daemon starts"""
    gate = Gate(Net(), OPEN)
    gate.start()
    must(t, gate, "add", "blocked", "192.0.2.0/24", "198.51.100.0/24")
    gate.end()
    with open(KEPT, "rb") as f:
        good = f.read()
    for text in (good[:-20], good.replace(b"blocked", b"trusted", 1), b"", bytes(50),
                 good.replace(b"classes 1", b"classes 2")):
        with open(KEPT, "wb") as f:
            f.write(text)
        gate.start()
        t.equal(f"{text[:40]!r}: listed", listed(gate), [])
        gate.end()
        t.check(os.path.exists(KEPT + ".damaged") and not os.path.exists(KEPT), "set aside")
        os.unlink(KEPT + ".damaged")
    with open(KEPT, "wb") as f:
        f.write(good)
    gate.start()
    t.equal("the good one", len(listed(gate)), 2)


@scenario(limit=90)
def test_class_hundred_thousand(t):
    """100,000 prefixes, 65,000 of them imported, are one set under traffic: no packet misjudged"""
    net = Net()
    served = sink(net)

    def many(first, count):
        return [f"{first + (n >> 16)}.{n >> 8 & 255}.{n & 255}.0/24" for n in range(count)]

    config = many(20, 35000 - 1) + ["198.18.3.0/24"]
    gate = Gate(net, limits("1000/s", 1000) | NO_SUBNET | REST
                | {"source-rate": "off", "source-burst": 100},
                classes={"blocked": write("blocked", "\n".join(config) + "\n")})
    gate.start()
    plan = [(s, t.rng.choice((OURS, "198.18.9.9")), 0) for s in poisson(t.rng, 100, 10)]
    running, began, slowest, loads = clients(net, plan, server_v4(), patience=5), None, 0, 0
    path, end = write("many", "\n".join(many(40, 65000)) + "\n"), time.monotonic() + 9
    while time.monotonic() < end:
        began = time.monotonic()
        must(t, gate, *(("import", "throttled", path) if not loads else ("load",)))
        slowest, loads = max(slowest, time.monotonic() - began), loads + 1
    attempts = running.result()
    answer = json.loads(gate.sluice("--json", "class", "list", "throttled").stdout.split("\n}\n")[0]
                        + "\n}")
    t.equal("imported", answer["count"], 65000)
    t.between("loads under traffic", loads, 3, 1000)
    t.between("the slowest, in s (below 1 on an idle machine)", slowest, 0, 4)
    wrong = [(a.source, a.error) for a in attempts
             if a.error != ("ECONNREFUSED" if a.source == OURS else None)]
    t.equal(f"of {len(attempts)} connects misjudged", (len(wrong), wrong[:3]), (0, []))
    done = gate.sluice("class", "import", "blocked",
                       write("more", "\n".join(many(60, 2000)) + "\n"))
    t.check(done.returncode == 1 and "at most 65536" in done.stderr, done.stderr.strip())
    served.finish()
