# SPDX-License-Identifier: GPL-2.0-or-later
"""An SMTP server that greets at once, answers everything with 221 and never runs out of slots."""

import select
import socket
import time

from .child import Child, raise_file_limit

BACKLOG = 65535


def _listen(port):
    s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(("::", port))
    s.listen(BACKLOG)
    return s


def _accept_all(listener, epoll, open_sockets, accepted):
    while True:
        try:
            s, peer = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        s.setblocking(False)
        accepted.append((time.monotonic(), peer[0].removeprefix("::ffff:")))
        try:
            s.send(b"220 sink\r\n")
        except OSError:
            s.close()
            continue
        open_sockets[s.fileno()] = s
        epoll.register(s.fileno(), select.EPOLLIN)


def _serve(s):
    """Returns whether the session goes on."""
    try:
        data = s.recv(4096)
        if data:
            s.send(b"221 bye\r\n")
        return bool(data)
    except OSError:
        return False


def _sink(ready, stop, port):
    raise_file_limit()
    listener, epoll = _listen(port), select.epoll()
    open_sockets, accepted = {}, []
    epoll.register(listener.fileno(), select.EPOLLIN)
    epoll.register(stop, select.EPOLLIN)
    ready()
    while True:
        for fd, _ in epoll.poll(-1, 1024):
            if fd == stop:
                return accepted
            if fd == listener.fileno():
                _accept_all(listener, epoll, open_sockets, accepted)
            elif fd in open_sockets and not _serve(open_sockets[fd]):
                open_sockets.pop(fd).close()


def sink(net, port=25):
    """Starts the sink; finish() returns (time, source) of all that it accepted."""
    return Child(net.server, _sink, port, ready=True, stop=True)
