# SPDX-License-Identifier: GPL-2.0-or-later
"""Links that go and come back, and the same frames on two of them."""

import time

from .child import Child
from .frames import Syn, syn_frame
from .topology import V4_SOURCES, V6_SOURCES, Net, ip


def remove(net, link=0):
    """Deletes the veth pair of a link, and what the client routed over it."""
    ip(net.client, f"link del c{link}")
    ip(net.client, f"route del local {V4_SOURCES[link]} dev lo")
    ip(net.client, f"-6 route del local {V6_SOURCES[link]} dev lo")


def make_again(net, link=0):
    """A new pair of the same names, addresses and routes: other interfaces to the kernel."""
    Net._join(net, link)


def _send_twice(pair_of_lists):
    """Sends the n-th frame of each list within microseconds, by the times of the first."""
    import socket
    sockets = []
    for link in range(len(pair_of_lists)):
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        s.bind((f"c{link}", 0))
        sockets.append(s)
    start = time.monotonic()
    for rows in zip(*pair_of_lists):
        late = time.monotonic() - start - rows[0][0]
        if late < 0:
            time.sleep(-late)
        for s, (_, frame) in zip(sockets, rows):
            s.send(frame)
    return len(pair_of_lists[0])


def spoof_alike(net, syns, source, dest):
    """The same Syns on links 0 and 1, side by side; Syn.source is a number.

    source(number, link) and dest(link) make them addresses of the link. A Child: how many.
    """
    both = [[(s.seconds, syn_frame(source(s.source, link), s.port, s.isn, dest(link), link))
             for s in syns] for link in (0, 1)]
    return Child(net.client, _send_twice, both)


def copies(syns, delays):
    """These Syns and a copy of each after each of the delays, in the order of time."""
    return sorted(Syn(s.seconds + d, *s[1:]) for s in syns for d in (0, *delays))
