# SPDX-License-Identifier: GPL-2.0-or-later
"""sluice known against a real daemon: by hand, in bulk, across restarts, and with a bad file."""

import glob
import json
import os
import re
import time

from lib import control, kernel
from lib.gate import OPEN, Gate, write
from lib.sandbox import WORK
from lib.scenario import scenario
from lib.topology import Net

MOST = 65536


def start(name="known"):
    """A gate that keeps its known senders in a file of the scenario."""
    path = os.path.join(WORK, name)
    gate = Gate(Net(), OPEN)
    gate.sections["known"] = {"file": path}
    gate.write_config()
    gate.start()
    return gate, path


def rows(gate, *words):
    """{source: (state, days)} of what known list prints."""
    lines = gate.sluice("known", "list", *words).stdout.splitlines()
    return {w[0]: (w[1], int(w[2])) for w in (line.split() for line in lines[1:])}


def sources(gate):
    """All sources of known list --json, over all its pages; and how many pages there were."""
    text, found, pages = gate.sluice("--json", "known", "list").stdout, [], 0
    decoder = json.JSONDecoder()
    while text.strip():
        page, end = decoder.raw_decode(text.lstrip())
        text = text.lstrip()[end:]
        found += page["sources"]
        pages += 1
    return found, pages


@scenario(limit=40)
def test_known_by_hand(t):
    """known add, list, mark and forget: what they say, what they refuse, what outlives a restart"""
    gate, path = start()
    t.equal("nobody yet", gate.sluice("known", "list").stdout, "")

    done = gate.sluice("known", "add", "192.0.2.1", "2001:db8:1:2:3::4", "192.0.2.2/32")
    t.equal("add", (done.returncode, done.stdout),
            (0, "3 sources are known until forgotten by hand\n"))
    t.equal("as a dual-stack server has it", gate.sluice("known", "add", "::ffff:192.0.2.6",
                                                         "::FFFF:192.0.2.1").returncode, 0)
    t.equal("mark", gate.sluice("known", "mark", "bad", "192.0.2.9").stdout,
            "192.0.2.9/32 is marked bad: it is throttled\n")
    gate.sluice("known", "mark", "good", "192.0.2.8", "--for", "2h")
    gate.sluice("known", "mark", "bad", "192.0.2.7", "--for", "1s")
    expected = {"192.0.2.1/32": ("added", 0), "192.0.2.2/32": ("added", 0),
                "192.0.2.6/32": ("added", 0),
                "2001:db8:1:2::/64": ("added", 0), "192.0.2.9/32": ("bad", 0),
                "192.0.2.8/32": ("good", 0)}
    listed = rows(gate)
    listed.pop("192.0.2.7/32", None)
    t.equal("list", listed, expected)
    table = gate.sluice("known", "list", "192.0.2.8").stdout
    t.check(re.search(r"^192\.0\.2\.8/32 +good +0 +- +in (2 h 0|1 h 59) min$", table, re.M),
            f"one of them: {table.splitlines()[-1]}")
    table = gate.sluice("known", "list", "192.0.2.9").stdout
    t.check(re.search(r"in (1 d 0|23) h", table), f"a day: {table.splitlines()[-1]}")
    t.equal("one that is not there", rows(gate, "192.0.2.99"), {"192.0.2.99/32": ("none", 0)})
    time.sleep(1.1)  # the shortest mark
    t.equal("a mark that is over", rows(gate, "192.0.2.7"), {"192.0.2.7/32": ("none", 0)})

    for words, status, said in (
            (("add", "192.0.2.0/24"), 1, "192.0.2.0/24 is not one source, which is a /32 here: "
             "other prefixes are listed in the files of 'sluice class'; nothing was added"),
            (("add", "2001:db8::1/64"), 1, "has host bits set: 2001:db8::/64 was meant?"),
            (("add", "192.0.2.3", "224.0.0.1"), 1, "224.0.0.1 is no sender's address: it is "
             "unspecified, loopback, link-local or multicast; nothing was added"),
            (("add", "::ffff:127.0.0.1"), 1, "is no sender's address"),
            (("mark", "bad", "127.0.0.1"), 1, "is no sender's address"),
            (("mark", "good", "::"), 1, "is no sender's address"),
            (("mark", "bad", "fe80::1"), 1, "is no sender's address"),
            (("add", "/nowhere"), 1, "'/nowhere' is no address, and as a file it cannot be read: "
             "No such file"),
            (("add", WORK), 1, "is a folder"),
            (("add",), 2, "known list [ADDRESS]"),
            (("forget", "192.0.2.77"), 1, "nothing is known of 192.0.2.77/32"),
            (("forget", "host"), 1, "'host' is no address"),
            (("forget", "\udcff"), 1, "no text"),
            (("mark", "ugly", "192.0.2.1"), 2, "'ugly' is no mark: good or bad was expected"),
            (("mark", "bad", "192.0.2.0/24"), 1, "is not one source"),
            (("mark", "bad"), 2, "known list [ADDRESS]"),
            (("list", "192.0.2.1", "--for", "1h"), 2, "--for says how long a mark lasts"),
            (("list", "a", "b"), 2, "known list [ADDRESS]"),
            ((), 2, "known list [ADDRESS]")):
        done = gate.sluice("known", *words)
        t.check(done.returncode == status and said in done.stderr
                and len(done.stderr.splitlines()) == 1,
                f"known {' '.join(words)!a}: {done.returncode}, {done.stderr.strip()!a}")
    t.equal("nothing of it was done", rows(gate), expected)

    for request, said in (({"command": "known-add"}, "1 to 900 addresses"),
                          ({"command": "known-add", "sources": ["192.0.2.3"] * 901}, "1 to 900"),
                          ({"command": "known-add", "sources": [1]}, "strings were expected"),
                          ({"command": "known-list", "offset": -1}, "from 0 on"),
                          ({"command": "known-mark", "source": "192.0.2.3", "mark": "bad",
                            "for_s": 1e300}, "a number of seconds"),
                          ({"command": "known-mark", "source": "192.0.2.3"}, "good or bad"),
                          ({"command": "known-forget"}, "an address was expected"),
                          ({"command": "known-"}, "is not known")):
        answer = control.ask(gate, **request)
        t.check(not answer["ok"] and said in answer["error"], f"{str(request)[:60]}: {answer}")
    t.equal("nothing of it was done", rows(gate), expected)

    gate.end()
    with open(path) as f:
        t.check(f.readline().startswith("sluice-known 1 "), "the file is written at the end")
    gate.start()
    t.equal("after a restart", rows(gate), expected)
    t.equal("forget", gate.sluice("known", "forget", "192.0.2.9").stdout,
            "192.0.2.9/32 is forgotten\n")
    t.equal("forget all", gate.sluice("known", "forget", "all").stdout,
            "5 sources are forgotten\n")
    t.equal("nobody is left", rows(gate), {})


@scenario(limit=90)
def test_known_in_bulk(t):
    """known add FILE is all or nothing: 65,536 sources fit, are listed, and outlive a restart"""
    gate, path = start()
    some = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(MOST - 1)]

    for name, text, said in (
            ("bad", "192.0.2.1\n# one\n\n192.0.2.2 # two\n192.0.2.0/24\n", "bad:5: 192.0.2.0/24 is "
             "not one source"),
            ("later", "\n".join(some[:2000] + ["2001:db8::/32"]) + "\n",
             "later:2001: 2001:db8::/32"),
            ("words", "192.0.2.1 192.0.2.2\n", "words:1: one address a line was expected"),
            ("names", "192.0.2.1\nmail.example.org\n", "names:2: 'mail.example.org' is no address"),
            ("escape", "192.0.2.1\n\x1b[2J\x00\n", r"escape:2: '\x1b[2J?' is no address"),
            ("long", "1" * 5000 + "\n", "long:1: the line is too long"),
            ("empty", "", "empty:1: the file names nobody"),
            ("comments", "# nobody\n\n", "comments:3: the file names nobody"),
            ("loopback", "192.0.2.1\n::1\n", "loopback:2: ::1 is no sender's address"),
            ("lines", "\n" * (MOST + 1), "lines:65537: the file is too long"),
            ("many", "\n".join(some + ["192.0.2.1", "2001:db8::1"]) + "\n",
             "many:65536: there are more than 65536 addresses")):
        done = gate.sluice("known", "add", "192.0.2.99", write(name, text))
        t.check(done.returncode == 1 and said in done.stderr and "nothing was added" in done.stderr
                and len(done.stderr.splitlines()) == 1,
                f"{name}: {done.returncode}, {done.stderr.strip()}")
        t.equal("nothing was added", rows(gate), {})

    began = time.monotonic()
    done = gate.sluice("known", "add", write("all", "\n".join(some) + "\n"), "2001:db8::1")
    t.equal("all", (done.returncode, done.stdout),
            (0, f"{MOST} sources are known until forgotten by hand\n"))
    t.between("s it took", time.monotonic() - began, 0, 15)
    began = time.monotonic()
    found, pages = sources(gate)
    t.between("s to list them", time.monotonic() - began, 0, 15)
    t.equal("listed, each once", (len(found), len({s["source"] for s in found})), (MOST, MOST))
    t.check(pages > 1, f"in {pages} pages")
    t.equal("lines of the table", len(gate.sluice("known", "list").stdout.splitlines()), MOST + 1)
    done = gate.sluice("known", "add", write("again", "\n".join(some) + "\n"))
    t.equal("again the same", done.returncode, 0)
    done = gate.sluice("known", "add", "192.0.2.1")
    t.equal("one too many", (done.returncode, done.stderr), (
        1, "sluice: the table has room for 0 more sources, not for 1; nothing was added\n"))
    done = gate.sluice("known", "mark", "bad", "192.0.2.1")
    t.check(done.returncode == 1 and "is full of known and marked ones" in done.stderr,
            f"mark one too many: {done.stderr.strip()}")
    gate.end()
    t.between("bytes of the file", os.path.getsize(path), 1 << 20, 4 << 20)
    gate.start()
    t.equal("after a restart", len(sources(gate)[0]), MOST)
    t.equal("forget all", gate.sluice("known", "forget", "all").stdout,
            f"{MOST} sources are forgotten\n")


@scenario(limit=60)
def test_known_bad_file(t):
    """A known file that is damaged, newer or no file is set aside, said, and the daemon starts"""
    gate, path = start()
    gate.sluice("known", "add", "192.0.2.1")
    gate.end()
    with open(path) as f:
        good = f.read()

    def spoil_with(text):
        return lambda: write("known", text)

    for what, spoil, said in (
            ("cut", spoil_with(good[:-20]), "is damaged ("),
            ("changed", spoil_with(good.replace("192.0.2.1", "192.0.2.2")), "check sum"),
            ("newer", spoil_with("sluice-known 7 x\n"), "is of a newer version (7"),
            ("empty", spoil_with(""), "is damaged ("),
            ("a folder", lambda: os.mkdir(path), "is a folder"),
            ("a pipe", lambda: os.mkfifo(path), "is not a plain file"),
            ("a link", lambda: os.symlink("/etc/passwd", path), "is a symbolic link")):
        if os.path.lexists(path):
            os.unlink(path)
        spoil()
        before = len(gate.log())
        gate.start()
        log = [x for x in gate.log()[before:].splitlines() if "known" in x and "aside" in x]
        t.check(len(log) == 1 and said in log[0], f"{what}: {log}")
        t.equal(f"{what}: nobody is known", rows(gate), {})
        t.check(not os.path.lexists(path), f"{what}: the file has its name no more")
        gate.sluice("known", "add", "192.0.2.5")
        gate.end()
        t.check(os.path.isfile(path) and not os.path.islink(path), f"{what}: a new one is kept")
    t.equal("kept aside", len(glob.glob(path + ".damaged-*")), 3)

    os.unlink(path)
    write("known", good)
    gate.start()
    t.equal("the good one", rows(gate), {"192.0.2.1/32": ("added", 0)})


@scenario(limit=40)
def test_known_no_place(t):
    """A folder that cannot be written is told at the start, in log and status, and gets well"""
    gate = Gate(Net(), OPEN)
    folder = os.path.join(WORK, "state")
    os.mkdir(folder)
    kernel.mount("state", folder, "tmpfs", 1)  # MS_RDONLY
    gate.sections["known"] = {"file": os.path.join(folder, "known")}
    gate.write_config()
    gate.start()
    said = f"the known senders will not be kept in {folder}/known: Read-only file system"
    t.equal("the log of the start", gate.log().count(said), 1)
    t.equal("status", gate.status()["known"]["problem"], said)
    t.check("will not be kept in" in " ".join(gate.sluice("status").stdout.split()), "in words")
    gate.sluice("known", "add", "192.0.2.1")
    gate.end()
    kernel.mount("state", folder, "tmpfs", 32)  # MS_REMOUNT
    gate.start()
    t.equal("with a place to write", gate.status()["known"]["problem"], None)
    t.equal("nothing is left of the trial", os.listdir(folder), [])
    gate.sluice("known", "add", "192.0.2.1")
    gate.end()
    t.equal("and kept", os.listdir(folder), ["known"])


@scenario(limit=40)
def test_known_explained(t):
    """sluice explain says that the attempts it shows are those that events told of, a sample"""
    gate, _ = start()
    said = " ".join(gate.sluice("explain", "192.0.2.1").stdout.split())
    t.check("in a flood a sample, and the gate may remember attempts that are not shown" in said,
            said)
