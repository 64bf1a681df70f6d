# SPDX-License-Identifier: GPL-2.0-or-later
"""What the Grafana dashboard asks of Prometheus, and what the alerts do."""

import json
import os
import re

from .gate import TOP

DASHBOARD = os.path.join(TOP, "dist/grafana/sluice.json")
RULES = os.path.join(TOP, "dist/prometheus/sluice.rules.yml")
NAME = re.compile(r"\b(?:sluice|node)_[A-Za-z0-9_]+")
SELECTOR = re.compile(r"\b((?:sluice|node)_[A-Za-z0-9_]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


def load():
    with open(DASHBOARD) as f:
        return json.load(f)


def expressions(board):
    """[(panel, legend, expression)] of all that it asks: panels, annotations, variables."""
    found = [(p["title"], t["legendFormat"], t["expr"])
             for p in board["panels"] for t in p["targets"]]
    found += [("annotation", a["name"], a["expr"]) for a in board["annotations"]["list"]]
    for v in board["templating"]["list"]:
        if v["type"] == "query":
            asked = re.fullmatch(r"label_values\((.*), *(\w+)\)", v["query"]["query"])
            found.append(("variable", v["name"], asked.group(1)))
    return found


def fill(expression, window="1m", **chosen):
    """The expression as Grafana sends it: all of each variable, or what is chosen of it."""
    values = {"__rate_interval": window, "job": ".*", "instance": ".*", "name": ".*"} | chosen
    return re.sub(r"\$(\w+)", lambda m: values[m.group(1)], expression)


def rules_text():
    """The alerts without their comments."""
    with open(RULES) as f:
        return re.sub(r"^ *#.*", "", f.read(), flags=re.M)


def rule_expressions():
    """[(alert, expression)]; one that is folded over lines is one line."""
    found = []
    for block in rules_text().split("- alert: ")[1:]:
        expr = re.search(r"expr: (?:>-\n)?(.*?)\n +(?:for|labels):", block, re.S).group(1)
        found.append((block.split("\n", 1)[0].strip(), " ".join(expr.split())))
    return found
