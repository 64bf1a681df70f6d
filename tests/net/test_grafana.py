# SPDX-License-Identifier: GPL-2.0-or-later
"""The dashboard: well-formed, of metrics that there are, none of those that matter forgotten."""

import json
import os
import re
import subprocess

from lib import dashboard, exposition, promtool
from lib.gate import Gate, limits, write
from lib.room import until
from lib.sandbox import WORK
from lib.scenario import Skip, scenario
from lib.topology import Net

# Of the exposition, and not on the one screen: `sluice status` and a query of one's own have them.
LEFT_OUT = """sluice_class_prefixes sluice_policy_changes_total sluice_tier_changes_total
sluice_sessions_begun_total sluice_sessions_ended_total sluice_sessions_healed_total
sluice_listeners sluice_hold_released_total sluice_known_promoted_total
sluice_known_expired_total sluice_known_evicted_total""".split()

# Of the node exporter: the scenario prometheus has them from the real one.
OF_THE_EXPORTER = {"node_textfile_mtime_seconds", "node_netstat_TcpExt_ListenDrops"}
OF_PROMETHEUS = {"job", "instance"}


def _values(families):
    """Every metric as it is named in a query: {name: {label: its values}}."""
    found = {}
    for name, family in families.items():
        for sample in family["samples"]:
            labels = dict(sample)
            of = found.setdefault(name + labels.pop("part", "")
                                  if family["type"] == "histogram" else name, {})
            for label, value in labels.items():
                of.setdefault(label, set()).add(value)
    return found


def _wrong(expression, values):
    """What an expression selects by, and no series has."""
    found = []
    for name, matchers in dashboard.SELECTOR.findall(expression):
        if name in OF_THE_EXPORTER:
            continue
        for label, how, wanted in dashboard.MATCHER.findall(matchers):
            if label in OF_PROMETHEUS:
                continue
            have = values[name].get(label)
            if not have:
                found.append(f"{name} has no label {label}")
            elif how in ("=~", "!~") and not re.search(r"[.*$]", wanted):
                found += [f"{name}: no {label} is {one}" for one in wanted.split("|")
                          if one not in have]
            elif how in ("=", "!=") and wanted not in have:
                found.append(f"{name}: no {label} is {wanted}")
    return found


@scenario(limit=30)
def test_grafana(t):
    """Dashboard and alerts name metrics, labels and values that there are, and forget none"""
    path = os.path.join(WORK, "sluice.prom")
    gate = Gate(Net(), limits("10/s", 10, retry=0, pace_horizon="800ms"), mode="monitor",
                metrics={"textfile": path, "interval": "1s"})
    gate.start()
    until("metrics", lambda: os.path.exists(path))
    with open(path) as f:
        values = _values(exposition.parse(f.read()))
    board = dashboard.load()
    asked = [e for _, _, e in dashboard.expressions(board)]
    alerts = [e for _, e in dashboard.rule_expressions()]
    t.check(len(asked) > 50 and len(alerts) >= 15, f"{len(asked)} queries, {len(alerts)} alerts")
    named = {n for e in asked + alerts for n in dashboard.NAME.findall(e)}
    t.equal("named, and not there", named - values.keys() - OF_THE_EXPORTER, set())
    for e in asked + alerts:
        for wrong in _wrong(e, values) if not named - values.keys() - OF_THE_EXPORTER else ():
            t.check(False, f"{wrong}: {e}")
    shown = {re.sub("_(bucket|sum|count)$", "", n) for e in asked
             for n in dashboard.NAME.findall(e)}
    there = {re.sub("_(bucket|sum|count)$", "", n) for n in values}
    t.equal("there, and neither shown nor left out on purpose", there - shown - set(LEFT_OUT),
            set())
    t.equal("left out, and shown or not there", [n for n in LEFT_OUT if n in shown
                                                 or n not in there], [])


@scenario(limit=30)
def test_grafana_board(t):
    """Each panel says what it shows, has a unit, a place of its own and the variables"""
    board = dashboard.load()
    t.check(board["schemaVersion"] >= 42, f"schemaVersion {board['schemaVersion']}")
    kinds = {v["name"]: v["type"] for v in board["templating"]["list"]}
    t.equal("variables", kinds, {"datasource": "datasource", "job": "query", "instance": "query",
                                 "name": "query"})
    taken, ids = {}, set()
    for panel in board["panels"]:
        at, title = panel["gridPos"], panel["title"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"])
                 for y in range(at["y"], at["y"] + at["h"])}
        over = {taken[c] for c in cells if c in taken}
        taken |= dict.fromkeys(cells, title)
        ids.add(panel["id"])
        fine = (not over and at["x"] + at["w"] <= 24 and len(panel["description"]) > 40
                and panel["fieldConfig"]["defaults"]["unit"]
                and panel["datasource"]["uid"] == "${datasource}"
                and all(o["datasource"]["uid"] == "${datasource}" for o in panel["targets"])
                and len({o["refId"] for o in panel["targets"]}) == len(panel["targets"]))
        t.check(fine, f"{title}" + (f" lies over {over}" if over else ""))
        for one in panel["targets"]:
            for name, matchers in dashboard.SELECTOR.findall(one["expr"]):
                wanted = OF_PROMETHEUS | ({"name"} if name.startswith("sluice") else set())
                have = {label for label, _, value in dashboard.MATCHER.findall(matchers)
                        if value == f"${label}"}
                t.check(wanted == have, f"{title}: {name} by {sorted(have)}") if wanted != have \
                    else None
    t.equal("panels, each with an id of its own", len(ids), len(board["panels"]))
    t.check(max(y for _, y in taken) < 28, "one screen: 27 rows of Grafana's grid")


@scenario(limit=30)
def test_grafana_queries(t):
    """promtool parses every query of the dashboard, and not one that is broken"""
    tool, why = promtool.find()
    if not tool:
        raise Skip(why)

    def check(expressions):
        rules = [{"record": f"q:{n}", "expr": e} for n, e in enumerate(expressions)]
        path = write("queries.yml", json.dumps({"groups": [{"name": "q", "rules": rules}]}))
        done = subprocess.run([tool, "check", "rules", path], capture_output=True, text=True)
        return done.returncode, (done.stdout + done.stderr).strip()

    queries = [dashboard.fill(e) for _, _, e in dashboard.expressions(dashboard.load())]
    t.equal("variables left in them", [q for q in queries if "$" in q], [])
    status, said = check(queries)
    t.check(status == 0 and f"{len(queries)} rules" in said, said)
    t.check(check([queries[0] + ")"])[0] != 0, "a bracket too many is refused")
