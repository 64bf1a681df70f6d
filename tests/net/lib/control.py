# SPDX-License-Identifier: GPL-2.0-or-later
"""The control socket spoken to by hand, and what the daemon holds while it is."""

import json
import os
import socket
import struct
import time

from .gate import RUN


def connect(gate, timeout=5.0):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Waits for room in the backlog, which a socket with Python's own time limit does not.
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(timeout) + 1, 0))
    s.connect(f"{RUN}/{gate.name}/control")
    s.settimeout(timeout)
    return s


def hear(s):
    """Reads to the end. A connection that is reset ends it too."""
    data = b""
    while True:
        try:
            piece = s.recv(1 << 16)
        except ConnectionResetError:
            return data
        if not piece:
            return data
        data += piece


def say(gate, data, end=True, timeout=5.0):
    """One connection: sends, shuts down its side if `end`. Returns (answer, seconds)."""
    began = time.monotonic()
    with connect(gate, timeout) as s:
        try:
            s.sendall(data)
            if end:
                s.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it turned us away before we were done
        return hear(s), time.monotonic() - began


def ask(gate, **request):
    """Asks one question; its answer as an object."""
    data, _ = say(gate, json.dumps(request).encode(), timeout=20.0)
    return json.loads(data)


def rss_kb(gate):
    with open(f"/proc/{gate.process.pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


def descriptors(gate):
    return len(os.listdir(f"/proc/{gate.process.pid}/fd"))
