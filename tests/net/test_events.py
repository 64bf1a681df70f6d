# SPDX-License-Identifier: GPL-2.0-or-later
"""sluice events: single decisions as they were, at a bounded rate, whoever reads them or not."""

import ipaddress
import json
import os
import re
import signal
import subprocess
import time

from lib import control
from lib.child import Child
from lib.clients import connect_now, syn_times
from lib.frames import Syn, spoof
from lib.gate import OPEN, RUN, SLUICE, Gate, limits, write
from lib.sandbox import WORK
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4, server_v6, source_v4, source_v6
from lib.torrent import torrent

WINDOW_S = (1 << 27) / 1e9
SHARE = 1000 * WINDOW_S  # of all CPUs: events in a window, in the long run


def spawn(gate, *words):
    """A sluice that goes on, with its output in a pipe."""
    return subprocess.Popen([SLUICE, "-i", gate.name, *words], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def spawn_into(path, gate, *words):
    """The same into a file."""
    with open(path, "w") as f:
        return subprocess.Popen([SLUICE, "-i", gate.name, *words], stdin=subprocess.DEVNULL,
                                stdout=f, stderr=subprocess.STDOUT)


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def events(gate, *words):
    return [e for e in objects(gate.sluice("--json", "events", *words).stdout) if "gap" not in e]


def end(process, timeout=10):
    process.terminate()
    return process.communicate(timeout=timeout)


@scenario(limit=40)
def test_events(t):
    """Each decision as it was: who, when, which verdict and why; by reason, by prefix, followed"""
    net = Net()
    gate = Gate(net, limits("1000/s", 1000, source_rate="6/min", source_burst=3),
                classes={"blocked": write("blocked", f"{source_v4(9)}\n")})
    gate.start()
    server = sink(net)
    follower = spawn(gate, "events", "--follow")
    began = time.time()
    a, b, six = source_v4(1), source_v4(2), source_v6(1)
    connect_now(net, [a] * 3 + [b], server_v4())
    connect_now(net, [six], server_v6())
    connect_now(net, [source_v4(9)], server_v4())
    sent = syn_times(3)  # before Linux 6.5 the second retransmit came a second later
    connect_now(net, [a], server_v4(), end=sent[2] + 0.5)  # its SYN and two retransmits

    seen = events(gate)
    t.equal("events", len(seen), 9)
    t.equal("verdicts and reasons", [(e["source"], e["verdict"], e["reason"]) for e in seen],
            [(a, "pass", "admitted")] * 3 + [(b, "pass", "admitted"), (six, "pass", "admitted"),
                                             (source_v4(9), "refuse", "blocked")] +
            [(a, "defer", "source-rate")] * 3)
    t.equal("retransmits", [e["again"] for e in seen[6:]], [False, True, True])
    t.equal("one attempt", len({e["source_port"] for e in seen[6:]}), 1)
    one = seen[4]
    rest = {"shape": 1, "family": "ipv6", "class": "unknown", "mode": "enforce", "port": 25,
            "dest": str(ipaddress.ip_address(server_v6())), "wait_ms": None, "stands_for": 1}
    t.equal("the rest of one", {k: one[k] for k in rest}, rest)
    t.between("s until the first", seen[0]["time_ms"] / 1000 - began, -0.02, 1.5)
    t.between("s between the retransmits", (seen[8]["time_ms"] - seen[7]["time_ms"]) / 1000,
              sent[2] - sent[1] - 0.1, sent[2] - sent[1] + 0.3)
    t.equal("in order", [e["sequence"] for e in seen], list(range(1, 10)))

    for words, count in ((("--reason", "source-rate"), 3), (("--reason=blocked",), 1),
                         (("--reason", "load"), 0), (("--address", a), 6),
                         (("--address", "198.18.0.0/15"), 8), (("--address", "0.0.0.0/0"), 8),
                         (("--address", "::/0"), 1), (("--address", six), 1),
                         (("--address", "2001:db8::/32"), 1),
                         (("--address", a, "--reason", "admitted"), 3),
                         (("--address", "203.0.113.0/24"), 0)):
        t.equal(f"events {' '.join(words)}", len(events(gate, *words)), count)

    lines = gate.sluice("events", "--reason", "source-rate").stdout.splitlines()
    t.check(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  defer   source-rate      "
                         rf"{a} port \d+ to {server_v4()} port 25, unknown, again", lines[1]),
            f"a line: {lines[1]}")
    time.sleep(0.7)  # the follower asks twice a second
    said, _ = end(follower)
    t.equal("lines of the one that follows", len(said.splitlines()), 9)
    t.check("\x1b" not in said, "without colours in a pipe")

    gate.sluice("mode", "monitor")
    connect_now(net, [a], server_v4())
    last = events(gate)[-1]
    t.equal("in monitor mode", (last["mode"], last["verdict"]), ("monitor", "defer"))
    line = gate.sluice("events").stdout.splitlines()[-1]
    t.check("would defer   source-rate" in line, line)

    for words, status, said in (
            (("--reason", "bored"), 1, "one of trusted, retransmit, "),
            (("--address", "host"), 1, "an address or a prefix"),
            (("--address", "192.0.2.0/33"), 1, "an address or a prefix"),
            (("--address", "\udcff"), 2, "no text"), (("more",), 2, "takes no arguments"),
            (("--follow=1",), 2, "it takes no argument"), (("--address",), 2, "needs an argument")):
        done = gate.sluice("events", *words)
        t.check(done.returncode == status and said in done.stderr and
                len(done.stderr.splitlines()) == 1, f"{words!a}: {done.stderr.strip()}")
    done = gate.sluice("status", "--follow")
    t.check(done.returncode == 2 and "no meaning" in done.stderr, f"status: {done.stderr.strip()}")
    server.finish()


@scenario(limit=60)
def test_events_flood(t):
    """In a flood of as many SYNs as this machine sends, events are bounded, and stand for all"""
    net = Net()
    gate = Gate(net, limits("100/s", 100))
    gate.start()
    cpus = os.cpu_count()
    sources = [source_v4(n) for n in range(127)]
    readers = {os.path.join(WORK, f"reader{n}"): None for n in range(10)}
    for path in readers:
        readers[path] = spawn_into(path, gate, "--json", "events", "--follow")
    blocked = spawn(gate, "events", "--follow")  # its pipe is full soon
    idle = control.connect(gate, timeout=20)  # asks, and never reads
    idle.sendall(b'{"command":"events"}\n')
    sent, took = torrent(net, sources, server_v4(), 6).result()
    t.between("SYNs a second", sent / took, 20000, 1e9)
    began = time.monotonic()
    status = gate.status()
    t.between("s to answer status", time.monotonic() - began, 0, 1)
    judged = status["totals"]["judged"]
    time.sleep(1)
    first = control.ask(gate, command="events")
    kept, after = first["events"], first["next"]
    for _ in range(12):
        page = control.ask(gate, command="events", after=after)
        kept, after = kept + page["events"], page["next"]
    bound = 2 * max(SHARE, cpus) / WINDOW_S
    t.between("events kept", len(kept), 1000, 4096)
    t.between("told a second", page["told"] / took, 100, bound)
    stands = sum(e["stands_for"] for e in kept)
    share = len(kept) / page["told"]
    t.between("SYNs that the kept events stand for, of what they are to", stands / (judged * share),
              0.5, 2)
    t.equal("judged", page["judged"], judged)
    t.equal("lost", page["lost"], 0)
    t.between("that the busiest stands for", max(e["stands_for"] for e in kept), 10, 1e6)

    for path, reader in readers.items():
        reader.terminate()
        reader.wait(timeout=10)
        with open(path) as f:
            got = objects(f.read())
        lines = [e for e in got if "gap" not in e]
        gaps = [e["gap"] for e in got if "gap" in e]
        skipped = sum(g["missed"] for g in gaps)
        if path.endswith("reader0"):
            t.note(f"one reader: {len(lines)} events, {len(gaps)} gaps: {gaps[:3]}")
            t.check(sum(g["not_sampled"] for g in gaps) > judged / 2,
                    "what was not sampled is said")
        t.check(len(lines) > 500 and reader.returncode == 0 and
                lines[-1]["sequence"] - lines[0]["sequence"] + 1 == len(lines) + skipped,
                f"a reader: {len(lines)} events, {skipped} missed and said")
    idle.close()
    end(blocked)
    t.between("KiB of the daemon", control.rss_kb(gate), 0, 64 * 1024)
    text = gate.sluice("events").stdout.splitlines()
    t.check(re.match(r"# \d+ SYNs were judged that no event was made of", text[-1]) and
            any(re.search(r", 1 of \d+$", one) for one in text), f"in words: {text[-1]}")


@scenario(limit=40)
def test_events_slow_reader(t):
    """Who asks late is told how many events it has missed; a ring that is full is counted"""
    net = Net()
    gate = Gate(net, OPEN)
    gate.start()
    some = [Syn(n / 200, source_v4(n), 1024 + n % 60000, n) for n in range(100)]
    spoof(net, some, server_v4()).result()
    first = control.ask(gate, command="events")
    t.equal("the first page", (len(first["events"]), first["missed"], first["more"]),
            (100, 0, False))
    storm = [source_v4(n) for n in range(127)]
    page = first
    while page["told"] < 4096 + 300:
        torrent(net, storm, server_v4(), 2).result()
        page = control.ask(gate, command="events", after=first["next"])
    t.equal("missed", page["missed"], page["told"] - 100 - 4096)
    t.equal("and the oldest that is kept", page["events"][0]["sequence"],
            first["next"] + page["missed"] + 1)
    gate.process.send_signal(signal.SIGSTOP)  # nobody reads the ring
    torrent(net, storm, server_v4(), 10).result()
    gate.process.send_signal(signal.SIGCONT)
    page = control.ask(gate, command="events", after=page["next"])
    t.between("lost", page["lost"], 100, 1e6)
    done = gate.sluice("events").stdout.splitlines()
    t.check("events were lost, as the ring to the daemon was full" in done[-1], done[-1])


def _as_nobody(words, gid):
    os.setgroups([])
    os.setgid(gid)
    os.setuid(65534)
    done = subprocess.run(words, capture_output=True, text=True, timeout=10)
    return done.returncode, done.stderr


@scenario(limit=40)
def test_events_end(t):
    """A daemon that is killed ends those who follow, with a sentence; so does no permission"""
    net = Net()
    gate = Gate(net, OPEN)
    gate.start()
    server = sink(net)
    followers = [spawn(gate, "events", "--follow"), spawn(gate, "--json", "events", "--follow")]
    connect_now(net, [source_v4(1)], server_v4())
    time.sleep(1)
    began = time.monotonic()
    gate.kill()
    for follower in followers:
        said, error = follower.communicate(timeout=10)
        t.equal("exit status", follower.returncode, 1)
        t.equal("events before", len(said.splitlines()), 1)
        t.check(re.search("no sluiced of the name default is running|without an answer", error) and
                len(error.splitlines()) == 1, f"error: {error.strip()}")
    t.between("s after the end", time.monotonic() - began, 0, 2)
    done = gate.sluice("events")
    t.check(done.returncode == 1 and "no sluiced" in done.stderr, done.stderr.strip())

    gate.start()
    t.equal("a new daemon has no old events", len(events(gate)), 0)
    os.chown(f"{RUN}/{gate.name}/control", 0, 7)
    code, error = Child(None, _as_nobody, [SLUICE, "events"], 65534).result()
    t.check(code == 1 and "is for root and the group lp: try it as root, or join" in error,
            f"no permission: {error.strip()}")
    closed = spawn(gate, "events", "--follow")
    closed.stdout.close()  # nobody reads any more
    connect_now(net, [source_v4(2)], server_v4())
    closed.wait(timeout=10)
    t.check(closed.returncode in (1, -signal.SIGPIPE), f"a closed pipe: {closed.returncode}")
    full = subprocess.run(f"{SLUICE} events > /dev/full", shell=True, capture_output=True,
                          text=True)
    t.check(full.returncode == 1 and "could not be written" in full.stderr, full.stderr.strip())
    server.finish()
