# SPDX-License-Identifier: GPL-2.0-or-later
"""README and guides are held to the programs: configs, commands, keys and metrics."""

import fnmatch
import glob
import os
import re
import subprocess

from lib.gate import OPEN, SLUICE, SLUICED, Gate, write
from lib.sandbox import WORK
from lib.scenario import scenario
from lib.topology import Net

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


DOCS = ("docs/operations.md", "docs/troubleshooting.md")


def document(name):
    with open(os.path.join(TOP, name)) as f:
        return f.read()


def check_config(text):
    """Runs sluiced -n on a config of the README. Returns (exit status, output)."""
    path = write("readme.conf", re.sub(r"^ +", "", text, flags=re.M))
    words = [SLUICED, "-f", path, "-n"]
    for n, name in enumerate(re.findall(r"^ *(trusted|known) =", text, flags=re.M)):
        words += ["-o", f"classes.{name}=" + write(f"readme.{name}", f"192.0.{n}.0/24\n")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=10)
    return done.returncode, (done.stdout + done.stderr).strip()


@scenario(limit=40)
def test_readme(t):
    """Every config, command, key, metric and file that the README names is there"""
    text = document("README.md")
    configs = re.findall(r"```ini\n(.*?)```", text, flags=re.S)
    t.check(len(configs) >= 2, f"{len(configs)} configs")
    for config in configs:
        status, output = check_config(config)
        t.equal(f"sluiced -n on {config.split()[-1]} and what stands before it: {output}", status, 0)

    net = Net()
    path = os.path.join(WORK, "sluice.prom")
    gate = Gate(net, OPEN, metrics={"textfile": path, "interval": "1s"})
    gate.start()
    gate.wait_for("metrics", lambda s: os.path.exists(path))
    with open(path) as f:
        metrics = f.read()
    for name in sorted(set(re.findall(r"`(sluice_[a-z_]+)`", text))):
        t.check(f"# TYPE {name} " in metrics, f"metric {name}")

    usage = subprocess.run([SLUICE, "--help"], capture_output=True, text=True, timeout=10).stdout
    known = set(re.findall(r"^  ([a-z]+)", usage, flags=re.M))
    named = set(re.findall(r"`sluice ([a-z]+)", text)) | set(re.findall(r"^ *sluice ([a-z]+)", text,
                                                                        flags=re.M))
    t.equal("subcommands that do not exist", named - known, set())

    keys = set(re.findall(r"^#? ?([a-z0-9-]+)=", gate.sluice("get").stdout, flags=re.M))
    named = set(re.findall(r"`([a-z]+-[a-z-]+)[ =`]", text))
    t.equal("keys that do not exist", named - keys, set())

    for name in re.findall(r"(?<![\w/])((?:scripts|docs|bpf|daemon|tools|tests)/[\w./-]*\w)", text):
        t.check(os.path.exists(os.path.join(TOP, name)), name)


@scenario(limit=90)
def test_docs(t):
    """Every command of the guides runs; every subcommand, key and file that they name is there"""
    gate = Gate(Net(), OPEN)
    gate.start()
    log = write("mail.log", "Nov 25 03:14:15 mx postfix/smtpd[1]: connect from a[192.0.2.7]\n")
    usage = subprocess.run([SLUICE, "--help"], capture_output=True, text=True, timeout=10).stdout
    known = set(re.findall(r"^  ([a-z]+)", usage, flags=re.M))
    keys = set(re.findall(r"^#? ?([a-z0-9-]+)=", gate.sluice("get").stdout, flags=re.M))
    ran = 0
    for name in DOCS:
        text = document(name)
        t.equal(f"{name}: subcommands that do not exist",
                set(re.findall(r"`sluice ([a-z]+)", text)) - known, set())
        named = set(re.findall(r"`([a-z]+-[a-z]+(?:-[a-z]+)*)(?: = [a-z]+)?`", text))
        t.equal(f"{name}: keys that do not exist", named - keys, set())
        for path in re.findall(r"(?<![\w/])((?:scripts|docs|dist|bpf|daemon)/[\w./-]*\w)", text):
            t.check(os.path.exists(os.path.join(TOP, path)), path)
        for block in re.findall(r"```sh\n(.*?)```", text, flags=re.S):
            for line in block.splitlines():
                words = line.replace("/var/log/mail.log", log).split()
                if words[0] == "sluice":
                    done = gate.sluice(*words[1:])
                else:
                    done = subprocess.run(words, cwd=TOP, capture_output=True, text=True,
                                          timeout=20)
                # Too little has been seen for a suggestion, and a lab is no good mail server.
                may = (0, 1) if words[1] in ("suggest", "doctor") else (0,)
                t.check(done.returncode in may, f"{line}: {done.returncode} {done.stderr.strip()}")
                ran += 1
    t.check(ran >= 15, f"{ran} commands")


def reasons_of_the_gate():
    """The reasons in the order in which gate_decide() comes to them, as their words."""
    text = document("bpf/gate.h")
    body = text[text.index("gate_decide(struct state *st"):text.index("static __always_inline int "
                                                                      "gate_is_flood")]
    # What a helper of a gate decides stands where it is called.
    body = body.replace("int over =", "REASON_SOURCE_SESSIONS REASON_SOURCE_TIME")
    body = body.replace("return gate_defer(d, reason, memory)", "")
    names = re.findall(r"REASON_([A-Z_]+)", body)
    return [n.lower().replace("_", "-") for n in dict.fromkeys(names)]


@scenario(limit=10)
def test_architecture(t):
    """docs/architecture.md names every source file, and the gates in the order of the code"""
    text = document("docs/architecture.md")
    named = set(re.findall(r"`([a-z_*.]+\.[ch])`", text))
    files = [os.path.basename(f) for folder in ("bpf/*.[ch]", "daemon/*.c")
             for f in glob.glob(os.path.join(TOP, folder))]
    t.equal("files that it does not name", sorted(f for f in files if not any(
        fnmatch.fnmatch(f, n) for n in named)), [])
    everything = [os.path.basename(f) for folder in ("bpf/*.[ch]", "daemon/*.[ch]", "tools/*.[ch]")
                  for f in glob.glob(os.path.join(TOP, folder))]
    t.equal("names of no file", sorted(n for n in named if not fnmatch.filter(everything, n)), [])
    table = text.split("## The gates in their order")[1].split("##")[0]
    t.equal("gates", re.findall(r"^\| `([a-z-]+)`", table, flags=re.M), reasons_of_the_gate())
    maps = set(re.findall(r"^} (\w+) SEC\(\"\.maps\"\);", document("bpf/maps.h"), flags=re.M))
    listed = text.split("## Maps, and who writes them")[1].split("##")[0]
    t.equal("maps that it does not name", sorted(
        m for m in maps if f"`{m}`" not in listed and m not in ("workspaces", "class_template_v4",
                                                               "class_template_v6")), [])
