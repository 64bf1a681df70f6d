# SPDX-License-Identifier: GPL-2.0-or-later
"""What the daemon costs: CPU time and memory in a storm, and one change of its policy."""

import json
import os
import re
import subprocess
import time

from world import GENERATOR, must, spawn

STORM = 1000  # SYNs a second
INTERVAL = "10s"  # of the metrics file, as by default
CHANGES = 20
APART = 0.15  # s between two changes; the daemon does not flip within 100 ms
HOUR = 3600


def start_sluice(server, name, *gate, metrics=()):
    """A sluiced with its defaults, in enforce mode and under no load. Returns its process."""
    folder = "/run/work"
    with open(f"{folder}/loadavg", "w") as f:
        f.write("0.00 0.00 0.00 1/100 4242\n")
    lines = ["[gate]", f"interface = {server.interface}", "mode = enforce", *gate,
             "[load]", f"loadavg-file = {folder}/loadavg", "[metrics]", *metrics]
    path = f"{folder}/{name}.conf"
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")
    build = os.environ["BENCH_BUILD"]
    with open(f"{folder}/{name}.log", "w") as log:
        process = spawn(server.namespace, [f"{build}/sluiced", "-f", path, "-i", name],
                        stdout=log, stderr=log)
    end = time.monotonic() + 15
    while time.monotonic() < end and process.poll() is None:
        done = subprocess.run([f"{build}/sluice", "-i", name, "--json", "status"],
                              capture_output=True, text=True, timeout=10)
        if done.returncode == 0 and all(i["attached"]
                                        for i in json.loads(done.stdout)["interfaces"]):
            return process
        time.sleep(0.05)
    with open(f"{folder}/{name}.log") as log:
        raise RuntimeError(f"sluiced has not come up: {log.read().strip()[-300:]}")


def _cpu_ns(pid):
    """What all its threads have run."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as f:
            total += int(f.read().split()[0])
    return total


def _memory_kib(pid):
    """The resident size, and the parts of it."""
    with open(f"/proc/{pid}/status") as f:
        text = f.read()
    parts = {name: int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1))
             for name, key in (("resident_kib", "VmRSS"), ("of_its_own_kib", "RssAnon"),
                               ("of_files_kib", "RssFile"))}
    with open(f"/proc/{pid}/smaps") as f:
        maps = re.findall(r"bpf-map\n(?:.*\n)*?Rss:\s+(\d+)", f.read())
    parts["of_maps_kib"] = sum(map(int, maps))  # the kernel has them anyway; they count as files
    parts["of_files_kib"] -= parts["of_maps_kib"]
    return parts


def _change(process):
    """CPU of the daemon for one `sluice set`, and how long the command took, in microseconds."""
    build, took = os.environ["BENCH_BUILD"], 0
    before = _cpu_ns(process.pid)
    for n in range(CHANGES):
        began = time.monotonic()
        must(None, f"{build}/sluice", "-i", "cost", "set", f"connection-rate={200 + n}/s")
        took += time.monotonic() - began
        time.sleep(APART)
    return (_cpu_ns(process.pid) - before) / CHANGES / 1000, took / CHANGES * 1e6


def measure(server, build, seconds, progress):
    """Returns what it costs, in a storm of STORM SYNs a second over so many seconds."""
    process = start_sluice(server, "cost", metrics=("textfile = /run/work/cost.prom",
                                                    f"interval = {INTERVAL}"))
    words = [f"{build}/bench/live", server.far, server.mac, "0", "10000", str(STORM),
             str(seconds + CHANGES * 0.5 + 5)]
    generator = spawn(GENERATOR, words, stdout=subprocess.DEVNULL)
    time.sleep(2)
    began, before, calm = time.monotonic(), _cpu_ns(process.pid), 0
    for left in range(seconds, 0, -5):
        progress(f"the daemon in a storm of {STORM}/s: {left} s to go")
        time.sleep(5)
    spent, past = _cpu_ns(process.pid) - before, time.monotonic() - began
    calm = spent / past / 1e9
    memory = _memory_kib(process.pid)
    progress("changes of the policy")
    began = time.monotonic()
    change_us, command_us = _change(process)
    change_us -= (time.monotonic() - began) / CHANGES * calm * 1e6
    generator.kill()
    generator.wait()
    process.terminate()
    process.wait()
    return {"storm_per_s": STORM, "measured_s": round(past, 1), "interval": INTERVAL,
            "cpu_percent": round(100 * calm, 4), "cpu_s_an_hour": round(calm * HOUR, 2),
            "change_cpu_us": round(change_us), "change_command_us": round(command_us)} | memory
