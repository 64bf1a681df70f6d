# SPDX-License-Identifier: GPL-2.0-or-later
"""sluice top: where a storm comes from, what becomes of it, and a terminal given back."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from lib.child import raise_file_limit
from lib.clients import connect_now
from lib.frames import Syn, spoof
from lib.gate import OPEN, SLUICE, Gate, limits, write
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4, source_v4
from lib.torrent import torrent

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
VERDICTS = ("pass", "hold", "defer", "refuse", "drop")
CITY, TOWN = "100.64.0.0/16", "203.7.0.0/16"


def a_storm(rng, count):
    """Addresses: 60 % of one /16, 25 % of another, the rest from everywhere."""
    found = []
    for _ in range(count):
        where, low = rng.random(), rng.getrandbits(16)
        high = ("100.64" if where < 0.6 else "203.7" if where < 0.85 else
                f"{rng.randrange(11, 99)}.{rng.randrange(256)}")
        found.append(f"{high}.{low >> 8}.{low & 255}")
    return found


def top(gate, *words):
    done = gate.sluice("--json", "top", "--once", *words)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def shares(answer, kind="wide"):
    return {row["prefix"]: row["share"] for row in answer[kind]}


def where_from(t, what, answer):
    found = shares(answer)
    t.equal(f"{what}: the busiest", [row["prefix"] for row in answer["wide"]][:2], [CITY, TOWN])
    t.between(f"{what}: share of the city", found.get(CITY, 0), 0.55, 0.65)
    t.between(f"{what}: share of the town", found.get(TOWN, 0), 0.20, 0.30)


@scenario(limit=60)
def test_top(t):
    """Where a storm comes from within 5 points, slow and at full speed; each second as counted"""
    net = Net()
    server = sink(net)
    gate = Gate(net, limits("50/s", 100))
    gate.start()
    storm = a_storm(t.rng, 1600)
    syns = [Syn(n / 400, source, 1024 + n, n) for n, source in enumerate(storm)]
    spoof(net, syns, server_v4()).result()
    time.sleep(1.2)  # the second that it ends in
    slow = top(gate)
    where_from(t, "400/s", slow)
    t.equal("shape", (slow["shape"], slow["from"], slow["mode"]), (1, "daemon", "enforce"))
    t.between("attempts in the storm", slow["storm"]["attempts"], 1600, 1600)
    line = slow["line"]
    t.equal("attempts in the line", sum(s["attempts"] for s in line), 1600)
    t.between("most attempts of a second", max(s["attempts"] / s["took_s"] for s in line), 350, 450)
    totals = gate.status()["totals"]
    t.equal("SYNs by verdict", {v: sum(s[v] for s in line) for v in VERDICTS},
            {v: totals[v] for v in VERDICTS})
    city = slow["wide"][0]
    t.equal("its verdicts add up", sum(city[v] for v in VERDICTS), city["attempts"])
    t.between("of which were deferred", city["defer"] / city["attempts"], 0.5, 0.95)

    many = a_storm(t.rng, 20000)
    sent, took = torrent(net, many, server_v4(), 8).result()
    flood = top(gate)
    t.between("SYNs a second", sent / took, 20000, 1e9)
    where_from(t, "at full speed", flood)
    t.between("SYNs that the samples stand for, of those judged", flood["storm"]["syns"] / sent,
              0.9, 1.1)
    t.between("seconds that it took to ask", timed(lambda: top(gate)), 0, 0.5)

    text = gate.sluice("top", "--once").stdout
    rows = [line.split() for line in text.splitlines() if "100.64.0.0/16" in line]
    t.check(len(rows) == 1 and abs(float(rows[0][0]) - 60) <= 5, f"in words: {' '.join(rows[0])}")
    t.check(re.search(r"WHERE FROM  \S+ attempts in \d+ s, from a sample of 1 SYN in \S+", text),
            "the sampling is stated")
    t.check(max(map(len, text.splitlines())) <= 100 and "\x1b" not in text,
            "100 columns, without colours")
    server.finish()


def timed(function):
    began = time.monotonic()
    function()
    return time.monotonic() - began


@scenario(limit=60)
def test_top_source(t):
    """A busy source and subnet are found in a flood of spoofed ones, with class and verdicts"""
    net = Net()
    gate = Gate(net, limits("100/s", 200, source_rate="60/min", source_burst=20),
                classes={"blocked": write("blocked", "192.0.2.0/24\n")}, mode="monitor")
    gate.start()
    storm = a_storm(t.rng, 20000)
    for n in range(0, 20000, 10):
        storm[n] = "192.0.2.77"  # a tenth
    for n in range(5, 20000, 20):
        storm[n] = f"198.51.100.{n % 256}"  # a twentieth
    torrent(net, storm, server_v4(), 6).result()
    found = top(gate)
    first = found["sources"][0]
    t.equal("the busiest source", (first["prefix"], first["class"]), ("192.0.2.77/32", "blocked"))
    t.between("its share", first["share"], 0.07, 0.13)
    t.between("of its attempts were refused, or deferred as there were too many",
              (first["refuse"] + first["defer"]) / first["attempts"], 0.99, 1.01)
    subnets = shares(found, "subnets")
    t.between("the share of the second subnet", subnets.get("198.51.100.0/24", 0), 0.03, 0.07)
    t.check("WOULD:IN" in gate.sluice("top", "--once").stdout, "monitor says would")


@scenario(limit=40)
def test_top_lines(t):
    """Without a terminal: a line a second; without a daemon: from the maps, and what is missing"""
    net = Net()
    server = sink(net)
    gate = Gate(net, OPEN)
    gate.start()
    time.sleep(2.5)  # for a first second
    lines = subprocess.Popen([SLUICE, "top"], stdout=subprocess.PIPE, text=True)
    objects = subprocess.Popen([SLUICE, "--json", "top"], stdout=subprocess.PIPE, text=True)
    connect_now(net, [source_v4(n) for n in range(20)], server_v4())
    found = [lines.stdout.readline() for _ in range(4)]
    t.check(all(re.fullmatch(r"\d\d:\d\d:\d\d  attempts \S+  admitted \S+  held 0  deferred 0  "
                             r"refused 0  load \S+  sessions \S+(  198.18.0.0/16 100.0 %)?\n", one)
                for one in found), f"lines: {found[-1].strip()}")
    seen = sum(float(re.search(r"attempts (\S+)", one)[1]) for one in found[:-1])
    t.between("attempts in them", seen, 15, 25)
    answers = [json.loads(objects.stdout.readline()) for _ in range(3)]
    t.equal("an answer a line", [a["shape"] for a in answers], [1] * 3)
    gate.kill()
    t.equal("a daemon that is killed ends it", [lines.wait(5), objects.wait(5)], [1, 1])
    connect = [Syn(n / 50, source_v4(n), 2000 + n, n) for n in range(100)]
    child = spoof(net, connect, server_v4())
    done = gate.sluice("top", "--once")
    child.result()
    attempts = re.search(r"^attempts +(\S+)", done.stdout, re.M)
    t.check(done.returncode == 0 and "No sluiced runs: this is read from its pinned maps." in
            done.stdout and "Not known: who attempts, the load" in done.stdout, done.stdout)
    t.between("attempts a second from the maps", float(attempts[1]), 30, 60)
    gate.start()
    gate.sluice("tier", "queue,refuse")
    gate.kill()
    left = top(gate)
    t.equal("tiers that have not lapsed", (left["tiers"], left["line"][0]["tiers"]),
            (["queue", "refuse"],) * 2)
    done = gate.sluice("top", "--once")
    t.check("tier queue,refuse" in done.stdout and max(map(len, done.stdout.splitlines())) <= 100,
            f"in words: {done.stdout.splitlines()[0]}")
    done = subprocess.run([SLUICE, "-i", "other", "top"], capture_output=True, text=True)
    t.check(done.returncode == 1 and "no sluiced of the name other" in done.stderr,
            done.stderr.strip())
    for words, said in ((("top", "x"), "takes no arguments"), (("status", "--once"), "no meaning")):
        done = gate.sluice(*words)
        t.check(done.returncode == 2 and said in done.stderr, done.stderr.strip())
    server.finish()


class Terminal:
    """sluice top on a terminal of its own."""

    def __init__(self, gate, rows=24, columns=100, **environment):
        self.rows, self.columns, self.text = rows, columns, b""
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.environ.update({"TERM": "xterm", "LC_ALL": "C.UTF-8"} | environment)
            os.environ.pop("NO_COLOR", None) if "NO_COLOR" not in environment else None
            time.sleep(0.1)  # until it has its size
            os.execv(SLUICE, [SLUICE, "-i", gate.name, "top"])
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.fd)

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, until, timeout=5):
        """Reads until the pattern is there, which is returned with what stands before it."""
        end = time.monotonic() + timeout
        while not (found := re.search(until, self.text, re.S)):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise TimeoutError(f"{until} is not in {self.text[-300:]!r}")
            try:
                self.text += os.read(self.fd, 65536)
            except OSError:  # the other side is closed
                raise TimeoutError(f"{until} is not in {self.text[-300:]!r}") from None
        text, self.text = self.text[:found.end()], self.text[found.end():]
        return text

    def picture(self):
        """The next whole picture, as lines without sequences."""
        text = self.read(rb"\x1b\[H.*?\x1b\[J").decode()
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
        return text.replace("\r", "").split("\n")

    def is_back(self):
        return termios.tcgetattr(self.fd) == self.before

    def stopped(self):
        return os.WIFSTOPPED(os.waitpid(self.pid, os.WUNTRACED)[1])

    def status(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@scenario(limit=60)
def test_top_terminal(t):
    """On a terminal: drawn within its size, redrawn, stopped, resumed, and always given back"""
    raise_file_limit()
    net = Net()
    gate = Gate(net, limits("50/s", 100))
    gate.start()
    storm = [Syn(n / 300, source, 1024 + n, n) for n, source in enumerate(a_storm(t.rng, 1200))]
    spoof(net, storm, server_v4()).result()

    one = Terminal(gate)
    t.check(one.read(re.escape(ENTER)) is not None, "the second screen is entered")
    lines = one.picture()
    t.check(len(lines) <= 24 and max(map(len, lines)) <= 100 and
            any("WHERE FROM" in x for x in lines) and any(x.split()[3:4] == [CITY] for x in lines), f"{len(lines)} rows, where from")
    t.check(not one.is_back(), "keys are not shown")
    t.check("▁" in "".join(lines) and "█" in "".join(lines), "a line of blocks")
    one.resize(14, 60)
    os.kill(one.pid, signal.SIGWINCH)
    lines = one.picture()
    lines = one.picture()
    t.check(len(lines) <= 14 and max(map(len, lines)) <= 60, f"resized: {len(lines)} rows of "
            f"{max(map(len, lines))}")
    os.kill(one.pid, signal.SIGTSTP)
    t.check(one.stopped(), "Control-Z stops it")
    one.read(re.escape(LEAVE))
    t.check(one.is_back(), "with the terminal as it was")
    os.kill(one.pid, signal.SIGCONT)
    one.read(re.escape(ENTER))
    t.check(len(one.picture()) > 8 and not one.is_back(), "and it goes on")
    os.write(one.fd, b"q")
    one.read(re.escape(LEAVE))
    t.equal("q ends it", one.status(), 0)
    t.check(one.is_back(), "with the terminal as it was")

    for name, number in (("Control-C", signal.SIGINT), ("SIGTERM", signal.SIGTERM),
                         ("SIGHUP", signal.SIGHUP)):
        one = Terminal(gate)
        one.picture()
        os.kill(one.pid, number)
        one.read(re.escape(LEAVE))
        t.equal(f"{name} ends it", (one.status(), one.is_back()), (0, True))

    colours = re.compile(rb"\x1b\[[1-9][0-9]*m")
    one = Terminal(gate)
    t.check(colours.search(one.read(rb"\x1b\[H.*?\x1b\[J")), "with colours")
    plain = Terminal(gate, NO_COLOR="1", LC_ALL="C")
    text = plain.read(rb"\x1b\[H.*?\x1b\[J")
    t.check(not colours.search(text) and text.isascii(), "NO_COLOR, and a locale without blocks")
    gate.kill()
    for terminal in (one, plain):
        terminal.read(re.escape(LEAVE))
        terminal.read(rb"sluice: [^\n]*(no sluiced of the name default|without an answer)")
        t.equal("a daemon that is killed ends it", (terminal.status(), terminal.is_back()),
                (1, True))

    dumb = Terminal(gate, TERM="dumb")
    dumb.read(rb"attempts \S+  admitted")
    os.kill(dumb.pid, signal.SIGINT)
    t.check(ENTER not in dumb.text, "a dumb terminal has lines, here from the pinned maps")
