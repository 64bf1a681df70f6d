# SPDX-License-Identifier: GPL-2.0-or-later
"""A client and a server namespace, joined by veth pairs c0-s0, c1-s1, ...

The gate sits on the server's ends. The client owns whole prefixes by one local route each (AnyIP),
so any source of them can be bound without adding it: of RFC 2544's benchmark range for IPv4 and
of the documentation prefix for IPv6. Link n has

	server    198.19.(255-n).1           2001:db8:19:n::1
	sources   198.18.0.0/17, .128.0/17   2001:db8:8000::/34, 2001:db8:c000::/34

Neighbours are permanent and duplicate address detection is off, or the first IPv6 connect takes a
second. On the client's ends a native XDP program passes everything: without one, veth drops what
native XDP on the other end sends back (XDP_TX).
"""

import os
import subprocess

from . import kernel
from .child import enter, within

CLIENT = "/run/netns/c"
SERVER = "/run/netns/s"
LINKS_MAX = 2
V4_SOURCES = ("198.18.0.0/17", "198.18.128.0/17")
V6_SOURCES = ("2001:db8:8000::/34", "2001:db8:c000::/34")


def _make_namespace(path):
    """A named namespace: the name lies in the scenario's own /run and ends with it."""
    back = os.open("/proc/self/ns/net", os.O_RDONLY)
    kernel.unshare(kernel.CLONE_NEWNET)
    open(path, "w").close()
    kernel.mount("/proc/self/ns/net", path, None, kernel.MS_BIND)
    kernel.setns(back)
    os.close(back)


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def ip(namespace, text):
    return run("ip", "-n", os.path.basename(namespace), *text.split())


def _sysctl(settings):
    for name, value in settings.items():
        path = "/proc/sys/net/" + name
        if os.path.exists(path):  # older kernels have not got all of them
            with open(path, "w") as f:
                f.write(str(value))


def sysctl(namespace, **settings):
    """Sets net.* of a namespace; a name is written with __ for the slash."""
    within(namespace, _sysctl, {k.replace("__", "/"): v for k, v in settings.items()})


def _tcp_counters():
    with open("/proc/net/netstat") as f:
        rows = [line.split() for line in f if line.startswith("TcpExt:")]
    return dict(zip(rows[0][1:], map(int, rows[1][1:])))


def tcp_counters(namespace):
    """The TcpExt counters of a namespace (proc_net_netstat), by name."""
    return within(namespace, _tcp_counters)


def server_v4(link=0):
    return f"198.19.{255 - link}.1"


def server_v6(link=0):
    return f"2001:db8:19:{link}::1"


def source_v4(number, link=0):
    """The number-th source, each in a /24 of its own as long as there are (127 a link)."""
    return f"198.18.{link * 128 + number % 127}.{1 + number // 127 % 254}"


def source_v6(number, link=0):
    """The number-th source, each in a /48 of its own."""
    return f"2001:db8:{0x8000 + link * 0x4000 + number:x}::1"


class Net:
    def __init__(self, links=1, queues=1):
        self.client, self.server = CLIENT, SERVER
        self.held = []
        for path in (CLIENT, SERVER):
            _make_namespace(path)
            ip(path, "link set lo up")
            sysctl(path, ipv6__conf__default__accept_dad=0, ipv6__conf__all__accept_dad=0,
                   ipv4__conf__all__rp_filter=0, ipv4__conf__default__rp_filter=0,
                   core__somaxconn=65535, ipv4__tcp_max_syn_backlog=65535)
        sysctl(CLIENT, ipv4__ip_local_port_range="1024 65535", ipv6__ip_nonlocal_bind=1)
        for n in range(links):
            self._join(n, queues)

    def _join(self, n, queues=1):
        c, s = f"c{n}", f"s{n}"
        many = f"numtxqueues {queues} numrxqueues {queues}"
        ip(CLIENT, f"link add {c} {many} type veth peer name {s} {many} netns s")
        mac_c, mac_s = f"02:00:00:00:0{n}:0c", f"02:00:00:00:0{n}:05"
        v4 = (f"198.19.{255 - n}.2", server_v4(n))
        v6 = (f"2001:db8:19:{n}::2", server_v6(n))
        for path, dev, mac, own, far, far_mac in ((CLIENT, c, mac_c, 0, 1, mac_s),
                                                  (SERVER, s, mac_s, 1, 0, mac_c)):
            ip(path, f"link set {dev} address {mac}")
            ip(path, f"link set {dev} up")
            ip(path, f"addr add {v4[own]}/24 dev {dev}")
            ip(path, f"addr add {v6[own]}/64 dev {dev} nodad")
            for far_address in (v4[far], v6[far]):
                ip(path, f"neigh replace {far_address} lladdr {far_mac} dev {dev} nud permanent")
        ip(CLIENT, f"route add local {V4_SOURCES[n]} dev lo")
        ip(CLIENT, f"-6 route add local {V6_SOURCES[n]} dev lo")
        ip(SERVER, f"route add {V4_SOURCES[n]} via {v4[0]} dev {s}")
        ip(SERVER, f"-6 route add {V6_SOURCES[n]} via {v6[0]} dev {s}")
        self.hold_xdp(CLIENT, c)

    def hold_xdp(self, namespace, interface, flags=kernel.XDP_FLAGS_DRV_MODE, name="pass"):
        """Attaches a program that passes everything for as long as the scenario runs."""
        back = os.open("/proc/self/ns/net", os.O_RDONLY)
        enter(namespace)
        try:
            program = kernel.load_xdp_pass(name)
            link = kernel.link_xdp(program, interface, flags)
            self.held += [program, link]
            return link
        finally:
            kernel.setns(back)
            os.close(back)
