# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/performance.md and the README are held to the run of the bench that stands beside them."""

import json
import os
import re
import sys

from lib.scenario import scenario

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(TOP, "tests", "bench"))

import document  # noqa: E402


def prose(text):
    """What is not filled in by the bench."""
    return re.sub(r"<!-- bench: ([a-z]+) begin -->.*?<!-- bench: \1 end -->", "", text, flags=re.S)


@scenario(limit=20)
def test_performance(t):
    """Every figure of docs/performance.md and its picture is that of docs/bench.json"""
    result = json.loads(document.read(document.RECORD))
    for name in document.DOCUMENTS:
        text = document.read(name)
        found = re.findall(r"<!-- bench: ([a-z]+) begin -->", text)
        t.equal(f"{name}: sections that are not there", set(found) - set(document.SECTIONS), set())
        t.check(found, f"{name}: {len(found)} sections")
        t.check(document.fill(text, result) == text, f"{name}: as bench.json has it")
    t.check(document.picture(result) == document.read(document.PICTURE), document.PICTURE)
    t.equal("figures of time outside of the sections",
            re.findall(r"[\d.,]+ (?:ns|us|%)", prose(document.read("docs/performance.md"))), [])
    t.equal("targets that were not measured",
            [r["target"] for r in result["targets"] if r["met"] is None], [])
    t.check(result["targets"] == document.report.targets(result), "targets, judged anew: the same")
    for row in result["targets"]:
        if row["met"] is False:
            t.check(row["target"] in document.WHY, f"why not met: {row['target']}")
