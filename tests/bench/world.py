# SPDX-License-Identifier: GPL-2.0-or-later
"""A mount namespace for one run of the bench, and servers in network namespaces within it.

Unlike the world of a net scenario it sees the machine's processes, as NAPI threads are measured. It
ends all the same with the process that made it: what it starts dies with it, and namespaces, pins
and files of /run go with the mounts.
"""

import ctypes
import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys

from lib import kernel, sandbox
from lib.child import Child, enter, within
from lib.topology import _make_namespace, run, sysctl

GENERATOR = "/run/netns/g"
SERVER_V4, NEAR_V4 = "198.19.0.1", "198.19.0.2"
BACKLOG = 4096  # of the listener; net.core.somaxconn is that by default
SIOCETHTOOL, ETHTOOL_SGRO = 0x8946, 0x2C


def enter_world(function):
    """Runs function() in a world of its own. Returns its exit status."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            kernel.die_with_parent()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            kernel.unshare(kernel.CLONE_NEWNS)
            sandbox._furnish()
            status = function()
        except BaseException:
            import traceback
            traceback.print_exc()
            status = 1
        sys.stdout.flush()
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def spawn(namespace, words, **options):
    """A process in a namespace that ends with this one."""
    def prepare():
        kernel.die_with_parent()
        if namespace:
            enter(namespace)
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, preexec_fn=prepare, **options)


def lines_of(namespace, words, progress=None):
    """Runs a program that prints lines of JSON. Returns them; progress(n) after each."""
    rows = []
    process = spawn(namespace, words, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        rows.append(json.loads(line))
        if progress:
            progress(rows[-1])
    if process.wait():
        raise RuntimeError(f"{os.path.basename(words[0])} ended with {process.returncode}")
    return rows


def must(namespace, *words):
    """Runs a command there that must succeed. Returns its output."""
    process = spawn(namespace, words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    output = process.communicate(timeout=60)[0]
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)}: {output.strip()}")
    return output


def make_namespace(path):
    _make_namespace(path)
    run("ip", "-n", os.path.basename(path), "link", "set", "lo", "up")


def _gro_on(interface):
    # struct ethtool_value behind struct ifreq: so the interface polls, without XDP too
    value = ctypes.create_string_buffer(struct.pack("=II", ETHTOOL_SGRO, 1))
    request = struct.pack("16sQ16x", interface.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCETHTOOL, request)


def _thread_napi(interface):
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("sysfs", "/sys", "sysfs")  # shows the network namespace of who mounts it
    with open(f"/sys/class/net/{interface}/threaded", "w") as f:
        f.write("1")


def _listen(ready, stop):
    s = socket.create_server(("", 25), backlog=BACKLOG)
    ready()
    os.read(stop, 1)
    s.close()


def _napi_thread(interface):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as f:
                if f.read().startswith(f"napi/{interface}-"):
                    return int(pid)
        except OSError:
            pass  # it has ended meanwhile
    raise RuntimeError(f"{interface} has no NAPI thread")


class Server:
    """A namespace with a listener on port 25, whose interface is polled by a thread of its own.

    Its other end is in the generator's namespace, under a program that drops what comes out.
    """

    def __init__(self, number, drop, cpu):
        name = f"s{number}"
        # NAPI threads of all namespaces are in one list, and another bench may run.
        self.interface, self.far = f"{name}-{os.getpid() % 10000}", f"g{number}"
        self.namespace = f"/run/netns/{name}"
        self.mac = f"02:00:00:00:{number:02x}:05"
        far_mac = f"02:00:00:00:{number:02x}:0c"
        make_namespace(self.namespace)
        sysctl(self.namespace, ipv6__conf__default__disable_ipv6=1,
               ipv4__conf__all__rp_filter=0, ipv4__conf__default__rp_filter=0)
        run("ip", "-n", "g", "link", "add", self.far, "type", "veth", "peer", "name",
            self.interface, "netns", name)
        for where, interface, mac in (("g", self.far, far_mac), (name, self.interface, self.mac)):
            run("ip", "-n", where, "link", "set", interface, "address", mac, "up")
        for words in (f"addr add {SERVER_V4}/24 dev {self.interface}",
                      f"neigh add {NEAR_V4} lladdr {far_mac} dev {self.interface} nud permanent",
                      f"route add default via {NEAR_V4}"):
            run("ip", "-n", name, *words.split())
        # Not by `ip -n`, which hides the BPF file system.
        must(GENERATOR, "ip", "link", "set", self.far, "xdpdrv", "pinned", drop)
        within(self.namespace, _gro_on, self.interface)
        within(self.namespace, _thread_napi, self.interface)
        self.listener = Child(self.namespace, _listen, ready=True, stop=True)
        self.thread = _napi_thread(self.interface)
        with open(f"/proc/{self.thread}/comm") as f:
            self.thread_name = f.read().strip()[:15]  # as perf has it (TASK_COMM_LEN)
        os.sched_setaffinity(self.thread, {cpu})

    def busy_ns(self):
        """What the thread has run so far."""
        with open(f"/proc/{self.thread}/schedstat") as f:
            return int(f.read().split()[0])

    def frames(self):
        """What it has taken in so far."""
        text = run("ip", "-n", os.path.basename(self.namespace), "-s", "-j", "link", "show",
                   self.interface)
        return json.loads(text)[0]["stats64"]["rx"]["packets"]
