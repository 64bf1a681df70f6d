# SPDX-License-Identifier: GPL-2.0-or-later
"""The two runs in the terminal: a line of characters for each thing, a character a second."""

import os
import sys
import textwrap

import summary
from scenario import CALM, IN_TIME, MAILS_UNTIL, PROCESSES, SETTLE, STORM, STORM_RATE

SECONDS = MAILS_UNTIL + SETTLE
LABEL = 26
WIDTH = 96


def _unicode():
    # By name, not by setlocale(): a bare machine names a locale that it has not got.
    names = (os.environ.get(name) for name in ("LC_ALL", "LC_CTYPE", "LANG"))
    return "utf8" in next(filter(None, names), "C").lower().replace("-", "")


UNICODE = _unicode()
if UNICODE:
    sys.stdout.reconfigure(encoding="utf-8")
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ
BARS = " ▁▂▃▄▅▆▇█" if UNICODE else " .:-=+*#%@"
MARKS = {"in time": "●", "late": "◐", "lost": "✗"} if UNICODE else {
    "in time": "o", "late": "~", "lost": "X"}
MARK_COLOURS = {"in time": "32", "late": "33", "lost": "31;1"}
TIERS = {"delay": "d", "queue": "q", "refuse": "R"}  # the most severe one is last


def colour(code, text):
    return f"\x1b[{code}m{text}\x1b[0m" if COLOUR and text.strip() else text


def _bars(values, most):
    def bar(v):
        if v <= 0 or most <= 0:
            return BARS[0]
        return BARS[max(1, min(len(BARS) - 1, round(v / most * (len(BARS) - 1))))]
    return "".join(bar(v) for v in values)


def _line(label, drawn, note=""):
    print(f"  {label:<{LABEL}}{drawn}  {note}".rstrip())


def _mails(run):
    worst = {}
    order = list(MARKS)
    for mail in run["good"]:
        second, kind = int(mail["arrived"]), summary.kind(mail)
        if second not in worst or order.index(kind) > order.index(worst[second]):
            worst[second] = kind
    return "".join(colour(MARK_COLOURS[worst[s]], MARKS[worst[s]]) if s in worst else " "
                   for s in range(SECONDS))


def _tiers(run):
    def letter(row):
        active = [TIERS[t] for t in TIERS if t in row["active"]]
        return active[-1] if active else "-"
    return "".join(letter(row) for row in run["seconds"][:SECONDS])


def _axis():
    storm = f"storm, {STORM_RATE}/s"
    line = "-" if not UNICODE else "─"
    _line("", "calm".ljust(CALM) + storm.center(STORM, " ") + "after")
    _line("", (line * CALM) + colour("31", ("━" if UNICODE else "=") * STORM) +
          line * (SECONDS - CALM - STORM), "40 s" if SECONDS == 40 else f"{SECONDS} s")


def _values(run, key):
    return [row[key] for row in run["seconds"][:SECONDS]]


def timeline(run, title, both, with_sluice):
    def series(label, key, unit, code="0"):
        most = max(max(_values(r, key)) for r in both)
        values = _values(run, key)
        _line(label, colour(code, _bars(values, most)), f"up to {max(values):,} {unit}".rstrip())

    mails = run["good"]
    good = summary.in_time(mails)
    print(colour("1", title))
    _axis()
    _line("good mails, when sent", _mails(run), f"{good} of {len(mails)} within {IN_TIME} s")
    series("accepted by the MTA", "accepted", "connections/s", "36")
    series("dropped: queue full", "drops", "packets/s", "31")
    if with_sluice:
        series("deferred by Sluice", "deferred", "SYNs/s", "33")
        series("refused by Sluice", "refused", "SYNs/s", "31")
    series(f"sessions, of {PROCESSES}", "sessions", "", "35")
    series("load average of the MTA", "load", "", "34")
    if with_sluice:
        _line("tier", _tiers(run), "- normal  d delay  q queue  R refuse")
    print()


def legend():
    print("  " + "   ".join(f"{MARKS[k]} {text}" for k, text in (
        ("in time", f"delivered within {IN_TIME} s"), ("late", "later"),
        ("lost", "not at all (the worst of that second)"))))
    print("  Bars of one name have one scale in both runs.\n")


def table(without, with_it):
    print(colour("1", f"  {'':<44}{'without Sluice':<26}{'with Sluice'}"))
    for (label, a), (_, b) in zip(summary.table(without, False), summary.table(with_it, True)):
        if a is None:
            print(colour("1", f"  {label}"))
        else:
            print(f"  {label:<44}{a:<26}{b}")
    print()


def paragraph(text):
    print(textwrap.fill(text, WIDTH))
