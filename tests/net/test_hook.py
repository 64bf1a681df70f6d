# SPDX-License-Identifier: GPL-2.0-or-later
"""sluice hook: the set of tiers reaches a program, and nothing that is killed leaves it there."""

import os
import signal
import subprocess
import time

from lib import kernel
from lib.gate import OPEN, RUN, SLUICE, Gate, write
from lib.sandbox import WORK
from lib.scenario import scenario
from lib.topology import Net

LEASE = 5  # seconds; the shortest that the config allows
LOAD = {"lease": f"{LEASE}s"}
SOON = 2.0  # a tick of the daemon, and a process started on a busy machine

TELL = """#!/bin/sh
echo "$1|$2|$SLUICE_DELAY$SLUICE_QUEUE$SLUICE_REFUSE|$3" >> "$0.told"
"""


class Hook:
    """A running `sluice hook`, and the runs of its CMD: (OLD, NEW, flags, REASON) each."""

    def __init__(self, script=TELL, name="cmd", instance="default", options=()):
        self.exec = write(name, script)
        os.chmod(self.exec, 0o755)
        self.instance, self.options = instance, options
        self.log_path = os.path.join(WORK, name + ".hook.log")
        self.start()

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [SLUICE, "-i", self.instance, "hook", "--exec", self.exec, *self.options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=kernel.die_with_parent)

    def log(self):
        with open(self.log_path) as f:
            return f.read()

    def told(self):
        try:
            with open(self.exec + ".told") as f:
                return [tuple(line.rstrip("\n").split("|")) for line in f]
        except FileNotFoundError:
            return []

    def wait(self, condition, timeout, what):
        """Polls until condition(told). Returns the seconds it took."""
        began = time.monotonic()
        while not condition(self.told()):
            if time.monotonic() - began > timeout:
                raise TimeoutError(f"{what}: not within {timeout} s; told {self.told()}, "
                                   f"log:\n{self.log()}")
            time.sleep(0.02)
        return time.monotonic() - began

    def wait_new(self, new, timeout=SOON, count=None):
        """Until the last run was told the set `new` (and there were so many runs)."""
        return self.wait(lambda told: told and told[-1][1] == new and
                         (count is None or len(told) == count), timeout, f"told {new}")

    def watcher(self):
        """The pid of the second process."""
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as f:
            return int(f.read().split()[0])

    def end(self, how=signal.SIGTERM, timeout=20):
        self.process.send_signal(how)
        return self.process.wait(timeout)

    def gone(self, timeout=15):
        """Waits until no process of it is left: its lock is free."""
        return subprocess.run(["flock", "-w", str(timeout), f"{RUN}/{self.instance}/hook",
                               "true"]).returncode == 0


def force(gate, tier):
    done = gate.sluice("tier", tier)
    if done.returncode:
        raise RuntimeError(done.stderr)


@scenario(limit=60)
def test_hook_tells(t):
    """Each change of the set runs CMD once, with the old set, the new one, flags and the reason"""
    gate = Gate(Net(), OPEN, load=LOAD | {"delay-la": 5, "queue-la": 10, "refuse-la": 20,
                                          "hold": "1s"})
    gate.start()
    hook = Hook()
    hook.wait_new("normal")
    for tier, flags in (("queue", "010"), ("delay,queue,refuse", "111"), ("delay", "100"),
                        ("normal", "000"), ("refuse", "001")):
        force(gate, tier)
        took = hook.wait_new(tier)
        t.check(took < SOON, f"{tier}: told after {took:.2f} s")
        t.equal("flags and reason", hook.told()[-1][2:], (flags, "set by hand"))
    force(gate, "auto")
    hook.wait_new("normal")
    gate.load_file.set(12)
    hook.wait_new("delay,queue", SOON + 1)
    t.check("load 12.00" in hook.told()[-1][3], f"reason: {hook.told()[-1][3]}")
    time.sleep(2.5)  # while nothing changes CMD is left alone
    olds = [run[0] for run in hook.told()]
    t.equal("old sets", olds, ["unknown"] + [run[1] for run in hook.told()[:-1]])
    t.equal("runs", len(olds), 8)
    t.equal("status at the end", hook.end(), 0)
    t.equal("at the end", hook.told()[-1][:3], ("delay,queue", "normal", "000"))
    t.equal("runs in all", len(hook.told()), 9)
    hook.start()
    hook.wait_new("delay,queue")
    t.equal("the daemon ends", gate.end(), 0)
    hook.wait_new("normal")
    t.equal("reason", hook.told()[-1][3], "sluiced has ended")
    count = len(hook.told())
    t.equal("status at SIGINT", hook.end(signal.SIGINT), 0)
    t.equal("told at SIGINT", len(hook.told()) - count, 1)


@scenario(limit=75)
def test_hook_killed(t):
    """kill -9 of sluiced, of the hook, of its watcher: the tier is taken back, or told again"""
    gate = Gate(Net(), OPEN, load=LOAD)
    gate.start()
    hook = Hook()
    force(gate, "queue")
    hook.wait_new("queue")
    began = time.monotonic()
    gate.kill()
    t.check(gate.queue_flag(), "the daemon's own flag file has stayed")
    hook.wait_new("normal", LEASE + 10)
    t.between("sluiced killed: normal after", time.monotonic() - began, LEASE - 1.5, LEASE + SOON)
    t.check("silent" in hook.told()[-1][3], f"reason: {hook.told()[-1][3]}")
    gate.start()
    force(gate, "queue")
    hook.wait_new("queue")

    count = len(hook.told())
    os.kill(hook.watcher(), signal.SIGKILL)
    hook.wait_new("queue", SOON + 1, count + 1)
    t.check(True, "watcher killed: the present set is told again")
    force(gate, "normal")
    hook.wait_new("normal")
    force(gate, "queue")
    hook.wait_new("queue")

    began = time.monotonic()
    hook.end(signal.SIGKILL)
    hook.wait_new("normal", LEASE + 10)
    t.check(time.monotonic() - began < SOON,
            f"hook killed: normal after {time.monotonic() - began:.2f} s")
    t.check(hook.gone(), "no process of it is left")
    time.sleep(0.5)
    t.equal("and nothing after it", hook.told()[-1][1], "normal")
    hook.start()
    hook.wait_new("queue")
    t.equal("the next one begins with the present set", hook.told()[-1][:2], ("unknown", "queue"))
    hook.end()


SLOW = """#!/bin/sh
echo "begins|$2" >> "$0.told"
sleep 1
echo "$1|$2|-|$3" >> "$0.told"
"""


@scenario(limit=60)
def test_hook_slow(t):
    """Changes that come faster than CMD runs: one run at a time, the last set wins, no queue"""
    gate = Gate(Net(), OPEN, load=LOAD)
    gate.start()
    hook = Hook(SLOW)
    hook.wait_new("normal", SOON + 1)
    time.sleep(1.2)
    before = len(hook.told())
    for n in range(12):
        force(gate, ("delay", "queue", "refuse")[n % 3])
    force(gate, "delay,refuse")
    hook.wait(lambda told: told[-1][:1] != ("begins",) and told[-1][1] == "delay,refuse", 6,
              "the last set")
    time.sleep(1.5)
    runs = hook.told()[before:]
    t.between("runs for 13 changes", len(runs) // 2, 1, 4)
    t.equal("each ended before the next began", [run[0] == "begins" for run in runs],
            [True, False] * (len(runs) // 2))

    force(gate, "queue")
    hook.wait(lambda told: told[-1] == ("begins", "queue"), SOON, "queue begins")
    hook.end(signal.SIGKILL)
    hook.start()  # at once, while the watcher of the former has its last run before it
    hook.wait(lambda told: told[-1][:2] == ("unknown", "queue"), 10, "the next hook tells queue")
    runs = hook.told()
    t.equal("killed in a run: what came after it", [run[:2] for run in runs[-5:]],
            [("delay,refuse", "queue"), ("begins", "normal"), ("queue", "normal"),
             ("begins", "queue"), ("unknown", "queue")])
    t.check("waits for its end" in hook.log(), "the next hook has said that it waits")
    t.equal("status", hook.end(), 0)


HANGS = """#!/bin/sh
trap '' TERM
echo "$1|$2|-|$3" >> "$0.told"
[ "$2" = queue ] || exit 0
sleep 600 &
echo $! > "$0.child"
wait
sleep 600
"""

FAILS = """#!/bin/sh
echo "$1|$2|$(cut -d' ' -f1 /proc/uptime)|$3" >> "$0.told"
[ "$2" != queue ] || { echo "no such luck" >&2; exit 3; }
"""

TALKS = """#!/bin/sh
echo "$1|$2|-|$3" >> "$0.told"
printf 'one \\033[31mred\\n'
head -c 300000 /dev/zero | tr '\\0' 'x' | fold -w 100
(sleep 3; echo left >> "$0.left") > /dev/null 2>&1 &
"""


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


@scenario(limit=75)
def test_hook_bad_cmd(t):
    """A CMD that hangs, fails, or talks without end is bounded, and never keeps the next set away"""
    gate = Gate(Net(), OPEN, load=LOAD)
    gate.start()
    hook = Hook(HANGS, "hangs", options=("--timeout", "1s"))
    hook.wait_new("normal")
    force(gate, "queue")
    hook.wait_new("queue")
    with_child = hook.exec + ".child"
    hook.wait(lambda told: os.path.exists(with_child), SOON, "its child")
    force(gate, "normal")
    took = hook.wait_new("normal", 8)
    t.between("hangs, TERM ignored: the next set after", took, 1.0, 1 + 2 + SOON)
    with open(with_child) as f:
        t.check(not alive(int(f.read())), "what it had started is gone")
    t.check("not ended within 1 s" in hook.log() and "signal 9" in hook.log(), "the log says so")
    hook.end()

    hook = Hook(HANGS, "hangs")
    hook.wait(lambda told: told[-1][:2] == ("unknown", "normal"), SOON, "told again")
    os.unlink(with_child)
    force(gate, "queue")
    hook.wait(lambda told: os.path.exists(with_child) and os.path.getsize(with_child), SOON,
              "its child")
    with open(with_child) as f:
        child = int(f.read())
    os.kill(hook.watcher(), signal.SIGKILL)
    hook.wait(lambda told: told[-1][:2] == ("unknown", "queue"), SOON + 1, "told by the next")
    t.check(not alive(child), "watcher killed in a run: what the run had started is gone")
    force(gate, "normal")
    hook.end(timeout=40)

    hook = Hook(FAILS, "fails")
    hook.wait_new("normal")
    force(gate, "queue")
    hook.wait_new("queue", 10, count=4)  # the first, and after 1, 2 s
    at = [float(run[2]) for run in hook.told()[1:]]
    t.between("fails: second try after", at[1] - at[0], 0.9, 1.0 + SOON)
    t.between("third try after further", at[2] - at[1], 1.9, 2.0 + SOON)
    t.equal("told each time", {run[:2] for run in hook.told()[1:]}, {("normal", "queue")})
    force(gate, "delay")
    took = hook.wait_new("delay")
    t.check(took < SOON, f"another set does not wait: {took:.2f} s")
    t.check("failed with status 3" in hook.log() and "it says: no such luck" in hook.log(),
            "the log has status and words")
    t.equal("status at the end", hook.end(), 0)

    hook = Hook(TALKS, "talks")
    hook.wait_new("delay")
    hook.wait(lambda told: "left out" in hook.log(), SOON + 2, "what was left out")
    force(gate, "normal")
    hook.wait_new("normal")
    t.check(len(hook.log()) < 10000, f"log of 2 x 300 kB of output: {len(hook.log())} bytes")
    t.check("\\x1b[31mred" in hook.log(), "control characters are escaped")
    hook.wait(lambda told: os.path.exists(hook.exec + ".left"), 6,
              "what it left running in the background")
    hook.end()


def refused(*words):
    done = subprocess.run([SLUICE, "hook", *words], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=10)
    return done.returncode, done.stderr.strip()


@scenario(limit=60)
def test_hook_bad_input(t):
    """No CMD, no program, no daemon, a lease that lies: said once, and counted as normal"""
    plain = write("plain", "echo no\n")
    os.chmod(plain, 0o644)
    for words, status, said in ((("--exec",), 2, "needs an argument"),
                                ((), 2, "--exec CMD is missing"),
                                (("--exec", "/nowhere/cmd"), 1, "No such file"),
                                (("--exec", WORK), 1, "no program"),
                                (("--exec", plain), 1, "Permission denied"),
                                (("--exec", "/bin/true", "--timeout", "10"), 2, "a duration"),
                                (("--exec", "/bin/true", "--timeout", "6m"), 2, "at most 5m"),
                                (("--exec", "/bin/true", "word"), 2, "no arguments")):
        got = refused(*words)
        t.check(got[0] == status and said in got[1] and "\n" not in got[1],
                f"{' '.join(words) or 'nothing'}: {got}")
    got = subprocess.run([SLUICE, "status", "--exec", "/bin/true"], capture_output=True, text=True)
    t.equal("--exec elsewhere", got.returncode, 2)

    hook = Hook(instance="elsewhere")
    hook.wait_new("normal")
    t.equal("no daemon", hook.told(), [("unknown", "normal", "000",
                                        "sluiced has not been started")])
    now = time.monotonic()
    lease = f"{RUN}/elsewhere/lease"
    for text, new in ((f"until {now + 60:.3f}\ntier queue\nreason by a test\n", "queue"),
                      ("", "normal"),
                      (f"until {now + 60:.3f}\ntier delay,queue\nreason a|b \x1b;`x`\n",
                       "delay,queue"),
                      (f"until {now + 60:.3f}\ntier queue,sleep\nreason by a test\n", "normal"),
                      (f"until {now + 60:.3f}\ntier refuse\nreason by a test\n", "refuse"),
                      (f"until {now + 8000:.3f}\ntier queue\nreason of another boot\n", "normal"),
                      (f"until {now + 60:.3f}\ntier delay\nreason by a test\n" + "x" * 5000,
                       "delay"),
                      (f"until {now - 1:.3f}\ntier queue\nreason over\n", "normal"),
                      (f"until {now + 60:.3f}\ntier queue\nreason by a test\n", "queue"),
                      ("until 99999999999999999999999.000\ntier queue\nreason huge\n", "normal")):
        with open(lease + ".new", "w") as f:
            f.write(text)
        os.rename(lease + ".new", lease)
        took = hook.wait_new(new)
        t.check(took < SOON, f"lease {text[:50]!r}: {new}")
    second = subprocess.Popen([SLUICE, "-i", "elsewhere", "hook", "--exec", "/bin/true"],
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    t.check(f"(process {hook.process.pid})" in second.stderr.readline(),
            "a second hook names the first and waits")
    second.terminate()
    second.wait(10)
    second.stderr.close()
    os.unlink(hook.exec)
    with open(lease + ".new", "w") as f:
        f.write(f"until {time.monotonic() + 60:.3f}\ntier queue\nreason by a test\n")
    os.rename(lease + ".new", lease)
    hook.wait(lambda told: "cannot be run: No such file" in hook.log(), SOON, "CMD is gone")
    t.equal("status when the last run failed", hook.end(), 1)
