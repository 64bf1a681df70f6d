# SPDX-License-Identifier: GPL-2.0-or-later
"""Live sessions: counted whatever becomes of them, limited, healed when an event was missed."""

import ctypes
import glob
import os
import socket
import struct
import time

from lib import kernel
from lib.child import Child, enter
from lib.clients import clients, connect_now
from lib.frames import flood, resets, Sniffer, spoof
from lib.gate import PINS, Gate, limits, write
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, ip, server_v4, server_v6, source_v4, source_v6

WIDE = dict(rate="1000/s", burst=1000, retry=100, known=100)


def live(gate):
    return gate.status()["sessions"]["live"]


def wait_live(gate, count, timeout=5):
    return gate.wait_for(f"{count} sessions", lambda s: s["sessions"]["live"] == count, timeout)


class Held:
    """Sessions held open in the client's namespace, and ended as it is told: fin, rst."""

    def __init__(self, net, sources, server, port=25):
        self.net = net
        back = os.open("/proc/self/ns/net", os.O_RDONLY)
        enter(net.client)
        self.sockets = []
        for source in sources:
            s = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET)
            s.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
            s.bind((source, 0))
            s.settimeout(5)
            s.connect((server, port))
            self.sockets.append(s)
        kernel.setns(back)
        os.close(back)

    def end(self, how):
        for s in self.sockets:
            if how == "rst":
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()


@scenario(limit=60)
def test_sessions_counted(t):
    """Sessions of both families, on all ways they begin and end, are counted; other ports not"""
    net = Net()
    served, other = sink(net), sink(net, port=26)
    gate = Gate(net, limits(**WIDE))
    gate.start()
    for family, source, server in (("IPv4", source_v4, server_v4()),
                                   ("IPv6", source_v6, server_v6())):
        for how in ("fin", "rst"):
            held = Held(net, [source(n) for n in range(10)], server)
            _, took = wait_live(gate, 10)
            held.end(how)
            _, took = wait_live(gate, 0)
            t.check(took < 2, f"{family}: 10 sessions begun, ended by {how}: none live")
        elsewhere = Held(net, [source(0)], server, port=26)
        time.sleep(0.3)
        t.equal(f"{family}: sessions on a port that is not guarded", live(gate), 0)
        elsewhere.end("fin")
    back = os.open("/proc/self/ns/net", os.O_RDONLY)
    enter(net.client)  # another namespace, another server, the same port
    outside = socket.create_server(("127.0.0.1", 25))
    inside = socket.create_connection(("127.0.0.1", 25))
    kernel.setns(back)
    time.sleep(0.3)
    t.equal("sessions of another network namespace", live(gate), 0)
    inside.close()
    outside.close()
    status = gate.status()
    t.check(status["sessions"]["counted"], "sessions are counted here")
    t.equal("banners timed", status["banner"]["count"], 40)
    other.finish()
    served.finish()


def _half_closing_server(ready, stop):
    import select
    listener = socket.create_server(("0.0.0.0", 25), backlog=64)
    ready()
    held = []
    while True:
        for s in select.select([listener, stop], [], [])[0]:
            if s == stop:
                return len(held)
            held.append(listener.accept()[0])  # never read, never closed: CLOSE_WAIT


@scenario(limit=60)
def test_sessions_close_wait(t):
    """A session that its client has left still holds the MTA's slot: CLOSE_WAIT counts"""
    net = Net()
    served = Child(net.server, _half_closing_server, ready=True, stop=True)
    gate = Gate(net, limits(**WIDE))
    gate.start()
    held = Held(net, [source_v4(n) for n in range(5)], server_v4())
    wait_live(gate, 5)
    held.end("fin")
    time.sleep(0.5)
    t.equal("live while the MTA has not closed them", live(gate), 5)
    served.finish()
    wait_live(gate, 0)
    t.check(True, "none when it has")


@scenario(limit=90)
def test_sessions_heal(t):
    """Events that were missed are put right by the kernel's list within 30 s; seeded at a start"""
    net = Net()
    served = sink(net)
    before = Held(net, [source_v4(n) for n in range(7)], server_v4())
    gate = Gate(net, limits(**WIDE, max_sessions_per_source=3))
    gate.start()
    _, took = wait_live(gate, 7)
    t.check(took < 3, "sessions from before the first start are counted")
    # Without daemon and tracepoint nobody sees what happens.
    gate.kill()
    os.unlink(f"{PINS}/default/sessions")
    time.sleep(0.3)
    before.end("rst")
    unseen = Held(net, [source_v4(20)] * 3, server_v4())
    gate.start()
    _, took = gate.wait_for("healed", lambda s: s["sessions"]["live"] == 3 and
                            s["sessions"]["sources_holding"] == 1, 30)
    t.between("7 ended and 3 begun while nobody looked: right after, s", took, 0, 30)
    time.sleep(1)
    attempts = connect_now(net, [source_v4(20)], server_v4(), patience=1.5, end=2)
    t.equal("a 4th session of the source with 3", attempts[0].error, "given-up")
    t.equal("by", gate.reasons().get("source-sessions", 0) > 0, True)
    unseen.end("fin")
    wait_live(gate, 0)
    served.finish()


@scenario(limit=60)
def test_sessions_restart(t):
    """A restart counts no session twice and loses none, while some begin and end"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits(**WIDE))
    gate.start()
    held = [Held(net, [source_v4(n) for n in range(10)], server_v4())]
    for n in range(4):
        gate.kill() if n % 2 else gate.end()
        held.append(Held(net, [source_v4(20 + n)] * 2, server_v4()))  # the pinned program counts
        if n == 2:
            held.pop(0).end("rst")
        gate.start()
    wait_live(gate, 8)
    t.equal("live after four restarts", live(gate), 8)
    t.equal("healed", gate.status()["sessions"]["healed"], 0)
    for h in held:
        h.end("fin")
    wait_live(gate, 0)
    served.finish()


@scenario(limit=60)
def test_sessions_scope(t):
    """Other ports and addresses guarded: their sessions count at once, and nobody was missed"""
    net = Net()
    served, other = sink(net), sink(net, port=26)
    gate = Gate(net, limits(**WIDE))
    gate.start()
    held = Held(net, [source_v4(n) for n in range(3)], server_v4())
    elsewhere = Held(net, [source_v4(10 + n) for n in range(6)], server_v4(), port=26)
    over_v6 = Held(net, [source_v6(n) for n in range(2)], server_v6())
    wait_live(gate, 5)
    for what, keys, count in (("port 26 alone", dict(port=[26]), 6),
                              ("both ports", dict(port=[25, 26]), 11),
                              ("one address", dict(address=[server_v4()]), 9),
                              ("another one", dict(address=[server_v6()]), 2),
                              ("all addresses", dict(address=[]), 11)):
        gate.change("gate", **keys)
        t.equal(f"{what}: reload", gate.sluice("reload").returncode, 0)
        _, took = wait_live(gate, count, 25)
        t.between(f"{what}: {count} sessions live after, s", took, 0, 4)
        gate.wait_for("their sources", lambda s: s["sessions"]["sources_holding"] == count)
    t.equal("healed", gate.status()["sessions"]["healed"], 0)
    t.check("put right" not in gate.log(), "and the log does not say that counts were wrong")
    for h in (held, elsewhere, over_v6):
        h.end("fin")
    wait_live(gate, 0)
    other.finish()
    served.finish()


@scenario(limit=60)
def test_sessions_dry(t):
    """Who holds sessions and is silent is shown as dry, without a SYN or an end that would tell"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits(**WIDE, source_session_time="30s"))
    gate.start()
    began = time.monotonic()
    held = Held(net, [source_v4(1)] * 20 + [source_v4(2)], server_v4())  # of a burst of 60 s
    _, took = gate.wait_for("dry", lambda s: s["sessions"]["sources_dry"], 20)
    t.between("20 sessions: shown as dry after, s", time.monotonic() - began, 2.5, 15)
    sessions = gate.status()["sessions"]
    t.equal("of the sources that hold some", (sessions["sources_holding"],
                                              sessions["sources_dry"]), (2, 1))
    held.end("fin")
    served.finish()


class SessionTable:
    """The pinned table of sessions, filled with some that never end, and emptied of them."""

    ROOM = 65536
    GET, UPDATE_BATCH, DELETE_BATCH = 7, 26, 27  # commands of bpf(2)

    def __init__(self):
        (name,) = glob.glob(f"{PINS}/default/abi-*/sessions")
        path = ctypes.create_string_buffer(name.encode())
        self.fd = kernel._bpf(self.GET, struct.pack("<QII", ctypes.addressof(path), 0, 0))

    def _batch(self, command, count):
        keys = struct.pack(f"<{count}Q", *range(1, count + 1))
        # Of nobody, and begun in a future in which the check does not miss their sockets yet.
        value = struct.pack("<QQQQII", 0, 0, 0, 1 << 62, 1, 0)
        keys = ctypes.create_string_buffer(keys, len(keys))
        values = ctypes.create_string_buffer(value * count, len(value) * count)
        kernel._bpf(command, struct.pack(
            "<QQQQIIQQ", 0, 0, ctypes.addressof(keys),
            ctypes.addressof(values) if command == self.UPDATE_BATCH else 0, count, self.fd, 0, 0))

    def fill(self):
        self._batch(self.UPDATE_BATCH, self.ROOM)

    def empty(self):
        self._batch(self.DELETE_BATCH, self.ROOM)


@scenario(limit=100)
def test_sessions_full(t):
    """A full table of sessions is said, with its size, once and as long as it lasts; then healed"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits(**WIDE))
    gate.start()
    table = SessionTable()
    table.fill()
    held = Held(net, [source_v4(n) for n in range(3)], server_v4())
    status, took = gate.wait_for("said", lambda s: s["sessions"]["problem"], 30)
    full = "the table of sessions is full: it has room for 65536, and 3 live ones are not counted"
    t.equal("status", status["sessions"]["problem"], full)
    t.equal("the accept queues are another matter", status["accept_queue"]["problem"], None)
    end, said = time.monotonic() + 22, set()
    while time.monotonic() < end:  # two more checks
        said.add(gate.status()["sessions"]["problem"])
        time.sleep(0.1)
    t.equal("and it stays so", said, {full})
    t.equal("in the log, times", gate.log().count(full), 1)
    t.equal("put right: the total that we have made wrong, and nothing else",
            gate.status()["sessions"]["healed"], 1)
    table.empty()
    _, took = gate.wait_for("counted", lambda s: s["sessions"]["live"] == 3 and
                            not s["sessions"]["problem"], 15)
    t.between("with room again: all are counted after, s", took, 0, 12)
    held.end("fin")
    wait_live(gate, 0)
    served.finish()


@scenario(limit=60)
def test_max_sessions(t):
    """max-sessions=20, known-share 20 %: unknown get a RST at 16, known ones at 20; both families"""
    net = Net()
    served = sink(net)
    for family, source, server, net_of in (
            ("IPv4", source_v4, server_v4(), lambda n: f"{source_v4(n)}/32"),
            ("IPv6", source_v6, server_v6(), lambda n: f"{source_v6(n)[:-1]}/64")):
        known = write("known", "".join(net_of(n) + "\n" for n in range(100, 120)))
        gate = Gate(net, limits(**WIDE, max_sessions=20), classes={"known": known})
        gate.start()
        held = Held(net, [source(n) for n in range(16)], server)
        wait_live(gate, 16)
        attempts = connect_now(net, [source(n) for n in range(20, 30)], server, patience=2, end=3)
        t.equal(f"{family}: unknown ones refused at once", [a.error for a in attempts],
                ["ECONNREFUSED"] * 10)
        more = Held(net, [source(n) for n in range(100, 104)], server)
        wait_live(gate, 20)
        attempts = connect_now(net, [source(n) for n in range(110, 115)], server, patience=2,
                               end=3)
        t.equal(f"{family}: known ones refused beyond their share", [a.error for a in attempts],
                ["ECONNREFUSED"] * 5)
        held.end("fin")
        more.end("fin")
        wait_live(gate, 0)
        attempts = connect_now(net, [source(n) for n in range(30, 40)], server, patience=3, end=4)
        t.equal(f"{family}: and served again", sum(a.banner is not None for a in attempts), 10)
        gate.end()
        gate.sluice("detach")
    served.finish()


@scenario(limit=90)
def test_sessions_pending(t):
    """Spoofed SYNs count a quarter of max-sessions at most, make nobody refused, and lapse"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits(**WIDE, max_sessions=100))
    gate.start()
    held = Held(net, [source_v4(n) for n in range(58)], server_v4())
    wait_live(gate, 58)
    sniffer = Sniffer(net)
    # What is let in gets a SYN-ACK into the void: nobody there answers it.
    void = [f"203.0.113.{n}" for n in range(1, 200)]
    ip(net.server, "route add 203.0.113.0/24 via 198.19.255.2 dev s0")
    storm = spoof(net, flood(t.rng, 200, 6, lambda n: void[n % len(void)]), server_v4())
    time.sleep(3)
    status = gate.status()
    t.equal("attempts on their way are limited to what they may count", status["sessions"]
            ["live"], 58)
    wait = clients(net, [(0, source_v4(70 + n), 0) for n in range(10)], server_v4(), patience=30,
                   end=30).result()
    storm.result()
    t.equal("58 live and a quarter pending of 100: all of 10 are served in the end",
            sum(a.banner is not None for a in wait), 10)
    seen = sniffer.finish()
    t.equal("RSTs", len([s for s in resets(seen) if not s.address.startswith("203")]), 0)
    _, took = gate.wait_for("the pending ones lapsed", lambda s: s["sessions"]["pending"] == 0, 20)
    held.end("fin")
    served.finish()


@scenario(limit=60)
def test_spoofed_sign(t):
    """A flood whose handshakes are never completed is named after ten seconds; real ones are not"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits(**WIDE))
    gate.start()
    real = clients(net, [(i / 20, source_v4(i % 120), 0) for i in range(240)], server_v4(), end=13)
    real.result()
    status = gate.status()
    t.equal("real clients: established, percent", status["flood"], {
        "spoofed": False, "established_percent": 100})
    ip(net.server, "route add 203.0.113.0/24 via 198.19.255.2 dev s0")
    storm = spoof(net, flood(t.rng, 100, 16, lambda n: f"203.0.113.{n % 250 + 1}"), server_v4())
    _, took = gate.wait_for("the sign", lambda s: s["flood"]["spoofed"], 16)
    t.between("the flood is named after, s", took, 5, 15)
    storm.result()
    _, took = gate.wait_for("its end", lambda s: not s["flood"]["spoofed"], 15)
    served.finish()


@scenario(limit=150)
def test_slot_time(t):
    """Who holds sessions and says nothing runs dry by itself; who delivers and goes does not"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits(**WIDE, source_session_time="60s"))
    gate.start()
    quick = clients(net, [(i / 10, source_v4(2), 0) for i in range(120)], server_v4(), end=13)
    began = time.monotonic()
    held = Held(net, [source_v4(1)] * 20, server_v4())  # 20 s a second, of 120 s and 1 s a second
    dry = 120 / 19
    time.sleep(max(0, began + dry - 1.5 - time.monotonic()))
    early = connect_now(net, [source_v4(1)], server_v4(), patience=0.5, end=0.8)
    t.check(early[0].banner is not None, f"before {dry:.1f} s it may open another")
    time.sleep(max(0, began + dry + 1 - time.monotonic()))
    late = connect_now(net, [source_v4(1)], server_v4(), patience=0.5, end=0.8)
    held.end("fin")
    ended = time.monotonic()
    t.equal("after it, it may not", late[0].error, "given-up")
    t.check(gate.reasons().get("source-time", 0) > 0, "by its slot time")
    owes = 19 * (ended - began) - 120  # beyond what it may
    attempts = clients(net, [(n, source_v4(1), 0) for n in range(0, 60, 2)], server_v4(),
                       patience=1, end=62)
    _, took = gate.wait_for("shown", lambda s: s["sessions"]["sources_dry"] == 1, 15)
    first = next((a.syn - ended for a in attempts.result() if a.banner is not None), None)
    t.between("it may open again, s after the last ended", first, owes - 4, owes + 5)
    t.equal("who delivers and goes", sum(a.banner is not None for a in quick.result()), 120)
    served.finish()


@scenario(limit=40)
def test_no_types(t):
    """A kernel without BTF: the limits hold, what cannot be seen is said and has no opinion"""
    net = Net()
    served = sink(net)
    kernel.mount("none", "/sys/kernel/btf", "tmpfs")
    gate = Gate(net, limits("10/s", 20, max_sessions=5, source_session_time="60s"))
    gate.start()
    held = Held(net, [source_v4(n) for n in range(12)], server_v4())
    status = gate.status()
    t.equal("sessions counted", status["sessions"]["counted"], False)
    t.check("max-sessions" in (status["sessions"]["problem"] or ""), status["sessions"]["problem"])
    t.check("BTF" in (status["accept_queue"]["problem"] or ""), status["accept_queue"]["problem"])
    t.equal("accept queues asked", status["accept_queue"]["asked"], False)
    t.equal("12 sessions of 5 that nobody counts", gate.reasons(), {"admitted": 12})
    attempts = connect_now(net, [source_v4(n) for n in range(20, 40)], server_v4(), patience=0.5,
                           end=0.8)
    t.between("the rate holds: of 20 more", sum(a.banner is not None for a in attempts), 8, 14)
    t.check("sessions are not counted" in gate.sluice("status").stdout, "sluice status says it")
    held.end("fin")
    served.finish()
