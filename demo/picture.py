# SPDX-License-Identifier: GPL-2.0-or-later
"""The two runs as one SVG, on a card of its own so that it reads on any background."""

import math
from xml.sax.saxutils import escape

import summary
from load import SPEED
from pacing import BURST, RATE
from scenario import (CALM, HOSTS, IN_TIME, LIMIT, MAILS_UNTIL, PROCESSES, SETTLE, STORM,
                      STORM_RATE, SUBNETS)

WIDTH, LEFT, RIGHT = 960, 190, 28
SECONDS = MAILS_UNTIL + SETTLE
INK, SOFT, RULE, STORM_SHADE = "#1f2328", "#59636e", "#d1d9e0", "#fbeee6"
# After Okabe and Ito: told apart by the colour-blind too.
BLUE, ORANGE, RED, PURPLE, GREEN = "#0072b2", "#e69f00", "#c8400a", "#8a5a9e", "#00805e"
MARKS = {"in time": GREEN, "late": ORANGE, "lost": RED}
TIERS = (("refuse", RED), ("queue", ORANGE), ("delay", "#f5d76e"))
FASTEST = 0.03  # s, the foot of the axis of delays


class Svg:
    def __init__(self):
        self.parts = []

    def add(self, text):
        self.parts.append(text)

    def text(self, x, y, text, size=12, fill=SOFT, anchor="start", weight="normal"):
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" '
                 f'text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>')

    def rect(self, x, y, w, h, fill, more=""):
        self.add(f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" '
                 f'fill="{fill}" {more}/>')

    def line(self, x1, y1, x2, y2, stroke=RULE, width=1, more=""):
        self.add(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                 f'stroke="{stroke}" stroke-width="{width}" {more}/>')

    def mark(self, kind, x, y):
        """A dot, a triangle, a cross: the shape says it without the colour."""
        c = MARKS[kind]
        if kind == "in time":
            self.add(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{c}"/>')
        elif kind == "late":
            self.add(f'<path d="M{x:.1f} {y - 5:.1f}l5 9h-10z" fill="{c}"/>')
        else:
            self.add(f'<path d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8" stroke="{c}" '
                     f'stroke-width="2.4" fill="none"/>')

    def whole(self, height):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
                f'viewBox="0 0 {WIDTH} {height}" role="img" font-family="-apple-system, '
                f'Segoe UI, Helvetica, Arial, DejaVu Sans, sans-serif">\n'
                f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8" '
                f'fill="#ffffff" stroke="{RULE}"/>\n' + "\n".join(self.parts) + "\n</svg>\n")


def at(second):
    return LEFT + (WIDTH - LEFT - RIGHT) * second / SECONDS


class Panel:
    """One strip of a run: its box, its label at the left, its axis."""

    def __init__(self, svg, top, height, name, unit):
        self.svg, self.top, self.bottom = svg, top, top + height
        svg.rect(at(CALM), top, at(CALM + STORM) - at(CALM), height, STORM_SHADE)
        svg.line(LEFT, self.bottom, at(SECONDS), self.bottom)
        svg.text(16, top + 12, name, 12, INK)
        svg.text(16, top + 27, unit, 11)

    def tick(self, y, text, dashed=True):
        self.svg.text(LEFT - 6, y + 4, text, 10.5, SOFT, "end")
        if dashed:
            self.svg.line(LEFT, y, at(SECONDS), y, RULE, 1, 'stroke-dasharray="2 4"')

    def y(self, value, most):
        return self.bottom - (self.bottom - self.top) * min(value, most) / most

    def bars(self, stacks, most):
        """A bar a second: stacks are (values, colour), the first at the foot."""
        for n in range(SECONDS):
            low = 0
            for values, fill in stacks:
                value = values[n] if n < len(values) else 0
                if value > 0:
                    y = self.y(low + value, most)
                    self.svg.rect(at(n) + 1, y, at(1) - at(0) - 2, self.y(low, most) - y, fill)
                    low += value

    def steps(self, values, most, stroke):
        """A line through the values at the ends of their seconds, and the area below it."""
        points = [(at(0), self.bottom)] + [(at(n + 1), self.y(v, most))
                                           for n, v in enumerate(values[:SECONDS])]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.svg.add(f'<polygon points="{path} {points[-1][0]:.1f},{self.bottom:.1f}" '
                     f'fill="{stroke}" fill-opacity="0.18"/>')
        self.svg.add(f'<polyline points="{path}" fill="none" stroke="{stroke}" '
                     f'stroke-width="1.8"/>')


def nice(most):
    """The next round number: 1 to 8 times a power of ten."""
    if most <= 0:
        return 1
    unit = 10 ** math.floor(math.log10(most))
    return next(k * unit for k in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if k * unit >= most)


def _values(run, key):
    return [row[key] for row in run["seconds"][:SECONDS]]


def _most(both, *keys):
    return nice(max(sum(row[k] for k in keys) for r in both for row in r["seconds"][:SECONDS]))


def _mails(svg, top, run):
    height, strip = 110, 22  # the strip on top is for those that never arrived
    panel = Panel(svg, top, height, "Good sender's mails", "time to delivery, s")
    span = math.log(LIMIT / FASTEST)

    def y(delay):
        if delay == summary.NEVER:
            return top + strip / 2 - 2
        share = math.log(max(delay, FASTEST) / FASTEST) / span
        return panel.bottom - (height - strip) * share
    panel.tick(y(summary.NEVER), "never", False)
    for value in (0.1, 1, IN_TIME, LIMIT):
        panel.tick(y(value), f"{value:g}")
    svg.line(LEFT, y(IN_TIME), at(SECONDS), y(IN_TIME), GREEN, 1, 'stroke-dasharray="5 4"')
    for mail in run["good"]:
        svg.mark(summary.kind(mail), at(mail["arrived"]), y(summary.delay(mail, "delivered")))
    return panel.bottom


def _accepted(svg, top, run, both):
    panel = Panel(svg, top, 44, "Accepted by the MTA", "connections/s")
    most = _most(both, "accepted")
    panel.tick(panel.y(most, most), f"{most:,g}")
    panel.bars([(_values(run, "accepted"), BLUE)], most)
    return panel.bottom


def _turned_away(svg, top, run, both):
    panel = Panel(svg, top, 44, "Not let in", "packets/s")
    keys = ("drops", "deferred", "refused")
    most = _most(both, *keys)
    panel.tick(panel.y(most, most), f"{most:,g}")
    panel.bars([(_values(run, key), fill) for key, fill in zip(keys, (RED, ORANGE, INK))], most)
    return panel.bottom


def _sessions(svg, top, run):
    panel = Panel(svg, top, 44, "Sessions at once", f"of {PROCESSES} processes")
    panel.tick(panel.y(PROCESSES, PROCESSES), str(PROCESSES))
    panel.steps(_values(run, "sessions"), PROCESSES, PURPLE)
    return panel.bottom


def _load(svg, top, run, both):
    panel = Panel(svg, top, 44, "MTA's load average", f"sped up {SPEED} times")
    most = _most(both, "load")
    panel.tick(panel.y(most, most), f"{most:g}")
    panel.steps(_values(run, "load"), most, BLUE)
    return panel.bottom


def _tier(svg, top, run):
    svg.text(16, top + 10, "Tier of Sluice", 12, INK)
    for n, row in enumerate(run["seconds"][:SECONDS]):
        fill = next((c for name, c in TIERS if name in row["active"]), "#e6eaee")
        svg.rect(at(n) + 0.5, top, at(1) - at(0) - 1, 12, fill)
    return top + 12


def _axis(svg, top):
    for second in range(0, SECONDS + 1, 5):
        svg.line(at(second), top, at(second), top + 4, SOFT)
        svg.text(at(second), top + 16, str(second), 10.5, SOFT, "middle")
    svg.text(16, top + 16, "seconds of the run", 11)
    return top + 16


def _run(svg, top, run, both, title, with_sluice):
    mails = summary.in_storm(run)
    good, p50 = summary.in_time(mails), summary.quantile(
        [summary.delay(m, "delivered") for m in mails], 0.5)
    median = "never" if p50 == summary.NEVER else summary.seconds(p50)
    svg.text(16, top, title, 16, INK, weight="bold")
    svg.text(at(SECONDS), top, f"{good} of {len(mails)} good mails sent in the storm arrive "
             f"within {IN_TIME} s, median: {median}", 13,
             GREEN if good > 0.9 * len(mails) else RED, "end", "bold")
    svg.text((at(CALM) + at(CALM + STORM)) / 2, top + 20,
             f"storm: {STORM_RATE} new connections/s", 11, RED, "middle")
    top = _mails(svg, top + 26, run)
    top = _accepted(svg, top + 12, run, both)
    top = _turned_away(svg, top + 12, run, both)
    top = _sessions(svg, top + 12, run)
    top = _load(svg, top + 12, run, both)
    if with_sluice:
        top = _tier(svg, top + 10, run)
    return _axis(svg, top + 4)


def _legend(svg, top):
    x = 22
    for kind, text in (("in time", f"delivered within {IN_TIME} s"), ("late", "later"),
                       ("lost", f"not within {LIMIT} s")):
        svg.mark(kind, x, top - 4)
        svg.text(x + 10, top, text)
        x += 30 + 6.4 * len(text)
    for fill, text in ((RED, "dropped by the kernel: accept queue full"),
                       (ORANGE, "deferred by Sluice"), (INK, "refused")):
        svg.rect(x, top - 10, 11, 11, fill)
        svg.text(x + 16, top, text)
        x += 34 + 6.0 * len(text)
    x = 22
    for fill, text in (("#e6eaee", "tier normal"),
                       *((c, n) for n, c in reversed(TIERS))):
        svg.rect(x - 5, top + 12, 11, 11, fill)
        svg.text(x + 11, top + 22, text)
        x += 34 + 6.2 * len(text)
    return top + 22


def _pacing(svg, top, pacing):
    """Each connect a dot: when it was through, and which in the order of the connects it was."""
    height, most = 92, nice(max(max(took) for took in pacing.values()))
    svg.text(16, top, "Deferred or held", 16, INK, weight="bold")
    svg.text(at(SECONDS), top, f"{len(pacing['held'])} connects at once, connection-rate = "
             f"{RATE}/s, connection-burst = {BURST}", 12, SOFT, "end")
    top += 14
    for fill, name, unit in ((ORANGE, "deferred", "the client's timer: whole seconds"),
                             (GREEN, "held", "pace-horizon: in turn, 1/rate apart")):
        svg.rect(LEFT, top, at(SECONDS) - LEFT, height / 2, "#f6f8fa")
        svg.text(16, top + 14, name, 12, INK)
        svg.text(16, top + 29, unit.split(":")[0] + ":", 10.5)
        svg.text(16, top + 42, unit.split(":")[1].strip(), 10.5)
        took = pacing[name]
        for n, seconds in enumerate(took):
            if seconds >= 0:
                x = LEFT + (at(SECONDS) - LEFT) * seconds / most
                y = top + 4 + (height / 2 - 8) * n / max(len(took) - 1, 1)
                svg.add(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{fill}"/>')
        top += height / 2 + 8
    for n in range(int(most) + 1):
        x = LEFT + (at(SECONDS) - LEFT) * n / most
        svg.line(x, top - 4, x, top, SOFT)
        svg.text(x, top + 12, f"{n} s", 10.5, SOFT, "middle")
    svg.text(16, top + 12, "after the connects", 11)
    return top + 12


def make(without, with_it, pacing):
    svg, both = Svg(), (without, with_it)
    svg.text(16, 32, "A small mail exchanger in a storm, without Sluice and with it", 19, INK,
             weight="bold")
    svg.text(16, 52, f"{STORM_RATE} new connections/s from {SUBNETS * HOSTS} sources in "
             f"{SUBNETS} networks, beside one good sender with 1 mail/s; real kernel TCP, the "
             f"same arrivals in both runs", 12)
    top = _run(svg, 88, without, both, "Without Sluice", False)
    top = _run(svg, top + 44, with_it, both, "With Sluice", True)
    top = _legend(svg, top + 34)
    top = _pacing(svg, top + 40, pacing)
    return svg.whole(top + 18)
