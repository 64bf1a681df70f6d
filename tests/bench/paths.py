# SPDX-License-Identifier: GPL-2.0-or-later
"""Instructions of each path of the gate, counted by callgrind on the native build."""

import re
import shutil

from world import must

FEW, MORE = 500, 1500
# Of the bench, of the plain tables that stand for the kernel's, and of libraries.
NOT_THE_GATE = re.compile(
    r"(plain_|lab_|main$|run$|set_up$|state_(open|close|find|add|live|presence|backlog|class)|_|0x|"
    r"mem|str|put_|[^a-z])")


def _instructions(program, path, times):
    """By function, without those that it calls."""
    file = "/run/work/callgrind.out"
    must(None, "valgrind", "--tool=callgrind", f"--callgrind-out-file={file}", program, path,
         str(times))
    names, count, now, skips = {}, {}, None, False
    with open(file) as f:
        for line in f:
            called = re.match(r"c?fn=\((\d+)\)(?: (.*))?", line)
            if called:
                if called[2]:
                    names[called[1]] = called[2].strip()
                if line.startswith("fn="):
                    now = names[called[1]]
            elif line.startswith("calls="):
                skips = True  # the next line is what the callee took
            elif line[0].isdigit() or line[0] in "+-*":
                if not skips:
                    count[now] = count.get(now, 0) + int(line.split()[1])
                skips = False
    return count


def measure(build, progress, skipped):
    """[{path, instructions}]: parse and judgement, without what the tables do."""
    if not shutil.which("valgrind"):
        skipped.append({"what": "instructions of each path", "why": "valgrind is not installed"})
        return []
    program, rows = f"{build}/bench/paths", []
    for path in must(None, program).splitlines():
        progress(f"callgrind: {path}")
        few, more = (_instructions(program, path, n) for n in (FEW, MORE))
        gate = {name: (more[name] - few.get(name, 0)) / (MORE - FEW) for name in more
                if not NOT_THE_GATE.match(name)}
        rows.append({"path": path, "instructions": round(sum(gate.values())),
                     "functions": {n: round(v) for n, v in sorted(gate.items()) if v >= 0.5}})
    return rows
