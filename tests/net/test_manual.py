# SPDX-License-Identifier: GPL-2.0-or-later
"""The man pages and the bash completion are held to the programs and to the table of keys."""

import glob
import json
import os
import pty
import re
import select
import shutil
import subprocess
import time

from lib.gate import OPEN, SLUICE, SLUICED, TOP, Gate, write
from lib.scenario import Skip, scenario
from lib.topology import Net
from test_suggest import month, put

COMPLETION = os.path.join(TOP, "dist/completion/sluice")


def page(name):
    with open(os.path.join(TOP, "man", name)) as f:
        return f.read()


def flat(text):
    """The words of mdoc without its macros."""
    words = []
    for line in text.splitlines():
        if re.match(r"\.[A-Z][a-z]\b", line):
            line = " ".join(w for w in line.split()[1:]
                            if not re.fullmatch(r"No|Ns|Cm|Ar|Ic|Oc|Oo|Op|Fl|Ql|Pa", w))
        words.append(line)
    return re.sub(r" ([.,;:])(?= |$)", r"\1", " ".join(words))


def items(text, macro):
    """{the first word behind .It macro: the words of that item}"""
    found = {}
    for head, body in re.findall(rf"^\.It {macro} (.*?)\n(.*?)(?=^\.(?:It|El|Ss|Sh)\b)", text,
                                 flags=re.M | re.S):
        found[head.split()[0]] = flat(".It " + head + "\n" + body)
    return found


def bounds(expects):
    """The numbers and words of what a value is expected to be, without the examples."""
    found = re.findall(r"from (\S+) to ([^\s,;]+)|up to ([^\s,;]+)|or (0|off)\b", expects)
    words = re.fullmatch(r"([a-z, ]+) or ([a-z]+)", expects)
    return [w for group in found for w in group if w] + (
        words[1].split(", ") + [words[2]] if words else [])


def expected(section, key):
    """What sluiced says that a value of the key must be."""
    done = subprocess.run([SLUICED, "-n", "-f", write("bounds.conf", ""), "-o", "gate.interface=lo",
                           "-o", f"{section}.{key}=@/"], capture_output=True, text=True, timeout=10)
    return done.stderr.split("expected ", 1)[-1].strip()


def subcommands():
    usage = subprocess.run([SLUICE, "--help"], capture_output=True, text=True, timeout=10).stdout
    return usage, re.findall(r"^  ([a-z]+)", usage, flags=re.M)


@scenario(limit=60)
def test_manual(t):
    """The man pages are clean, and say every key, default, bound, subcommand and option"""
    if not shutil.which("mandoc"):
        raise Skip("mandoc is not installed")
    for path in sorted(glob.glob(os.path.join(TOP, "man/*"))):
        said = subprocess.run(["mandoc", "-Tlint", path], capture_output=True, text=True,
                              timeout=20).stdout.splitlines()
        # Our own pages are found once they are installed.
        said = [line for line in said if "referenced manual not found: Xr sluice" not in line]
        t.equal(f"mandoc -Tlint {os.path.basename(path)}", said, [])

    gate = Gate(Net(), OPEN)
    gate.start()
    keys = json.loads(gate.sluice("--json", "get").stdout)["keys"]
    gate.end()
    described = items(page("sluice.conf.5"), "Cm")
    t.equal("keys that only sluice.conf(5) or the table has",
            set(described) ^ {k["key"] for k in keys}, set())
    for key in keys:
        name, default = key["key"], key["default"] or "none"
        text = described.get(name, "")
        want = bounds(expected(key["section"], name))
        missing = [w for w in want if not re.search(rf"(?<![\w.]){re.escape(w)}(?![\w/])", text)]
        t.check(f"Default: {default}." in text and not missing,
                f"[{key['section']}] {name}: default {default}, bounds {' '.join(want)}" +
                (f" -- lacks {missing}" if missing else ""))
    sections = re.findall(r'^\.Ss "?(\[\w+\])', page("sluice.conf.5"), flags=re.M)
    t.equal("sections", sections, list(dict.fromkeys(f"[{k['section']}]" for k in keys)))

    usage, names = subcommands()
    manual = page("sluice.8")
    t.equal("subcommands that only sluice(8) or --help has",
            set(items(manual, "Ic")) ^ set(names), set())
    options = set(re.findall(r"--([a-z]+)", usage))
    t.equal("options that sluice(8) lacks",
            options - set(re.findall(r"Fl -([a-z]+)", manual)), set())
    usage = subprocess.run([SLUICED, "--help"], capture_output=True, text=True, timeout=10).stdout
    t.equal("options that sluiced(8) lacks", set(re.findall(r"^  -([a-z])", usage, flags=re.M)) -
            set(re.findall(r"Fl ([a-z])\b", page("sluiced.8"))), set())


@scenario(limit=40)
def test_manual_json(t):
    """Every answer in JSON has its shape, and sluice(8) names each of its members"""
    gate = Gate(Net(), OPEN, classes={"blocked": write("blocked", "192.0.2.0/24\n")})
    put(month(120, 10))
    gate.start()
    text = page("sluice.8")
    named = set(re.findall(r"^\.Ql (?:\S+ , )*(\S+)", text, flags=re.M)) | {
        w for line in re.findall(r"^\.Ql (.*)", text, flags=re.M) for w in line.split()}
    for words in (("status",), ("get", "hold"), ("class", "list"), ("known", "list"), ("suggest",),
                  ("explain", "192.0.2.1"), ("top", "--once"), ("set", "hold=20s"),
                  ("mode", "monitor"), ("tier", "auto"), ("class", "add", "known", "192.0.2.1"),
                  ("reload",), ("detach",)):
        answer = json.loads(gate.sluice("--json", *words).stdout)
        rows = [row for value in answer.values() if isinstance(value, list) for row in value
                if isinstance(row, dict)]
        members = set(answer) | ({k for row in rows for k in row} if words[0] != "status" else set())
        t.equal(f"{' '.join(words)}: shape, members that sluice(8) lacks",
                (answer["shape"], members - named), (1, set()))


def displays(name):
    """The texts of a page that stand there as they would be typed."""
    return re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", page(name), flags=re.M | re.S)


@scenario(limit=60)
def test_manual_examples(t):
    """The examples of the man pages run as they stand there"""
    for text in displays("sluice.conf.5"):
        done = subprocess.run([SLUICED, "-n", "-f", write("example.conf", text)],
                              capture_output=True, text=True, timeout=10)
        said = (done.stdout + done.stderr).strip()
        t.check(done.returncode == 0, f"{' '.join(text.split())[:60]}...: {said}")

    gate = Gate(Net(), OPEN)
    gate.start()
    commands = []
    for name in ("sluice.8", "sluiced.8"):
        for text in displays(name):
            commands += text.splitlines()
    t.check(len(commands) >= 8, f"{len(commands)} commands")
    for command in commands:
        words = command.replace("/etc/mail/sendmail.cf",
                                os.path.join(TOP, "tests/data/import/sendmail.cf"))
        words = re.sub(r"\bsluice(d?)(?= |$)", lambda m: SLUICED if m[1] else SLUICE, words)
        if "sluiced" in words:
            words = words.replace(" -n", f" -n -f {gate.config_path}")
            words = words.replace("-i lab", "-n -i lab")
        done = subprocess.run(words, shell=True, capture_output=True, text=True, timeout=20)
        t.check(done.returncode == 0, f"{command}: {done.returncode} {done.stderr.strip()}")


def complete(line):
    """What the completion offers behind a line, called as bash calls it."""
    script = ('source "$0"; compopt() { :; }; COMP_LINE=$1 COMP_POINT=${#1}; COMPREPLY=(); '
              'f=$(complete -p "${1%% *}"); f=${f#*-F }; "${f%% *}"; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "--norc", "-c", script, COMPLETION, line], capture_output=True,
                          text=True, timeout=10)
    if done.stderr:
        raise RuntimeError(done.stderr)
    return sorted(done.stdout.split())


def typed(line):
    """What readline makes of a line and a TAB in a real bash: the arguments of sluice."""
    pid, fd = pty.fork()
    if not pid:
        os.environ.update(TERM="dumb", INPUTRC="/dev/null")
        os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
    said, end = b"", time.monotonic() + 10
    steps = [(b"", f"source {COMPLETION}; bind 'set bell-style none'; PS1=; "
                   "sluice() { printf '%s' \"<$*\" '>'; }; echo re''ady\n"),
             (b"ready\r\n", line + "\t\n"), (rb"<(.*)>", None)]
    for awaited, then in steps:
        while not re.search(awaited, said) and time.monotonic() < end:
            if select.select([fd], [], [], 0.2)[0]:
                said += os.read(fd, 65536)
        if then:
            said = b""
            os.write(fd, then.encode())
    os.close(fd)
    os.waitpid(pid, 0)
    found = re.search(steps[-1][0], said)
    return found[1].decode() if found else f"nothing: {said}"


@scenario(limit=60)
def test_completion(t):
    """bash completes subcommands, options, keys, classes, tiers and the names of instances"""
    usage, names = subcommands()
    usage += subprocess.run([SLUICE, "replay", "--help"], capture_output=True, text=True,
                            timeout=10).stdout
    t.equal("subcommands", complete("sluice "), sorted(names))
    offered = set(complete("sluice -"))
    for name in names:
        offered |= set(complete(f"sluice {name} -"))
    t.equal("options of sluice", offered, set(re.findall(r"(?<!\w)(--[a-z]+|-[a-z]\b)", usage)))
    for name, option in (("mode", "--for"), ("tier", "--for"), ("hook", "--exec"),
                         ("hook", "--timeout")):
        t.check(option in complete(f"sluice {name} -") and option not in complete("sluice get -"),
                f"{option} behind {name}")

    gate = Gate(Net(), OPEN, name="first")
    gate.start()
    keys = json.loads(gate.sluice("--json", "get").stdout)["keys"]
    t.equal("keys of get", complete("sluice get "), sorted(k["key"] for k in keys))
    t.equal("keys of set", complete("sluice -i first set "), sorted(k["key"] + "=" for k in keys))
    t.equal("keys of sluiced -o", complete("sluiced -o l"),
            sorted(f"{k['section']}.{k['key']}=" for k in keys if k["section"][0] == "l"))
    os.makedirs("/sys/fs/bpf/sluice/second")
    t.equal("instances", complete("sluice -i "), ["first", "second"])
    t.equal("instances of sluiced", complete("sluiced -i s"), ["second"])

    for line, offers in (
            ("sluice mode ", "config enforce monitor off"), ("sluice mode enforce ", ""),
            ("sluice tier ", "auto delay normal queue refuse"),
            ("sluice tier delay,", "delay,queue delay,refuse"),
            ("sluice tier delay,queue,r", "delay,queue,refuse"),
            ("sluice class ", "add del import list load"),
            ("sluice class list ", "blocked known throttled trusted"),
            ("sluice class load k", "known"), ("sluice class load known /etc/passw", "/etc/passwd"),
            ("sluice known ", "add forget list mark"), ("sluice known mark ", "bad good"),
            ("sluice known add 192.0.2.1 /etc/passw", "/etc/passwd"),
            ("sluice import ", "exim postfix sendmail"),
            ("sluice import exim /etc/passw", "/etc/passwd"),
            ("sluice set mode=", "enforce monitor off"), ("sluice set gate.xdp-mode=n", "native"),
            ("sluice set hold=", ""), ("sluice mode off --for=1", "10m 1h 1m"),
            ("sluice --json get max-sessions-", "max-sessions-per-source"),
            ("sluice detach ", "")):
        found = [w for w in complete(line) if not w.startswith("/etc/passwd-")]
        t.equal(f"'{line}'", " ".join(found), offers)
    for line, whole in (("sluice stat", "status"),
                        ("sluice set xdp-mode=na", "set xdp-mode=native"),
                        ("sluice -i fi", "-i first"),
                        ("sluice tier delay,q", "tier delay,queue"),
                        ("sluice set defer-b", "set defer-budget=")):
        t.equal(f"'{line}' and TAB", typed(line).rstrip(), whole)
