# SPDX-License-Identifier: GPL-2.0-or-later
"""One run: the MTA, the good sender beside it, the storm; what happened, second by second."""

import json
import mmap
import os
import struct
import subprocess
import time

import world
from load import EVERY_S, LoadAverage

# Seconds of a run.
CALM, STORM, AFTER = 6, 20, 6
MAILS_UNTIL = CALM + STORM + AFTER  # the good sender sends from 0 to here
LIMIT = 30                          # for each mail, and each connection of the storm
SETTLE = 8                          # the picture goes on for so long after the last mail

# The MTA: its accept queue, its processes, and its work, in ms of CPU time.
BACKLOG, PROCESSES, CONNECTION_MS, MAIL_MS = 20, 40, 5, 60

# The storm: connections a second, from SUBNETS /24s with HOSTS each, and what they are.
STORM_RATE, SUBNETS, HOSTS = 100, 5, 40
QUIT_PERCENT, HOLD_PERCENT, HOLD_S = 40, 25, 10

GOOD_SOURCE = "198.18.200.0"  # the one host of this /24
STORM_SOURCES = "198.18.10.0"
IN_TIME = 5  # s: a mail delivered within it is not late

COUNTERS = world.FOLDER + "/counters"
LOADAVG = world.FOLDER + "/loadavg"
SESSION = ("kind", "source", "arrived", "connected", "banner", "delivered", "ended", "syns",
           "outcome")


def read_sessions(path):
    """What senders wrote, the last line if it is whole."""
    with open(path) as f:
        lines = [line for line in f if line.endswith("\n")]
    sessions = [dict(zip(SESSION, line.split())) for line in lines]
    for s in sessions:
        for key in SESSION[2:7]:
            s[key] = float(s[key])
        s["syns"] = int(s["syns"])
    return sessions


def _alone():
    """One CPU for the MTA, the others for everything else, where there are several."""
    cpus = sorted(os.sched_getaffinity(0))
    return {cpus[-1]}, set(cpus[:-1]) or set(cpus)


class Run:
    def __init__(self, build, folder, with_sluice, mta_cpu):
        self.build, self.with_sluice = build, with_sluice
        self.name = "with" if with_sluice else "without"
        self.prefix = f"{folder}/{self.name}"
        self.mta_cpu = mta_cpu
        self.net = world.Net()
        self.seconds = []
        self.log = open(f"{self.prefix}.log", "w")
        self.load = LoadAverage(LOADAVG)
        self.reasons = []

    def start(self, words, **how):
        return world.start(words, stdout=self.log, stderr=self.log, **how)

    def check(self, process, what):
        """Throws if it has ended, with the last that it said."""
        if process.poll() is not None:
            self.log.flush()
            with open(self.log.name) as f:
                said = f.read().strip().splitlines()
            raise world.Refused(f"{what} has ended: {said[-1] if said else 'it said nothing'}")

    def start_mta(self):
        if os.path.exists(COUNTERS):
            os.unlink(COUNTERS)
        self.mta = self.start([f"{self.build}/demo/mta", world.SERVER, "25", str(BACKLOG),
                               str(PROCESSES), str(CONNECTION_MS), str(MAIL_MS), COUNTERS],
                              preexec_fn=lambda: os.sched_setaffinity(0, self.mta_cpu))
        self._wait_for(lambda: os.path.exists(COUNTERS) and os.path.getsize(COUNTERS) == 24,
                       self.mta, "the MTA")
        with open(COUNTERS, "r+b") as f:
            self.counters = mmap.mmap(f.fileno(), 24)

    def start_sluice(self, config):
        self.sluiced = self.start([f"{self.build}/sluiced", "-f", config])
        self._wait_for(self.status, self.sluiced, "sluiced")

    def _wait_for(self, happened, process, what):
        until = time.monotonic() + 10
        while not happened():
            self.check(process, what)
            if time.monotonic() > until:
                raise world.Refused(f"{what} has not come up within 10 s")
            time.sleep(0.05)

    def status(self):
        done = subprocess.run([f"{self.build}/sluice", "--json", "status"], capture_output=True,
                              stdin=subprocess.DEVNULL)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def start_senders(self):
        self.begin = time.monotonic() + 0.2
        common = [f"{self.build}/demo/senders", f"to={world.SERVER}", f"start={self.begin:.6f}",
                  f"limit-s={LIMIT}"]
        plans = {"good": ["seed=17", "rate=1", "from=0", f"until={MAILS_UNTIL}",
                          f"base={GOOD_SOURCE}"],
                 "storm": ["seed=1", f"rate={STORM_RATE}", f"from={CALM}",
                           f"until={CALM + STORM}", f"base={STORM_SOURCES}",
                           f"subnets={SUBNETS}", f"hosts={HOSTS}", f"quit={QUIT_PERCENT}",
                           f"hold={HOLD_PERCENT}", f"hold-s={HOLD_S}"]}
        self.senders = {}
        for name, plan in plans.items():
            with open(f"{self.prefix}.{name}", "w") as output:
                self.senders[name] = self.net.start_at_client(common + plan, stdout=output,
                                                              stderr=self.log)

    def sample(self):
        """The totals at this moment."""
        accepted, mails, sessions = struct.unpack("3Q", self.counters[:24])
        tcp = world.tcp_counters()
        now = {"accepted": accepted, "mails": mails, "sessions": sessions,
               "load": round(self.load.value, 2), "overflows": tcp["ListenOverflows"],
               "drops": tcp["ListenDrops"], "admitted": 0, "deferred": 0, "refused": 0,
               "active": []}
        if self.with_sluice:
            status = self.status()
            if not status:
                raise world.Refused("sluiced does not answer any more")
            totals = status["totals"]
            now.update(admitted=totals["pass"], deferred=totals["defer"] + totals["drop"],
                       refused=totals["refuse"], active=status["tier"]["active"])
            self.reasons = status["reasons"]
        return now

    def good(self):
        return read_sessions(f"{self.prefix}.good")

    def watch(self, progress):
        """Until the good sender's last mail has ended one way or the other."""
        last = self.sample()
        second, look = 1, EVERY_S
        while True:
            at = min(second, look)
            time.sleep(max(0, self.begin + at - time.monotonic()))
            if look <= second:
                self.load.look(self.mta.pid)
                look += EVERY_S
                continue
            now = self.sample()
            row = {key: now[key] - last[key] for key in
                   ("accepted", "mails", "overflows", "drops", "admitted", "deferred", "refused")}
            row.update(t=second, sessions=now["sessions"], load=now["load"],
                       active=now["active"])
            self.seconds.append(row)
            last = now
            good = self.good()
            progress(self, row, good)
            self.check(self.mta, "the MTA")
            if self.senders["good"].poll() is not None and second >= MAILS_UNTIL + SETTLE:
                break
            second += 1
        if self.senders["good"].returncode or self.senders["storm"].poll() not in (None, 0):
            raise world.Refused(f"a sender failed: see {self.log.name}")

    def end(self):
        for process in (*self.senders.values(), self.mta,
                        *([self.sluiced] if self.with_sluice else [])):
            process.terminate()
            process.wait()
        self.net.end()
        self.log.close()

    def result(self):
        return {"name": self.name, "seconds": self.seconds, "good": self.good(),
                "storm": read_sessions(f"{self.prefix}.storm"),
                "reasons": self.reasons}


def try_sluice(build, folder, config):
    """Throws now what would otherwise come up after the whole first run."""
    run = Run(build, folder, True, os.sched_getaffinity(0))
    run.start_sluice(config)
    world.call(f"{build}/sluice", "detach")
    run.sluiced.wait()
    run.net.end()
    run.log.close()


def play(build, folder, config, with_sluice, progress):
    mta_cpu, others = _alone()
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, others)  # what is started inherits it
    run = Run(build, folder, with_sluice, mta_cpu)
    run.start_mta()
    if with_sluice:
        run.start_sluice(config)
    run.start_senders()
    run.watch(progress)
    run.end()
    os.sched_setaffinity(0, own)
    return run.result()
