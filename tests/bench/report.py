# SPDX-License-Identifier: GPL-2.0-or-later
"""What was measured, as a table on a terminal, and held against the targets."""

import os
import re

NOT_MEASURED = "not measured"
MIB = 1024  # KiB
COSTLY = ("retbleed", "spec_rstack_overflow", "spectre_v2")  # what makes calls and returns slow

# Cases that the targets are about.
NFT_INPUT, NFT_INGRESS = "nftables at input", "nftables at ingress"
NATIVE, PARSE = "Sluice, native XDP", "XDP that parses and drops"
MANY = 1000000
FLOODS = ("flood, one source", "flood, 10,000 sources", "flood, 1,000,000 sources",
          "flood, 16,777,216 sources")
LISTED = "flood, 100,000 listed, 100,000 known"


def _text(path, default=""):
    try:
        with open(path) as f:
            return f.read().strip()
    except OSError:
        return default


def machine():
    """As little of it as the figures need."""
    model = re.search(r"^model name\s*: (.*)", _text("/proc/cpuinfo"), re.M)
    flags = re.search(r"^flags\s*: (.*)", _text("/proc/cpuinfo"), re.M)
    folder = "/sys/devices/system/cpu/vulnerabilities"
    found = {name: _text(f"{folder}/{name}").split(";")[0] for name in COSTLY}
    return {"cpus": os.cpu_count(), "kernel": ".".join(os.uname().release.split(".")[:2]),
            "vendor": "AMD" if model and "AMD" in model.group(1) else
                      "Intel" if model and "Intel" in model.group(1) else os.uname().machine,
            "virtual": bool(flags and "hypervisor" in flags.group(1).split()),
            "mitigations": {k: v.removeprefix("Mitigation: ") for k, v in found.items()
                            if v.startswith("Mitigation")}}


# --- looking up -----------------------------------------------------------------------------------

def cost(result, name, key="ns"):
    return next((r[key] for r in result.get("costs", []) if r["case"] == name), None)


def live(result, name, key="ns", sources=MANY):
    return next((r[key] for r in result.get("live", [])
                 if r["case"] == name and r["sources"] == sources), None)


def ratio(above, below):
    return above / below if above is not None and below else None


def two_cpus(result, name):
    """How much two CPUs do in the time of one, of what is above the empty program."""
    one, two = cost(result, name), cost(result, name, "ns_two_cpus")
    return ratio(2 * one, two) if one is not None else None


def _sum(*terms):
    return None if None in terms else sum(terms)


def _spread_of_floods(result):
    ns = [cost(result, name) for name in FLOODS]
    return None if None in ns else max(ns) / min(ns)


def _worst_accuracy(result):
    return max((abs(r["percent"]) for r in result.get("accuracy", [])), default=None)


# --- targets --------------------------------------------------------------------------------------

def targets(result):
    """Each target: what, the figure, its bound, whether it is met (None: not measured)."""
    insert = cost(result, "an insert of an attempt, alone")
    source = cost(result, "an insert of a source, alone")
    listener = cost(result, "the listener's look-up, alone")
    daemon = result.get("daemon", {})
    resident = daemon.get("resident_kib")
    native = live(result, NATIVE)
    rows = (
        ("not ours", "ns", cost(result, "not ours"), "<=", 5),
        ("one source, denied by its own bucket", "ns", cost(result, "denied, one source"), "<=",
         30),
        ("one source, admitted: 30 ns, an insert and the look-up", "ns",
         cost(result, "admitted, one source"), "<=", _sum(30, insert, listener)),
        ("all cold, admitted: two inserts and 60 ns", "ns",
         cost(result, "admitted, 1,000,000 sources"), "<=", _sum(60, insert, source)),
        ("spoofed flood, nobody listed", "ns", cost(result, "flood, 1,000,000 sources"), "<=", 12),
        ("spoofed flood, 100,000 listed and 100,000 known", "ns", cost(result, LISTED), "<=", 25),
        ("spoofed flood, dearest number of sources to cheapest", "times",
         _spread_of_floods(result), "<=", 1.25),
        ("two CPUs to one, spoofed flood", "times", two_cpus(result, FLOODS[2]), ">=", 1.9),
        ("two CPUs to one, admitted", "times", two_cpus(result, "admitted, 10,000 sources"), ">=",
         1.9),
        ("end to end: nftables at input to Sluice native", "times",
         ratio(live(result, NFT_INPUT), native), ">=", 4),
        ("end to end: nftables at ingress to Sluice native", "times",
         ratio(live(result, NFT_INGRESS), native), ">=", 3),
        ("end to end: Sluice native to a program that parses and drops", "times",
         ratio(native, live(result, PARSE)), "<=", 1.5),
        ("accuracy: furthest from rate x time + burst", "%", _worst_accuracy(result), "<=", 0.5),
        ("the daemon's share of a CPU", "%", daemon.get("cpu_percent"), "<=", 0.2),
        ("the daemon's resident memory", "MiB", ratio(resident, MIB), "<=", 8),
    )
    return [{"target": what, "unit": unit, "figure": None if got is None else round(got, 3),
             "bound": f"{sign} {bound:g}" if bound is not None else NOT_MEASURED,
             "met": None if got is None or bound is None else
             (got <= bound if sign == "<=" else got >= bound)}
            for what, unit, got, sign, bound in rows]


def met(row):
    return {True: "met", False: "not met", None: NOT_MEASURED}[row["met"]]


def figure(row):
    if row["figure"] is None:
        return "-"
    if row["unit"] == "ns":
        return f"{row['figure']:.0f} ns"
    return f"{row['figure']:.2f} {row['unit']}"


# --- the table ------------------------------------------------------------------------------------

def tables(result):
    """(title, head, rows) of all that was measured: for the terminal and for the document."""
    yield ("Targets", ("", "measured", "target", ""),
           [(r["target"], figure(r), r["bound"], met(r)) for r in result["targets"]])
    if "costs" in result:
        yield ("One decision, ns above an empty program", ("", "one CPU", "two CPUs at once"),
               [(r["case"], f"{r['ns']:.1f}" if r["ns"] < 10 else f"{r['ns']:.0f}",
                 f"{r['ns_two_cpus']:.1f}" if r["ns_two_cpus"] < 10 else f"{r['ns_two_cpus']:.0f}")
                for r in result["costs"]])
    if "stages" in result:
        steps, before = [], 0
        for r in result["stages"]:
            steps.append((r["stage"], f"{r['ns']:.0f}", f"{r['ns'] - before:.0f}"))
            before = r["ns"]
        yield ("Where the time of the flood path goes, ns", ("up to here", "in all", "step"), steps)
    if "live" in result:
        yield ("End to end, ns of the receiving CPU for a SYN",
               ("", "sources", "ns (least - most)", "SYNs/s", "times Sluice native"),
               [(r["case"], f"{r['sources']:,}",
                 f"{r['ns']:.0f} ({r['ns_least']:.0f} - {r['ns_most']:.0f})", f"{r['per_s']:,}",
                 f"{ratio(r['ns'], live(result, NATIVE, sources=r['sources'])) or 0:.2f}")
                for r in result["live"]])
    if result.get("profile"):
        yield ("Sluice native under the flood, % of the receiving thread's time", ("", "%"),
               [(r["symbol"], f"{r['percent']:.1f}") for r in result["profile"]])
    if "accuracy" in result:
        yield ("Admitted, against rate x time + burst",
               ("limit", "load", "CPUs", "judged", "admitted", "expected", "%"),
               [(r["limit"], r["load"], str(r["cpus"]), f"{r['judged']:,}", f"{r['admitted']:,}",
                 f"{r['expected']:,.0f}", f"{r['percent']:+.2f}") for r in result["accuracy"]])
    if "daemon" in result:
        d = result["daemon"]
        yield (f"The daemon in a storm of {d['storm_per_s']:,} SYNs/s, measured for "
               f"{d['measured_s']:.0f} s", ("", ""),
               [("share of a CPU", f"{d['cpu_percent']:.3f} %"),
                ("CPU seconds an hour, extrapolated", f"{d['cpu_s_an_hour']:.1f}"),
                ("resident", f"{d['resident_kib'] / MIB:.1f} MiB"),
                ("of it memory of its own", f"{d['of_its_own_kib'] / MIB:.1f} MiB"),
                ("of it program and libraries", f"{d['of_files_kib'] / MIB:.1f} MiB"),
                ("of it maps of the kernel's programs", f"{d['of_maps_kib'] / MIB:.1f} MiB"),
                ("CPU of one change of the policy", f"{d['change_cpu_us']:,} us"),
                ("`sluice set`, from start to end", f"{d['change_command_us']:,} us")])
    if result.get("paths"):
        yield ("Instructions of a path, without what the tables do", ("", "instructions"),
               [(r["path"], str(r["instructions"])) for r in result["paths"]])
    if "programs" in result:
        yield ("Programs", ("", "instructions", "bytes of machine code", "functions"),
               [(r["program"], f"{r['insns']:,}", f"{r['jited_bytes']:,}", str(r["functions"]))
                for r in result["programs"]])
    if result["skipped"]:
        yield ("Skipped", ("", "why"), [(r["what"], r["why"]) for r in result["skipped"]])


def print_table(result):
    for title, head, rows in tables(result):
        width = [max(len(r[n]) for r in (head, *rows)) for n in range(len(head))]
        print(f"\n{title}")
        for row in (head, *rows) if any(head) else rows:
            print("  " + f"{row[0]:<{width[0]}}" +
                  "".join(f"  {cell:>{width[n + 1]}}" for n, cell in enumerate(row[1:])))
    print()
