# SPDX-License-Identifier: GPL-2.0-or-later
"""sluice suggest: what a minute of real clients leaves in the history, and limits from a month."""

import json
import os
import struct
import subprocess
import time
import zlib

from lib.clients import clients
from lib.gate import OPEN, SLUICED, Gate, write
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, server_v4, server_v6, source_v4, source_v6

KEPT = "/var/lib/sluice/default/history"
NONE = 0xffffffff
HOUR = struct.Struct("<65I")
MINUTE = struct.Struct("<16I")


def pack(minutes, hours, version=1):
    body = b"sluice-h" + struct.pack("<3I", version, len(minutes), len(hours))
    body += b"".join(MINUTE.pack(*m) for m in minutes) + b"".join(HOUR.pack(*h) for h in hours)
    return body + struct.pack("<I", zlib.crc32(body))


def unpack(data):
    """(minutes, hours) of a file, as daemon/history.h describes it."""
    magic, version, minutes, hours = struct.unpack_from("<8s3I", data)
    if (magic, version) != (b"sluice-h", 1) or len(data) != 24 + minutes * 64 + hours * 260:
        raise ValueError(f"{magic} {version} {minutes} {hours} {len(data)}")
    if zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
        raise ValueError("the check sum")
    at = 20 + minutes * 64
    return ([MINUTE.unpack_from(data, 20 + 64 * i) for i in range(minutes)],
            [HOUR.unpack_from(data, at + 260 * i) for i in range(hours)])


def month(minutes=44640, storm=60):
    """One attempt a second by 30 sources, but for an hour of 100 a second by 200."""
    last, made, hours = int(time.time()) // 60, [], {}
    for i in range(minutes):
        number, stormy = last - minutes + 1 + i, minutes - storm <= i
        each, sources = (100, 200) if stormy else (1, 30)
        made.append((number, 60, 0, *[each * 10] * 6, each, each * 60 // sources, each * 60,
                     each * 10 // sources + 1, each * 10, 40 if stormy else 5, 250))
        hour = hours.setdefault(number // 60, [number // 60] + [0] * 64)
        for at, count, attempts in ((1, sources, each * 60 // sources), (33, 1, each * 60)):
            place = at + 2 * min(attempts.bit_length() - 1, 15)
            hour[place] += count
            hour[place + 1] += count * attempts
    return pack(made, list(hours.values()))


def put(data):
    os.makedirs(os.path.dirname(KEPT), exist_ok=True)
    with open(KEPT, "wb") as f:
        f.write(data)


def kept():
    with open(KEPT, "rb") as f:
        return f.read()


def accepted(text):
    return subprocess.run([SLUICED, "-n", "-f", write("snippet.conf", text),
                           "-o", "gate.interface=lo"], capture_output=True, text=True, timeout=10)


@scenario(limit=60)
def test_suggest(t):
    """A month with a storm: limits that ordinary days live with, and what it would have met"""
    gate = Gate(Net(), OPEN, mode="monitor")
    put(month())
    t.between("bytes of a month", len(kept()), 1, 3100000)
    gate.start()
    began = time.monotonic()
    answer = json.loads(gate.sluice("--json", "suggest").stdout)
    t.between("took, in s", time.monotonic() - began, 0, 2)
    t.equal("from", (answer["from"], answer["minutes"], answer["enforced"]), ("daemon", 44640, 0))
    made = {p["key"]: p for p in answer["proposals"]}
    t.equal("values", {k: p["value"] for k, p in made.items()},
            {"connection-rate": "2/s", "connection-burst": "200", "source-rate": "20/min",
             "source-burst": "12", "subnet-rate": "120/min", "subnet-burst": "120",
             "max-sessions": "60", "queue-la": str(max(4, 2 * os.cpu_count())),
             "refuse-la": str(max(6, 3 * os.cpu_count()))})
    storm, every = 60 * 6000, (44640 - 60) * 60 + 60 * 6000
    t.equal("attempts", answer["attempts"], every)
    t.between("touched by connection-rate", made["connection-rate"]["touched"],
              (storm * 0.98 - 200) / every, storm * 0.98 / every)
    t.between("by source-rate, at most", made["source-rate"]["touched"], storm / 3 / every,
              storm / 2 / every)
    t.equal("in minutes", [made[k]["touched_minutes"] for k in ("connection-rate", "source-rate",
                                                                "max-sessions")], [60, 60, 0])
    t.between("the worst, in s before the end",
              answer["last_s"] - made["connection-rate"]["worst_s"], 0, 3600)
    t.check(any("had given up" in u for u in answer["unknown"]), "what cannot be known is said")

    done = gate.sluice("suggest")
    t.check(all(len(line) <= 80 and (not line or line[0] in "#[" or " = " in line)
                for line in done.stdout.splitlines()), "a config of lines of 80")
    t.equal("lines with a reason", done.stdout.count("# In 99"), 9)
    reasons = {k: " ".join(p["reason"].split()) for k, p in made.items()}
    for key, why in (("connection-rate", "less than 2/s helps nobody."),
                     ("connection-burst", "this is twice that."),
                     ("source-rate", "had at most 2 attempts; less than these a minute help nobody."),
                     ("source-burst", "no source had more than 6 within ten seconds; this is twice"),
                     ("subnet-rate", "had at most 60 attempts; this is twice that."),
                     ("subnet-burst", "this is what the rate lets in within a minute.")):
        t.check(why in reasons[key], f"{key}: {reasons[key]}")
    t.check("touched 11.6 % of the attempts, in 60 minutes, most of all at 20"
            in " ".join(done.stdout.replace("\n# ", " ").split()), "the share is said")
    said = accepted(done.stdout)
    t.check(said.returncode == 0, f"sluiced -n: {(said.stdout + said.stderr).strip()}")
    gate.change("limits", **{k: p["value"] for k, p in made.items() if p["section"] == "limits"})
    gate.change("load", **{k: p["value"] for k, p in made.items() if p["section"] == "load"})
    said = gate.sluice("reload")
    t.check(said.returncode == 0, f"reload: {(said.stdout + said.stderr).strip()}")

    gate.end()
    done = gate.sluice("suggest")
    t.check(done.returncode == 0 and "no daemon runs" in done.stdout, "from the file alone")
    t.equal("the same limits", [line for line in done.stdout.splitlines() if " = " in line],
            [f"{k} = {p['value']}" for k, p in made.items()])
    os.unlink(KEPT)
    done = gate.sluice("suggest")
    t.check(done.returncode == 1 and "none has left a history" in done.stderr
            and len(done.stderr.splitlines()) == 1, done.stderr.strip())


@scenario(limit=60)
def test_suggest_damaged(t):
    """A history that is damaged is set aside, and the daemon starts; too little is said"""
    gate = Gate(Net(), OPEN, mode="monitor")
    good = month(120, 10)
    for data in (b"", good[:-1], good[:5000], good.replace(b"\x3c", b"\x3d", 1), bytes(100),
                 pack([], [], version=2), good + b"\0", good * 1000):
        put(data)
        done = gate.sluice("suggest")
        t.check(done.returncode == 1 and "cannot be read" in done.stderr, done.stderr.strip())
        gate.start()
        done = gate.sluice("suggest")
        t.check(done.returncode == 1 and "only 0 minutes" in done.stderr, done.stderr.strip())
        gate.end()
        t.check(os.path.exists(KEPT + ".damaged") and "set aside" in gate.log(),
                f"set aside: {len(data)} bytes")
        t.equal("written anew", unpack(kept()), ([], []))
        os.unlink(KEPT + ".damaged")
        os.truncate(gate.log_path, 0)
    put(month(59, 0))
    done = gate.sluice("suggest")
    t.check(done.returncode == 1 and "only 59 minutes" in done.stderr, done.stderr.strip())
    os.unlink(KEPT)
    os.symlink(write("elsewhere", ""), KEPT)
    gate.start()
    gate.end()
    t.check(os.path.islink(KEPT + ".damaged") and not os.path.islink(KEPT), "no link is followed")


@scenario(limit=120)
def test_suggest_recorded(t):
    """What real clients do within a minute stands in its history, counted"""
    net = Net()
    served = sink(net)
    gate = Gate(net, OPEN, mode="monitor")
    gate.start()
    # A second behind a full ten seconds, so that what belongs together is of one of them; and with
    # half a minute before the next, as of less nothing is kept.
    time.sleep(11 - time.monotonic() % 10)
    if time.monotonic() % 60 > 26:
        time.sleep(61 - time.monotonic() % 60)
    steady = [(n / 4, source_v4(n % 20), 3) for n in range(80)]
    burst = [(10.2 + n / 200, source_v4(77), 0) for n in range(50)]
    other = clients(net, [(n / 2, source_v6(5), 0) for n in range(10)], server_v6())
    attempts = clients(net, steady + burst, server_v4()).result() + other.result()
    t.equal("connects that failed", [a.error for a in attempts if a.error], [])
    time.sleep(max(0, 33 - (time.monotonic() - attempts[0].syn)))
    gate.end()
    minutes, hours = unpack(kept())
    t.must(len(minutes) >= 1, f"{len(minutes)} minutes")
    tens = [sum(m[3 + i] for m in minutes) for i in range(6)]
    t.equal(f"attempts ({tens})", sum(tens), 140)
    t.between("the busiest second", max(m[9] for m in minutes), 25, 58)  # a tick may part it
    t.equal("the busiest source", max(m[10] for m in minutes), 50)
    t.between("of the busiest subnet in ten seconds", max(m[13] for m in minutes), 50, 54)
    t.between("sessions", max(m[14] for m in minutes), 10, 16)
    t.equal("load", {m[15] for m in minutes}, {0})
    t.equal("not in monitor mode", {m[2] for m in minutes}, {0})
    t.between("minutes of age", int(time.time()) // 60 - minutes[-1][0], 0, 1)
    # A source's attempts stand in one bin, so that all bins together are the attempts.
    t.equal("attempts by source", sum(h[2 + 2 * i] for h in hours for i in range(16)), 140)
    t.equal("attempts by subnet", sum(h[34 + 2 * i] for h in hours for i in range(16)), 140)
    served.finish()
