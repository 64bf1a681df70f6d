# SPDX-License-Identifier: GPL-2.0-or-later
"""MTAs as senders, the names they look up, and the two MXes they find.

	far.test	MX 10 mx1, the guarded one; MX 20 mx2, beside the gate
	one.test	MX 10 mx1 only
	two.test	MX 10 mx2 only

A sender runs in the client's namespace with a name server of its own on 127.0.0.1, and takes mail
there; so what it does with an MX that refuses or does not answer is what it does on the Internet.
"""

import os
import re
import select
import smtplib
import socket
import struct
import threading
import time
from datetime import datetime

import mx.kinds
from lib.child import Child, within
from lib.topology import server_v4
from mx.root import Mta

HOST = "out.sender.test"
MX1, MX2 = server_v4(0), server_v4(1)
A, PTR, MX, AAAA = 1, 12, 15, 28
ADDRESSES = {"mx1.far.test": MX1, "mx2.far.test": MX2, HOST: "127.0.0.1"}
EXCHANGERS = {"far.test": ((10, "mx1.far.test"), (20, "mx2.far.test")),
              "one.test": ((10, "mx1.far.test"),), "two.test": ((10, "mx2.far.test"),)}


# --- names

def _wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def _answers(name, kind):
    """The data of the records of a name, or None when there is no such name."""
    if kind == MX and name in EXCHANGERS:
        return [struct.pack("!H", preference) + _wire(host) for preference, host in EXCHANGERS[name]]
    if kind == A and name in ADDRESSES:
        return [socket.inet_aton(ADDRESSES[name])]
    return [] if name in ADDRESSES or name in EXCHANGERS or name == "sender.test" else None


def _reply(query):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
        at += 1 + query[at]
    kind = struct.unpack_from("!H", query, at + 1)[0]
    answers = _answers(".".join(labels), kind)
    flags = 0x8580 | (3 if answers is None else 0)  # authoritative; no such name
    head = query[:2] + struct.pack("!HHHHH", flags, 1, len(answers or ()), 0, 0)
    return head + query[12:at + 5] + b"".join(
        struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data for data in answers or ())


def _serve_names(ready, stop):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 53))
    ready()
    while stop not in select.select([s, stop], [], [])[0]:
        query, peer = s.recvfrom(4096)
        s.sendto(_reply(query), peer)


def names(net):
    """The name server of the client's namespace."""
    return Child(net.client, _serve_names, ready=True, stop=True)


# --- the MXes

def _session(s, address, arrivals):
    """One SMTP session; every mail of it is noted as (time, MX, recipient)."""
    try:
        _talk(s, address, arrivals)
    except OSError:
        pass  # the sender is gone


def _talk(s, address, arrivals):
    with s, s.makefile("rwb") as f:
        def say(text):
            f.write(text.encode() + b"\r\n")
            f.flush()
        say(f"220 {address} ESMTP")
        recipient = ""
        for line in f:
            word = line[:4].upper().strip()
            if word == b"RCPT":
                recipient = line.decode().split(":", 1)[1].split(">")[0].strip(" <\r\n")
            if word == b"DATA":
                say("354 go on")
                while f.readline() not in (b".\r\n", b""):
                    pass
                arrivals.append((time.monotonic(), address, recipient))
            say("221 bye" if word == b"QUIT" else f"250 {address}")
            if word == b"QUIT":
                return


def _serve_mail(ready, stop, report):
    """Both MXes. Each mail is told through the pipe at once: time, MX, recipient."""

    class Arrivals:
        @staticmethod
        def append(arrival):
            os.write(report, "{:.6f} {} {}\n".format(*arrival).encode())

    listeners = []
    for address in (MX1, MX2):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((address, 25))
        s.listen(100)
        listeners.append(s)
    ready()
    while True:
        readable = select.select([*listeners, stop], [], [])[0]
        if stop in readable:
            return
        for listener in readable:
            s, _ = listener.accept()
            address = listener.getsockname()[0]
            threading.Thread(target=_session, args=(s, address, Arrivals), daemon=True).start()


class Exchangers:
    """The two MXes; wait() for a mail to a recipient."""

    def __init__(self, net):
        self.report, report = os.pipe()
        self.child = Child(net.server, _serve_mail, report, ready=True, stop=True)
        os.close(report)
        self.tail, self.arrivals = b"", []

    def _read(self, timeout):
        if select.select([self.report], [], [], timeout)[0]:
            *lines, self.tail = (self.tail + os.read(self.report, 65536)).split(b"\n")
            for line in lines:
                at, address, recipient = line.decode().split()
                self.arrivals.append((float(at), {MX1: "mx1", MX2: "mx2"}[address], recipient))

    def find(self, recipient):
        return [(at, which) for at, which, to in self.arrivals if to == recipient]

    def wait(self, recipient, timeout):
        """(time, "mx1" or "mx2") of the first mail to a recipient, or None."""
        end = time.monotonic() + timeout
        while not self.find(recipient):
            left = end - time.monotonic()
            if left <= 0:
                return None
            self._read(left)
        return self.find(recipient)[0]


# --- the senders

class Client:
    """A sender's place in the topology, as mx.root.Mta asks for it."""

    def __init__(self, net):
        self.server = self.client = net.client


class Sender(Mta):
    """An MTA that sends. A subclass says how."""

    def __init__(self, net, name):
        super().__init__(Client(net), name=name, host=HOST, addresses=("127.0.0.1",))

    def prepare(self):
        self.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
        self.write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
        self.write("/etc/hosts", f"127.0.0.1 localhost {HOST}\n")
        self.configure()

    def submit(self, recipient):
        """Hands it a mail. Returns the time at which it took it."""
        return within(self.net.client, _submit, recipient)

    def waiting(self):
        """What it says of its queue."""
        return self.run(*self.queue).stdout

    def pause(self, recipient):
        """Seconds from its failed try of the only mail to the next, as it says; None: not yet."""
        return None


def _submit(recipient):
    with smtplib.SMTP("127.0.0.1", 25, HOST, timeout=20) as s:
        s.sendmail("a@sender.test", [recipient], "Subject: t\r\n\r\nhello\r\n")
        return time.monotonic()


class Postfix(Sender):
    cached, command, queue = "postfix", mx.kinds.Postfix.command, ("postqueue", "-p")

    def configure(self):
        self.write("/etc/postfix/main.cf", f"""compatibility_level = 3.6
myhostname = {HOST}
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = loopback-only
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, reject
alias_maps =
maillog_file =
""")
        # Its smtp client is in a chroot, into which Debian's unit file copies these.
        for name in ("resolv.conf", "nsswitch.conf", "hosts"):
            with open(f"{self.root}/etc/{name}") as f:
                self.write(f"/var/spool/postfix/etc/{name}", f.read())


    def pause(self, recipient):
        # The time of a deferred mail's file is that of its next try; its change was the last one.
        said = self.run("find", "/var/spool/postfix/deferred", "-type", "f", "-printf", "%T@ %C@")
        times = [float(word) for word in said.stdout.split()]
        return times[0] - times[1] if len(times) == 2 else None


class Exim(Sender):
    """With the retry rule and the queue runner of Debian's packages."""

    cached, command, queue = "exim", mx.kinds.Exim.command, ("exim4", "-bp")

    def configure(self):
        self.write("/etc/exim4/exim4.conf", f"""primary_hostname = {HOST}
acl_smtp_rcpt = acl_rcpt
host_lookup =
rfc1413_query_timeout = 0s
log_file_path = syslog
syslog_duplication = false
tls_advertise_hosts =
local_interfaces = 127.0.0.1
disable_ipv6 = true

begin acl
acl_rcpt:
  accept hosts = :127.0.0.1
  deny

begin routers
out:
  driver = dnslookup
  transport = out

begin transports
out:
  driver = smtp

begin retry
* * F,2h,15m; G,16h,1h,1.5; F,4d,6h
""")


    def pause(self, recipient):
        said = dict(re.findall(r"(last tried|next try at): +(\S+ \S+)",
                               self.run("exinext", recipient).stdout))
        times = [datetime.strptime(said[key], "%d-%b-%Y %H:%M:%S")
                 for key in ("next try at", "last tried") if key in said]
        return (times[0] - times[1]).total_seconds() if len(times) == 2 else None


class Sendmail(Sender):
    cached, command, queue = "sendmail", mx.kinds.Sendmail.command, ("mailq",)

    def configure(self):
        macros = mx.kinds.Sendmail.macros.replace("MAILER_DEFINITIONS", f"""dnl
DAEMON_OPTIONS(`Family=inet, Name=MTA, Port=smtp, Addr=127.0.0.1')dnl
define(`confTO_IDENT', `0')dnl
define(`confSERVICE_SWITCH_FILE', `/etc/mail/service.switch')dnl
define(`confDOMAIN_NAME', `{HOST}')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`promiscuous_relay')dnl
MAILER_DEFINITIONS""")
        self.write("/etc/mail/sendmail.mc", macros)
        self.write("/etc/mail/service.switch", "hosts\tdns files\naliases\tfiles\n")
        self.write("/etc/mail/aliases", "postmaster: root\n")
        self.prepare_run("sh", "-c", "m4 /etc/mail/sendmail.mc > /etc/mail/sendmail.cf"
                         " && mkdir -p /var/run/sendmail/mta && newaliases")


class OpenSmtpd(Sender):
    cached, command, queue = "opensmtpd", mx.kinds.OpenSmtpd.command, ("smtpctl", "show", "queue")

    def configure(self):
        self.write("/etc/smtpd.conf", f"""listen on 127.0.0.1 port 25 hostname {HOST}
action "out" relay helo {HOST}
match from any for any action "out"
""")


    def pause(self, recipient):
        # ...|time of the last try|expiry or so|tries|state|seconds to the next|why
        fields = self.waiting().split("|")
        if "pending" not in fields:
            return None
        return int(fields[fields.index("pending") + 1]) + time.time() - int(fields[8])


SENDERS = {"postfix": Postfix, "exim": Exim, "sendmail": Sendmail, "opensmtpd": OpenSmtpd}
