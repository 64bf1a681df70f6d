# SPDX-License-Identifier: GPL-2.0-or-later
"""The control socket: whatever is sent to it, the daemon does its work."""

import json
import os
import shutil
import socket
import threading
import time

from lib import control
from lib import gate as gate_module
from lib.child import Child, raise_file_limit
from lib.clients import connect_now
from lib.gate import OPEN, RUN, Gate, write
from lib.sandbox import WORK
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4, source_v4

GROWTH_KB = 24 * 1024  # 64 clients, each with a request of 64 kB and an answer of 280 kB
STATUS_S, AGE_S = 3, 3


class Watch:
    """`sluice status` again and again: the slowest answer, the oldest tick, the largest RSS."""

    def __init__(self, gate):
        self.gate, self.stop = gate, threading.Event()
        self.asked, self.slowest, self.oldest, self.rss = 0, 0.0, 0.0, 0
        self.failed, self.lease = [], 1000.0
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stop.is_set():
            began = time.monotonic()
            try:
                status = self.gate.status()
                self.oldest = max(self.oldest, status["age_s"])
                self.lease = min(self.lease, status["lease_s"])
            except Exception as why:
                self.failed.append(str(why))
            self.asked += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.rss = max(self.rss, control.rss_kb(self.gate))
            self.stop.wait(0.1)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def error_of(data):
    answer = json.loads(data)
    return answer["error"] if answer["ok"] is False else f"no error: {answer}"


def garbage(t, gate):
    noise = bytes(t.rng.getrandbits(8) for _ in range(5000))
    for name, data in (
            ("noise", noise), ("noise in a line", noise.replace(b"\n", b"") + b"\n"),
            ("binary zeros", bytes(4096)), ("a zero in a string", b'{"command":"sta\0tus"}'),
            ("half an object", b'{"command": "sta'), ("a number", b"7"), ("an array", b"[]"),
            ("a newline", b"\n"), ("not UTF-8", b'{"command":"\xff\xfe"}'),
            ("a key twice", b'{"command":"status","command":"detach"}'),
            ("command is an object", b'{"command":{}}'), ("no such command", b'{"command":"x"}'),
            ("nesting within the bound", b"[" * 60000), ("100,000 deep", b"[" * 100000),
            ("objects within the bound", b'{"command":' * 5000),
            ("two requests", b'{"command":"status"}{"command":"detach"}')):
        text, took = control.say(gate, data)
        try:
            error, ok = error_of(text), True
        except ValueError:
            error, ok = repr(text), False
        t.check(ok and len(error.splitlines()) == 1 and "no error" not in error
                and took < STATUS_S, f"{name}: {error[:90]} ({took:.2f} s)")
    text, _ = control.say(gate, b"")
    t.equal("nothing at all", text, b"")
    t.equal("the filter was not detached", gate.link_pins(), ["link-s0"])


def ten_megabytes(t, gate):
    text, took = control.say(gate, b"x" * (10 << 20))
    t.check(text == b"" or "longer than" in error_of(text),
            f"10 MB: {text[:80]!r} ({took:.2f} s)")
    text, _ = control.say(gate, b" " * 65537)
    t.check("longer than 65536" in error_of(text), f"65,537 bytes: {error_of(text)}")
    text, _ = control.say(gate, b'{"command":"status"}'.ljust(65536))
    t.equal("65,536 bytes with a request in them", json.loads(text)["ok"], True)


def silence(t, gate):
    """Half a request and then nothing: the daemon ends it."""
    with control.connect(gate, timeout=10) as s:
        began = time.monotonic()
        s.sendall(b'{"command":')
        text = control.hear(s)
        t.between("half a request, then silence: ended after", time.monotonic() - began, 1.5, 4)
        t.equal("its answer", text, b"")


def single_bytes(t, gate):
    with control.connect(gate) as s:
        for byte in b'{"command":"status"}\n':
            s.sendall(bytes([byte]))
            time.sleep(0.02)
        t.equal("byte by byte", json.loads(control.hear(s))["ok"], True)
    with control.connect(gate, timeout=10) as s:
        began = time.monotonic()
        try:
            while time.monotonic() - began < 10:
                s.sendall(b" ")
                time.sleep(0.1)
        except (BrokenPipeError, ConnectionResetError):
            pass
        t.between("a byte every 0.1 s without end: ended after", time.monotonic() - began, 1.5, 4)


def idle(t, gate):
    """1,000 clients at once that say nothing. Returns them, still open."""
    open_ones, before = [], control.descriptors(gate)
    for _ in range(1000):
        open_ones.append(control.connect(gate, timeout=10))
    t.check(control.descriptors(gate) < before + 64 + 4,
            f"1,000 idle clients: the daemon has {control.descriptors(gate)} descriptors")
    return open_ones


def deaf(t, gate):
    """100 clients ask for what does not fit into a socket, and never read."""
    request = json.dumps({"command": "class-list"}).encode()
    open_ones = [control.connect(gate, timeout=10) for _ in range(100)]
    for s in open_ones:
        try:
            s.sendall(request)
            s.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # its place was needed
    return open_ones


def rapid(t, gate):
    """500 clients one after the other, as fast as they can."""
    began = time.monotonic()
    good = sum(json.loads(control.say(gate, b'{"command":"status"}')[0])["ok"]
               for _ in range(500))
    t.equal("500 rapid clients: answered", good, 500)
    t.note(f"in {time.monotonic() - began:.2f} s")


def _open_and_leave(gate, seconds):
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        control.connect(gate, timeout=10).close()
        with control.connect(gate, timeout=10):
            count += 2
    return count


class Storm:
    """Two clients that connect as fast as they can and never ask.

    They are there before the Watch: a fork would inherit, and hold open, the pipes of its status.
    """

    __name__ = "storm"

    def __init__(self, gate):
        self.both = [Child(None, _open_and_leave, gate, 3) for _ in range(2)]

    def __call__(self, t, gate):
        t.note(f"{sum(c.result() for c in self.both)} connections in 3 s without a request")


def close_all(sockets):
    for s in sockets:
        s.close()


def watched(t, gate, rss, one):
    """One kind of harm, and what others had of the daemon meanwhile."""
    with Watch(gate) as watch:
        began = time.monotonic()
        left_open = one(t, gate) or []
        time.sleep(max(0, (3.5 if left_open else 1.2) - (time.monotonic() - began)))
    what = f"during {one.__name__.replace('_', ' ')}"
    t.check(not watch.failed and watch.asked > 1 and watch.slowest < STATUS_S,
            f"{what}: {watch.asked} x status, the slowest {watch.slowest:.2f} s"
            f"{'; ' + watch.failed[0] if watch.failed else ''}")
    t.check(watch.oldest < AGE_S and watch.lease > 30 - AGE_S,
            f"{what}: last tick at most {watch.oldest:.1f} s ago, lease "
            f"at least {watch.lease:.1f} s")
    t.between(f"{what}: RSS grew by kB", watch.rss - rss, -1000, GROWTH_KB)
    close_all(left_open)


@scenario(limit=90)
def test_control(t):
    """Garbage, silence, 10 MB, 1,000 idle clients: status answers, the lease is renewed"""
    raise_file_limit()
    net = Net()
    served = sink(net)
    known = write("known", "".join(f"10.{n >> 8}.{n & 255}.0/24\n" for n in range(10000)))
    gate = Gate(net, OPEN, classes={"known": known}, load={"lease": "30s"})
    gate.start()
    gate.wait_for("the first tick", lambda s: s["age_s"] < AGE_S)
    fds, rss = control.descriptors(gate), control.rss_kb(gate)
    for one in (garbage, ten_megabytes, silence, single_bytes, idle, deaf, rapid):
        watched(t, gate, rss, one)
    watched(t, gate, rss, Storm(gate))
    time.sleep(2.5)
    t.equal("descriptors are back", control.descriptors(gate), fds)
    (attempt,) = connect_now(net, [source_v4(1)], server_v4(), patience=3)
    t.check(attempt.over is not None, "mail passes")
    t.equal("the daemon is the same", gate.process.poll(), None)
    served.finish()


def as_user(uid, gid, groups, path):
    """What this user hears when it asks for status."""
    os.setgroups(groups)
    os.setgid(gid)
    os.setuid(uid)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(5)
    try:
        s.connect(path)
    except PermissionError:
        return "EACCES"
    try:
        s.sendall(b'{"command":"detach"}' if uid == 65534 and not groups else
                  b'{"command":"status"}')
        s.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return control.hear(s).decode()


@scenario(limit=30)
def test_control_peers(t):
    """Who may not use the control socket: stopped by its mode, and by the daemon behind it"""
    net = Net()
    gate = Gate(net, OPEN)
    gate.start()
    path = f"{RUN}/{gate.name}/control"
    st = os.stat(path)
    t.equal("mode of the socket, its owner", (oct(st.st_mode & 0o777), st.st_uid), ("0o660", 0))
    group = st.st_gid
    copy = os.path.join(WORK, "sluice")  # where a user without rights can reach it
    shutil.copy(gate_module.SLUICE, copy)
    os.chmod(WORK, 0o755)
    os.chmod(copy, 0o755)

    def ask(gid, groups):
        return Child(None, as_user, 65534, gid, groups, path).result()

    t.equal("nobody", ask(65534, []), "EACCES")
    done = gate_module.subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", copy, "status"],
        capture_output=True, text=True, timeout=20)
    t.check(done.returncode == 1 and len(done.stderr.splitlines()) == 1,
            f"sluice status by nobody: {done.returncode}, {done.stderr.strip()}")
    t.equal("nobody with the socket's group", json.loads(ask(65534, [group]))["ok"], True)
    # The daemon reads and writes as root: a member of the group must not choose what.
    victim = os.path.join(WORK, "victim")
    for words, refused in ((("set", f"textfile={victim}"), True),
                           (("class", "load", "trusted", "/etc/hosts"), True),
                           (("set", f"loadavg-file={victim}"), True),
                           (("set", "hold=14s"), False)):
        done = gate_module.subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", f"--groups={group}", copy, *words],
            capture_output=True, text=True, timeout=20)
        t.check((done.returncode == 1 and "only root may" in done.stderr) if refused
                else done.returncode == 0,
                f"a member's {' '.join(words[:2])}: {done.returncode}, {done.stderr.strip()}")
    os.chmod(path, 0o666)
    answer = ask(65534, [])
    t.check("only root" in error_of(answer), f"nobody, the socket open to all: {answer}")
    answer = ask(65534, [65533])
    t.check("only root" in error_of(answer), f"nobody with another group: {answer}")
    t.equal("nobody with the socket's group", json.loads(ask(65534, [group]))["ok"], True)
    t.equal("nobody's detach did nothing", gate.link_pins(), ["link-s0"])
    t.equal("root", gate.status()["ok"], True)
