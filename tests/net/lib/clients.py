# SPDX-License-Identifier: GPL-2.0-or-later
"""Real TCP clients: kernel sockets with the kernel's own SYN timers, from any source address.

A plan is a list of (seconds, source, hold): at that time a connect from that source, and once the
banner is there the session is held for so long, then ended by QUIT. What became of each is an
Attempt; all its times are seconds of CLOCK_MONOTONIC.
"""

import errno
import heapq
import select
import socket
import time
from dataclasses import dataclass

from .child import Child, raise_file_limit

IP_FREEBIND = 15
IP_BIND_ADDRESS_NO_PORT = 24
SMTP = 25


@dataclass
class Attempt:
    source: str
    syn: float  # connect() was called
    connected: float | None = None
    banner: float | None = None
    over: float | None = None  # the server has answered QUIT
    failed: float | None = None
    error: str | None = None  # a name of errno, or "given-up"

    @property
    def wait(self):
        """Seconds until the connection stood, or until the error."""
        end = self.connected if self.connected is not None else self.failed
        return None if end is None else end - self.syn


class _Session:
    def __init__(self, attempt, hold):
        self.attempt, self.hold = attempt, hold
        self.socket = None
        self.tail = b""


class _Loop:
    def __init__(self, server, port, patience):
        self.server, self.port, self.patience = server, port, patience
        self.family = socket.AF_INET6 if ":" in server else socket.AF_INET
        self.epoll = select.epoll()
        self.timers, self.number = [], 0
        self.live, self.done = {}, []

    def at(self, when, function, *args):
        self.number += 1
        heapq.heappush(self.timers, (when, self.number, function, args))

    def connect(self, source, hold):
        s = socket.socket(self.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        s.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        s.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        s.bind((source, 0))
        session = _Session(Attempt(source, time.monotonic()), hold)
        session.socket = s
        self.done.append(session.attempt)
        err = s.connect_ex((self.server, self.port))
        if err not in (0, errno.EINPROGRESS):
            self.fail(session, err)
            return
        self.live[s.fileno()] = session
        self.epoll.register(s.fileno(), select.EPOLLOUT)
        self.at(session.attempt.syn + self.patience, self.give_up, session)

    def give_up(self, session):
        if session.socket and session.attempt.banner is None:
            session.attempt.error = "given-up"
            session.attempt.failed = time.monotonic()
            self.close(session)

    def fail(self, session, err):
        session.attempt.error = errno.errorcode.get(err, str(err))
        session.attempt.failed = time.monotonic()
        self.close(session)

    def close(self, session):
        if session.socket:
            self.live.pop(session.socket.fileno(), None)
            session.socket.close()
            session.socket = None

    def quit(self, session):
        if session.socket:
            try:
                session.socket.send(b"QUIT\r\n")
            except OSError as e:
                self.fail(session, e.errno)

    def ready(self, session):
        a, now = session.attempt, time.monotonic()
        if a.connected is None:
            err = session.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if err:
                self.fail(session, err)
                return
            a.connected = now
            self.epoll.modify(session.socket.fileno(), select.EPOLLIN)
            return
        try:
            data = session.socket.recv(4096)
        except OSError as e:
            self.fail(session, e.errno)
            return
        session.tail += data
        if a.banner is None and session.tail.startswith(b"220") and b"\n" in session.tail:
            a.banner = now
            session.tail = b""
            self.at(now + session.hold, self.quit, session)
        elif session.tail.startswith(b"221"):
            a.over = now
            self.close(session)
        elif not data:
            self.fail(session, errno.EPIPE)

    def run(self, end):
        while self.timers or self.live:
            now = time.monotonic()
            if end is not None and now >= end:
                break
            while self.timers and self.timers[0][0] <= now:
                _, _, function, args = heapq.heappop(self.timers)
                function(*args)
            if not self.live and not any(t[2] == self.connect for t in self.timers):
                break  # nothing but the patience of those that are done
            wait = self.timers[0][0] - time.monotonic() if self.timers else 1
            if end is not None:
                wait = min(wait, end - time.monotonic())
            for fd, _ in self.epoll.poll(max(wait, 0), 1024):
                if fd in self.live:
                    self.ready(self.live[fd])
        for session in list(self.live.values()):
            if session.attempt.connected is None:
                session.attempt.error = "given-up"
                session.attempt.failed = time.monotonic()
            self.close(session)
        return self.done


def play(plan, server, port=SMTP, patience=60.0, end=None):
    """Plays a plan and returns its Attempts. After `end` seconds all that is open is closed."""
    raise_file_limit()
    start = time.monotonic()
    loop = _Loop(server, port, patience)
    for seconds, source, hold in plan:
        loop.at(start + seconds, loop.connect, source, hold)
    return loop.run(None if end is None else start + end)


def clients(net, plan, server, **options):
    """play() in the client namespace, beside what the scenario does. Returns a Child."""
    return Child(net.client, _play_options, plan, server, options)


def _play_options(plan, server, options):
    return play(plan, server, **options)


def connect_now(net, sources, server, **options):
    """All of these sources at once, now; returns their Attempts when all have ended."""
    return clients(net, [(0, s, 0) for s in sources], server, **options).result()


def poisson(rng, rate, seconds):
    """Times of arrivals of a Poisson process."""
    t, times = 0.0, []
    while True:
        t += rng.expovariate(rate)
        if t >= seconds:
            return times
        times.append(t)


def syn_times(count=8):
    """When this kernel's client sends a SYN and its retransmits (tcp(7), tcp_syn_retries).

    Linux from 6.5 on repeats the first four once a second and doubles after that; before, it
    doubles from the first.
    """
    try:
        with open("/proc/sys/net/ipv4/tcp_syn_linear_timeouts") as f:
            linear = int(f.read())
    except FileNotFoundError:
        linear = 0
    times, step = [0.0], 1.0
    for n in range(count - 1):
        times.append(times[-1] + step)
        if n + 1 > linear:
            step *= 2
    return times


def waves(attempts):
    """How many got through with the SYN, the first retransmit, the second, ..."""
    times = syn_times()
    count = [0] * len(times)
    for a in attempts:
        if a.connected is not None:
            count[min(range(len(times)), key=lambda n: abs(times[n] - a.wait))] += 1
    return count
