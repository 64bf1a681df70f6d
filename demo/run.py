# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo: the same storm twice, on an MTA without Sluice and on one with it.

	run.py BUILD [PID]

BUILD holds sluiced, sluice and demo/mta, demo/senders; what comes out goes to BUILD/demo. The
demo ends when it has run, when it is told to, and when the process PID has gone.
"""

import fcntl
import json
import os
import shutil
import signal
import sys
import time

import draw
import pacing as deferred_or_held
import picture
import scenario
import summary
import world

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIG = HERE + "/sluice.conf"


class Progress:
    """One line that is written over on a terminal; elsewhere a line now and then."""

    EVERY_S = 5

    def __init__(self):
        self.terminal = sys.stdout.isatty()

    def __call__(self, run, row, good):
        t = row["t"]
        phase = ("calm" if t <= scenario.CALM else
                 "storm" if t <= scenario.CALM + scenario.STORM else "after")
        arrived = sum(summary.kind(m) != "lost" for m in good)
        text = (f"{run.name:>7} Sluice {t:2} s {phase:<5}  good mails: {arrived:2} in, "
                f"{len(good) - arrived:2} lost  sessions {row['sessions']:2}  load {row['load']:4.1f}")
        if self.terminal:
            room = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{text[:room]}", end="", flush=True)
        elif t % self.EVERY_S == 0:
            print(text, flush=True)

    def done(self):
        if self.terminal:
            print("\r\x1b[K", end="", flush=True)


def introduce():
    draw.paragraph(
        f"A small MTA ({scenario.PROCESSES} processes, accept queue {scenario.BACKLOG}, one CPU, "
        f"{scenario.MAIL_MS} ms of work a mail) and one good sender, 1 mail/s; after "
        f"{scenario.CALM} s a storm of {scenario.STORM_RATE} new connections/s from "
        f"{scenario.SUBNETS * scenario.HOSTS} sources in {scenario.SUBNETS} networks for "
        f"{scenario.STORM} s: {scenario.HOLD_PERCENT}% hold their session for about "
        f"{scenario.HOLD_S} s, {scenario.QUIT_PERCENT}% quit after the banner, the rest deliver "
        "a mail. The good sender has a network of its own and stands on no list. "
        + summary.never_means())
    draw.paragraph(
        "The load average is that of the MTA's processes, by the kernel's formula but six times "
        "as fast, because the storm is short; Sluice reads it from a file instead of "
        "/proc/loadavg. Real kernel TCP at both ends, all in namespaces that vanish with it.")
    print("\nSluice runs with this configuration:\n")
    with open(CONFIG) as f:
        print("".join("    " + line if line.strip() else line for line in f))


def series(run):
    """A run for others to draw: the storm's sessions only by their outcomes."""
    outcomes = [s["outcome"] for s in run["storm"]]
    return run | {"storm": {o: outcomes.count(o) for o in sorted(set(outcomes))}}


def show_pacing(pacing):
    print()
    draw.paragraph(f"{len(pacing['held'])} connects at once at connection-rate = "
                   f"{deferred_or_held.RATE}/s, left to the clients' timers or held in the "
                   "kernel (pace-horizon), each through after so many seconds:")
    for name, took in pacing.items():
        print(f"    {name:>8}  " + " ".join(f"{t:.1f}" if t >= 0 else "never" for t in sorted(took)))


def show(without, with_it, pacing, folder):
    print()
    both = (without, with_it)
    draw.timeline(without, "Without Sluice", both, False)
    draw.timeline(with_it, "With Sluice", both, True)
    draw.legend()
    draw.table(without, with_it)
    show_pacing(pacing)
    with open(f"{folder}/demo.svg", "w") as f:
        f.write(picture.make(without, with_it, pacing))
    with open(f"{folder}/demo.json", "w") as f:
        json.dump({run["name"]: series(run) for run in both} | {"pacing": pacing}, f, indent=1)
        f.write("\n")
    print(f"The picture is {folder}/demo.svg, the numbers are {folder}/demo.json.")


def inside(build):
    """The first process of the demo's own namespaces."""
    world.die_with_parent()
    # Who started it is told too, and then kills it. Its children take over what is ignored, so
    # SIGTERM is not; the first process of a PID namespace does not heed it anyway.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    world.furnish()
    folder = f"{build}/demo"
    introduce()
    scenario.try_sluice(build, folder, CONFIG)
    progress = Progress()
    beside = deferred_or_held.start(build, folder)
    runs = [scenario.play(build, folder, CONFIG, with_sluice, progress)
            for with_sluice in (False, True)]
    pacing = deferred_or_held.finish(beside, folder)
    progress.done()
    show(*runs, pacing, folder)


def first_process(build):
    try:
        inside(build)
        code = 0
    except (world.Refused, OSError) as e:
        print(f"\ndemo: {e}", file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def only_one(build):
    os.makedirs(f"{build}/demo", exist_ok=True)
    lock = open(f"{build}/demo/lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise world.Refused("another demo runs in this folder and writes the same files: "
                            "wait until it has ended") from None
    return lock


class Stopped(Exception):
    pass


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def stop(number, _):
    for each in ENDING:  # Ctrl-C comes from the terminal, and from make once more
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(number)


def wait(pid, owner):
    """Until the demo has ended, or its owner has."""
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if owner:
            try:
                os.kill(owner, 0)
            except ProcessLookupError:
                raise Stopped(signal.SIGTERM) from None
        time.sleep(0.1)


def main():
    build = os.path.abspath(sys.argv[1])
    owner = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    if os.geteuid() != 0:
        print("demo: it needs root, for namespaces and BPF: run it as root or by sudo",
              file=sys.stderr)
        return 1
    pid = 0
    try:
        for number in ENDING:
            signal.signal(number, stop)
        lock = only_one(build)  # held until the end
        world.die_with_parent(signal.SIGTERM)
        world.leave()
        pid = os.fork()
        if pid == 0:
            first_process(build)
        return wait(pid, owner)
    except world.Refused as e:
        print(f"demo: {e}", file=sys.stderr)
        return 1
    except Stopped as e:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        print("\ndemo: stopped, and nothing of it is left", file=sys.stderr)
        return 128 + int(e.args[0])


sys.exit(main())
