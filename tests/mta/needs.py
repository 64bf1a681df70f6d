# SPDX-License-Identifier: GPL-2.0-or-later
"""The roots that scenarios need: built before any of them starts, for it takes longer than one may."""

from lib.scenario import Skip
from mx import root

MTAS = ("postfix", "exim", "sendmail", "opensmtpd")
missing = {}  # MTA: why its root cannot be built


def build():
    for name in MTAS:
        why = root.build(name)
        if why:
            missing[name] = why


def need(*names):
    """Skips the scenario if one of these MTAs has no root."""
    for name in names:
        if name in missing:
            raise Skip(f"{name}: {missing[name]}")
