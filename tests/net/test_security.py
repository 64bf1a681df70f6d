# SPDX-License-Identifier: GPL-2.0-or-later
"""What SECURITY.md promises: each test that it names is there; links in the folders are not followed."""

import os
import re
import shutil
import subprocess

from lib.gate import RUN, SLUICE, SLUICED, TOP, Gate, limits, write
from lib.scenario import SCENARIOS, Skip, scenario
from lib.topology import Net

STATE = "/var/lib/sluice/default"


@scenario(limit=20)
def test_security_named(t):
    """Every test that SECURITY.md names is one"""
    with open(os.path.join(TOP, "SECURITY.md")) as f:
        rows = [line.split("|") for line in f if line.startswith("| ") and line.count("|") == 4]
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row[3])}
    known = set(SCENARIOS)
    t.check(len(named) > 30, f"{len(named)} are named")
    t.equal("named, and not there", named - known, set())
    t.check(all(row[3].strip() for row in rows), "each attack has one")


def readelf(option, path):
    return subprocess.run(["readelf", "-W", option, path], capture_output=True, text=True,
                          check=True, env=os.environ | {"LC_ALL": "C"}).stdout


@scenario(limit=20)
def test_hardened(t):
    """Both programs: PIE, full RELRO, no executable stack, stack protector, fortified, no run path"""
    if not shutil.which("readelf"):
        raise Skip("there is no readelf")
    for path in (SLUICED, SLUICE):
        name = os.path.basename(path)
        dynamic, symbols = readelf("-d", path), readelf("--dyn-syms", path)
        stack = re.search(r"GNU_STACK.* ([RWE ]{3}) ", readelf("-l", path))
        t.check("DYN (Position-Independent" in readelf("-h", path) and "PIE" in dynamic,
                f"{name}: position-independent")
        t.check("GNU_RELRO" in readelf("-l", path) and "BIND_NOW" in dynamic, f"{name}: full RELRO")
        t.check(stack and "E" not in stack[1], f"{name}: no executable stack")
        t.check("__stack_chk_fail" in symbols, f"{name}: stack protector")
        fortified = set(re.findall(r"__\w+_chk(?=@)", symbols)) - {"__stack_chk_fail"}
        t.check(len(fortified) >= 3, f"{name}: fortified, {len(fortified)} functions")
        t.check(not re.search("RPATH|RUNPATH|TEXTREL", dynamic), f"{name}: no run path")


@scenario(limit=60)
def test_planted_links(t):
    """Symlinks and FIFOs where its files are to be: what they lead to is never touched"""
    victim = write("victim", "untouched\n")
    os.chmod(victim, 0o666)
    for folder, names in ((f"{RUN}/default", ("tier", "queue", "lease", "settings")),
                          (STATE, ("known", "classes", "history"))):
        os.makedirs(folder, exist_ok=True)
        for name in names:
            for suffix in ("", ".tmp"):
                os.symlink(victim, os.path.join(folder, name + suffix))
    os.unlink(os.path.join(STATE, "classes"))
    os.mkfifo(os.path.join(STATE, "classes"))  # nobody ever writes into it
    gate = Gate(Net(), limits("10/s", 10, retry=0))
    gate.start()
    t.equal("set", gate.sluice("set", "connection-rate=20/s", "--for", "1h").returncode, 0)
    gate.sluice("class", "add", "blocked", "192.0.2.0/24")
    gate.sluice("known", "add", "192.0.2.9")
    gate.sluice("tier", "queue", "--for", "1h")
    gate.wait_for("a tick", lambda s: s["tier"]["active"] == ["queue"])
    gate.end()
    with open(victim) as f:
        t.equal("the victim", f.read(), "untouched\n")
    t.equal("its mode", os.stat(victim).st_mode & 0o777, 0o666)
    said = gate.log()
    for name in ("settings", "classes", "known", "history"):
        t.check(f"/{name}" in said, f"{name}: said")
