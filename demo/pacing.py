# SPDX-License-Identifier: GPL-2.0-or-later
"""Deferred or held: the same connects at once, left to the clients' timers or let out in turn.

Both run at the same time, each in a network of its own, with the real daemon and real clients.
"""

import json
import os
import select
import socket
import time

import world

CONNECTS, RATE, BURST, HORIZON = 20, 5, 3, "5s"
PATIENCE = 12  # s
IP_FREEBIND = 15


def _config(folder, name, horizon):
    path = f"{folder}/{name}.conf"
    with open(path, "w") as f:
        f.write(f"[gate]\ninterface = mx0\nmode = enforce\nxdp-mode = generic\n"
                f"[limits]\nconnection-rate = {RATE}/s\nconnection-burst = {BURST}\n"
                f"retry-burst = 0\npace-horizon = {horizon}\n[known]\nfile =\n")
    return path


def _connect_all(net):
    """All connects now, from as many networks. Returns the seconds that each took; -1: never."""
    net.enter_client()
    epoll, waiting, took = select.epoll(), {}, [-1.0] * CONNECTS
    begin = time.monotonic()
    for n in range(CONNECTS):
        s = socket.socket()
        s.setblocking(False)
        s.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        s.bind((f"198.18.{n}.1", 0))
        s.connect_ex((world.SERVER, 25))
        waiting[s.fileno()] = n, s
        epoll.register(s.fileno(), select.EPOLLOUT)
        time.sleep(0.002)  # so that their order is one
    while waiting and time.monotonic() < begin + PATIENCE:
        for fd, _ in epoll.poll(0.1):
            n, s = waiting.pop(fd)
            epoll.unregister(fd)
            if not s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                took[n] = time.monotonic() - begin
    return took


def _one(build, folder, name, horizon):
    net = world.Net()
    listener = socket.create_server((world.SERVER, 25), backlog=128)
    log = open(f"{folder}/{name}.log", "w")
    daemon = world.start([f"{build}/sluiced", "-i", name, "-f", _config(folder, name, horizon)],
                         stdout=log, stderr=log)
    until = time.monotonic() + 10
    while os.system(f"{build}/sluice -i {name} status >/dev/null 2>&1"):
        if daemon.poll() is not None or time.monotonic() > until:
            raise world.Refused(f"sluiced has not come up: see {log.name}")
        time.sleep(0.05)
    took = _connect_all(net)
    listener.close()
    with open(f"{folder}/{name}.json", "w") as f:
        json.dump(took, f)


VARIANTS = {"deferred": "0", "held": HORIZON}


def start(build, folder):
    """Starts both, beside the calm of the first run: they take a few seconds and no CPU."""
    pids = {}
    for name, horizon in VARIANTS.items():
        pid = os.fork()
        if pid == 0:
            world.die_with_parent()
            try:
                _one(build, folder, name, horizon)
                os._exit(0)
            except (world.Refused, OSError) as e:
                print(f"\ndemo: {e}", flush=True)
                os._exit(1)
        pids[name] = pid
    return pids


def finish(pids, folder):
    """Returns {"deferred": seconds of each connect, "held": the same}."""
    result = {}
    for name, pid in pids.items():
        if os.waitpid(pid, 0)[1]:
            raise world.Refused(f"the connects that were to be {name} failed")
        with open(f"{folder}/{name}.json") as f:
            result[name] = json.load(f)
    return result
