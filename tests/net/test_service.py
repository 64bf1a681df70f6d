# SPDX-License-Identifier: GPL-2.0-or-later
"""sluiced as a service: what it tells the manager, and with the rights that its unit leaves it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time

from lib.clients import connect_now, waves
from lib.gate import PINS, RUN, TOP, Gate, limits
from lib.sandbox import WORK
from lib.scenario import Skip, scenario
from lib.sink import sink
from lib.topology import Net, server_v4, source_v4

UNITS = [os.path.join(TOP, "dist/systemd", u) for u in ("sluiced.service", "sluiced@.service")]
EXPOSURE_MOST = 2.0
USER = 4242  # any that is not root


class Manager:
    """The service manager's end of NOTIFY_SOCKET."""

    def __init__(self):
        os.makedirs(WORK, exist_ok=True)
        self.path = os.path.join(WORK, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        os.environ["NOTIFY_SOCKET"] = self.path

    def wait(self, text, timeout=15):
        """Waits for a message with this line; returns the seconds it took."""
        began = time.monotonic()
        while True:
            self.socket.settimeout(max(0.01, began + timeout - time.monotonic()))
            lines = self.socket.recv(4096).decode().splitlines()
            if any(line.startswith(text) for line in lines):
                return time.monotonic() - began

    def drain(self):
        self.socket.setblocking(False)
        try:
            while True:
                self.socket.recv(4096)
        except BlockingIOError:
            pass


@scenario(limit=60)
def test_notify(t):
    """READY when it judges, WATCHDOG with each tick and not while it hangs, RELOADING, STOPPING"""
    manager = Manager()
    gate = Gate(Net(), limits("10/s", 10, retry=0))
    gate.spawn()
    manager.wait("READY=1")
    t.check(all(i["attached"] for i in gate.status()["interfaces"]), "attached when it says READY")
    t.between("two ticks, s", manager.wait("WATCHDOG=1") + manager.wait("WATCHDOG=1"), 0, 4)
    gate.process.send_signal(signal.SIGHUP)
    manager.wait("RELOADING=1")
    manager.wait("READY=1")
    gate.process.send_signal(signal.SIGSTOP)
    manager.drain()
    time.sleep(2.5)
    try:
        manager.wait("WATCHDOG=1", 0.1)
        t.check(False, "a stopped daemon is alive")
    except (TimeoutError, BlockingIOError):
        t.check(True, "nothing is said while it hangs")
    gate.process.send_signal(signal.SIGCONT)
    gate.process.send_signal(signal.SIGTERM)
    manager.wait("STOPPING=1")
    t.equal("it ends", gate.process.wait(10), 0)


@scenario(limit=60)
def test_service_rights(t):
    """With the unit's user and capabilities alone it attaches, limits, reloads and takes over"""
    if not shutil.which("setpriv"):
        raise Skip("there is no setpriv")
    net = Net()
    served = sink(net)
    for folder in (RUN, os.path.join("/var/lib/sluice"), PINS):
        os.makedirs(folder, exist_ok=True)
        os.chown(folder, USER, USER)
    os.chmod(WORK, 0o755)
    caps = "-all,+bpf,+net_admin,+perfmon"
    gate = Gate(net, limits("1/s", 8, retry=0))
    plain = gate.command
    gate.command = lambda *extra, **how: [
        "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups",
        f"--inh-caps={caps}", f"--ambient-caps={caps}", f"--bounding-set={caps}",
        "--no-new-privs", *plain(*extra, **how)]
    gate.start()
    with open(f"/proc/{gate.process.pid}/status") as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    t.equal("user", status["Uid"].split()[0], str(USER))
    t.equal("capabilities: bpf and net_admin", int(status["CapEff"], 16), 1 << 39 | 1 << 12)
    let_in = waves(connect_now(net, [source_v4(n) for n in range(30)], server_v4(),
                               patience=0.3))[0]
    t.between("let in of 30", let_in, 8, 9)
    t.check(gate.status()["sessions"]["counted"], "sessions are counted")
    t.equal("HOLD", gate.status()["hold"]["problem"], None)
    t.equal("reload", gate.sluice("reload").returncode, 0)
    gate.end()
    gate.start()
    t.check("attached" in gate.log(), "a restart takes over")
    t.equal("detach", gate.sluice("detach").returncode, 0)
    served.finish()


@scenario(limit=30)
def test_unit(t):
    """The units are as closed as the work allows: systemd-analyze's exposure, at most 2.0"""
    if not shutil.which("systemd-analyze"):
        raise Skip("there is no systemd-analyze")
    for unit in UNITS:
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", unit],
                              capture_output=True, text=True)
        found = re.search(r"Overall exposure level for .*: ([0-9.]+)", done.stdout)
        t.must(found is not None, f"{done.stdout[-200:]}{done.stderr}")
        t.between(f"{os.path.basename(unit)}: exposure", float(found.group(1)), 0, EXPOSURE_MOST)
    texts = [open(unit).read().split("ExecReload", 1)[1] for unit in UNITS]
    t.check(texts[0] == texts[1], "both units have the same rights")
