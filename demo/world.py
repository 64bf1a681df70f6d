# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo's own world: PID, mount and network namespaces without a name, joined by one veth.

Nothing of it outlives its first process: the kernel then kills what runs in it and drops the
namespaces, interfaces, mounts and pinned programs, whatever way it ended, kill -9 included.
"""

import ctypes
import os
import signal
import subprocess

CLONE_NEWNS = 0x00020000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_PRIVATE_REC = (1 << 18) | 0x4000
PR_SET_PDEATHSIG = 1

SERVER = "203.0.113.25"  # TEST-NET-3 (RFC 5737)
CLIENT = "203.0.113.1"
SOURCES = "198.18.0.0/15"  # the benchmark range (RFC 2544): all of it is the client's
FOLDER = "/run/demo"

libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """Something cannot run here; the text is for the user."""


def _check(result, what):
    if result < 0:
        raise Refused(f"{what}: {os.strerror(ctypes.get_errno())}")


def _mount(kind, target, flags=0):
    _check(libc.mount(kind.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), None),
           f"cannot mount {kind} on {target} in a namespace of its own")


def die_with_parent(number=signal.SIGKILL):
    libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def leave():
    """What this process starts from now on lives in a new PID namespace."""
    _check(libc.unshare(CLONE_NEWPID), "cannot make a PID namespace")


def _make_private():
    """Nothing that is mounted from here on is seen outside.

    A chroot's root need not be a mount point, and then cannot be told so itself. Entering the
    mount namespace that we are in leads to its real root; from there the way back is a chroot.
    """
    if not os.path.exists("/proc/self/ns/mnt"):
        raise Refused("/proc is not mounted here")
    here, namespace = os.open("/", os.O_RDONLY), os.open("/proc/self/ns/mnt", os.O_RDONLY)
    _check(libc.setns(namespace, CLONE_NEWNS), "cannot look at the mounts from their root")
    _check(libc.mount(b"none", b"/", None, ctypes.c_ulong(MS_PRIVATE_REC), None),
           "cannot make the mounts private")
    os.fchdir(here)
    os.chroot(".")
    os.close(here)
    os.close(namespace)


def furnish():
    """An own /proc, an empty /run and an empty bpffs, in a mount namespace of its own."""
    _check(libc.unshare(CLONE_NEWNS), "cannot make a mount namespace")
    _make_private()
    _mount("proc", "/proc")
    _mount("tmpfs", "/run")
    if not os.path.isdir("/sys/fs"):
        _mount("sysfs", "/sys")
    try:
        _mount("bpf", "/sys/fs/bpf")
    except Refused:
        raise Refused("this kernel has no BPF file system (CONFIG_BPF_SYSCALL)") from None
    os.makedirs(FOLDER)
    os.makedirs("/run/sluice")


def start(words, **how):
    """Starts a program that ends with this process."""
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, **how)


def call(*words):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise Refused(f"{' '.join(words)}: {said or f'exit status {done.returncode}'}")
    return done.stdout


def ip(text):
    call("ip", *text.split())


class Net:
    """The server's network namespace, which this process enters, and the client's beside it."""

    def __init__(self):
        _check(libc.unshare(CLONE_NEWNET), "cannot make a network namespace")
        self.holder = start(["sleep", "1000"], preexec_fn=lambda: libc.unshare(CLONE_NEWNET))
        self.client = os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        ip("link set lo up")
        ip(f"link add mx0 type veth peer name out0 netns {self.holder.pid}")
        mx, out = "02:00:00:00:00:25", "02:00:00:00:00:01"
        ip(f"link set mx0 address {mx} up")
        ip(f"addr add {SERVER}/24 dev mx0")
        self.at_client("link set lo up")
        self.at_client(f"link set out0 address {out} up")
        self.at_client(f"addr add {CLIENT}/24 dev out0")
        self.at_client(f"neigh replace {SERVER} lladdr {mx} dev out0 nud permanent")
        self.at_client(f"route add local {SOURCES} dev lo")
        ip(f"neigh replace {CLIENT} lladdr {out} dev mx0 nud permanent")
        ip(f"route add {SOURCES} via {CLIENT} dev mx0")

    def enter_client(self):
        _check(libc.setns(self.client, CLONE_NEWNET), "cannot enter the client's namespace")

    def at_client(self, text):
        call("nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "ip", *text.split())

    def start_at_client(self, words, **how):
        return start(words, preexec_fn=self.enter_client, **how)

    def end(self):
        os.close(self.client)
        self.holder.kill()
        self.holder.wait()


def tcp_counters():
    """ListenOverflows, ListenDrops, ... of this network namespace."""
    with open("/proc/self/net/netstat") as f:
        names, values = [line.split()[1:] for line in f if line.startswith("TcpExt:")]
    return dict(zip(names, map(int, values)))
