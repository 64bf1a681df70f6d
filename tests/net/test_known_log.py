# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/known-senders: who has delivered mail, out of the logs of three MTAs; any line at all."""

import bz2
import gzip
import os
import re
import shutil
import subprocess
import time

from lib.gate import TOP
from lib.sandbox import WORK
from lib.scenario import scenario

SCRIPT = os.path.join(TOP, "scripts/known-senders")
DATA = os.path.join(TOP, "tests/data/known")
TODAY = ("--today", "2026-01-05")
LINE = re.compile(r"([0-9a-f.:]+) # (\d+) days?, (\d+) mails?")

# Days and mails of the last four weeks, in each log.
MEANT = {
    "postfix.log": {"192.0.2.1": (2, 2), "2001:db8:1:2::": (2, 2), "192.0.2.80": (1, 2)},
    "exim.log": {"192.0.2.1": (2, 2), "2001:db8:1:2::": (2, 2), "192.0.2.66": (2, 2),
                 "198.51.100.7": (2, 2)},
    "sendmail.log": {"192.0.2.1": (2, 2), "2001:db8:1:2::": (2, 2)},
}


def read(*words, text=None, awk=None):
    """Runs the script. Returns (exit status, {address: (days, mails)}, standard error)."""
    path = os.environ["PATH"]
    if awk:
        folder = os.path.join(WORK, "bin." + os.path.basename(awk[0]))
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "awk"), "w") as f:
            f.write(f'#!/bin/sh\nexec {" ".join(awk)} "$@"\n')
        os.chmod(os.path.join(folder, "awk"), 0o755)
        path = folder + ":" + path
    done = subprocess.run([SCRIPT, *words], input=text or b"", capture_output=True, timeout=60,
                          env=os.environ | {"PATH": path})
    lines = done.stdout.decode("ascii").splitlines()
    found = [LINE.fullmatch(line) for line in lines]
    if None in found:
        raise ValueError(f"not a line of an address: {lines[found.index(None)]!a}")
    return done.returncode, {m[1]: (int(m[2]), int(m[3])) for m in found}, done.stderr.decode()


def data(name):
    with open(os.path.join(DATA, name), "rb") as f:
        return f.read()


def put(name, content):
    path = os.path.join(WORK, name)
    with open(path, "wb") as f:
        f.write(content)
    return path


@scenario(limit=60)
def test_known_log(t):
    """Who a log of Postfix, Exim and sendmail names, by every awk here; never who a client names"""
    awks = [[a] for a in ("gawk", "mawk", "original-awk") if shutil.which(a)]
    awks += [["busybox", "awk"]] if shutil.which("busybox") else []
    for awk in [None] + awks:
        for name, meant in MEANT.items():
            t.equal(f"{' '.join(awk or ['awk'])}: {name}", read(
                *TODAY, "--min-days", "1", os.path.join(DATA, name), awk=awk), (0, meant, ""))

    postfix, sendmail = os.path.join(DATA, "postfix.log"), os.path.join(DATA, "sendmail.log")
    twice = {"192.0.2.1": (2, 2), "2001:db8:1:2::": (2, 2)}
    t.equal("on two days at least", read(*TODAY, postfix), (0, twice, ""))
    t.equal("three mails at least", read(*TODAY, "--min-mails", "3", postfix), (0, {}, ""))
    t.equal("the last four days", read(*TODAY, "--days", "4", postfix)[1],
            {"2001:db8:1:2::": (2, 2)})
    t.equal("the last three", read(*TODAY, "--days", "3", postfix)[1], {})
    t.equal("the last hundred", read(*TODAY, "--days", "100", postfix)[1],
            twice | {"192.0.2.90": (2, 2)})
    # Lines without a year are of the last one that they can be of.
    t.equal("a year later", read("--today", "2027-01-05", postfix, sendmail)[1],
            {"192.0.2.1": (3, 4), "2001:db8:1:2::": (2, 2)})
    t.equal("a week before", read("--today", "2025-12-31", postfix)[1], {})
    t.equal("two files", read(*TODAY, postfix, sendmail)[1],
            {"192.0.2.1": (3, 4), "2001:db8:1:2::": (2, 4)})
    for name, pack in (("a.gz", gzip.compress), ("b.bz2", bz2.compress)):
        t.equal(name, read(*TODAY, put(name, pack(data("postfix.log")))), (0, twice, ""))
    t.equal("standard input, with CR LF", read(
        *TODAY, "-", text=data("postfix.log").replace(b"\n", b"\r\n")), (0, twice, ""))
    t.equal("no end of the last line", read(*TODAY, put("cut", data("postfix.log").rstrip()),
                                            sendmail)[1],
            {"192.0.2.1": (3, 4), "2001:db8:1:2::": (2, 4)})

    cut = put("cut.gz", gzip.compress(os.urandom(9000) + b"\n" + data("postfix.log"))[:-30])
    status, _, said = read(*TODAY, cut)
    t.check(status == 0 and said.startswith(f"known-senders: {cut} could not be read to its end")
            and len(said.splitlines()) == 1, f"a file that is cut: {status}, {said.strip()}")
    for words, status, said in ((("/nowhere",), 1, "/nowhere cannot be read"),
                                ((WORK,), 1, "is a folder"),
                                (("--days",), 2, "--days needs a value"),
                                (("--days", "0", postfix), 2, "a number from 1 to 99999"),
                                (("--days", "-3", postfix), 2, "a number from 1 to 99999"),
                                (("--min-mails", "x; y", postfix), 2, "a number from 1 to 99999"),
                                (("--min-days", "1000000", postfix), 2, "a number from 1"),
                                (("--today", "yesterday", postfix), 2, "a day such as"),
                                (("--week", postfix), 2, "there is no option '--week'")):
        done = read(*words)
        t.check(done[0] == status and said in done[2] and not done[1]
                and len(done[2].splitlines()) == 1,
                f"known-senders {' '.join(words)}: {done[0]}, {done[2].strip()}")


def spoil(rng, line):
    """A line with something about it that no MTA writes."""
    line = bytearray(line)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(line) + 1)
        what = rng.randrange(4)
        if what == 0 and at < len(line):
            line[at] = rng.randrange(256)
        elif what == 1:
            del line[at:at + rng.randrange(20)]
        elif what == 2:
            line[at:at] = rng.choice([b"[", b"]", b"[1.2.3.4]", b"\0", b"\\", b'"', b"%s", b"\xff",
                                      b"::", b" <= ", b"client=", b", relay=", b"H=", b"$(x)",
                                      b"`x`", b"\x1b[2J", b"9" * 40, b"("])
        else:
            line[at:at] = line[rng.randrange(len(line) + 1):][:50]
    return bytes(line)


@scenario(limit=90)
def test_known_log_any_line(t):
    """Lines of any shape: what is printed are addresses, and the good lines still count"""
    good = b"".join(data(name) for name in MEANT)
    lines = good.splitlines()
    t.note(f"awk is {os.path.realpath(shutil.which('awk'))}")

    spoilt = b"\n".join(spoil(t.rng, t.rng.choice(lines)) for _ in range(20000))
    status, found, said = read("--today", "2026-01-05", "--min-days", "1", "--min-mails", "1", "-",
                               text=spoilt)
    t.equal("20,000 spoilt lines", (status, said), (0, ""))
    t.check("192.0.2.1" in found, f"{len(found)} addresses found")
    for address in found:
        groups = address.rstrip(":").split(":")
        t.must(len(groups) == 4 if ":" in address else
               all(int(g) < 256 for g in address.split(".")), f"{address} is an address")

    quotes = b"2026-01-02 08:00:00 1a-b-c <= \"" + b"\\\"" * 4000 + b"@x H=y [192.0.2.95]\n"
    for what, text in (("noise", t.rng.randbytes(1 << 20)), ("NULs", bytes(1 << 20)),
                       ("newlines", b"\n" * (1 << 20)), ("one long line", b"x" * (64 << 20)),
                       ("a long line of ours", lines[0] * 100000), ("quotes", quotes * 20),
                       ("brackets", b"[" * (1 << 20)), ("nothing", b"")):
        began = time.monotonic()
        status, found, said = read(*TODAY, "-", text=text + b"\n" + good)
        t.check(status == 0 and not said and found.get("192.0.2.1") == (3, 6)
                and not {"192.0.2.95", "192.0.2.96", "192.0.2.97", "192.0.2.98",
                         "192.0.2.99"} & set(found),
                f"{what} before good lines: {status}, {found}, {said}")
        t.between(f"{what}: s", time.monotonic() - began, 0, 20)
