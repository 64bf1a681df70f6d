# SPDX-License-Identifier: GPL-2.0-or-later
"""sluice explain foretells what the gate does: what it says, and then a real SYN of that source."""

import json
import os
import re
import subprocess
import time

from lib import control
from lib.child import Child
from lib.clients import clients, connect_now
from lib.gate import OPEN, RUN, SLUICE, Gate, limits, write
from lib.scenario import scenario
from lib.sink import sink, slow_sink
from lib.topology import Net, server_v4, server_v6, source_v4, source_v6

WIDE = dict(rate="1000/s", burst=1000, retry=100, known=100)


def explain(gate, address):
    done = gate.sluice("--json", "explain", address)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def words(gate, address):
    """What it says to an operator, as one line."""
    done = gate.sluice("explain", address)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return " ".join(done.stdout.split())


def events(gate, address):
    lines = gate.sluice("--json", "events", "--address", address).stdout.splitlines()
    return [e for e in map(json.loads, lines) if "gap" not in e]


def foretold(t, net, gate, source, what, verdict, reason, cls="unknown", end=0.4):
    """Asks, then connects; the first SYN must meet what was foretold. Returns the explanation."""
    server = server_v6() if ":" in source else server_v4()
    before = len(events(gate, source))
    said = explain(gate, source)
    connect_now(net, [source], server, end=end)
    first = events(gate, source)[before]
    told = (said["now"]["verdict"], said["now"]["reason"], said["class"]["name"])
    met = (first["verdict"], first["reason"], first["class"])
    t.check(told == met == (verdict, reason, cls),
            f"{what}: foretold {' '.join(told)}, met {' '.join(met)}" +
            ("" if met == (verdict, reason, cls) else f", expected {verdict} {reason} {cls}"))
    return said


@scenario(limit=90)
def test_explain(t):
    """Of many states: verdict, gate and class that explain foretells are what a SYN then meets"""
    net = Net()
    server = sink(net)
    files = {name: write(name, f"# {name}\n\n{prefix}  # one\n") for name, prefix in
             (("trusted", source_v4(10)), ("blocked", "198.18.11.0/24"),
              ("known", f"{source_v6(12)[:-1]}/48"), ("throttled", source_v4(13)))}
    gate = Gate(net, limits(**WIDE, source_rate="6/min", source_burst=3), classes=files)
    gate.start()

    said = foretold(t, net, gate, source_v4(1), "a stranger", "pass", "admitted")
    t.equal("next", said["next_ms"], 0.0)
    foretold(t, net, gate, source_v6(1), "a stranger by IPv6", "pass", "admitted")
    foretold(t, net, gate, source_v4(10), "trusted", "pass", "trusted", "trusted")
    said = foretold(t, net, gate, source_v4(11), "blocked", "refuse", "blocked", "blocked")
    t.equal("listed", {k: said["class"][k] for k in ("by", "prefix", "file", "line")},
            {"by": "list", "prefix": "198.18.11.0/24", "file": files["blocked"], "line": 3})
    t.equal("no end of it", said["next_ms"], None)
    said = foretold(t, net, gate, source_v6(12), "known", "pass", "admitted", "known")
    t.equal("the line of an IPv6 prefix", said["class"]["line"], 3)
    foretold(t, net, gate, source_v4(13), "throttled", "pass", "admitted", "throttled")
    said = foretold(t, net, gate, source_v4(13), "throttled, again", "defer", "source-rate",
                    "throttled")
    t.between("its next, in s", said["next_ms"] / 1000, 75, 81)
    write("blocked", "192.0.2.1\n")
    t.equal("a file that has changed since", explain(gate, source_v4(11))["class"]["file"], None)
    t.check("stands in no file of this class any more" in words(gate, source_v4(11)), "in words")

    for n in range(3):
        said = foretold(t, net, gate, source_v4(2), f"its connection {n + 1} of 3", "pass",
                        "admitted")
        t.equal("free", said["buckets"]["source"]["free"], 3 - n)
    said = foretold(t, net, gate, source_v4(2), "the fourth", "defer", "source-rate")
    t.between("s until the next", said["next_ms"] / 1000, 8, 10)
    text = words(gate, source_v4(2))
    t.check(re.search(r"now A SYN now would be deferred, by the gate source-rate: the source "
                      r"opens more than source-rate allows\. next A new connection would be let in "
                      r"after [89]\.\d s, if nobody else comes first\.", text), text)
    t.check(re.search(r"source 6/min, burst 3: owes (2.9|3.0) connections of 3.0 that this source "
                      r"may; none now", text), "the bucket in words")
    t.check(re.search(r"lately 4 attempts in the last \d+ s", text), "and what it did lately")
    gate.sluice("known", "mark", "good", source_v4(2))
    said = foretold(t, net, gate, source_v4(2), "marked good", "pass", "admitted", "known")
    t.equal("why", (said["class"]["by"], said["known"]["state"]), ("learned", "good"))
    t.check("marked good by hand; that ends in" in words(gate, source_v4(2)), "in words")
    gate.sluice("known", "mark", "bad", source_v4(3))
    foretold(t, net, gate, source_v4(3), "marked bad", "pass", "admitted", "throttled")
    gate.sluice("known", "forget", source_v4(3))
    foretold(t, net, gate, source_v4(3), "forgotten, and its debt is not", "defer", "source-rate")

    gate.sluice("tier", "delay")
    said = foretold(t, net, gate, source_v4(4), "the delay tier", "defer", "first-time")
    t.equal("its client", [(c["at_s"], c["verdict"]) for c in said["client"]],
            [(0, "defer"), (1, "pass")])
    t.check("gets in 1 s after its first" in words(gate, source_v4(5)), words(gate, source_v4(5)))
    foretold(t, net, gate, source_v6(12), "known in the delay tier", "pass", "admitted", "known")
    gate.sluice("tier", "refuse")
    said = foretold(t, net, gate, source_v4(6), "the refuse tier", "refuse", "load")
    t.equal("next", said["next_ms"], None)
    foretold(t, net, gate, source_v4(10), "trusted in the refuse tier", "pass", "trusted",
             "trusted")
    gate.sluice("tier", "refuse", "--for", "30s")
    t.between("s until the end of a tier by hand", explain(gate, source_v4(6))["next_ms"] / 1000,
              28, 30)
    gate.sluice("tier", "auto")

    gate.sluice("mode", "monitor")
    foretold(t, net, gate, source_v4(13), "in monitor mode", "defer", "source-rate", "throttled")
    t.check("would pass, as the mode is monitor. With mode enforce it would be deferred" in
            words(gate, source_v4(13)), "in words")
    gate.sluice("mode", "off")
    t.check("would pass unjudged, as the mode is off" in words(gate, source_v4(13)), "mode off")

    for arguments, status, what in (
            (("host",), 1, "host: it is not an address; expected one such as"),
            (("192.0.2.0/24",), 1, "it is not an address"),
            (("\x1b[2J",), 1, "it is not an address"), (("\udcff",), 1, "no text"),
            ((), 2, "explain ADDRESS"), (("a", "b"), 2, "one argument too")):
        done = gate.sluice("explain", *arguments)
        t.check(done.returncode == status and what in done.stderr and "\x1b" not in done.stderr and
                len(done.stderr.splitlines()) == 1, f"{arguments!a}: {done.stderr.strip()}")
    gate.sluice("mode", "enforce")
    gate.change("gate", address=server_v4())
    t.equal("reload", gate.sluice("reload").returncode, 0)
    before = len(events(gate, source_v6(20)))
    t.equal("an address that is not guarded", explain(gate, source_v6(20))["guarded"], False)
    t.check("pass unjudged: no address of its family is guarded" in words(gate, source_v6(20)),
            "in words")
    (attempt,) = connect_now(net, [source_v6(20)], server_v6(), end=1)
    t.equal("and it is let in unjudged", (attempt.connected is not None,
                                          len(events(gate, source_v6(20)))), (True, before))
    foretold(t, net, gate, source_v4(20), "one that is", "pass", "admitted")

    for request in ({"command": "explain"}, {"command": "explain", "address": 7}):
        t.check(not control.ask(gate, **request)["ok"], f"{request}")
    server.finish()


@scenario(limit=60)
def test_explain_buckets(t):
    """The subnet's and the global bucket, seniority and HOLD: foretold, and until when"""
    net = Net()
    server = sink(net)
    gate = Gate(net, limits("30/min", 6, retry=5, known=5, subnet_rate="6/min", subnet_burst=3))
    gate.start()
    same = [f"198.18.50.{n}" for n in range(1, 6)]
    connect_now(net, same[:3], server_v4())
    foretold(t, net, gate, same[3], "a fourth of one subnet", "defer", "subnet-rate")

    connect_now(net, [source_v4(n) for n in (1, 2, 3)], server_v4())
    said = foretold(t, net, gate, source_v4(4), "one too many of all", "defer", "connection-rate",
                    end=0.2)
    t.check(said["pressure"], "under pressure")
    wait = said["next_ms"] / 1000
    t.between("s until the next", wait, 0.5, 2)
    waits = [explain(gate, source_v4(5))["next_ms"] / 1000]
    time.sleep(max(waits[0] - 0.2, 0))
    foretold(t, net, gate, source_v4(5), "a moment before that", "defer", "connection-rate",
             end=0.05)
    time.sleep(explain(gate, source_v4(5))["next_ms"] / 1000 + 0.05)
    foretold(t, net, gate, source_v4(6), "a moment after", "pass", "admitted")

    asked = explain(gate, source_v4(7))
    child = clients(net, [(0, source_v4(7), 0)], server_v4(), end=2.5)
    time.sleep(0.7)
    said = explain(gate, source_v4(7))
    (attempt,) = said["attempts"]
    t.equal("an attempt that is remembered", (attempt["remembered"], attempt["verdict"]),
            ("deferred", "defer"))
    t.equal("its retransmit is foretold to", attempt["again"]["verdict"], "pass")
    t.check("remembered: a retransmit now would be let in" in words(gate, source_v4(7)), "in words")
    child.result()
    t.equal("and met", [e["verdict"] for e in events(gate, source_v4(7))][:2], ["defer", "pass"])
    t.equal("as its client was foretold to", [c["verdict"] for c in asked["client"]],
            ["defer", "pass"])
    said = explain(gate, source_v4(7))
    t.equal("an attempt that was admitted", said["attempts"][0]["remembered"], "admitted")

    gate.end()
    gate.change("limits", connection_rate="5/s", connection_burst=3, pace_horizon="5s",
                subnet_rate="off")
    gate.start()
    gate.wait_for("HOLD", lambda s: s["hold"]["state"] == "on")
    connect_now(net, [source_v4(n) for n in (20, 21, 22)], server_v4())
    waiting = clients(net, [(0, source_v4(23 + n), 0) for n in range(4)], server_v4())
    time.sleep(0.1)
    said = foretold(t, net, gate, source_v4(30), "HOLD", "hold", "connection-rate", end=0.1)
    wait = events(gate, source_v4(30))[0]["wait_ms"]
    t.between("ms that it is held, of those foretold", wait - said["now"]["hold_ms"], -300, 20)
    t.check(re.search(r"would be held for (\d+ ms|1\.\d s)", words(gate, source_v4(31))),
            "in words")
    waiting.result()
    server.finish()


@scenario(limit=60)
def test_explain_sessions(t):
    """Sessions, those of one source, slot time and a full accept queue: foretold and met"""
    net = Net()
    server = sink(net)
    gate = Gate(net, limits(**WIDE, max_sessions=6, known_share=0, max_sessions_per_source=2,
                            source_session_time="30s"))
    gate.start()
    a, b = source_v4(1), source_v4(2)
    open_ones = clients(net, [(0, a, 30), (0, a, 30)], server_v4(), end=8)
    gate.wait_for("two", lambda s: s["sessions"]["live"] == 2)
    said = foretold(t, net, gate, a, "a third of one source", "defer", "source-sessions")
    t.equal("it holds", said["sessions"]["held"], 2)
    t.equal("next", said["next_ms"], None)
    t.check("it holds 2 of 2 that it may" in words(gate, a), words(gate, a))
    t.check("before it has ended a session" in words(gate, a), "until when, in words")
    more = clients(net, [(0, source_v4(3 + n // 2), 30) for n in range(4)], server_v4(), end=6)
    gate.wait_for("six", lambda s: s["sessions"]["live"] == 6)
    foretold(t, net, gate, b, "one too many of all", "refuse", "sessions")
    gate.end()

    server.finish()
    gate.change("limits", max_sessions=0, max_sessions_per_source=0, source_session_time=0)
    gate.start()
    slow = slow_sink(net, 8, 3)
    crowd = clients(net, [(0, source_v4(10 + n), 0) for n in range(8)], server_v4(), end=4)
    gate.wait_for("a full queue", lambda s: s["accept_queue"]["waiting"] >= 5)
    time.sleep(0.2)
    said = foretold(t, net, gate, source_v4(30), "a full accept queue", "defer", "backlog", end=0.2)
    t.check(said["queue"]["waiting"] >= 5 and said["queue"]["most"] == 8, f"{said['queue']}")
    crowd.result()
    slow.stop()


def _as_nobody(command):
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    return done.returncode, done.stderr


@scenario(limit=60)
def test_explain_alone(t):
    """Without a daemon: foretold from the pinned maps, and what is missing; no permission"""
    net = Net()
    server = sink(net)
    gate = Gate(net, limits(**WIDE, source_rate="6/min", source_burst=3), load={"lease": "10s"},
                classes={"blocked": write("blocked", source_v4(9))})
    gate.start()
    gate.sluice("known", "mark", "good", source_v4(3))
    connect_now(net, [source_v4(1)] * 3, server_v4())
    with_daemon = {n: explain(gate, source_v4(n)) for n in (1, 2, 3, 9)}
    gate.kill()
    for n, said in with_daemon.items():
        alone = explain(gate, source_v4(n))
        t.equal(f"source {n}", (alone["from"], alone["now"], alone["class"]["name"]),
                ("pins", said["now"], said["class"]["name"]))
    text = words(gate, source_v4(1))
    t.check("by the gate source-rate" in text and "No sluiced runs: this is read from its pinned "
            "maps" in text and "Not known: which file lists it, how good its mail was" in text,
            text)
    (attempt,) = connect_now(net, [source_v4(1)], server_v4(), end=0.5)
    t.check(attempt.connected is None, "and it is so")
    done = subprocess.run([SLUICE, "-i", "other", "explain", "192.0.2.1"], capture_output=True,
                          text=True)
    t.check(done.returncode == 1 and "no sluiced of the name other" in done.stderr and
            "nothing of it is pinned" in done.stderr and len(done.stderr.splitlines()) == 1,
            done.stderr.strip())
    done = gate.sluice("explain", "host")
    t.check(done.returncode == 1 and "host: it is not an address" in done.stderr,
            done.stderr.strip())
    code, error = Child(None, _as_nobody, [SLUICE, "explain", "192.0.2.1"]).result()
    t.check(code == 1 and "is for root only" in error and len(error.splitlines()) == 1,
            error.strip())
    gate.start()
    os.chown(f"{RUN}/{gate.name}/control", 0, 7)
    code, error = Child(None, _as_nobody, [SLUICE, "explain", "192.0.2.1"]).result()
    t.check(code == 1 and "root and the group lp" in error, error.strip())
    server.finish()
