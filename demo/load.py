# SPDX-License-Identifier: GPL-2.0-or-later
"""The load average of the MTA alone, by the kernel's formula (kernel/sched/loadavg.c).

The machine's own is of the whole host and remembers minutes, so a demo would show what ran before
it. Here the tasks that count are the MTA's processes that run, want to run or wait for a disk, and
the average starts at 0. The kernel looks every 5 s at average times of 1, 5 and 15 minutes; a
storm of 20 s would hardly be seen, so here everything goes SPEED times as fast: looks, and with
them the times.
"""

import os

FIXED_1 = 1 << 11
EXP = (1884, 2014, 2037)  # 1, 5, 15 minutes at a look every 5 s
SPEED = 6
EVERY_S = 5 / SPEED


def calc_load(load, exp, active):
    new = load * exp + active * (FIXED_1 - exp)
    if active >= load:
        new += FIXED_1 - 1
    return new // FIXED_1


def states(parent):
    """How many children there are in each state; /proc is that of the demo's PID namespace."""
    count = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as f:
                state, owner = f.read().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # it has just ended
        if int(owner) == parent or int(name) == parent:
            count[state] = count.get(state, 0) + 1
    return count


class LoadAverage:
    def __init__(self, path):
        self.path = path
        self.averages = [0, 0, 0]
        self.write(0, 1)

    def look(self, parent):
        now = states(parent)
        active = now.get("R", 0) + now.get("D", 0)
        self.averages = [calc_load(a, e, active * FIXED_1) for a, e in zip(self.averages, EXP)]
        self.write(active, sum(now.values()))

    def write(self, active, total):
        text = " ".join(f"{a / FIXED_1:.2f}" for a in self.averages)
        with open(self.path + ".new", "w") as f:
            f.write(f"{text} {active}/{total} 1\n")
        os.rename(self.path + ".new", self.path)

    @property
    def value(self):
        return self.averages[0] / FIXED_1
