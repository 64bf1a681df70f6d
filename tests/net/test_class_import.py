# SPDX-License-Identifier: GPL-2.0-or-later
"""class import --dns: what SPF records allow, asked of a small DNS server of the scenario's own."""

import os
import select
import signal
import socket
import struct
import subprocess
import time

from lib import kernel
from lib.child import Child, enter
from lib.gate import OPEN, RUN, SLUICE, Gate, write
from lib.scenario import scenario
from lib.topology import Net

A, MX, TXT, AAAA, CNAME = 1, 15, 16, 28, 5
TYPES = {"A": A, "MX": MX, "TXT": TXT, "AAAA": AAAA, "CNAME": CNAME}

ZONE = """
plain.test TXT v=spf1 ip4:192.0.2.0/24 ip6:2001:db8:1::/48 -all
plain.test TXT another text that is none of SPF
hosts.test TXT V=SPF1 A mx/28//64 a:other.test ~all
hosts.test A 198.51.100.1
hosts.test AAAA 2001:db8:2::1
hosts.test MX mail.hosts.test
mail.hosts.test A 198.51.100.65
mail.hosts.test AAAA 2001:db8:3::25
other.test CNAME real.test
real.test A 203.0.113.9
deep.test TXT v=spf1 include:plain.test exp=why.test ?include:not-asked.test redirect=last.test
last.test TXT v=spf1 +ip4:203.0.113.77/25 ptr exists:%{i}.list.test -ip4:192.0.2.4 all=none -all
all.test TXT v=spf1 ip4:192.0.2.1 +all
wide.test TXT v=spf1 ip4:0.0.0.0/1 -all
two.test TXT v=spf1 -all
two.test TXT v=spf1 ip4:192.0.2.1 -all
loop.test TXT v=spf1 include:loop.test -all
bad.test TXT v=spf1 ip4:192.0.2.256 -all
odd.test TXT v=spf1 ipv4:192.0.2.1 -all
void.test TXT v=spf1 a:v1.test a:v2.test a:v3.test -all
nobody.test TXT v=spf1 -all
none.test TXT no record of SPF
dots.test TXT v=spf1 include:plain.test. a:real.test. redirect=dots2.test.
dots2.test TXT v=spf1 ip4:203.0.113.200 -all
macro.test TXT v=spf1 ip4:192.0.2.1 redirect=%{d}.macro.test
redirects.test TXT v=spf1 ip4:192.0.2.1 redirect=plain.test redirect=last.test
empty.test TXT v=spf1 ip4:192.0.2.1 redirect=
noisy.test TXT v=spf1 ip4:192.0.2.1 """ + " ".join(["ptr"] * 200) + """ -all
garbage.test A 192.0.2.1
garbage.test TXT v=spf1 a:short.test -all
ten.test TXT v=spf1 """ + " ".join(["include:nobody.test"] * 10) + """ ip4:192.0.2.10 -all
eleven.test TXT v=spf1 """ + " ".join(["include:nobody.test"] * 11) + """ -all
long.test TXT v=spf1 """ + " ".join(f"ip4:10.{n}.0.0/16" for n in range(150)) + """ -all
"""


def records():
    found = {}
    for line in ZONE.split("\n"):
        if line:
            name, kind, value = line.split(" ", 2)
            found.setdefault(name, []).append((TYPES[kind], value))
    return found


def pack_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def pack_data(kind, value):
    if kind == TXT:
        text = value.encode()
        return b"".join(bytes([len(text[i:i + 255])]) + text[i:i + 255]
                        for i in range(0, len(text), 255))
    if kind == MX:
        return struct.pack("!H", 10) + pack_name(value)
    if kind == CNAME:
        return pack_name(value)
    return socket.inet_pton(socket.AF_INET if kind == A else socket.AF_INET6, value)


def answers(zone, name, kind):
    """[(name, type, value)] of a question, through a CNAME."""
    for found, value in zone.get(name, []):
        if found == CNAME:
            return [(name, CNAME, value), *answers(zone, value, kind)]
    return [(name, found, value) for found, value in zone.get(name, []) if found == kind]


def reply(zone, question, most):
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1:at + 1 + question[at]].decode())
        at += 1 + question[at]
    kind = struct.unpack("!H", question[at + 1:at + 3])[0]
    name, body = ".".join(labels).lower(), question[12:at + 5]
    if name == "hang.test":  # cut; by TCP there is no answer
        return question[:2] + struct.pack("!5H", 0x8380, 1, 0, 0, 0) + body
    if name == "short.test":  # an address of three bytes
        return (question[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0) + body + pack_name(name)
                + struct.pack("!HHIH", A, 1, 60, 3) + b"\xc0\0\2")
    if name.startswith("servfail"):
        return question[:2] + struct.pack("!5H", 0x8182, 1, 0, 0, 0) + body
    found = answers(zone, name, kind)
    packed = b""
    for owner, one, value in found:
        data = pack_data(one, value)
        packed += pack_name(owner) + struct.pack("!HHIH", one, 1, 60, len(data)) + data
    code = 0 if name in zone else 3
    if len(packed) + len(body) + 12 > most:  # truncated: ask again by TCP
        return question[:2] + struct.pack("!5H", 0x8380, 1, 0, 0, 0) + body
    return question[:2] + struct.pack("!5H", 0x8180 | code, 1, len(found), 0, 0) + body + packed


def serve(ready, stop):
    """Answers on 127.0.0.1:53, UDP up to 512 bytes and TCP. Returns how often it was asked."""
    zone, asked, held = records(), 0, []
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 53))
    tcp = socket.create_server(("127.0.0.1", 53))
    ready()
    while True:
        readable = select.select([udp, tcp, stop], [], [])[0]
        if stop in readable:
            return asked
        if udp in readable:
            question, peer = udp.recvfrom(4096)
            asked += 1
            udp.sendto(reply(zone, question, 512), peer)
        if tcp in readable:
            c = tcp.accept()[0]
            size = struct.unpack("!H", c.recv(2, socket.MSG_WAITALL))[0]
            question = c.recv(size, socket.MSG_WAITALL)
            if b"\4hang" in question:
                held.append(c)
                continue
            answer = reply(zone, question, 65535)
            c.sendall(struct.pack("!H", len(answer)) + answer)
            c.close()


def sluice(net, *words):
    """In the server's namespace, where the name server is."""
    return subprocess.run([SLUICE, *words], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, preexec_fn=lambda: enter(net.server))


def listed(net):
    return [line.split(" #")[0] for line in sluice(net, "class", "list").stdout.splitlines()]


@scenario(limit=120)
def test_class_import_dns(t):
    """Domains stand for what their SPF records allow, and what is wrong with one changes nothing"""
    net = Net()
    kernel.mount(write("resolv.conf", "nameserver 127.0.0.1\nsearch plain.test\n"),
                 "/etc/resolv.conf", None, kernel.MS_BIND)
    server = Child(net.server, serve, ready=True, stop=True)
    gate = Gate(net, OPEN)
    gate.start()
    ours = write("ours", "# partners\nplain.test\nhosts.test # by its hosts\n192.0.2.128/25\n"
                         "deep.test\nten.test\n")
    done = sluice(net, "class", "import", "trusted", ours)
    t.check(done.returncode == 1 and "is a domain" in done.stderr, done.stderr.strip())
    t.equal("listed without --dns", listed(net), [])

    done = sluice(net, "class", "import", "trusted", ours, "--dns", "--comment", "partners")
    t.must(done.returncode == 0, f"{done.stdout}{done.stderr}")
    expected = ["192.0.2.0/24", "192.0.2.10/32", "192.0.2.128/25", "198.51.100.1/32",
                "198.51.100.64/28", "203.0.113.0/25", "203.0.113.9/32", "2001:db8:1::/48",
                "2001:db8:2::1/128", "2001:db8:3::/64"]
    t.equal("listed", listed(net), [f"{prefix} trusted" for prefix in expected])
    for what in ("last.test: 'ptr' depends on the sender", "last.test: 'exists:%{i}.list.test'",
                 "last.test: '-ip4:192.0.2.4' is not cut out", "'?include:not-asked.test'"):
        t.check("ours:5: " in done.stderr and what in done.stderr, what)
    t.equal("what is left in the runtime folder",
            [name for name in os.listdir(f"{RUN}/default") if name.startswith("import")], [])

    for domain, why in (("all.test", "allows everybody"), ("wide.test", "wider than any sender"),
                        ("two.test", "more than one SPF record"),
                        ("loop.test", "more than 10 look-ups"), ("bad.test", "no address"),
                        ("odd.test", "'ipv4:192.0.2.1', which is not understood"),
                        ("redirects.test", "'redirect=last.test', which is not understood"),
                        ("empty.test", "'redirect=', which is not understood"),
                        ("garbage.test", "short.test: its DNS answer is not understood"),
                        ("void.test", "more than 2 are of nothing"),
                        ("nobody.test", "allows nobody"), ("none.test", "has no SPF record"),
                        ("missing.test", "has no SPF record"), ("eleven.test", "10 look-ups"),
                        ("servfail.test", "do not answer"),
                        ("x" * 64 + ".test", "or a domain, was expected"),
                        ("192.0.2.1/24", "host bits"), ("plain", "was expected"),
                        ("-all", "was expected")):
        began = time.monotonic()
        done = sluice(net, "class", "import", "blocked", "--dns",
                      write("list", f"192.0.2.77\n{domain}\n"))
        t.check(done.returncode == 1 and why in done.stderr and ":2: " in done.stderr
                and len(done.stderr.splitlines()) == 1 and time.monotonic() - began < 20,
                f"{domain}: {done.returncode} {done.stderr.strip()}")
    t.equal("listed after what was refused", len(listed(net)), len(expected))

    done = sluice(net, "class", "import", "known", "--dns", write("list", "long.test\n"))
    t.must(done.returncode == 0, f"by TCP: {done.stdout}{done.stderr}")
    t.equal("of a long record", sum(" known" in line for line in listed(net)), 150)
    sluice(net, "class", "del", "all")
    done = sluice(net, "class", "import", "known", "--dns", write("list", "dots.test\nmacro.test\n"))
    t.equal("of names with a dot at their end, and without a redirect of macros", listed(net),
            [f"{prefix} known" for prefix in ("192.0.2.0/24", "192.0.2.1/32", "203.0.113.9/32",
                                              "203.0.113.200/32", "2001:db8:1::/48")])
    t.check(":2: macro.test: 'redirect=%{d}.macro.test' depends" in done.stderr, done.stderr.strip())
    done = sluice(net, "class", "import", "known", "--dns", write("list", "noisy.test\n"))
    t.equal("lines about a record of 200 that cannot be listed", len(done.stderr.splitlines()), 21)
    server.stop()
    t.between("questions of UDP", server.result(), 70, 220)
    began = time.monotonic()
    done = sluice(net, "class", "import", "known", "--dns", write("list", "plain.test\n"))
    t.check(done.returncode == 1 and "do not answer" in done.stderr, done.stderr.strip())
    t.between("without a server, in s", time.monotonic() - began, 0, 20)
    gate.end()
    done = sluice(net, "class", "import", "known", "--dns", write("list", "plain.test\n"))
    t.check(done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr.strip())


@scenario(limit=90)
def test_class_import_waits(t):
    """A name server whose TCP is silent ends a domain after 20 s; a signal leaves nothing behind"""
    net = Net()
    kernel.mount(write("resolv.conf", "nameserver 127.0.0.1\n"), "/etc/resolv.conf", None,
                 kernel.MS_BIND)
    Child(net.server, serve, ready=True, stop=True)
    gate = Gate(net, OPEN)
    gate.start()
    ours = write("list", "192.0.2.1\nplain.test\nhang.test\n")

    def left():
        return [name for name in os.listdir(f"{RUN}/default") if name.startswith("import")]

    began = time.monotonic()
    done = sluice(net, "class", "import", "known", "--dns", ours)
    t.between("took, in s", time.monotonic() - began, 19, 30)
    t.check(done.returncode == 1 and "list:3: hang.test: DNS has not told within 20 s" in done.stderr
            and len(done.stderr.splitlines()) == 1, f"{done.returncode} {done.stderr.strip()}")
    t.equal("listed, left", (listed(net), left()), ([], []))
    for how in (signal.SIGINT, signal.SIGTERM):
        running = subprocess.Popen([SLUICE, "class", "import", "known", "--dns", ours],
                                   preexec_fn=lambda: enter(net.server))
        end = time.monotonic() + 10
        while not left() and time.monotonic() < end:
            time.sleep(0.01)
        t.equal("files for the daemon", len(left()), 1)
        running.send_signal(how)
        t.equal(f"ended by {how.name}, left", (running.wait(10), left()), (-how, []))
