# SPDX-License-Identifier: GPL-2.0-or-later
"""README and guides are held to the programs: configs, commands, keys and metrics."""

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
