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


def _listen_queue(port, backlog, hosts):
    """Listeners with a short queue; several of them share the port (SO_REUSEPORT)."""
    listeners = []
    for host in hosts:
        s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, len(hosts) > 1)
        if ":" in host:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        s.bind((host, port))
        s.listen(backlog)
        listeners.append(s)
    return listeners


def _queue(ready, stop, port, backlog, pause, hosts):
    raise_file_limit()
    listeners, epoll = _listen_queue(port, backlog, hosts), select.epoll()
    by_fd = {s.fileno(): s for s in listeners}
    open_sockets, accepted = {}, []
    for fd in (*by_fd, stop):
        epoll.register(fd, select.EPOLLIN)
    ready()
    while True:
        for fd, _ in epoll.poll(-1, 64):
            if fd == stop:
                return accepted
            if fd in open_sockets:
                if not _serve(open_sockets[fd]):
                    open_sockets.pop(fd).close()
                continue
            s, peer = by_fd[fd].accept()
            s.setblocking(False)
            accepted.append((time.monotonic(), peer[0].removeprefix("::ffff:")))
            time.sleep(pause)  # as an MTA that starts a process for it
            try:
                s.send(b"220 sink\r\n")
            except OSError:
                s.close()
                continue
            open_sockets[s.fileno()] = s
            epoll.register(s.fileno(), select.EPOLLIN)


def slow_sink(net, backlog, pause, hosts=("::",), port=25):
    """A sink that accepts one connection after the other, each in `pause` seconds."""
    return Child(net.server, _queue, port, backlog, pause, hosts, ready=True, stop=True)


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
