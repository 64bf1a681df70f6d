#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""document.py BENCH.JSON - puts a run of the bench into docs/: its JSON, its tables, its picture.

docs/performance.md and the README have sections between `<!-- bench: NAME begin -->` and
`<!-- bench: NAME end -->`; every measured figure in them stands in such a section, and each comes
out of docs/bench.json. A test holds them to it.
"""

import json
import os
import re
import sys
from xml.sax.saxutils import escape

import report
from report import FLOODS, LISTED, NATIVE, NFT_INGRESS, NFT_INPUT, PARSE, cost, live, ratio

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RECORD, PICTURE = "docs/bench.json", "docs/performance.svg"
DOCUMENTS = ("docs/performance.md", "README.md")
HASHLIMIT, GENERIC = "iptables hashlimit at input", "Sluice, generic XDP"
GLOBAL_FIRST = "nftables at ingress, global first"
NO_LIMITER, DROP = "no limiter, a listener", "XDP that drops"

# Why a target is not met, and what would meet it.
WHY = {
    "not ours":
        "The gate finds its words of state before it parses, as the guarded ports are in the "
        "policy. Ports in the program itself would save that, but a reload would then have to "
        "load another program (see below).",
    "one source, denied by its own bucket":
        "The tables are asked here: a hit and half a dozen calls within the program, each of "
        "which costs what the table of single steps says. The target was set by prototypes on a "
        "machine whose calls cost a fraction of that. Inlining the slow path does not fit into "
        "the 512 bytes of stack that all functions of a program share; a machine without the "
        "mitigations has cheaper calls.",
    "one source, admitted: 30 ns, an insert and the look-up":
        "What the target does not name is done as well: two tables asked and two words charged by "
        "exchange, three rings of attempts that are on their way, the place in the accept queue "
        "claimed, the presence filter written. Each is a call or more. It is also the path that "
        "matters least: an admitted SYN costs the TCP stack more than this, and no more of them "
        "come than connection-rate lets in.",
    "all cold, admitted: two inserts and 60 ns":
        "As above; and cold lines of a table of 131,072 sources. Without a global limit nobody "
        "runs it: those inserts are bounded by connection-rate.",
    "spoofed flood, nobody listed":
        "The table of steps says where it goes. The parse and the words of state are half of it; "
        "the prototype that set the target did little more than ask one word. Fewer counters, or "
        "ports and modes that are constants, are what is left to take away.",
    "spoofed flood, 100,000 listed and 100,000 known":
        "One more cache line, of the listed; and where its bits are set by chance the tables are "
        "asked, and that SYN goes the long way. More bits would make that rarer.",
    "spoofed flood, dearest number of sources to cheapest":
        "No table is asked, whatever the number of sources. What differs is how often the line of "
        "the presence filter (1 MiB) is still in the cache.",
    "two CPUs to one, spoofed flood":
        "Nothing that is shared is written on this path. The two CPUs of this machine are shared "
        "with others, and so are their caches.",
    "two CPUs to one, admitted":
        "Two CPUs write the word of the global bucket and take locks of the kernel's LRU tables.",
    "end to end: Sluice native to a program that parses and drops":
        "Parsing hardly shows beside what the driver does for a frame. Sluice reads and writes "
        "about sixteen cache lines besides, one of them cold, and BPF cannot fetch it ahead. "
        "Fewer lines (a policy that has what the flood path needs in one, counters side by side) "
        "would help.",
    "accuracy: furthest from rate x time + burst":
        "Where the machine gives the sender no CPU for longer than it takes to fill the bucket, "
        "what the bucket could not hold is missing. A case with such a gap is repeated, up to "
        "five times.",
    "the daemon's share of a CPU":
        "Each second it samples the load, the sockets and all counters; in a storm it reads "
        "sampled events as well, and a machine that is busy with others makes all of it slower.",
    "the daemon's resident memory":
        "The table of the daemon has its parts. Maps of the kernel's programs that it has mapped "
        "count as its own, though the kernel holds them anyway: the presence filter most of all, "
        "which could be mapped only while a list is written. The rest are libc and the other "
        "libraries, shared with other processes, and what the daemon keeps: the last seconds, "
        "the last month, the known senders.",
}


# --- sections -------------------------------------------------------------------------------------

def table(head, rows):
    lines = ["| " + " | ".join(head) + " |",
             "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(r) + " |" for r in rows])


def _table(result, title):
    found = [t for t in report.tables(result) if t[0].startswith(title)]
    return table(*found[0][1:]) if found else "Not measured in this run."


def _costs(result, chosen):
    rows = next((t for t in report.tables(result) if t[0].startswith("One decision")), None)
    if not rows:
        return "Not measured in this run."
    return table(rows[1], [(r[0].removesuffix(", alone"), *r[1:]) for r in rows[2] if chosen(r[0])])


def _machine(result):
    m = result["machine"]
    kind = "virtual" if m["virtual"] else "physical"
    mitigations = ", ".join(f"{k}: {v}" for k, v in sorted(m["mitigations"].items()))
    return (f"One run of {result['took_s']} s on a {kind} machine with {m['cpus']} CPUs "
            f"({m['vendor']}), Linux {m['kernel']}. Mitigations in force that make calls and "
            f"returns "
            f"slow: {mitigations or 'none'}.")


def _targets(result):
    text = _table(result, "Targets")
    missed = [r for r in result["targets"] if r["met"] is False]
    for r in missed:
        text += f"\n\n**{r['target'][0].upper()}{r['target'][1:]}** ({report.figure(r)}, " \
                f"target {r['bound']}). {WHY[r['target']]}"
    return text


def _calls(result):
    def ns(name):
        found = cost(result, name + ", alone")
        return "?" if found is None else f"{found:.1f}" if found < 10 else f"{found:.0f}"
    return (f"A call of a helper (the coarse clock) costs {ns('the coarse clock')} ns, a call of a "
            f"function of the program itself {ns('a call within the program')} ns, a look-up that "
            f"hits {ns('a hit in the table of sources')} ns: the mitigations above make every "
            f"return "
            f"slow. The count of ticks, which the verifier turns into a load, costs "
            f"{ns('the count of ticks')} ns. So the flood path calls as little as can be.")


def _clock(result):
    coarse, precise = (cost(result, f"the {n} clock, alone") for n in ("coarse", "precise"))
    if None in (coarse, precise):
        return "Not measured in this run."
    return (f"`bpf_ktime_get_ns` costs {precise:.0f} ns, `bpf_ktime_get_coarse_ns` {coarse:.0f} "
            f"ns, "
            f"`bpf_jiffies64` {cost(result, 'the count of ticks, alone'):.1f} ns.")


def _hash(result):
    sip, quick = (cost(result, f"{n}, alone")
                  for n in ("SipHash-1-3 of two words", "the presence filter's hash"))
    return "Not measured in this run." if None in (sip, quick) else \
        f"SipHash-1-3 of two words costs {sip:.0f} ns, the filter's hash {quick:.1f} ns."


def _ends(result):
    native = live(result, NATIVE)
    return (_table(result, "End to end") +
            f"\n\nAbove a program that drops everything, Sluice costs "
            f"{native - live(result, DROP):.0f} ns a SYN, and nftables at ingress "
            f"{live(result, NFT_INGRESS) - live(result, DROP):.0f} ns."
            if native and live(result, DROP) and live(result, NFT_INGRESS) else
            _table(result, "End to end"))


def _readme(result):
    native = live(result, NATIVE)

    def times(name):
        r = ratio(live(result, name), native)
        return "not measured" if r is None else f"{r:.1f} times"
    accuracy = next(r for r in result["targets"] if r["target"].startswith("accuracy"))
    daemon = result["daemon"]
    return (f"A SYN of a spoofed flood, 1,000,000 sources and more than `connection-rate` allows, "
            f"costs the receiving CPU {native:.0f} ns in native XDP over veth: "
            f"{ratio(native, live(result, PARSE)):.1f} times a program that only parses and drops. "
            f"Limits of all and of each source in nftables cost {times(NFT_INPUT)} as much at "
            f"input "
            f"and {times(NFT_INGRESS)} at ingress, hashlimit {times(HASHLIMIT)}, Sluice in generic "
            f"XDP {times(GENERIC)}, and no limiter, answering with SYN cookies, "
            f"{times(NO_LIMITER)}. "
            f"The gate itself takes {cost(result, FLOODS[2]):.0f} ns of it, "
            f"{cost(result, LISTED):.0f} ns with 100,000 prefixes listed and 100,000 senders "
            f"known. "
            f"What is let in is rate x time + burst within {accuracy['figure']:.2f} %. The daemon "
            f"takes {daemon['cpu_percent']:.2f} % of a CPU in a storm of {daemon['storm_per_s']:,} "
            f"SYNs a second, and {daemon['resident_kib'] / 1024:.0f} MiB. `make bench` measures "
            f"it on "
            f"your machine in five minutes; [docs/performance.md](docs/performance.md) has the "
            f"rest, "
            f"and which targets are not met.")


def wrap(text, width=104):
    """Lines of prose; tables stay as they are."""
    out = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("|"):
            out.append(paragraph)
            continue
        lines, line = [], ""
        for word in paragraph.split():
            if line and len(line) + 1 + len(word) > width:
                lines.append(line)
                line = word
            else:
                line = f"{line} {word}".strip()
        out.append("\n".join([*lines, line]))
    return "\n\n".join(out)


SECTIONS = {
    "machine": _machine,
    "targets": _targets,
    "decisions": lambda r: _costs(r, lambda n: "alone" not in n),
    "single": lambda r: _costs(r, lambda n: "alone" in n),
    "calls": _calls,
    "stages": lambda r: _table(r, "Where the time"),
    "clock": _clock,
    "hash": _hash,
    "live": _ends,
    "profile": lambda r: "\n\n".join(filter(None, (_table(r, "Sluice native under"),
                                                   r.get("profile_note")))),
    "accuracy": lambda r: _table(r, "Admitted"),
    "daemon": lambda r: _table(r, "The daemon"),
    "paths": lambda r: _table(r, "Instructions"),
    "programs": lambda r: _table(r, "Programs"),
    "skipped": lambda r: _table(r, "Skipped") if r["skipped"] else "Nothing was skipped.",
    "readme": _readme,
}


def fill(text, result):
    """A document with its sections as the result has them."""
    def section(found):
        return f"{found[1]}\n{wrap(SECTIONS[found[2]](result))}\n{found[4]}"
    return re.sub(r"(<!-- bench: ([a-z]+) begin -->)\n(.*?)\n?(<!-- bench: \2 end -->)", section,
                  text, flags=re.S)


# --- the picture ----------------------------------------------------------------------------------

WIDTH, LEFT, RIGHT, ROW = 960, 270, 120, 26
INK, SOFT, RULE = "#1f2328", "#59636e", "#d1d9e0"
# After Okabe and Ito: told apart by the colour-blind too.
GREEN, BLUE, ORANGE, GREY = "#00805e", "#0072b2", "#e69f00", "#8c959f"
STEP_COLOURS = ("#56b4e9", "#0072b2", "#009e73", "#f0e442", "#e69f00", "#d55e00", "#cc79a7",
                "#8c959f", "#333333")


def _svg_text(x, y, text, size=12, fill_=SOFT, anchor="start", weight="normal"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill_}" '
            f'text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>')


def _svg_rect(x, y, w, h, fill_):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" fill="{fill_}"/>'


def _colour(name):
    if name.startswith("Sluice"):
        return GREEN
    return GREY if name.startswith("XDP") else ORANGE if name == NO_LIMITER else BLUE


def _bars(result, parts, top):
    rows = [r for r in result["live"] if r["sources"] == report.MANY]
    most, native = max(r["ns"] for r in rows), live(result, NATIVE)
    for r in rows:
        w = (WIDTH - LEFT - RIGHT) * r["ns"] / most
        parts.append(_svg_text(LEFT - 8, top + 17, r["case"], 12.5, INK, "end"))
        parts.append(_svg_rect(LEFT, top + 4, w, ROW - 8, _colour(r["case"])))
        parts.append(_svg_text(LEFT + w + 6, top + 17,
                               f"{r['ns']:,.0f} ns, {r['ns'] / native:.1f} x", 12, INK))
        top += ROW
    return top


def _steps(result, parts, top):
    whole, x, before = result["stages"][-1]["ns"], LEFT, 0
    for n, r in enumerate(result["stages"]):
        step = max(0, r["ns"] - before)
        before = max(before, r["ns"])
        w = (WIDTH - LEFT - RIGHT) * step / max(whole, before)
        parts.append(_svg_rect(x, top, w, 22, STEP_COLOURS[n % len(STEP_COLOURS)]))
        if w > 24:
            light = STEP_COLOURS[n % len(STEP_COLOURS)] in ("#56b4e9", "#f0e442", "#e69f00")
            parts.append(_svg_text(x + w / 2, top + 15, f"{step:.0f}", 11.5,
                                   INK if light else "#ffffff", "middle"))
        x += w
    parts.append(_svg_text(x + 6, top + 15, f"{whole:.0f} ns", 12, INK))
    top += 40
    for n, r in enumerate(result["stages"][1:], 1):
        parts.append(_svg_rect(LEFT, top - 10, 11, 11, STEP_COLOURS[n % len(STEP_COLOURS)]))
        parts.append(_svg_text(LEFT + 17, top, r["stage"], 11.5))
        top += 17
    return top


def picture(result):
    parts = [_svg_text(16, 30, "What a SYN of a spoofed flood costs", 18, INK, weight="bold"),
             _svg_text(16, 50, "ns of the receiving CPU, frames made in the kernel, over veth; "
                       "1,000,000 sources, all limits exceeded; shorter is better", 12)]
    top = _bars(result, parts, 66)
    parts.append(_svg_text(16, top + 34, "Of it the gate, step by step", 15, INK, weight="bold"))
    top = _steps(result, parts, top + 46)
    height = top + 8
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
            f'viewBox="0 0 {WIDTH} {height:.0f}" role="img" font-family="-apple-system, Segoe UI, '
            f'Helvetica, Arial, DejaVu Sans, sans-serif">\n'
            f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:.0f}" rx="8" '
            f'fill="#ffffff" stroke="{RULE}"/>\n' + "\n".join(parts) + "\n</svg>\n")


# --- files ----------------------------------------------------------------------------------------

def path(name):
    return os.path.join(TOP, name)


def read(name):
    with open(path(name), encoding="utf-8") as f:
        return f.read()


def write(name, text):
    with open(path(name) + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(path(name) + ".new", path(name))


def main():
    if len(sys.argv) != 2:
        sys.exit("document.py BENCH.JSON was expected")
    with open(sys.argv[1], encoding="utf-8") as f:
        text = f.read()
    result = json.loads(text)
    missing = [part for part in ("stages", "costs", "live", "accuracy", "daemon", "programs")
               if part not in result]
    if missing:
        sys.exit(f"document.py: {sys.argv[1]} has not all of a run: {', '.join(missing)}")
    write(RECORD, text)
    write(PICTURE, picture(result))
    for name in DOCUMENTS:
        write(name, fill(read(name), result))


if __name__ == "__main__":
    main()
