# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames built by hand: SYNs that no TCP stands behind, so that nothing is ever retransmitted.

They leave by AF_PACKET on the client's c0. The SYN-ACK to one that was let in goes to a source
that the client namespace owns, whose kernel answers with RST: so each SYN that the gate lets in
is exactly one SYN-ACK on the wire, which Sniffer counts.
"""

import ipaddress
import socket
import struct
import time
from collections import namedtuple

from .child import Child

ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 0x0003, 0x0800, 0x86DD
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23
SYN, RST, ACK = 0x02, 0x04, 0x10

Syn = namedtuple("Syn", "seconds source port isn")
Seen = namedtuple("Seen", "time address port flags ack")


def _sum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _mac(text):
    return bytes.fromhex(text.replace(":", ""))


def syn_frame(source, port, isn, dest, link=0, dest_port=25, flags=SYN):
    """An Ethernet frame with a SYN (MSS option), from the client's end of a link to the other."""
    src, dst = (ipaddress.ip_address(a).packed for a in (source, dest))
    options = struct.pack("!BBH", 2, 4, 1460)
    head = struct.pack("!HHIIBBH", port, dest_port, isn & 0xFFFFFFFF, 0, 6 << 4, flags, 64240)
    length = len(head) + 4 + len(options)
    if len(src) == 4:
        pseudo = src + dst + struct.pack("!BBH", 0, 6, length)
        ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, isn & 0xFFFF, 0x4000, 64, 6, 0)
        ip = ip[:10] + struct.pack("!H", _sum(ip + src + dst)) + src + dst
    else:
        pseudo = src + dst + struct.pack("!IxxxB", length, 6)
        ip = struct.pack("!IHBB", 6 << 28, length, 6, 64) + src + dst
    check = _sum(pseudo + head + b"\0\0\0\0" + options)
    ether = _mac(f"02:00:00:00:0{link}:05") + _mac(f"02:00:00:00:0{link}:0c")
    ether += struct.pack("!H", ETH_P_IP if len(src) == 4 else ETH_P_IPV6)
    return ether + ip + head + struct.pack("!HH", check, 0) + options


def _send(frames, link):
    """frames: an iterable of (seconds, frame). Returns (first, last, number)."""
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.bind((f"c{link}", 0))
    start = time.monotonic()
    first = last = None
    sent = 0
    for seconds, frame in frames:
        late = time.monotonic() - start - seconds
        if late < 0:
            time.sleep(-late)
        s.send(frame)
        last = time.monotonic()
        first = last if first is None else first
        sent += 1
    return first, last, sent


def _send_syns(syns, dest, link, dest_port):
    return _send(((s.seconds, syn_frame(s.source, s.port, s.isn, dest, link, dest_port))
                  for s in syns), link)


def spoof(net, syns, dest, link=0, dest_port=25):
    """Sends Syns beside what the scenario does. A Child: (first, last, number)."""
    return Child(net.client, _send_syns, syns, dest, link, dest_port)


def flood(rng, rate, seconds, source):
    """Syns at Poisson times, each an attempt of its own; source(n) is the n-th one's address."""
    t, n, syns = 0.0, 0, []
    while True:
        t += rng.expovariate(rate)
        if t >= seconds:
            return syns
        syns.append(Syn(t, source(n), rng.randrange(1024, 65536), rng.getrandbits(32)))
        n += 1


def _parse(frame, port):
    """What the server sent from a port: (address, its port, flags, ack), or None."""
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == ETH_P_IP and frame[23] == 6:
        at, dest = 14 + (frame[14] & 15) * 4, socket.inet_ntop(socket.AF_INET, frame[30:34])
    elif kind == ETH_P_IPV6 and frame[20] == 6:
        at, dest = 54, socket.inet_ntop(socket.AF_INET6, frame[38:54])
    else:
        return None
    from_port, to_port, _, ack = struct.unpack_from("!HHII", frame, at)
    return (dest, to_port, frame[at + 13], ack) if from_port == port else None


def _sniff(ready, stop, link, port):
    import select
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    s.bind((f"c{link}", ETH_P_ALL))
    s.setblocking(False)
    ready()
    seen, ending = [], False
    while not ending:
        ending = stop in select.select([s, stop], [], [])[0]
        while True:
            try:
                frame = s.recv(256)
            except BlockingIOError:
                break
            what = _parse(frame, port)
            if what:
                seen.append(Seen(time.monotonic(), *what))
    return seen


class Sniffer:
    """Counts what the server answers on a link: SYN-ACKs and RSTs."""

    def __init__(self, net, link=0, port=25):
        self.child = Child(net.client, _sniff, link, port, ready=True, stop=True)

    def finish(self):
        """All TCP segments from the server's port as Seen."""
        time.sleep(0.2)  # of frames that are still under way
        return self.child.finish()


def syn_acks(seen):
    return [s for s in seen if s.flags & (SYN | ACK | RST) == SYN | ACK]


def resets(seen):
    return [s for s in seen if s.flags & RST]
