# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run comes to: the rows of the table, as (label, unit, value) and as text."""

import math

from scenario import CALM, IN_TIME, LIMIT, PROCESSES, STORM, STORM_RATE

NEVER = math.inf
BANNER_IN = 10  # s: of the storm's connections


def delay(mail, what):
    """Seconds from the first SYN to "banner" or "delivered"; NEVER if it did not come."""
    return mail[what] - mail["arrived"] if mail[what] >= 0 else NEVER


def kind(mail):
    waited = delay(mail, "delivered")
    return "lost" if waited == NEVER else "late" if waited > IN_TIME else "in time"


def quantile(values, q):
    """The smallest value that at least the share q of all does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)] if ordered else NEVER


def seconds(value):
    if value == NEVER:
        return "never"
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def _delays(mails, what):
    values = [delay(m, what) for m in mails]
    return " / ".join(seconds(quantile(values, q)) for q in (0.5, 0.95, 1))


def in_storm(run):
    return [m for m in run["good"] if CALM <= m["arrived"] < CALM + STORM]


def in_time(mails):
    return sum(kind(m) == "in time" for m in mails)


def total(run, key):
    return sum(row[key] for row in run["seconds"])


def peak(run, key):
    return max(row[key] for row in run["seconds"])


def by_reason(run, with_sluice):
    """Which of the limits deferred how many: rows under "deferred"."""
    reasons = {}
    for row in run["reasons"]:
        if row["verdict"] == "defer":
            reasons[row["reason"]] = reasons.get(row["reason"], 0) + row["count"]
    return [(f"    by {name}", f"{reasons.get(name, 0):,}" if with_sluice else "-")
            for name in ("subnet-rate", "source-rate", "first-time", "connection-rate")]


def table(run, with_sluice):
    """(label, text) of one run; a label without text is a heading."""
    mails, storm = run["good"], run["storm"]
    hard = in_storm(run)
    lost = sum(kind(m) == "lost" for m in mails)
    verdict = (lambda key: f"{total(run, key):,}") if with_sluice else (lambda key: "-")
    quick = sum(delay(s, "banner") <= BANNER_IN for s in storm)
    return [
        ("The good sender, 1 mail/s", None),
        ("  mails sent", str(len(mails))),
        (f"  delivered, within {IN_TIME} s", f"{len(mails) - lost}, {in_time(mails)}"),
        ("  sent during the storm", str(len(hard))),
        (f"  of these delivered within {IN_TIME} s", str(in_time(hard))),
        ("  to the banner, p50 / p95 / max", _delays(mails, "banner")),
        ("  to delivery, p50 / p95 / max", _delays(mails, "delivered")),
        (f"The storm, {STORM_RATE} connections/s", None),
        ("  connections tried", f"{len(storm):,}"),
        (f"  with a banner within {BANNER_IN} s", f"{quick:,}"),
        ("  refused (RST)", f"{sum(s['outcome'] == 'refused' for s in storm):,}"),
        ("Sluice, SYNs of both and their retransmits", None),
        ("  admitted", verdict("admitted")),
        ("  deferred", verdict("deferred")),
        *by_reason(run, with_sluice),
        ("  refused", verdict("refused")),
        ("The MTA", None),
        (f"  sessions at once, of {PROCESSES}", str(peak(run, "sessions"))),
        ("  ListenOverflows", f"{total(run, 'overflows'):,}"),
        ("  ListenDrops", f"{total(run, 'drops'):,}"),
        ("  load average, highest", f"{peak(run, 'load'):.1f}"),
    ]


def never_means():
    return (f"Each mail is tried once; its sender gives up after {LIMIT} s, which counts as "
            "never.")
