# SPDX-License-Identifier: GPL-2.0-or-later
"""sluiced and sluice under test: configuration, start and end, what status says."""

import glob
import json
import os
import re
import signal
import subprocess
import time

from . import kernel
from .child import enter
from .sandbox import WORK

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.path.join(TOP, os.environ.get("B") or "build")
SLUICED, SLUICE = os.path.join(BUILD, "sluiced"), os.path.join(BUILD, "sluice")
PINS, RUN = "/sys/fs/bpf/sluice", "/run/sluice"

# Every limit there is. A config that does not name one of them is a mistake of the test: a
# scenario must not hang on a default.
LIMITS = ("connection-rate connection-burst retry-burst known-burst trusted-rate trusted-burst "
          "source-rate source-burst subnet-rate subnet-burst refuse-rate defer-budget "
          "pace-horizon max-sessions known-share max-sessions-per-source source-session-time"
          ).split()

# Out of the way: for the limits that a scenario is not about.
NO_SOURCE = {"source-rate": "off", "source-burst": 100}
NO_SUBNET = {"subnet-rate": "off", "subnet-burst": 100}
NO_TRUSTED = {"trusted-rate": "1000/s", "trusted-burst": 1000}
BUDGETS = {"refuse-rate": "10000/s", "defer-budget": "4000/s", "pace-horizon": 0}
NO_SESSIONS = {"max-sessions": 0, "known-share": 20, "max-sessions-per-source": 0,
               "source-session-time": 0}
REST = NO_TRUSTED | BUDGETS | NO_SESSIONS
ASIDE = NO_SOURCE | NO_SUBNET | REST


def limits(rate, burst, retry=0, known=0, **others):
    """The global bucket, and everything else aside unless named (source_rate="60/min")."""
    named = {k.replace("_", "-"): v for k, v in others.items()}
    return {"connection-rate": rate, "connection-burst": burst, "retry-burst": retry,
            "known-burst": known} | ASIDE | named


OPEN = limits("10000/s", 10000)  # nothing bites


def write(name, text):
    """A file of the scenario, replaced whole as an operator's editor does. Returns its path."""
    path = os.path.join(WORK, name)
    with open(path + ".new", "w") as f:
        f.write(text)
    os.rename(path + ".new", path)
    return path


class LoadFile:
    """A /proc/loadavg to play with."""

    def __init__(self, name="loadavg", load=0.0):
        self.name = name
        self.set(load)

    def set(self, load):
        self.path = write(self.name, f"{load:.2f} {load:.2f} {load:.2f} 1/100 4242\n")


class Gate:
    """One instance. gate= and load= are sections of its config, limits= names all of them."""

    started = []

    def __init__(self, net, limits, name="default", load=None, interfaces=("s0",), mode="enforce",
                 xdp_mode="native", port=(25,), classes=None, metrics=None):
        missing = set(LIMITS) ^ set(limits)
        if missing:
            raise ValueError(f"limits to name, all and no others: {sorted(missing)}")
        self.net, self.name = net, name
        self.load_file = LoadFile(f"{name}.loadavg")
        self.sections = {
            "gate": {"interface": list(interfaces), "mode": mode, "xdp-mode": xdp_mode,
                     "port": list(port)},
            "limits": dict(limits),
            "load": {"delay-la": 0, "queue-la": 0, "refuse-la": 0, "hold": "15s", "lease": "30s",
                     "loadavg-file": self.load_file.path} | (load or {}),
            "classes": classes or {},
            "metrics": metrics or {},
        }
        self.process = None
        self.log_path = os.path.join(WORK, f"{name}.log")
        self.config_path = os.path.join(WORK, f"{name}.conf")
        self.write_config()
        Gate.started.append(self)

    # --- configuration

    def write_config(self):
        lines = []
        for section, keys in self.sections.items():
            lines.append(f"[{section}]")
            for key, value in keys.items():
                for one in value if isinstance(value, list) else [value]:
                    lines.append(f"{key} = {one}")
        write(os.path.basename(self.config_path), "\n".join(lines) + "\n")

    def change(self, section, **keys):
        """Changes keys of the config file; the daemon does not know yet."""
        self.sections[section] |= {k.replace("_", "-"): v for k, v in keys.items()}
        self.write_config()

    # --- the daemon

    def command(self, *extra, program=SLUICED, config=None):
        return [program, "-f", config or self.config_path, "-i", self.name, *extra]

    def spawn(self, *extra):
        """Starts sluiced in the server's namespace; does not wait for anything."""
        def prepare():
            kernel.die_with_parent()
            enter(self.net.server)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(*extra), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, preexec_fn=prepare)
        return self.process

    def start(self, *extra, timeout=15):
        """Starts sluiced and returns once it has answered with all its interfaces attached."""
        began = time.monotonic()
        self.spawn(*extra)
        while True:
            status = self.status(quiet=True)
            if status and all(i["attached"] for i in status["interfaces"]):
                return time.monotonic() - began
            if self.process.poll() is not None:
                raise RuntimeError(f"sluiced ended with {self.process.returncode}")
            if time.monotonic() - began > timeout:
                raise TimeoutError(f"sluiced has not come up within {timeout} s: {status}")
            time.sleep(0.02)

    def fails(self, *extra, wrap=(), timeout=10, **command):
        """Runs a sluiced that is expected to give up. Returns (exit status, its output)."""
        def prepare():
            kernel.die_with_parent()
            enter(self.net.server)
        words = [*wrap, *self.command(*extra, **command)]
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=timeout, preexec_fn=prepare)
        except subprocess.TimeoutExpired:
            return None, f"it runs, and was ended after {timeout} s"
        return done.returncode, (done.stdout + done.stderr).strip()

    def end(self, how=signal.SIGTERM, timeout=10):
        self.process.send_signal(how)
        return self.process.wait(timeout)

    def kill(self):
        return self.end(signal.SIGKILL)

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    # --- the command

    def sluice(self, *words):
        return subprocess.run([SLUICE, "-i", self.name, *words], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=20)

    def status(self, quiet=False):
        done = self.sluice("--json", "status")
        if done.returncode == 0:
            return json.loads(done.stdout)
        if quiet:
            return None
        raise RuntimeError(f"sluice status: {done.returncode}, {done.stderr.strip()}")

    def wait_for(self, what, condition, timeout=10):
        """Polls status until condition(status). Returns (the status, seconds it took)."""
        began = time.monotonic()
        while True:
            status = self.status()
            took = time.monotonic() - began
            if condition(status):
                return status, took
            if took > timeout:
                raise TimeoutError(f"{what}: not within {timeout} s; tier {status['tier']}, "
                                   f"load {status['load']}, mode {status['mode']}")
            time.sleep(0.05)

    def reasons(self):
        """Judged SYNs by reason, all that has arrived until now."""
        time.sleep(0.1)
        count = {}
        for r in self.status()["reasons"]:  # a reason can have led to several verdicts
            count[r["reason"]] = count.get(r["reason"], 0) + r["count"]
        return count

    # --- what lies about

    def tier_file(self):
        try:
            with open(f"{RUN}/{self.name}/tier") as f:
                return f.read().strip()
        except FileNotFoundError:
            return None

    def queue_flag(self):
        return os.path.exists(f"{RUN}/{self.name}/queue")

    def link_pins(self):
        return sorted(os.path.basename(p) for p in glob.glob(f"{PINS}/{self.name}/link-*"))


def xdp_on(net, interface):
    """The id of the XDP program on an interface of the server, or None."""
    from .topology import ip
    found = re.search(r"prog/xdp id (\d+)", ip(net.server, f"-d link show dev {interface}"))
    return int(found.group(1)) if found else None


def filter_gone(net, interface, timeout=2):
    """Whether an interface has no XDP program. Pins let go of theirs a moment after the unlink."""
    end = time.monotonic() + timeout
    while xdp_on(net, interface) is not None:
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def show_logs(lines=25):
    """For a scenario that has failed: what the daemons said."""
    for gate in Gate.started:
        if os.path.exists(gate.log_path):
            tail = gate.log().splitlines()[-lines:]
            print(f"     --- log of instance {gate.name}")
            for line in tail:
                print(f"     | {line}")
