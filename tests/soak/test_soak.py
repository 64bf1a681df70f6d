# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults by name, each while a storm runs; make soak runs them, and the fuzzers before them.

Beside the storm go two whose fate is known: a known sender, who has to get in, and one who is
blocked, who must not while the filter is there. Each fault says what was lost of the one, what was
misjudged of the other, how long it took until all was well again, and what the log said of it.
"""

import json
import os
import signal
import subprocess
import threading
import time

from lib import control, kernel
from lib.clients import clients
from lib.gate import SLUICE, Gate, limits, write, xdp_on
from lib.sandbox import WORK
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import V4_SOURCES, V6_SOURCES, Net, ip, server_v4, source_v4
from lib.torrent import torrent

STORM, KNOWN, BLOCKED = 40, 5, 3  # connects a second
GOOD, BAD = source_v4(120), source_v4(121)
PATIENCE = 8  # s, of each connect: as a sender that tries again
KILLS, RELOADS, CONTROL_CLIENTS = 100, 1000, 10000
# A policy is never changed twice within 100 ms: all of them take three hours.
CHANGES = min(100000, 3 * int(os.environ.get("SOAK_SECONDS") or 300))


class Day:
    """A server, its filter and a storm."""

    def __init__(self, t, tables=(), **conf):
        tables = dict(tables)
        self.t, self.net = t, Net()
        self.sink = sink(self.net)
        self.gate = Gate(self.net, limits("20/s", 20, retry=20, known=200, **conf.pop("extra", {})),
                         classes={"known": write("known", f"{GOOD}/32\n"),
                                  "blocked": write("blocked", f"{BAD}/32\n")}, **conf)
        self.gate.change("limits", **tables)
        self.gate.start()

    def during(self, seconds, function, barred=True):
        """Runs function(day) in a storm of so many seconds. Returns what it returns."""
        plan = [(n / STORM, source_v4(n % 100), 0.2) for n in range(seconds * STORM)]
        plan += [(n / KNOWN, GOOD, 0.1) for n in range(seconds * KNOWN)]
        plan += [(n / BLOCKED, BAD, 0) for n in range(seconds * BLOCKED)]
        traffic = clients(self.net, sorted(plan), server_v4(), patience=PATIENCE,
                          end=seconds + PATIENCE)
        time.sleep(1)
        answer = function(self)
        attempts = traffic.result()
        good = [a for a in attempts if a.source == GOOD]
        lost = sum(a.banner is None for a in good)
        self.t.equal(f"of a known sender's {len(good)} connects lost", lost, 0)
        passed = sum(a.connected is not None for a in attempts if a.source == BAD)
        if barred:
            self.t.equal("misjudged: a blocked sender's connects that got in", passed, 0)
        else:
            self.t.note(f"while there was no filter {passed} connects of a blocked sender got in")
        return answer

    def well(self, timeout=15):
        """Seconds until a status is answered with all interfaces attached."""
        began = time.monotonic()
        while time.monotonic() - began < timeout:
            status = self.gate.status(quiet=True)
            if status and all(i["attached"] for i in status["interfaces"]) and xdp_on(self.net, "s0"):
                took = time.monotonic() - began
                self.t.between("recovered after, s", took, 0, timeout)
                return took
            time.sleep(0.02)
        self.t.check(False, f"recovered within {timeout} s")
        return None

    def said(self, *words, timeout=10):
        """The log has a line with all of these words, and it is shown."""
        end = time.monotonic() + timeout
        while True:
            lines = [line for line in self.gate.log().splitlines()
                     if all(w in line for w in words)]
            if lines or time.monotonic() > end:
                return self.t.check(bool(lines), f"said: {lines[-1] if lines else words}")
            time.sleep(0.05)

    def end(self):
        self.gate.end()
        self.sink.finish()


@scenario(limit=300)
def test_soak_kill(t):
    """SIGKILL of the daemon, a hundred times at random"""
    day, longest = Day(t), 0

    def fault(day):
        nonlocal longest
        for _ in range(KILLS):
            time.sleep(t.rng.random() * 0.2)
            day.gate.kill()
            longest = max(longest, day.gate.start())
    day.during(KILLS // 2, fault)
    t.between("the longest until it answered again, s", longest, 0, 10)
    day.said("attached")
    day.end()


@scenario(limit=90)
def test_soak_stop(t):
    """SIGSTOP past the lease: what the load moved lapses, the filter goes on"""
    day = Day(t, load={"lease": "5s", "delay-la": 5})

    def fault(day):
        day.gate.load_file.set(50)
        day.gate.wait_for("the tier", lambda s: s["tier"]["name"] == "delay")
        day.gate.process.send_signal(signal.SIGSTOP)
        time.sleep(8)
        t.check(xdp_on(day.net, "s0") is not None, "the filter is there")
        day.gate.process.send_signal(signal.SIGCONT)
        day.gate.load_file.set(0)
    day.during(14, fault)
    day.well()
    day.said("tier normal -> delay")
    day.end()


def small_disk(name, kbytes=16):
    """A file system that is soon full. Returns its folder."""
    folder = os.path.join(WORK, name)
    os.mkdir(folder)
    kernel.mount("small", folder, "tmpfs", 0, f"size={kbytes}k")
    return folder


def fill(folder):
    try:
        with open(os.path.join(folder, "filler"), "wb", buffering=0) as f:
            while f.write(b"x" * 4096):
                pass
    except OSError:
        pass


@scenario(limit=90)
def test_soak_disk_full(t):
    """No room for the metrics file and for what is kept: said, the old file whole, then written again"""
    folder = small_disk("metrics", 256)
    path = os.path.join(folder, "sluice.prom")
    day = Day(t, metrics={"textfile": path, "interval": "1s"})
    kernel.mount("full", "/var/lib/sluice/default", "tmpfs", 0, "size=4k")
    fill("/var/lib/sluice/default")

    def fault(day):
        end = time.monotonic() + 5
        while not os.path.exists(path) and time.monotonic() < end:
            time.sleep(0.05)
        fill(folder)
        day.said("the metrics file", "cannot be written", "No space left")
        with open(path) as f:
            t.check("sluice_" in f.read(), "the old file is whole")
        began = time.monotonic()
        os.unlink(os.path.join(folder, "filler"))
        day.said("is written again")
        t.note(f"recovered after {time.monotonic() - began:.1f} s")
    day.during(10, fault)
    t.equal("known add", day.gate.sluice("known", "add", "192.0.2.1").returncode, 0)
    day.gate.process.send_signal(signal.SIGTERM)
    day.said("known", "No space left")
    t.equal("it ends all the same", day.gate.process.wait(10), 0)
    day.sink.finish()


@scenario(limit=60)
def test_soak_load(t):
    """/proc/loadavg cannot be read: counts as normal, said once; read again when it is back"""
    day = Day(t, load={"refuse-la": 5})

    def fault(day):
        os.unlink(day.gate.load_file.path)
        day.said("the tiers count it as normal")
        time.sleep(2)
        day.gate.load_file.set(0)
        day.said("can be read again")
    day.during(8, fault)
    day.end()


@scenario(limit=120)
def test_soak_interface(t):
    """The interface down, up, with another MTU, renamed and back: nothing is lost but the time"""
    day = Day(t)

    def fault(day):
        for words in ("link set s0 down", "link set s0 up",
                      "neigh replace 198.19.255.2 lladdr 02:00:00:00:00:0c dev s0 nud permanent",
                      "route replace 198.18.0.0/17 via 198.19.255.2 dev s0",
                      "link set s0 mtu 1400", "link set s0 mtu 1500"):
            ip(day.net.server, words)
        day.well()
        ip(day.net.server, "link set s0 name other0")
        day.said("s0: the interface was renamed")
        ip(day.net.server, "link set other0 name s0")
    day.during(12, fault)
    day.well()
    day.end()


@scenario(limit=60)
def test_soak_deleted(t):
    """The interface deleted and made anew: attached again by itself"""
    day = Day(t)
    ip(day.net.server, "link del s0")
    day.said("s0")
    ip(day.net.client, f"route del local {V4_SOURCES[0]} dev lo")
    ip(day.net.client, f"-6 route del local {V6_SOURCES[0]} dev lo")
    day.net._join(0)
    took = day.well(30)
    t.check(took is not None, "attached to the new one")
    day.said("is back and attached again")
    day.during(5, lambda day: None)
    day.end()


@scenario(limit=60)
def test_soak_bpffs(t):
    """bpffs unmounted under the daemon: the filter stays while it lives; mounted again, pinned again"""
    day = Day(t)

    def fault(day):
        kernel.umount("/sys/fs/bpf")
        time.sleep(3)
        t.check(xdp_on(day.net, "s0") is not None, "the filter is there")
        kernel.mount("bpf", "/sys/fs/bpf", "bpf")
    day.during(8, fault)
    day.well()
    day.end()


@scenario(limit=60)
def test_soak_tables_full(t):
    """More sources than the tables hold: who is known gets in, who is blocked does not"""
    day = Day(t, {"source-table": 1024, "subnet-table": 1024},
              extra={"source_rate": "600/min", "source_burst": 50})
    spoofed = [s for s in (source_v4(n) for n in range(127 * 40)) if s != GOOD]
    flood = torrent(day.net, spoofed, server_v4(), 10)
    day.during(8, lambda day: None)
    sent, _ = flood.result()
    t.note(f"{sent} SYNs of {len(spoofed)} sources beside it")
    t.equal("inserts that failed", day.gate.status()["faults"].get("insert_failed", 0), 0)
    day.end()


@scenario(limit=60)
def test_soak_foreign(t):
    """A foreign XDP program was there first: one sentence, it stays; without it the start works"""
    day = Day(t)
    day.gate.end()
    day.gate.sluice("detach")
    link = day.net.hold_xdp(day.net.server, "s0", name="foreign")
    status, text = day.gate.fails()
    t.check(status == 1 and len(text.splitlines()) == 1 and "s0" in text, f"said: {text}")
    os.close(link)
    day.gate.start()
    day.during(4, lambda day: None)
    day.end()


@scenario(limit=400)
def test_soak_reloads(t):
    """A thousand reloads"""
    day = Day(t)

    def fault(day):
        before = control.rss_kb(day.gate), control.descriptors(day.gate)
        for n in range(RELOADS):
            day.gate.change("limits", connection_rate=f"{20 + n % 2}/s")
            if not control.ask(day.gate, command="reload")["ok"]:
                t.check(False, f"reload {n} was refused")
        after = control.rss_kb(day.gate), control.descriptors(day.gate)
        t.between("growth, kB", after[0] - before[0], -10000, 1024)
        t.between("descriptors more", after[1] - before[1], -5, 3)
    day.during(RELOADS // 8, fault)
    day.end()


@scenario(limit=200)
def test_soak_clients(t):
    """Ten thousand control clients, and some that never say a word"""
    day = Day(t)

    def fault(day):
        deaf = [control.connect(day.gate) for _ in range(8)]
        wrong = 0
        for _ in range(CONTROL_CLIENTS):
            wrong += not control.ask(day.gate, command="get")["ok"]
        t.equal(f"of {CONTROL_CLIENTS} not answered", wrong, 0)
        for s in deaf:
            s.close()
    day.during(max(10, CONTROL_CLIENTS // 500), fault)
    day.end()


REQUESTS = [
    {"command": "status"}, {"command": "get"}, {"command": "mode", "mode": "monitor", "for_s": 5},
    {"command": "tier", "tier": "auto"}, {"command": "set", "set": ["limits.connection-rate=20/s"]},
    {"command": "class-list", "offset": 0}, {"command": "known-list", "offset": 0},
    {"command": "known-add", "sources": ["192.0.2.1", "2001:db8::/48"], "check": True},
    {"command": "class-add", "class": "known", "prefixes": ["192.0.2.0/24"], "check": True},
    {"command": "known-mark", "source": "192.0.2.1", "mark": "bad", "for_s": 60},
    {"command": "explain", "address": "192.0.2.1"}, {"command": "events", "after": "7"},
    {"command": "top", "rows": 10, "seconds": 60}, {"command": "suggest"}, {"command": "sources"}]
STRANGE = [b"\0", b"\xff", b"[", b"]", b"{", b"}", b'"', b"\\u0000", b"-1", b"1e400", b"null", b"9" * 40,
           b"[" * 3000, b"a" * 5000]


def mutated(rng):
    """A request that a hostile client might send: a real one, cut, doubled, or with strange bytes."""
    data = bytearray(json.dumps(rng.choice(REQUESTS)).encode())
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0: data[at:at + rng.randrange(1, 9)] = b""
            case 1: data[at:at] = rng.choice(STRANGE)
            case 2: data[at:at + 1] = bytes([rng.randrange(256)])
            case 3: data[at:at] = data[:rng.randrange(len(data) + 1)]
    return bytes(data)


@scenario(limit=200)
def test_soak_garbage(t):
    """Hostile requests at the control socket: each has an answer in JSON, or none; it lives"""
    day = Day(t)

    def fault(day):
        pid, answered, wrong = day.gate.process.pid, 0, []
        for _ in range(CONTROL_CLIENTS):
            request = mutated(t.rng)
            answer, _ = control.say(day.gate, request)
            if answer:
                try:
                    answered += isinstance(json.loads(answer)["ok"], bool)
                except (ValueError, KeyError, TypeError):
                    wrong.append((request, answer))
        t.check(answered > CONTROL_CLIENTS // 2, f"{answered} of {CONTROL_CLIENTS} answered")
        t.equal("answers that are no JSON", wrong[:3], [])
        t.check(day.gate.process.poll() is None and day.gate.process.pid == pid, "it lives")
        control.ask(day.gate, command="mode", mode="enforce")
    day.during(max(10, CONTROL_CLIENTS // 500), fault, barred=False)  # it may be told monitor
    day.end()


@scenario(limit=60)
def test_soak_deaf_reader(t):
    """Readers of events that never read: the daemon goes on, and lets go of them"""
    day = Day(t)

    def fault(day):
        readers = [subprocess.Popen([SLUICE, "-i", day.gate.name, "events"],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL) for _ in range(4)]
        time.sleep(6)
        t.check(day.gate.status()["age_s"] < 3, "the daemon is not held up")
        for reader in readers:
            reader.kill()
            reader.wait()
    day.during(10, fault)
    day.end()


@scenario(limit=300 + CHANGES // 5)
def test_soak_changes(t):
    """Changes of policy without end, up to a hundred thousand: no growth of memory or descriptors"""
    day = Day(t)
    done, failed = [0], []

    def change(worker):
        while done[0] < CHANGES and not failed:
            done[0] += 1
            n = done[0]
            answer = control.ask(day.gate, command="set",
                                 set=[f"limits.connection-rate={20 + n % 5}/s"])
            if not answer["ok"]:
                failed.append(answer["error"])

    for _ in range(200):  # until the allocator has seen all there is to see
        control.ask(day.gate, command="set", set=["limits.connection-rate=21/s"])
    before = control.rss_kb(day.gate), control.descriptors(day.gate)
    began = time.monotonic()
    workers = [threading.Thread(target=change, args=(n,)) for n in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    t.note(f"{done[0]} changes in {time.monotonic() - began:.0f} s")
    t.equal("refused", failed, [])
    t.between("growth, kB", control.rss_kb(day.gate) - before[0], -10000, 1024)
    t.between("descriptors more", control.descriptors(day.gate) - before[1], -5, 3)
    day.end()
