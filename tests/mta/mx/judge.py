# SPDX-License-Identifier: GPL-2.0-or-later
"""What the figures of a cell say: the table, and what is asserted of it."""

import math
import os
import re

MINUTE = 60  # of a storm, after which the unknown good sender is judged
QUICK, PATIENT = 5000, 60000  # ms until a mail is accepted
CONNECT_P99 = 100  # ms
LIMITS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "limits")

HEADER = """\
within 5 s, 60 s: of a good sender's mails, so many are accepted by then; connect: p50/p99 in ms;
storm: mails of the storm that were accepted, of all; unknown: from the storm's second minute on

cell                                   Sluice   known: 5 s   60 s connect       unknown: 5 s\
   60 s"""
HEADER += "  storm accepted    drops  procs sessions"


class Mails:
    """The mails of a good sender, pooled over runs: [arrival, connected, banner, accepted, end]."""

    def __init__(self, results, who, since, until=None):
        self.all = [m for r in results for m in r[who]["each"]
                    if since <= m[0] < (until or r["seconds"])]

    def __len__(self):
        return len(self.all)

    def within(self, ms):
        return sum(m[3] is not None and m[3] <= ms for m in self.all)

    def share(self, ms):
        return self.within(ms) / len(self.all) if self.all else 0.0

    def connect(self, percent):
        """Of all mails: one that never connected counts as longer than any."""
        times = sorted(math.inf if m[1] is None else m[1] for m in self.all)
        return times[min(len(times) - 1, len(times) * percent // 100)] if times else math.inf

    def outcomes(self):
        count = {}
        for m in self.all:
            count[m[4]] = count.get(m[4], 0) + 1
        return ", ".join(f"{v} {k}" for k, v in sorted(count.items(), key=lambda x: -x[1]))


def first_round(cell):
    """Seconds that the slots are taken by first sessions, whatever is limited.

    Each holding source has one session before anything can be told of it; until all have had it,
    the unknown good sender is one of them.
    """
    with open(os.path.join(LIMITS, f"{cell['mta']}.conf")) as f:
        keys = dict(re.findall(r"^([a-z-]+) *= *(\d+)", f.read(), flags=re.M))
    slots = int(keys.get("max-sessions", 0)) * (100 - int(keys.get("known-share", 20))) // 100
    return cell["hold"] * cell["sources"] / slots if slots and cell["sources"] <= 200 else 0


def since(result):
    """Where the unknown good sender begins to count: the second minute, if there is one."""
    if result["seconds"] <= MINUTE:
        return result["seconds"] // 2
    return max(MINUTE, min(first_round(result["cell"]), result["seconds"] // 2))


def known(results):
    return Mails(results, "known", 0)


def unknown(results):
    return Mails(results, "unknown", since(results[0]) if results else 0)


def mails(results):
    """The fewer of what there is to judge of the two."""
    return min(len(known(results)), len(unknown(results))) if results else 0


def _ms(value):
    return "  never" if value == math.inf else f"{value:7.1f}" if value < 1000 else \
        f"{value / 1000:5.1f} s"


def half_line(name, sluice, results):
    k, u = known(results), unknown(results)
    accepted = sum(r["storm"]["accepted"] for r in results)
    sessions = sum(r["storm"]["sessions"] for r in results)
    drops = sum(r["drops"]["ListenDrops"] for r in results)
    return (f"{name:38} {'with' if sluice else 'without':7} "
            f"{k.within(QUICK):4}/{len(k):<4} {100 * k.share(PATIENT):5.1f}% "
            f"{_ms(k.connect(50))}/{_ms(k.connect(99)).strip():8} "
            f"{u.within(QUICK):4}/{len(u):<4} {100 * u.share(PATIENT):5.1f}% "
            f"{accepted:7}/{sessions:<7} {drops:8} {max(r['processes'] for r in results):6} "
            f"{max(r['sessions'] for r in results):7}")


def run_line(result):
    from .cell import Cell
    text = half_line(Cell(**result["cell"]).name, result["sluice"], [result])
    text += "\n    known: " + known([result]).outcomes() + "; unknown: " + \
        unknown([result]).outcomes() + "; storm: " + ", ".join(
            f"{result['storm'][k]} {k}" for k in ("ok", "refused", "silent", "hung", "rejected",
                                                  "cut", "slow", "open", "skipped", "failed")
            if result["storm"][k])
    if "reasons" in result:
        text += "\n    gate: " + ", ".join(f"{v} {k}" for k, v in result["reasons"].items() if v)
    if result["flood"]:
        text += f"\n    flood: {result['flood']['sent'] / result['flood']['seconds']:.0f}/s"
    return text


def _worse(with_, without, ms=PATIENT):
    """Whether fewer get through with Sluice than without, beyond chance (one in a hundred)."""
    p1, p0 = with_.share(ms), without.share(ms)
    noise = math.sqrt(p1 * (1 - p1) / max(1, len(with_)) + p0 * (1 - p0) / max(1, len(without)))
    return p1 < p0 - 2.33 * noise - 0.01


def _with_sluice(one, results):
    """What is asserted of the half with Sluice."""
    k, u, bad = known(results), unknown(results), []
    # Of 60 mails 99 % would be all of them: one may always fail.
    if len(k) - k.within(QUICK) > max(1, len(k) // 100):
        bad.append(f"known: {k.within(QUICK)} of {len(k)} accepted within 5 s, 99 % expected "
                   f"({k.outcomes()})")
    if not k.connect(99 if len(k) >= 100 else 98) < CONNECT_P99:
        bad.append(f"known: p99 of connect is {_ms(k.connect(99)).strip()}, < 100 ms expected")
    # With too few slots the first round lasts as long as the storm: reported, and not asserted.
    older = MINUTE < results[0]["seconds"] and first_round(results[0]["cell"]) < \
        results[0]["seconds"] // 2
    if older and one.hold and one.sources == 200 and u.share(PATIENT) < 0.8:
        bad.append(f"unknown: {u.within(PATIENT)} of {len(u)} accepted within 60 s, 80 % expected "
                   f"({u.outcomes()})")
    for r in results:
        if r["became-known"]:
            bad.append(f"of the storm have become known: {', '.join(r['became-known'][:5])}")
    return bad


def cell(one, halves):
    """The lines of the table for a cell, and what is wrong with it."""
    lines, bad = [], []
    by_side = {half.sluice: half.results for half in halves}
    for half in halves:
        if half.results:
            lines.append(half_line(one.name, half.sluice, half.results))
        for why in half.failures:
            bad.append(f"a run {'with' if half.sluice else 'without'} Sluice failed: {why}")
    without, with_ = by_side.get(False), by_side.get(True)
    if with_:
        bad += _with_sluice(one, with_)
    if with_ and without:
        for name, mails_of in (("known", known), ("unknown", unknown)):
            if _worse(mails_of(with_), mails_of(without)):
                bad.append(f"{name}: {100 * mails_of(with_).share(PATIENT):.1f} % accepted within "
                           f"60 s, without Sluice {100 * mails_of(without).share(PATIENT):.1f} %")
    return lines + [f"BAD  {text}" for text in bad], bad
