# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's Prometheus and node exporter, for real, over a lab in a storm: panels and alerts."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.parse
import urllib.request

from lib import dashboard, kernel, picture, promtool
from lib.child import enter, within
from lib.clients import clients, connect_now
from lib.gate import Gate, limits, write
from lib.sandbox import WORK
from lib.scenario import Skip, scenario
from lib.sink import sink
from lib.topology import Net, ip, server_v4, source_v4

SCRAPE = "1s"
TRUSTED, BLOCKED = source_v4(120), source_v4(121)
KNOWN_ENOUGH = 60000  # of 65,536: nine tenths and more


def programs():
    found = {}
    for name in ("prometheus", "prometheus-node-exporter"):
        found[name], why = promtool.find(name)
        if why:
            raise Skip(why)
    return found


def hurried(rules):
    """The alerts with seconds for their minutes: what they look at stays as it is.

    So short, SluiceMetricsMissing fires until the first sample is there.
    """
    rules = re.sub(r"for: \d+[smh]", "for: 1s", rules)
    return rules.replace("> 300", "> 5").replace("> 30\n", "> 5\n")


class Prometheus:
    """Both of them in the server's namespace, on its loopback."""

    def __init__(self, net, found, folder):
        self.net = net
        write("alerts.yml", hurried(dashboard.rules_text()))
        config = write("prometheus.yml", json.dumps({
            "global": {"scrape_interval": SCRAPE, "evaluation_interval": SCRAPE},
            "rule_files": [os.path.join(WORK, "alerts.yml")],
            "scrape_configs": [{"job_name": "node",
                                "static_configs": [{"targets": ["127.0.0.1:9100"]}]}]}))
        self.processes = [self._run([found["prometheus-node-exporter"],
                                     "--collector.disable-defaults", "--collector.textfile",
                                     "--collector.netstat",
                                     f"--collector.textfile.directory={folder}",
                                     "--web.listen-address=127.0.0.1:9100"]),
                          self._run([found["prometheus"], f"--config.file={config}",
                                     f"--storage.tsdb.path={WORK}/tsdb",
                                     "--web.listen-address=127.0.0.1:9090"])]

    def _run(self, words):
        def prepare():
            kernel.die_with_parent()
            enter(self.net.server)
        log = open(os.path.join(WORK, os.path.basename(words[0]) + ".log"), "w")
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                preexec_fn=prepare)

    def ask(self, path, **query):
        def fetch(url):
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)["data"]
        return within(self.net.server, fetch, f"http://127.0.0.1:9090/api/v1/{path}?" +
                      urllib.parse.urlencode(query))

    def query(self, expression):
        """[(labels, value)] of an instant query."""
        return [(r["metric"], float(r["value"][1]))
                for r in self.ask("query", query=expression)["result"]]

    def range(self, label, expression, began, ended):
        """[(value of the label, [(time, value)])] of a query over time, a second apart."""
        answer = self.ask("query_range", query=expression, start=began, end=ended, step=1)
        return [(r["metric"].get(label, label), [(at, float(v)) for at, v in r["values"]])
                for r in answer["result"]]

    def firing(self):
        return {a["labels"]["alertname"] for a in self.ask("alerts")["alerts"]
                if a["state"] == "firing"}

    def until(self, what, condition, timeout=30):
        """Polls until condition() is true. Returns what it was."""
        end = time.monotonic() + timeout
        while True:
            try:
                answer = condition()
            except (OSError, RuntimeError):
                answer = None  # it has not come up
            if answer:
                return answer
            if time.monotonic() > end:
                raise TimeoutError(f"{what}: not within {timeout} s")
            time.sleep(0.3)


PICTURE = os.environ.get("SLUICE_PICTURE")  # docs/dashboard.svg, to draw it anew


def draw(server, began):
    """What the first panels of the dashboard show of the storm."""
    ended = time.time()
    judged = 'sum by (verdict) (rate(sluice_syns_judged_total{mode="enforce"}[4s]))'
    picture.draw(PICTURE, [
        ("SYNs a second", "by verdict", server.range("verdict", judged, began, ended)),
        ("Live sessions", "of max-sessions 500",
         server.range("sessions", "sluice_sessions", began, ended)),
        ("Held in the kernel", "SYNs that wait for their turn",
         server.range("waiting", "sluice_hold_waiting", began, ended))], began, ended)


@scenario(limit=150)
def test_prometheus(t):
    """A real Prometheus scrapes a storm: each panel has its series, each alert its cause"""
    found, net = programs(), Net()
    served = sink(net)
    folder = os.path.join(WORK, "textfile")
    os.mkdir(folder)
    gate = Gate(net, limits("20/s", 10, retry=20, known=20, trusted_rate="1/s", trusted_burst=3,
                            source_rate="60/min", max_sessions=500, pace_horizon="500ms"),
                mode="monitor", load={"refuse-la": 50},
                classes={"trusted": write("trusted", f"{TRUSTED}/32\n"),
                         "blocked": write("blocked", f"{BLOCKED}/32\n")},
                metrics={"textfile": os.path.join(folder, "sluice.prom"), "interval": "1s"})
    gate.start()
    server = Prometheus(net, found, folder)
    server.until("a first sample", lambda: server.query("sluice_build_info"))
    server.until("no alert in a quiet lab", lambda: not server.firing())

    connect_now(net, [source_v4(n) for n in range(60)], server_v4(), patience=3, end=3)
    server.until("SluiceMonitorWouldHaveDropped",
                 lambda: "SluiceMonitorWouldHaveDropped" in server.firing())
    t.check(True, "SluiceMonitorWouldHaveDropped fires of what enforce would have stopped")

    gate.sluice("mode", "enforce", "--for", "10m")
    began = time.time()
    storm = clients(net, [(n / 60, source_v4(n % 100), 0.5) for n in range(60 * 12)] +
                    [(n / 2, BLOCKED, 0) for n in range(24)], server_v4(), patience=6, end=14)
    time.sleep(9)  # long enough for rates
    board, empty = dashboard.load(), []
    for panel, legend, expression in dashboard.expressions(board):
        series = server.query(dashboard.fill(expression, window="10s"))
        if not series:
            empty.append(f"{panel} ({legend}): {expression}")
    t.equal("queries of the dashboard without a series", empty, [])
    admitted = server.query(dashboard.fill('sum(rate(sluice_syns_judged_total{verdict="pass",'
                                           'mode="enforce"}[6s]))'))
    t.check(admitted, "passed a second is there")
    t.between("passed a second, in Prometheus", admitted[0][1] if admitted else 0, 12, 30)
    storm.result()
    time.sleep(2.5)  # what is counted is written and scraped
    counted = sum(r["count"] for r in gate.status()["reasons"] if r["mode"] == "enforce")
    if PICTURE:
        draw(server, began)
    shown = server.query('sum(sluice_syns_judged_total{mode="enforce"})')
    t.equal("decisions, in Prometheus and in status", int(shown[0][1]) if shown else None, counted)

    connect_now(net, [TRUSTED] * 20, server_v4(), patience=3, end=3)
    gate.sluice("tier", "refuse", "--for", "60s")
    known = write("senders", "".join(f"10.{n >> 8}.{n & 255}.1\n" for n in range(KNOWN_ENOUGH)))
    t.equal("known add", gate.sluice("known", "add", known).returncode, 0)
    wanted = {"SluiceTrustedLimited", "SluiceRefuses", "SluiceKnownTableNearlyFull"}
    server.until(f"{wanted}", lambda: wanted <= server.firing())
    t.check(True, f"{sorted(wanted)} fire")
    ip(net.server, "link del s0")
    server.until("SluiceDetached", lambda: "SluiceDetached" in server.firing())
    t.check(True, "SluiceDetached fires when the interface goes")
    gate.process.send_signal(signal.SIGSTOP)
    wanted = {"SluiceControllerStale", "SluiceTextfileStale"}
    server.until(f"{wanted}", lambda: wanted <= server.firing())
    t.check(True, f"{sorted(wanted)} fire when the daemon hangs")
    gate.process.send_signal(signal.SIGCONT)
    server.until("silent again", lambda: not wanted & server.firing())
    t.check(True, "and are silent when it goes on")
    served.finish()
