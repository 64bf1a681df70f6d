# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/hooks: in the queue tier each MTA accepts mail and keeps it; after it, all is delivered.

However the tier ends: released, sluiced killed, the hook killed, or told twice.
"""

import os
import re
import smtplib
import subprocess
import time

import mx.kinds
from lib.child import within
from lib.gate import OPEN, RUN, SLUICE, TOP, Gate
from lib.scenario import scenario
from lib.topology import Net, server_v4
from mx.root import ENVIRONMENT
from needs import need

LEASE = 5  # seconds; the shortest that the config allows
GRACE = 10  # and so long after it mail must have been delivered
BEGINS = "follows the tiers"  # in the log of a hook, once
KEPT = 3.0  # so long is looked that nothing of the queue is delivered

# What the hook runs: the script, and a line when it has ended.
CMD = """#!/bin/sh
/hooks/NAME "$@"
status=$?
echo "$2 $status" >> /told
exit $status
"""


class Exim(mx.kinds.Exim):
    settings = {"queue_only_file": "/run/sluice/exim-queue-only"}


class Sendmail(mx.kinds.Sendmail):
    command = ("/usr/sbin/sendmail", "-bD", "-q1s")  # its full path, as its init script has it


def submit(address, count):
    """So many mails in one session. Returns how many were accepted."""
    with smtplib.SMTP(address, 25, "sender.test", timeout=20) as s:
        for n in range(count):
            s.sendmail("a@sender.test", ["x@example.test"], f"Subject: {n}\r\n\r\nhello\r\n")
    return count


def own_libraries():
    """What sluice needs of this machine, to be bound into a root that may be another system.

    Returns (binds, the words to run it with).
    """
    found = subprocess.run(["ldd", SLUICE], capture_output=True, text=True, check=True).stdout
    paths = re.findall(r"(/\S+) \(0x", found)
    binds = [(path, "/opt/sluice/" + os.path.basename(path)) for path in [*paths, SLUICE]]
    loader = next(inside for _, inside in binds if os.path.basename(inside).startswith("ld-"))
    return binds, [loader, "--library-path", "/opt/sluice", "/opt/sluice/sluice"]


class World:
    """The gate, an MTA behind it, and the hook inside the MTA's root."""

    def __init__(self, t, kind, name, config):
        self.t, self.name, self.config = t, name, config
        self.net = Net()
        self.gate = Gate(self.net, OPEN, load={"lease": f"{LEASE}s"})
        self.gate.start()
        binds, self.sluice = own_libraries()
        self.mta = kind(self.net, name=name, bind=(
            *binds, (os.path.join(TOP, "scripts/hooks"), "/hooks"), (RUN, RUN)))
        self.mta.write("/cmd", CMD.replace("NAME", name), 0o755)
        self.mta.start()
        self.sent = 0
        self.original = self.configuration()

    def configuration(self):
        if not self.config:
            return None
        path = self.mta.root + self.config
        status = os.stat(path)
        with open(path, "rb") as f:
            return f.read(), status.st_mode, status.st_uid, status.st_gid

    def start_hook(self):
        """Returns when it has begun, which one that is at its end may hold up."""
        before = self.hook_log().count(BEGINS)
        with open(self.mta.folder + "/hook.log", "ab") as log:
            self.hook = subprocess.Popen(
                ["nsenter", "-t", str(self.mta.first), "-m", "-u", "-n", "-p", "-r", "-w",
                 *self.sluice, "hook", "--exec", "/cmd"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ENVIRONMENT)
        self.wait("the hook's begin", lambda: self.hook_log().count(BEGINS) > before, 30)

    def hook_log(self):
        try:
            with open(self.mta.folder + "/hook.log") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def hook_pids(self):
        """The two processes of the hook, inside."""
        with open(f"{RUN}/default/hook") as f:
            first = f.read().strip()
        children = self.mta.run("cat", f"/proc/{first}/task/{first}/children").stdout.split()
        return [first, *children[:1]]

    def kill_hook(self, which, how="-9"):
        """Ends processes of the hook inside; what entered the namespaces for it ends with the first."""
        self.mta.run("sh", "-c", f"kill {how} {' '.join(which)}")
        self.wait("the hook's end", lambda: self.hook.poll() is not None, 20)

    def told(self):
        try:
            with open(self.mta.root + "/told") as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def wait(self, what, condition, timeout):
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > timeout:
                raise TimeoutError(f"{what}: not within {timeout} s; told {self.told()}, "
                                   f"{self.mta.counted()} of {self.sent} delivered\n"
                                   f"{self.hook_log()}\n{self.mta.said(30)}")
            time.sleep(0.02)
        return time.monotonic() - began

    def force(self, tier, then):
        """Sets the tier, and waits until the hook has told it."""
        count = len(self.told())
        done = self.gate.sluice("tier", tier)
        if done.returncode:
            raise RuntimeError(done.stderr)
        self.wait(f"told {then}", lambda: f"{then} 0" in self.told()[count:], 15)

    def submit(self, count):
        self.sent += within(self.net.client, submit, server_v4(), count)

    def delivered(self, timeout=GRACE):
        return self.wait("delivery", lambda: self.mta.counted() >= self.sent, timeout)

    def queued(self, count):
        """Submits mails, all of which must be accepted, and none delivered."""
        before = self.mta.counted()
        self.submit(count)
        time.sleep(KEPT)
        self.t.equal(f"of {count} mails accepted in the tier delivered after {KEPT:.0f} s",
                     self.mta.counted() - before, 0)

    def restored(self, how):
        """The script may still be at its end when the last mail is delivered."""
        if self.config:
            self.wait(f"{how}: {self.config} as it was",
                      lambda: self.configuration() == self.original, 10)
            self.t.check(True, f"{how}: {self.config} is as it was")

    def script(self, old, queue, kill_after=None):
        """Runs the script by hand; kill -9 after so many seconds."""
        words = ["timeout", "-s", "KILL", f"{kill_after:.3f}"] if kill_after else []
        return self.mta.run("env", f"SLUICE_QUEUE={queue}", "SLUICE_DELAY=0", "SLUICE_REFUSE=0",
                            *words, f"/hooks/{self.name}", old, "queue" if queue else "normal",
                            "by hand")


def released(t, w):
    w.force("queue", "queue")
    w.queued(5)
    w.force("delay,queue", "delay,queue")
    w.queued(2)
    w.force("auto", "normal")
    took = w.delivered()
    t.check(True, f"released: delivered within {took:.1f} s")
    w.restored("released")
    w.submit(3)
    t.check(w.delivered(3) < 3, "and what comes after it at once")


def sluiced_killed(t, w):
    w.force("queue", "queue")
    w.submit(3)
    began = time.monotonic()
    w.gate.kill()
    w.submit(2)
    w.delivered(LEASE + GRACE)
    t.between("sluiced killed in the tier: delivered after", time.monotonic() - began, 0,
              LEASE + GRACE)
    w.restored("sluiced killed")
    w.gate.start()
    w.force("normal", "normal")


def hook_killed(t, w):
    w.force("queue", "queue")
    w.submit(3)
    began = time.monotonic()
    w.kill_hook(w.hook_pids()[:1])
    w.delivered(LEASE + GRACE)
    t.between("hook killed in the tier: delivered after", time.monotonic() - began, 0,
              LEASE + GRACE)
    w.restored("hook killed")


def both_killed(t, w):
    """What no process takes back, the next start does."""
    count = len(w.told())
    w.start_hook()
    w.wait("told queue", lambda: "queue 0" in w.told()[count:], 15)
    w.queued(2)
    w.kill_hook(w.hook_pids()[::-1])
    w.gate.sluice("tier", "auto")
    w.start_hook()
    t.check(True, f"both of the hook killed: the next start delivers, {w.delivered():.1f} s")
    w.restored("both killed")


def told_twice(t, w):
    w.kill_hook(w.hook_pids()[:1], "-TERM")
    for queue, times in ((1, 2), (0, 2)):
        for _ in range(times):
            done = w.script("unknown", queue)
            t.equal(f"by hand, queue {queue}: status", (done.returncode, done.stderr[:300]
                                                        if done.returncode else ""), (0, ""))
        if queue:
            w.queued(1)
    w.delivered()
    w.restored("told twice each")
    without = w.mta.run(f"/hooks/{w.name}")
    t.check(without.returncode == 1 and "SLUICE_QUEUE is not set" in without.stderr,
            f"without the hook: {without.stderr.strip()}")


def killed_on_the_way(t, w):
    """The script itself killed at any moment: told normal again, all is as it was."""
    for n in range(6):
        delay = t.rng.choice((0.02, 0.1, 0.5, 2.0)) * t.rng.random() + 0.002
        w.script("unknown", n % 2, kill_after=delay)
    time.sleep(0.5)  # of what the last one had begun
    done = w.script("unknown", 0)
    t.equal("killed on the way, then told normal: status", (done.returncode, done.stderr[-300:]
                                                            if done.returncode else ""), (0, ""))
    w.restored("killed on the way")
    w.submit(2)
    w.delivered()


def operators_own(t, w):
    """What the operator defers himself is deferred before, in and after the tier."""
    w.mta.run("postconf", "-e", "defer_transports = uucp, bsmtp")
    w.original = w.configuration()
    w.script("unknown", 1)
    deferred = w.mta.run("postconf", "-x", "-h", "defer_transports").stdout
    t.check("uucp, bsmtp" in deferred and " discard " in deferred, f"deferred: {deferred.strip()}")
    w.script("unknown", 0)
    w.restored("with an own defer_transports")


def hooks(t, kind, name, config=None, more=None):
    need(name)
    w = World(t, kind, name, config)
    w.start_hook()
    w.wait("told normal", lambda: w.told() == ["normal 0"], 15)
    w.submit(3)
    t.check(w.delivered(5) < 5, "before: delivered at once")
    released(t, w)
    sluiced_killed(t, w)
    hook_killed(t, w)
    both_killed(t, w)
    told_twice(t, w)
    killed_on_the_way(t, w)
    if more:
        more(t, w)
    t.equal("all mails that were accepted have been delivered, once", w.mta.counted(), w.sent)
    if t.failures:
        t.note(w.hook_log())
    w.mta.stop()


@scenario(limit=180)
def test_hook_postfix(t):
    """Postfix in the queue tier: accepted and deferred, delivered after it, main.cf as it was"""
    hooks(t, mx.kinds.Postfix, "postfix", "/etc/postfix/main.cf", operators_own)


@scenario(limit=180)
def test_hook_exim(t):
    """Exim in the queue tier: accepted and queued, delivered after it"""
    hooks(t, Exim, "exim")


@scenario(limit=180)
def test_hook_sendmail(t):
    """sendmail in the queue tier: accepted and queued, delivered after it, sendmail.cf as it was"""
    hooks(t, Sendmail, "sendmail", "/etc/mail/sendmail.cf")


@scenario(limit=180)
def test_hook_opensmtpd(t):
    """OpenSMTPD in the queue tier: accepted and queued, delivered after it"""
    hooks(t, mx.kinds.OpenSmtpd, "opensmtpd")
