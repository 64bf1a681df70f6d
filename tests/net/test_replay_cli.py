# SPDX-License-Identifier: GPL-2.0-or-later
"""sluice replay: captures of every kind, storms, its figures, charts, and what cannot be read."""

import gzip
import json
import os
import pty
import re
import resource
import select
import struct
import subprocess
import time
import xml.etree.ElementTree

from lib import captures
from lib.captures import (ETHERNET, IPV4, IPV6, RAW, SLL, SLL2, WIFI, datagram, frame, pcap, pcapng,
                          syn, tcp)
from lib.gate import SLUICE, TOP, write
from lib.sandbox import WORK
from lib.scenario import scenario

# T = 100 ms, 12 at once, and nobody has seniority.
TEN_A_SECOND = """[limits]
connection-rate = 10/s
pace-horizon = 0
connection-burst = 12
retry-burst = 0
known-burst = 0
source-rate = off
subnet-rate = off
"""


def replay(*words, env=None, timeout=60):
    return subprocess.run([SLUICE, "replay", *words], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=timeout, env=os.environ | (env or {}))


def capture(data, name="it.pcap"):
    path = os.path.join(WORK, name)
    with open(path, "wb") as f:
        f.write(data)
    return path


def figures(*words):
    done = replay(*words, "--json")
    if done.returncode:
        raise RuntimeError(f"replay {words}: {done.returncode}, {done.stderr.strip()}")
    return json.loads(done.stdout)


def hundred(link, v6=False):
    """A hundred attempts at one moment, each from another subnet."""
    return [(1000.0, syn(link, f"2001:db8:{n:x}::1" if v6 else f"10.{n}.0.1", isn=n))
            for n in range(100)]


@scenario(limit=60)
def test_replay_capture(t):
    """A burst of 100 in any kind of capture: who waits how long is what the bucket allows"""
    conf = write("replay.conf", TEN_A_SECOND)
    kinds = {
        "Ethernet": pcap(ETHERNET, hundred(ETHERNET)),
        "Linux cooked": pcap(SLL, hundred(SLL)),
        "Linux cooked v2": pcap(SLL2, hundred(SLL2)),
        "raw IP": pcap(RAW, hundred(RAW)),
        "raw IPv4": pcap(IPV4, hundred(IPV4)),
        "Ethernet, IPv6": pcap(ETHERNET, hundred(ETHERNET, v6=True)),
        "raw IPv6": pcap(IPV6, hundred(IPV6, v6=True)),
        "raw IP, IPv6": pcap(RAW, hundred(RAW, v6=True)),
        "behind a VLAN tag": pcap(ETHERNET, [(1000, syn(ETHERNET, f"10.{n}.0.1", vlan=7))
                                             for n in range(100)]),
        "nanoseconds, big endian": pcap(ETHERNET, hundred(ETHERNET), order=">", nano=True),
        "cut off behind the TCP header": pcap(ETHERNET, hundred(ETHERNET), snap=54),
        "pcapng": pcapng(ETHERNET, hundred(ETHERNET)),
        "gzipped": gzip.compress(pcap(ETHERNET, hundred(ETHERNET))),
        "gzipped pcapng": gzip.compress(pcapng(SLL, hundred(SLL))),
    }
    for name, data in kinds.items():
        f = figures(capture(data), "-c", conf)
        # 12 at once, 10 at each second, 12 after each pause of two or more, and the last two.
        t.equal(f"{name}: admitted, at once, gave up",
                (f["admitted"]["count"], f["admitted"]["at_once"], f["gave_up"]["count"]),
                (100, 12, 0))
        t.equal("  waited", f["waited"], {"p50_s": 4.0, "p90_s": 19.0, "p99_s": 35.0, "most_s": 35.0})
    for client, want in (("linux-old", (12 + 10 + 12 * 4, 31)), ("windows", (36, 9)),
                         ("spoofed", (12, 0))):
        f = figures(capture(kinds["Ethernet"]), "-c", conf, "--client", client)
        t.equal(f"{client}: admitted, the longest wait, gave up",
                (f["admitted"]["count"], f["waited"]["most_s"], f["gave_up"]["count"]),
                (*want, 100 - want[0]))
    t.equal("gave up by reason", f["gave_up"]["reasons"], {"connection-rate": 88})


@scenario(limit=60)
def test_replay_attempts(t):
    """Retransmits in a capture belong to their attempt; what is no SYN to us is left out"""
    conf = write("replay.conf", TEN_A_SECOND)
    link = SLL
    frames = hundred(link)
    frames += [(1001.0, data) for _, data in frames[50:]]  # 50 whose SYN-ACK was lost: as deferred
    frames += [(1070.0, frames[0][1]), (1070.1, frames[0][1]), (1071.0, frames[0][1])]
    other = [frame(link, *datagram("10.0.0.1", tcp(4000, 1, port=80))),
             frame(link, *datagram("10.0.0.1", tcp(4000, 1, flags=0x12))),
             frame(link, *datagram("10.0.0.1", tcp(4000, 1, flags=0x10))),
             syn(link, "198.51.100.25", outgoing=True),
             frame(link, *datagram("10.0.0.1", tcp(4000, 1)[:12])),
             frame(link, 0x0806, b"\0" * 28)]
    frames += [(1072.0, data) for data in other]
    f = figures(capture(pcap(link, frames)), "-c", conf)
    t.equal("attempts", f["attempts"]["count"], 101)
    t.equal("copies", f["copies"], {"judged": 2, "replaced": 50})
    t.equal("of the copies passed, dropped", (f["syns"]["pass"].get("retransmit"),
                                             f["syns"]["drop"].get("replay")), (1, 1))
    t.equal("frames, outgoing", (f["capture"]["frames"], f["capture"]["outgoing"]), (159, 1))
    t.equal("unjudged", f["capture"]["unjudged"],
            {"not-ip": 1, "not-syn": 2, "other-port": 1, "group": 1, "bad-length": 1})

    mine = [(1, syn(ETHERNET, "10.0.0.1")), (2, frame(ETHERNET, *datagram(
        captures.DEST_V4, tcp(4000, 1), dest="203.0.113.9")))]
    f = figures(capture(pcap(ETHERNET, mine)), "-c", conf)
    t.equal("destinations", f["capture"]["destinations"], [captures.DEST_V4, "203.0.113.9"])
    f = figures(capture(pcap(ETHERNET, mine)), "-c", conf, "-o", f"gate.address={captures.DEST_V4}")
    t.equal("attempts to the guarded address", f["attempts"]["count"], 1)
    text = replay(capture(pcap(ETHERNET, [])), "-c", conf)
    t.check(text.returncode == 0 and "no attempt" in text.stdout, "a capture without frames")
    back = replay(capture(pcap(ETHERNET, [(90, syn(ETHERNET, "10.0.0.1")),
                                          (50, syn(ETHERNET, "10.0.0.2"))])), "-c", conf)
    t.check("older than the one before" in back.stdout and "40 s" in back.stdout, "going back: said")


@scenario(limit=60)
def test_replay_classes(t):
    """Class files, tiers and overrides are those of the daemon's config"""
    known, blocked = write("known", "10.1.0.0/16\n"), write("blocked", "10.2.0.0/16\n10.3.0.0/16\n")
    conf = write("replay.conf", TEN_A_SECOND.replace("known-burst = 0", "known-burst = 100") +
                 f"[classes]\nknown = {known}\nblocked = {blocked}\n")
    it = capture(pcap(ETHERNET, hundred(ETHERNET)))
    f = figures(it, "-c", conf)
    t.equal("classes", f["classes"], {
        "unknown": {"admitted": 97, "gave_up": 0, "refused": 0},
        "known": {"admitted": 1, "gave_up": 0, "refused": 0},
        "blocked": {"admitted": 0, "gave_up": 0, "refused": 2}})
    t.equal("refused", f["refused"]["reasons"], {"blocked": 2})
    t.equal("sources that were refused", [s["prefix"] for s in f["sources"]],
            ["10.2.0.1/32", "10.3.0.1/32"])
    f = figures(it, "-c", conf, "--tier", "refuse")
    t.equal("tier refuse", (f["tiers"], f["refused"]["reasons"]),
            (["refuse"], {"load": 98, "blocked": 2}))
    f = figures(it, "-f", conf, "--tier", "delay,queue", "-o", "limits.connection-rate=1000/s",
                "-o", "limits.connection-burst=200", "-o", "load.queue-rate=500/s")
    t.equal("tiers delay and queue: first-time, waited",
            (f["syns"]["defer"], f["waited"]["p50_s"]), ({"first-time": 97}, 1.0))


MEMBERS = ("version subject client config tiers complete capture attempts admitted gave_up refused "
           "waited syns again copies classes sources subnets timeline faults").split()


@scenario(limit=60)
def test_replay_storm(t):
    """A storm: the figures add up, repeat themselves, and hold to the limits"""
    conf = write("replay.conf", TEN_A_SECOND)
    storm = ("--burst", "300/s", "--sources", "5000", "--subnets", "250", "--for", "60s", "-c", conf)
    f = figures(*storm, "--client", "spoofed")
    t.between("attempts", f["attempts"]["count"], 17500, 18500)
    t.between("admitted in 60 s at 10/s, 12 at once", f["admitted"]["count"], 605, 613)
    first = replay(*storm, "--json")
    t.equal("the same again", replay(*storm, "--json").stdout == first.stdout, True)
    t.check(replay(*storm, "--json", "--seed", "7").stdout != first.stdout, "another seed differs")
    f = json.loads(first.stdout)
    t.equal("members", sorted(f), sorted(MEMBERS))
    ended = [f[k]["count"] for k in ("admitted", "gave_up", "refused")]
    t.equal("all come to an end", sum(ended), f["attempts"]["count"])
    line = f["timeline"]
    t.equal("time line", [sum(line[k]) for k in ("attempts", "admitted", "gave_up", "refused")],
            [f["attempts"]["count"], *ended])
    t.equal("deferred SYNs in it", sum(line["deferred_syns"]), sum(f["syns"]["defer"].values()))
    t.equal("judged", sum(n for by in f["syns"].values() for n in by.values()),
            sum(line["deferred_syns"]) + f["admitted"]["count"])
    t.check(len(f["sources"]) == 20 and f["sources"][0]["gave_up"] >= f["sources"][19]["gave_up"],
            "the 20 worst sources, the worst first")
    with open(os.path.join(TOP, "tools/replay_json.c")) as code:
        described = re.findall(r"^ \*\t([a-z_]+)\t", code.read(), flags=re.M)
    t.equal("members described", described, MEMBERS)


@scenario(limit=200)
def test_replay_hour(t):
    """An hour of 1,000 attempts a second, each with up to ten SYNs, in under 10 s of CPU"""
    best, done = 1000.0, None
    # Where others run, they take the caches away between two turns.
    most = 10 if os.getloadavg()[0] < 1.5 * os.cpu_count() else 20
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = replay("--burst", "1000/s", "--sources", "20000", "--for", "1h", "--json", "-c",
                      write("hour.conf", ""), timeout=120)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if best < most:
            break
    f = json.loads(done.stdout)
    t.between("attempts", f["attempts"]["count"], 3590000, 3610000)
    t.between("SYNs judged, millions",
              sum(n for by in f["syns"].values() for n in by.values()) / 1e6, 20, 40)
    t.between("seconds of CPU", best, 0, most)
    t.between("memory at its peak, MB", after.ru_maxrss / 1024, 0, 300)


def on_terminal(*words, env=None, until=None):
    """What replay shows on a terminal, standard output and error alike."""
    pid, fd = pty.fork()
    if not pid:
        os.environ.update({"TERM": "xterm", "LC_ALL": "C.UTF-8"} | (env or {}))
        os.execv(SLUICE, [SLUICE, "replay", *words])
    said, end = b"", time.monotonic() + 60
    while time.monotonic() < end and not (until and until in said):
        if not select.select([fd], [], [], 1)[0]:
            continue
        try:
            piece = os.read(fd, 65536)
        except OSError:  # it has ended
            break
        said += piece
    if until:
        os.kill(pid, 9)
    os.close(fd)
    os.waitpid(pid, 0)
    return said.decode(errors="replace")


@scenario(limit=120)
def test_replay_shown(t):
    """Colours only on a terminal and not under NO_COLOR; ASCII; a picture; progress after 2 s"""
    storm = ("--burst", "50/s", "--sources", "500", "-c", write("replay.conf", TEN_A_SECOND))
    text = on_terminal(*storm)
    t.check("\033[32m" in text and "█" in text, "colours and blocks on a terminal")
    t.check("\033" not in on_terminal(*storm, env={"NO_COLOR": "1"}), "NO_COLOR: none")
    t.check("\033" not in on_terminal(*storm, env={"TERM": "dumb"}), "a dumb terminal: none")
    text = replay(*storm, env={"LC_ALL": "C"}).stdout
    t.check(text.isascii() and "#" in text and "\033" not in text, "into a pipe in locale C: ASCII")
    t.between("the longest line", max(map(len, text.splitlines())), 80, 100)
    for word in ("admitted", "gave up", "connection-rate", "not known", "max-sessions"):
        t.check(word in text, f"'{word}' is in it")
    t.check("%," not in text, "no progress in what is quick")
    shown = on_terminal("--burst", "3000/s", "--sources", "9999", "--for", "24h", until=b" attempts ")
    t.check(re.search(r"\rreplay: +\d+ %, \d+ attempts", shown), "progress of what takes long")

    picture = os.path.join(WORK, "it.svg")
    it = capture(pcap(ETHERNET, hundred(ETHERNET)), "<a&b>.pcap")
    done = replay(it, "-c", write("replay.conf", TEN_A_SECOND), "--svg", picture)
    t.equal("--svg", (done.returncode, done.stderr), (0, ""))
    root = xml.etree.ElementTree.parse(picture).getroot()
    words = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    t.check(root.tag.endswith("svg") and any("<a&b>.pcap" in w for w in words), f"{words[0]}")
    t.check("100 attempts: 100 admitted, 0 gave up, 0 refused" in words, words[1])
    t.equal("curves", len(list(root.iter("{http://www.w3.org/2000/svg}path"))), 8)
    done = replay(it, "--svg", "/nowhere/it.svg")
    t.check(done.returncode == 1 and "/nowhere/it.svg" in done.stderr, done.stderr.strip())


def told(t, what, done, *words, figures_too=False):
    """One sentence on standard error with these words, exit 1; figures only where some were read."""
    missing = [w for w in words if w.lower() not in done.stderr.lower()]
    t.check(done.returncode == 1 and len(done.stderr.splitlines()) == 1 and not missing and
            bool(done.stdout) == figures_too,
            f"{what}: {done.returncode}, {done.stderr.strip()}" +
            (f" -- lacks {missing}" if missing else "") +
            ("" if bool(done.stdout) == figures_too else f" -- {len(done.stdout)} bytes of figures"))


@scenario(limit=60)
def test_replay_bad_input(t):
    """Damaged, foreign and endless files, wrong configs and numbers: one sentence each"""
    whole = pcap(ETHERNET, hundred(ETHERNET))
    many = pcap(ETHERNET, [(1000 + n / 100, syn(ETHERNET, f"10.{n % 250}.0.1", isn=n * 7919))
                           for n in range(3000)])
    packed = gzip.compress(many)
    bent = bytearray(packed)
    bent[len(bent) // 2:len(bent) // 2 + 64] = bytes(64)
    one = whole[:24]
    for what, data, words in (
            ("empty", b"", ["empty"]),
            ("text", b"this is no capture\n" * 9, ["no capture"]),
            ("half a file header", whole[:11], ["no capture"]),
            ("an old config of gzip", gzip.compress(b"[limits]\n"), ["no capture"]),
            ("Wi-Fi", pcap(WIFI, hundred(RAW)), ["105", "IEEE802_11", "Ethernet"]),
            ("no link type at all", pcap(60000, hundred(RAW)), ["60000"]),
            ("two years", pcap(ETHERNET, [(0, whole[40:114]), (64e6, whole[40:114])]),
             ["frame 2", "time"]),
            ("64 bits of time", pcapng(ETHERNET, [(0, whole[40:114]), (2**63 / 1e6, whole[40:114])]),
             ["frame 2", "time"]),
            ("4 billion microseconds", one + struct.pack("<IIII", 5, 4 * 10**9, 60, 60) + b"\0" * 60,
             ["frame 1", "time"])):
        told(t, what, replay(capture(data)), "it.pcap", *words)
    for what, data, words in (
            ("cut within a frame", whole[:-30], ["99 frames"]),
            ("4 GB in a frame", one + struct.pack("<IIII", 5, 0, 0xFFFFFFF0, 0xFFFFFFF0),
             ["0 frames", "length"]),
            ("gzip cut off", packed[:len(packed) // 2], ["ends early"]),
            ("gzip damaged", bytes(bent), ["only the first"])):
        told(t, what, replay(capture(data)), "it.pcap", *words, figures_too=True)
        f = json.loads(replay(capture(data), "--json").stdout)
        t.check(f["complete"] is False and f["capture"]["damage"], "  and in --json")
    os.mkfifo(os.path.join(WORK, "fifo"))
    for path, words in (("/nowhere/x.pcap", ["/nowhere/x.pcap", "No such file"]),
                        ("/tmp", ["plain file"]), ("/dev/zero", ["plain file"]),
                        (os.path.join(WORK, "fifo"), ["plain file"])):
        told(t, path, replay(path, timeout=10), *words)

    good = capture(whole)
    for text, words in (("[limits]\nconnection-rate = 15\n", ["bad.conf:2", "15", "/s"]),
                        ("[limits]\ncolour = red\n", ["bad.conf:2", "colour"]),
                        ("[classes]\nknown = /nowhere/list\n", ["/nowhere/list"]),
                        ("[classes]\nknown = " + write("bits", "10.0.0.1/8\n") + "\n", ["bits:1"])):
        told(t, text.splitlines()[1], replay(good, "-c", write("bad.conf", text)), *words)
    told(t, "no config", replay(good, "-c", "/nowhere/x.conf"), "/nowhere/x.conf")
    told(t, "-o", replay(good, "-o", "limits.connection-rate=3/fortnight"), "fortnight")


@scenario(limit=30)
def test_replay_usage(t):
    """A call that is not understood: exit 2 and one sentence, whatever the number"""
    for words, said in (
            ([], "--burst"), (["a", "b"], "'b'"), (["--burst", "100"], "'100'"),
            (["--burst", "off"], "50000/s"), (["--burst", "50001/s"], "50000/s"),
            (["--burst", "99999999999999999999/s"], "50000/s"), (["--burst", "-1/s"], "-1/s"),
            (["--burst", "1/s", "--sources", "0"], "1 to"),
            (["--burst", "1/s", "--sources", "16646145"], "16646144"),
            (["--burst", "1/s", "--sources", "99999999999999999999"], "1 to"),
            (["--burst", "1/s", "--sources", "1000", "--subnets", "3"], "254"),
            (["--burst", "1/s", "--sources", "3", "--subnets", "4"], "4 subnets"),
            (["--burst", "1/s", "--for", "25h"], "24h"), (["--burst", "1/s", "--for", "0s"], "0s"),
            (["--burst", "50000/s", "--for", "24h"], "at most"),
            (["--burst", "1/s", "--client", "amiga"], "amiga"),
            (["--burst", "1/s", "--tier", "delay,delay"], "delay,delay"),
            (["--burst", "1/s", "--tier", "auto"], "auto"),
            (["it.pcap", "--burst", "1/s"], "--burst"), (["it.pcap", "--for", "1s"], "--for"),
            (["--burst", "1/s", "--colour"], "--colour"), (["-x"], "'x'"), (["--svg"], "--svg"),
            (["\033[31mred"] * 2, "\\x1b[31mred")):
        done = replay(*words)
        t.check(done.returncode == 2 and said in done.stderr and not done.stdout and
                len(done.stderr.splitlines()) == 1 and "\033" not in done.stderr,
                f"{' '.join(words)!r}: {done.returncode}, {done.stderr.strip()}")
    help_text = replay("--help")
    t.check(help_text.returncode == 0 and not help_text.stderr and "linux-old" in help_text.stdout,
            "--help")
    # Options of sluice itself stand before the subcommand, and its others are where they were.
    for words in (["--json", "replay", "--burst", "1/s"], ["-i", "x", "replay", "--burst", "1/s"]):
        done = subprocess.run([SLUICE, *words], capture_output=True, text=True, timeout=20)
        t.equal(" ".join(words), (done.returncode, done.stderr), (0, ""))
    done = subprocess.run([SLUICE, "mode", "enforce", "--for", "10"], capture_output=True, text=True,
                          timeout=20)
    t.check(done.returncode == 2 and "'10'" in done.stderr, f"behind others: {done.stderr.strip()}")
