# SPDX-License-Identifier: GPL-2.0-or-later
"""A private copy of a cached root, and a process of it as the first of a PID namespace."""

import os
import signal
import socket
import subprocess
import threading
import time

from lib import kernel
from lib.child import enter, within
from lib.topology import server_v4, server_v6

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
CACHE = os.environ.get("SLUICE_MTA_ROOTS") or "/var/cache/sluice/mta"
FOLDER = "/run/mta"  # in the sandbox: ends with it
CLONE_NEWUTS = 0x04000000
HOST = "mx.example.test"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C",
               "TERM": "dumb"}


def build(name):
    """Has scripts/mta-roots build a root if it is not there. Returns why it cannot, or None."""
    if os.path.isdir(os.path.join(CACHE, name)):
        return None
    done = subprocess.run([os.path.join(TOP, "scripts/mta-roots"), name],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    return (done.stderr.strip().splitlines() or ["scripts/mta-roots failed"])[-1]


class Syslog:
    """What a root says on its /dev/log: how many lines have each of some words, and the last."""

    LAST = 200

    def __init__(self, path, words, file):
        self.words = [w.encode() for w in words]
        self.count = dict.fromkeys(words, 0)
        self.file = open(file, "wb")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        self.socket.bind(path)
        os.chmod(path, 0o666)
        self.room = 20 << 20  # of the file
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            line = self.socket.recv(8192)
            for word in self.words:
                if word in line:
                    self.count[word.decode()] += 1
            if self.room > 0:
                self.room -= self.file.write(line.rstrip(b"\0\n") + b"\n")


class Mta:
    """One MTA. A subclass says how: name, words, prepare(), command."""

    cached = None  # the name of its root
    words = ()  # in its log, that a mail has been thrown away
    command = ()  # in the foreground
    files = (1024, 524288)  # open files, soft and hard: what systemd gives a service

    def __init__(self, net, name=None, bind=(), host=HOST, addresses=None):
        """bind: (outside, inside) folders or files that are seen inside as well."""
        self.net, self.name, self.host = net, name or type(self).__name__.lower(), host
        self.addresses = addresses or (server_v4(), server_v6())
        self.folder = os.path.join(FOLDER, self.name)
        self.root = os.path.join(self.folder, "root")
        self.bind, self.process = bind, None
        self.load_path = os.path.join(self.folder, "loadavg")
        self._mount()
        self.set_load(0)
        self.syslog = Syslog(self.root + "/dev/log", self.words, self.folder + "/syslog")
        self.prepare()

    def _mount(self):
        os.makedirs(self.folder)
        kernel.mount("mta", self.folder, "tmpfs", 0, "mode=0755")
        for name in ("upper", "work", "root"):
            os.mkdir(os.path.join(self.folder, name), 0o755)
        lower = os.path.join(CACHE, self.cached)
        kernel.mount("mta", self.root, "overlay", 0, f"lowerdir={lower},"
                     f"upperdir={self.folder}/upper,workdir={self.folder}/work")
        for outside, inside in self.bind:
            target = self.root + inside
            if os.path.isdir(outside):
                os.makedirs(target, exist_ok=True)
            else:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                open(target, "a").close()
            kernel.mount(outside, target, None, kernel.MS_BIND | kernel.MS_REC)

    def write(self, path, text, mode=0o644):
        """A file of the root, written whole."""
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        with open(self.root + path, "w") as f:
            f.write(text)
        os.chmod(self.root + path, mode)

    def prepare(self):
        """Writes the configuration."""

    def set_load(self, load):
        """The load average that the MTA reads; that of the machine is of everything on it."""
        with open(self.load_path, "r+" if os.path.exists(self.load_path) else "w") as f:
            f.write(f"{load:.2f} {load:.2f} {load:.2f} 1/100 4242".ljust(60) + "\n")

    # --- its processes

    def _inside(self):
        import resource
        soft, hard = self.files
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        except ValueError:
            pass  # as many as the machine gives
        socket.sethostname(self.host)
        kernel.mount("proc", self.root + "/proc", "proc")
        kernel.mount(self.load_path, self.root + "/proc/loadavg", None, kernel.MS_BIND)
        os.chroot(self.root)
        os.chdir("/")
        os.setsid()

    def _first(self, words, output):
        """The first process of the namespaces of the MTA. Never returns."""
        try:
            kernel.die_with_parent()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            self._inside()
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.closerange(3, 1024)
            os.execvpe(words[0], words, ENVIRONMENT)
        except BaseException as e:  # all of it belongs into the log
            os.write(output, f"{words[0]}: {e}\n".encode())
            os._exit(127)

    def spawn(self, words):
        """Starts it; returns the pid of the first process of its namespaces, as seen from here."""
        output = os.open(self.folder + "/output", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        pipe_in, pipe_out = os.pipe()
        middle = os.fork()
        if middle == 0:
            try:
                os.close(pipe_in)
                enter(self.net.server)
                kernel.unshare(kernel.CLONE_NEWPID | kernel.CLONE_NEWNS | CLONE_NEWUTS)
                kernel.die_with_parent()
                first = os.fork()
                if first == 0:
                    self._first(words, output)
                os.write(pipe_out, str(first).encode())
                os.close(pipe_out)
                _, status = os.waitpid(first, 0)
                os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
            except BaseException as e:
                os.write(output, f"{words[0]}: {e}\n".encode())
                os._exit(127)
        os.close(pipe_out)
        self.process = middle
        self.first = int(os.read(pipe_in, 32) or 0)
        os.close(pipe_in)
        os.close(output)

    def start(self, timeout=30):
        """Starts it and waits until it greets on every address. Returns the seconds it took."""
        began = time.monotonic()
        self.spawn(list(self.command))
        for address in self.addresses:
            while not within(self.net.client, _greets, address):
                if self.ended() or time.monotonic() - began > timeout:
                    raise RuntimeError(f"{self.name} does not greet on {address}: {self.said()}")
                time.sleep(0.05)
        return time.monotonic() - began

    def ended(self):
        if self.process:
            if os.waitpid(self.process, os.WNOHANG)[0]:
                self.process = None
        return self.process is None

    def stop(self):
        """Ends the MTA and all of its processes at once."""
        if not self.ended():
            if self.first:
                os.kill(self.first, signal.SIGKILL)
            os.waitpid(self.process, 0)
            self.process = None

    def run(self, *words, timeout=60):
        """A command in the namespaces of the running MTA. Returns a CompletedProcess."""
        return subprocess.run(["nsenter", "-t", str(self.first), "-m", "-u", "-n", "-p", "-r", "-w",
                               *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout, env=ENVIRONMENT)

    def prepare_run(self, *words, timeout=60):
        """A command in the root before the start, for what has to be compiled or initialised."""
        done = subprocess.run(["unshare", "-m", "-p", "-u", "-f", "--kill-child",
                               f"--mount-proc={self.root}/proc", "chroot", self.root, *words],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=timeout, env=ENVIRONMENT)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    # --- what it says

    def counted(self):
        """Mails that it has thrown away, by its own log."""
        return sum(self.syslog.count.values())

    def processes(self):
        """How many there are of it."""
        mine, count = os.stat(f"/proc/{self.first}/ns/pid").st_ino, 0
        for name in os.listdir("/proc"):
            try:
                count += name.isdigit() and os.stat(f"/proc/{name}/ns/pid").st_ino == mine
            except OSError:
                pass  # it has just ended
        return count

    def said(self, lines=8):
        self.syslog.file.flush()
        text = b""
        for name in ("output", "syslog"):
            if os.path.exists(f"{self.folder}/{name}"):
                with open(f"{self.folder}/{name}", "rb") as f:
                    text += b"\n".join(f.read().splitlines()[-lines:]) + b"\n"
        return text.decode(errors="replace").strip() or "it says nothing"


def _greets(address):
    try:
        with socket.create_connection((address, 25), timeout=5) as s:
            return s.recv(512).startswith(b"220")
    except OSError:
        return False
