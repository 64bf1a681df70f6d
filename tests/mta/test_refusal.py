# SPDX-License-Identifier: GPL-2.0-or-later
"""A gate seen by real senders: what they do with one lost SYN, a RST, and no answer at all."""

import time

import senders
from lib.clients import connect_now
from lib.gate import OPEN, Gate, limits
from lib.scenario import scenario
from lib.topology import Net, server_v4, source_v4
from needs import need

RETRANSMIT = 1.0  # seconds, of the kernel's first SYN
AT_ONCE = 1.0  # with room for a busy machine; no sender makes a connect wait for less than 30
KERNEL_GIVES_UP = 60, 150  # of connect(): 127 to 134 s with six retransmits, by the kernel's version


class World:
    """A sender, the gate before the first of two MXes, and nothing before the second."""

    def __init__(self, t, name, limits=OPEN):
        need(name)
        self.t, self.name = t, name
        self.net = Net(links=2)
        self.gate = Gate(self.net, limits, interfaces=("s0",))
        self.gate.start()
        self.exchangers = senders.Exchangers(self.net)
        self.names = senders.names(self.net)
        self.sender, self.number, self.count = None, 0, 0

    def fresh(self):
        """A sender that knows nothing of the MXes yet: no session open, no host remembered."""
        if self.sender:
            self.sender.stop()
        self.number += 1
        self.sender = senders.SENDERS[self.name](self.net, f"{self.name}{self.number}")
        self.sender.start()

    def force(self, tier):
        done = self.gate.sluice("tier", tier)
        if done.returncode:
            raise RuntimeError(done.stderr)

    def submit(self, domain="far.test"):
        """One mail. Returns (its recipient, the time at which the sender took it)."""
        self.count += 1
        recipient = f"x{self.count}@{domain}"
        return recipient, self.sender.submit(recipient)

    def send(self, domain="far.test", timeout=30):
        """One mail. Returns (the MX that has taken it or None, seconds from submission to there)."""
        recipient, began = self.submit(domain)
        arrival = self.exchangers.wait(recipient, timeout)
        return (arrival[1], arrival[0] - began) if arrival else (None, timeout)

    def wait_pause(self, recipient, timeout=25):
        """Seconds that the sender means to wait after its failed try, once it has failed."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            pause = self.sender.pause(recipient)
            if pause is not None:
                return pause
            time.sleep(0.2)
        return None


def refusal(t, name, retry=None, remembers=False, at_once=AT_ONCE):
    """retry: of what length is its pause after a first failure; None: as long as to a queue run."""
    w = World(t, name)
    w.fresh()
    mx, base = w.send()
    t.equal("no gate in the way: taken by", mx, "mx1")
    w.fresh()
    w.force("refuse")
    mx, refused = w.send()
    t.equal("RST: taken by", mx, "mx2")
    t.between("RST: seconds to the second MX", refused, -0.1, base + at_once)
    w.force("normal")
    mx, _ = w.send()
    if remembers:
        t.equal("the next mail, to the first MX again: taken by", mx, "mx2")
    else:
        t.note(f"the next mail, the first MX open again: taken by {mx}")
    w.fresh()
    w.force("refuse")
    alone, _ = w.submit("one.test")
    pause = w.wait_pause(alone) if retry else None
    t.check(alone in w.sender.waiting() and not w.exchangers.find(alone),
            "RST, and no second MX: the mail waits in the sender's queue")
    if retry:
        t.between("seconds until it is tried again", pause, *retry)
    w.fresh()
    w.force("delay")
    mx, deferred = w.send()
    t.equal("one SYN deferred: taken by", mx, "mx1")
    t.between("one SYN deferred: seconds", deferred, RETRANSMIT - 0.1, base + RETRANSMIT + AT_ONCE)
    if t.failures:
        t.note(w.sender.said(30))
    w.sender.stop()


@scenario(limit=90)
def test_refusal_postfix(t):
    """Postfix as sender: a RST sends it to the second MX at once, a lost SYN costs one second"""
    refusal(t, "postfix", (295, 305))


@scenario(limit=90)
def test_refusal_exim(t):
    """Exim as sender: as Postfix; and for 15 minutes it does not come back to who refused"""
    refusal(t, "exim", (895, 905), remembers=True)


@scenario(limit=90)
def test_refusal_sendmail(t):
    """sendmail as sender: a RST sends it to the second MX at once, a lost SYN costs one second"""
    refusal(t, "sendmail")


@scenario(limit=90)
def test_refusal_opensmtpd(t):
    """OpenSMTPD as sender: a RST sends it to the second MX in 2 s, a lost SYN costs one second"""
    refusal(t, "opensmtpd", (385, 405), at_once=3.0)


def silent(t, name, low, high):
    """Sustained DEFER: no SYN of the sender is answered, retransmits neither."""
    w = World(t, name, limits("1/10min", 3))
    w.fresh()
    connect_now(w.net, [source_v4(n) for n in range(5)], server_v4(), patience=0.5)
    recipient, began = w.submit()
    alone, _ = w.submit("one.test")
    arrival = w.exchangers.wait(recipient, high + 30)
    t.must(arrival, "delivered at all")
    t.equal("taken by", arrival[1], "mx2")
    t.between("seconds to the second MX", arrival[0] - began, low, high)
    t.equal("a mail that knows no second MX: taken", w.exchangers.find(alone), [])
    t.check(alone in w.sender.waiting(), "and waits in the sender's queue")
    t.check(w.gate.reasons().get("connection-rate", 0) > 2, f"the gate: {w.gate.reasons()}")
    w.sender.stop()


@scenario(limit=120)
def test_silent_postfix(t):
    """Postfix as sender: an MX that answers no SYN costs it 30 s (its smtp_connect_timeout)"""
    silent(t, "postfix", 29, 35)


@scenario(limit=240)
def test_silent_exim(t):
    """Exim as sender: an MX that answers no SYN costs it 2 minutes (the kernel's retransmits)"""
    silent(t, "exim", *KERNEL_GIVES_UP)


@scenario(limit=240)
def test_silent_sendmail(t):
    """sendmail as sender: an MX that answers no SYN costs it 2 minutes (Debian's Timeout.iconnect)"""
    silent(t, "sendmail", 115, 130)


@scenario(limit=240)
def test_silent_opensmtpd(t):
    """OpenSMTPD as sender: an MX that answers no SYN costs it 2 minutes (the kernel's retransmits)"""
    silent(t, "opensmtpd", *KERNEL_GIVES_UP)
