# SPDX-License-Identifier: GPL-2.0-or-later
"""SYNs as fast as this machine sends them, from given IPv4 addresses; nothing answers them."""

import socket
import struct
import time

from .child import Child
from .frames import syn_frame

PACKET_QDISC_BYPASS = 20
ISN_AT = 14 + 20 + 4  # behind Ethernet, IPv4 and the ports


def _torrent(ready, stop, sources, dest, seconds):
    """A frame for each of the sources is sent round and round, each time as another attempt.

    Their checksums are of the first time: a SYN that is let in is not answered.
    """
    frames = [bytearray(syn_frame(source, 1024 + n % 60000, n, dest))
              for n, source in enumerate(sources)]
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    s.setsockopt(263, PACKET_QDISC_BYPASS, 1)  # SOL_PACKET
    s.bind(("c0", 0))
    ready()
    sent, began = 0, time.monotonic()
    while time.monotonic() - began < seconds:
        for frame in frames:
            struct.pack_into("!I", frame, ISN_AT, sent)
            try:
                s.send(frame)
                sent += 1
            except OSError:  # ENOBUFS: the other end is busy
                pass
    return sent, time.monotonic() - began


def torrent(net, sources, dest, seconds):
    """A Child: (SYNs sent, seconds that it took)."""
    return Child(net.client, _torrent, sources, dest, seconds, ready=True, stop=True)
