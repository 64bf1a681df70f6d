# SPDX-License-Identifier: GPL-2.0-or-later
"""A scenario: a function with a name, a time limit and figures that it asserts."""

import os
import random

SCENARIOS = {}


class Skip(Exception):
    """The machine cannot show this; the text says why."""


class Failed(Exception):
    """Nothing further makes sense; the text says why."""


class Scenario:
    def __init__(self, name, function, limit):
        self.name, self.function, self.limit = name, function, limit
        self.sentence = (function.__doc__ or "").strip().splitlines()[0]


def scenario(limit):
    """Registers test_<name>() as the scenario <name>, killed after `limit` seconds."""
    def register(function):
        name = function.__name__.removeprefix("test_")
        if name in SCENARIOS:
            raise ValueError(f"two scenarios are called {name}")
        SCENARIOS[name] = Scenario(name, function, limit)
        return function
    return register


class Test:
    """Handed to each scenario: its random numbers and the asserted figures."""

    def __init__(self, name):
        self.name = name
        self.seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
        self.rng = random.Random(self.seed)
        self.failures = 0

    def check(self, ok, text):
        """Notes a figure and whether it is as it must be. Goes on either way."""
        print(f"{'    ' if ok else 'BAD '} {text}")
        self.failures += not ok
        return ok

    def equal(self, what, got, expected):
        return self.check(got == expected, f"{what}: {got}" +
                          ("" if got == expected else f", expected {expected}"))

    def between(self, what, got, low, high):
        shown = f"{got:.3f}" if isinstance(got, float) else got
        return self.check(got is not None and low <= got <= high,
                          f"{what}: {shown} (of {low:.6g} to {high:.6g})")

    def must(self, ok, text):
        """As check, but without it the rest makes no sense."""
        if not self.check(ok, text):
            raise Failed(text)

    def note(self, text):
        print(f"     {text}")


def run(one):
    """Runs one scenario in this process. Returns its exit status: 0, 1, or 77 for skipped."""
    from . import gate
    t = Test(one.name)
    try:
        one.function(t)
    except Skip as why:
        print(f"SKIP {why}")
        return 77
    except Failed:
        pass
    except Exception:
        import traceback
        traceback.print_exc(limit=2)
        t.failures += 1
    if t.failures:
        print(f"     seed {t.seed}")
        gate.show_logs()
    return 1 if t.failures else 0
