# SPDX-License-Identifier: GPL-2.0-or-later
"""The waiting room from outside: as any operator's tools see it, and can break it."""

import json
import select
import socket
import struct
import time

from .child import Child
from .topology import run

DEVICE = "slu-default"


def _is_emulated():
    with open("/proc/cpuinfo") as f:
        return "QEMU" in f.read()


# Seconds that a turn may be off, and SYNs that may be told otherwise as they came too far apart. An
# emulated processor is late by what its host does meanwhile.
EXACT, SPREAD = (0.5, 3) if _is_emulated() else (0.020, 0)


def tc(net, *words):
    """Runs tc in the server's namespace; returns what it said."""
    return run("tc", "-n", "s", *words)


def ip(net, *words):
    return run("ip", "-n", "s", *words)


def stands(net, device=DEVICE):
    return device in run("ip", "-n", "s", "-o", "link")


def fifo(net, device=DEVICE):
    """The queue itself: packets let out, drops and backlog, as tc shows them; None: it is not there."""
    if not stands(net, device):
        return None
    shown = json.loads(run("tc", "-n", "s", "-s", "-j", "qdisc", "show", "dev", device))
    for qdisc in shown:
        if qdisc["kind"] == "pfifo":
            return {"out": qdisc["packets"], "drops": qdisc["drops"], "waiting": qdisc["qlen"],
                    "limit": qdisc["options"]["limit"]}
    return None


def until(what, condition, timeout=10):
    """Polls until the condition holds; returns the seconds that it took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout:
            raise TimeoutError(f"{what}: not within {timeout} s")
        time.sleep(0.02)
    return time.monotonic() - began


def turns(seen, burst, interval):
    """When each connect of Wire.finish() is to be answered, by a bucket that was full before."""
    due, full_at = [], float("-inf")
    for syn, _ in seen:
        full_at = max(full_at, syn)
        due.append(max(syn, full_at - (burst - 1) * interval))
        full_at += interval
    return due


# --- when the wire saw what, by the kernel's clock: a busy machine delays whoever reads it --------

ETH_P_ALL = 0x0003
SO_TIMESTAMPNS = 35


def _of(frame):
    """(client, port, whether it is a SYN-ACK) of a SYN or SYN-ACK of port 25, else None."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == 0x0800 and frame[23] == 6:
        at, ends = 14 + (frame[14] & 15) * 4, (frame[26:30], frame[30:34])
    elif kind == 0x86DD and frame[20] == 6:
        at, ends = 54, (frame[22:38], frame[38:54])
    else:
        return None
    ports, flags = struct.unpack_from("!HH", frame, at), frame[at + 13] & 0x17
    if flags == 0x02 and ports[1] == 25:
        return ends[0], ports[0], False
    if flags == 0x12 and ports[0] == 25:
        return ends[1], ports[1], True
    return None


def _watch(ready, stop):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    s.bind(("c0", ETH_P_ALL))
    s.setblocking(False)
    ready()
    seen, ending = [], False
    while not ending:
        ending = stop in select.select([s, stop], [], [])[0]
        while True:
            try:
                frame, extra, _, _ = s.recvmsg(256, 64)
            except BlockingIOError:
                break
            except OSError:  # the link is gone
                return seen
            what = _of(frame)
            if what:
                seconds, ns = struct.unpack("qq", extra[0][2])
                seen.append((seconds + ns / 1e9, *what))
    return seen


class Wire:
    """What passes on the client's link: SYNs, and the SYN-ACKs to them."""

    def __init__(self, net):
        self.child = Child(net.client, _watch, ready=True, stop=True)

    def finish(self):
        """[(first SYN, [its SYN-ACKs])] of each connect in the order of their SYNs, from the first."""
        time.sleep(0.2)  # of frames that are still under way
        syn, answers = {}, {}
        for when, client, port, is_answer in self.child.finish():
            if is_answer:
                answers.setdefault((client, port), []).append(when)
            else:
                syn.setdefault((client, port), when)
        if not syn:
            return []
        start = min(syn.values())
        return [(when - start, [a - start for a in answers.get(who, [])])
                for who, when in sorted(syn.items(), key=lambda item: item[1])]
