# SPDX-License-Identifier: GPL-2.0-or-later
"""A strict reader of Prometheus' text format 0.0.4, for what sluiced writes."""

import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (-?[0-9.]+(?:e[+-]?[0-9]+)?|NaN|[+-]Inf)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
TYPES = ("counter", "gauge", "histogram")
PARTS = ("_bucket", "_sum", "_count")
ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+|[0-9a-fA-F]*:[0-9a-fA-F:]*:")


class Malformed(Exception):
    pass


def _labels(text, line):
    labels, at = {}, 0
    while text and at < len(text):
        found = LABEL.match(text, at)
        if not found or found.group(1) in labels:
            raise Malformed(f"labels: {line}")
        labels[found.group(1)] = found.group(2)
        at = found.end()
    return labels


def parse(text):
    """Returns {family: {"help", "type", "samples": {frozenset(labels): value}}}, or Malformed."""
    if not text.endswith("\n"):
        raise Malformed("the last line is not complete")
    families, current = {}, None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, _, sentence = line[7:].partition(" ")
            if name in families or not sentence or not re.fullmatch(NAME, name):
                raise Malformed(f"HELP: {line}")
            current = families[name] = {"help": sentence, "type": None, "samples": {}}
            current_name = name
        elif line.startswith("# TYPE "):
            name, _, kind = line[7:].partition(" ")
            if not current or name != current_name or current["type"] or kind not in TYPES:
                raise Malformed(f"TYPE: {line}")
            current["type"] = kind
        else:
            found = SAMPLE.fullmatch(line)
            if not found or not current or not current["type"]:
                raise Malformed(f"sample: {line}")
            labels = _labels(found.group(2), line)
            if current["type"] == "histogram":
                part = found.group(1).removeprefix(current_name)
                if part not in PARTS or (part == "_bucket") != ("le" in labels):
                    raise Malformed(f"histogram: {line}")
                labels["part"] = part
            elif found.group(1) != current_name:
                raise Malformed(f"sample: {line}")
            key = frozenset(labels.items())
            if key in current["samples"]:
                raise Malformed(f"twice: {line}")
            current["samples"][key] = float(found.group(3))
    for name, family in families.items():
        if family["type"] == "histogram":
            _check_histogram(name, family["samples"])
    return families


def _check_histogram(name, samples):
    """Cumulative, ends at +Inf, and agrees with its own count."""
    buckets = sorted((float(dict(k)["le"]), v) for k, v in samples.items() if "le" in dict(k))
    counts = [v for _, v in buckets]
    whole = [v for k, v in samples.items() if dict(k)["part"] == "_count"]
    if not buckets or buckets[-1][0] != float("inf") or counts != sorted(counts) or \
            whole != counts[-1:]:
        raise Malformed(f"buckets: {name}")


def total(metric, **labels):
    """The sum of a metric's samples that carry these labels."""
    wanted = set(labels.items())
    return sum(v for k, v in metric["samples"].items() if wanted <= k)
