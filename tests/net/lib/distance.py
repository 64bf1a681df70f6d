# SPDX-License-Identifier: GPL-2.0-or-later
"""A round trip between the clients and the gate: what they send to link 0 arrives so much later.

The client namespace routes the server's address into a TUN device; what comes out of it is put on
the wire after the delay. The way back is at once, so the delay is the whole round trip.
"""

import fcntl
import os
import select
import socket
import struct
import time
from collections import deque

from .child import Child
from .topology import run, server_v4

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
HEAD = bytes.fromhex("02000000000502000000000c0800")  # from c0 to s0, IPv4
QUEUE = 5000


def _open_tun(name):
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    run("ip", "link", "set", name, "up", "txqueuelen", str(QUEUE))
    run("ip", "route", "replace", f"{server_v4()}/32", "dev", name)
    return tun


def _carry(ready, stop, seconds):
    tun, under_way = _open_tun("far0"), deque()
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    wire.bind(("c0", 0))
    ready()
    while True:
        wait = max(0, under_way[0][0] - time.monotonic()) if under_way else None
        readable = select.select([tun, stop], [], [], wait)[0]
        if stop in readable:
            return
        if tun in readable:
            under_way.append((time.monotonic() + seconds, os.read(tun, 65536)))
        while under_way and under_way[0][0] <= time.monotonic():
            wire.send(HEAD + under_way.popleft()[1])


def far_away(net, milliseconds):
    """From now on the clients' IPv4 is so far away, for as long as the scenario runs. Before any
    child that is to be stopped: this one would hold its end open."""
    return Child(net.client, _carry, milliseconds / 1000, ready=True, stop=True)
