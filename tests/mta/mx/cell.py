# SPDX-License-Identifier: GPL-2.0-or-later
"""One run of one cell: an MTA, a storm, two good senders, with Sluice or without, in a world.

The storm and the good senders are real TCP clients from addresses of the client's namespace. The
flood comes in over a link of its own, so that what it costs is the work it makes and not the room
in the one link's queue. All are of one family. Second 0 is when the storm begins.
"""

import configparser
import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass

from lib import kernel
from lib.child import enter, within
from lib.gate import BUILD, Gate, LoadFile
from lib.sandbox import WORK
from lib.topology import CLIENT, SERVER, Net, ip, server_v4, server_v6

from .kinds import KINDS

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STORM, FLOOD = os.path.join(BUILD, "mta/storm"), os.path.join(BUILD, "mta/flood")
KNOWN = {"v4": "198.18.5.10", "v6": "2001:db8:8064::1"}
UNKNOWN = {"v4": "198.18.77.7", "v6": "2001:db8:8065::1"}
STORM_BASE = {"v4": "100.64.0.10", "v6": "2001:db8:9000::1"}
STORM_V4 = "100.64.0.0/10"
STORM_PATIENCE = 30  # seconds; of the good senders: 60
PATIENCE = 60
WARM_UP = 3  # seconds of the good senders alone, before the storm
DROPS = ("ListenOverflows", "ListenDrops", "SyncookiesSent", "TCPReqQFullDrop")


@dataclass(frozen=True)
class Cell:
    mta: str
    rate: int = 100
    hold: int = 10
    sources: int = 200
    family: str = "v4"
    flood: str = "none"  # none, 1000, full

    @property
    def storm(self):
        kind = "hold" if self.hold else "quick"
        flood = "" if self.flood == "none" else f"-flood{self.flood}"
        return f"{kind}{self.rate}-{self.sources}-{self.family}{flood}"

    @property
    def name(self):
        return f"{self.mta} {self.storm}"


class MtaGate(Gate):
    """sluiced with the limits file of an MTA; what a machine must have besides is added here."""

    def __init__(self, net, limits, family):
        self.net, self.name, self.process = net, "default", None
        self.log_path = os.path.join(WORK, "default.log")
        self.config_path = os.path.join(WORK, "default.conf")
        known = os.path.join(WORK, "known")
        with open(known, "w") as f:
            f.write(KNOWN[family] + ("/32\n" if family == "v4" else "/128\n"))
        file = configparser.ConfigParser(interpolation=None, delimiters=("=",))
        file.read_file(open(limits))
        self.sections = {name: dict(file[name]) for name in file.sections()}
        for name, keys in (
                ("gate", {"interface": ["s0", "s1"], "mode": "enforce", "port": 25}),
                # The load of the machine is that of the whole test: not what is tested here.
                ("load", {"loadavg-file": LoadFile("loadavg").path}),
                ("classes", {"known": known})):
            self.sections[name] = keys | self.sections.get(name, {})
        self.write_config()
        Gate.started.append(self)


def _drops():
    with open("/proc/self/net/netstat") as f:
        names, values = [line.split()[1:] for line in f if line.startswith("TcpExt:")][:2]
    count = dict(zip(names, map(int, values)))
    return {name: count.get(name, 0) for name in DROPS}


def _network():
    net = Net(links=2)
    ip(CLIENT, f"route add local {STORM_V4} dev lo")
    ip(SERVER, f"route add {STORM_V4} via 198.19.255.2 dev s0")
    # Answers to the flood leave the way it came, and end at a host that is not theirs.
    ip(SERVER, "route add default via 198.19.254.2 dev s1")
    ip(SERVER, "-6 route add default via 2001:db8:19:1::2 dev s1")
    return net


def _client(words):
    """A program in the client's namespace, its output to be read at the end."""
    def prepare():
        kernel.die_with_parent()
        enter(CLIENT)
    return subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, text=True, preexec_fn=prepare)


def _senders(to, **how):
    return _client([STORM, f"to={to}", *(f"{k.replace('_', '-')}={v}" for k, v in how.items())])


def _flood(cell, seconds, seed):
    # Over its own link, to where the MTA listens: not all of them do at every address of the host.
    to = server_v4() if cell.family == "v4" else server_v6()
    rate = 0 if cell.flood == "full" else int(cell.flood)
    return _client(["nice", "-n", 10, FLOOD, "c1", "02:00:00:00:01:05", to, rate, seconds, seed])


def _finish(process, timeout):
    """Its line of JSON, from a process that ends by itself or has been told to."""
    try:
        out, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{process.args[0]} ended with {process.returncode}")
    return json.loads(out)


class _Watch:
    """The peaks of what the MTA and the gate have at a time."""

    def __init__(self, mta, gate):
        self.mta, self.gate = mta, gate
        self.processes, self.sessions = 0, 0

    def look(self):
        if self.mta.ended():
            raise RuntimeError(f"{self.mta.name} has died: {self.mta.said()}")
        self.processes = max(self.processes, self.mta.processes())
        status = self.gate.status(quiet=True) if self.gate else None
        sessions = (status or {}).get("sessions")
        if isinstance(sessions, dict):
            sessions = sessions.get("live", sessions.get("total", 0))
        self.sessions = max(self.sessions, sessions or 0)


def run(cell, sluice, seconds, seed, limits=None):
    """Runs it and returns the figures as a dict. Only inside a world of lib.sandbox."""
    net = _network()
    mta = KINDS[cell.mta](net)
    mta.start()
    gate = None
    if sluice:
        gate = MtaGate(net, limits or f"{HERE}/limits/{cell.mta}.conf", cell.family)
        gate.start()
    to = server_v4() if cell.family == "v4" else server_v6()
    before = within(SERVER, _drops)
    zero = time.monotonic() + WARM_UP + 0.5
    good = {"to": to, "rate": 1, "patience": PATIENCE, "each": 1, "start": zero - WARM_UP,
            "seconds": seconds + WARM_UP}
    known = _senders(base=KNOWN[cell.family], seed=seed, **good)
    unknown = _senders(base=UNKNOWN[cell.family], seed=seed + 1, **good)
    time.sleep(max(0, zero - time.monotonic()))
    # The storm lasts until the last good mail has got its time.
    storm = _senders(to=to, base=STORM_BASE[cell.family], sources=cell.sources,
                     per_subnet=1 if cell.sources <= 250 else 4, rate=cell.rate, hold=cell.hold,
                     patience=STORM_PATIENCE, seconds=seconds + PATIENCE, seed=seed + 2)
    flood = None if cell.flood == "none" else _flood(cell, seconds + PATIENCE, seed + 3)
    watch, accepted = _Watch(mta, gate), mta.counted()
    end = zero + seconds + PATIENCE + 10
    while time.monotonic() < end and (known.poll() is None or unknown.poll() is None):
        watch.look()
        time.sleep(2)
    for process in (storm, flood):
        if process and process.poll() is None:
            process.send_signal(signal.SIGTERM)
    after = within(SERVER, _drops)
    result = {"cell": asdict(cell), "sluice": sluice, "seconds": seconds, "seed": seed,
              "known": _finish(known, 5), "unknown": _finish(unknown, 5),
              "storm": _finish(storm, 20), "flood": _finish(flood, 20) if flood else None,
              "drops": {k: after[k] - before[k] for k in DROPS},
              "processes": watch.processes, "sessions": watch.sessions,
              "counted": mta.counted() - accepted}
    for who in ("known", "unknown"):  # seconds of the storm, not of the warm-up
        result[who]["each"] = [[m[0] - WARM_UP, *m[1:]] for m in result[who]["each"]]
    if gate:
        result["reasons"] = gate.reasons()
        result["became-known"] = _became_known(gate)
        gate.end()
    mta.stop()
    return result


def _became_known(gate):
    """The storm's senders among those that the gate has learned; None if it cannot be asked."""
    done = gate.sluice("known", "list")
    if done.returncode:
        return None
    rows = [line.split() for line in done.stdout.splitlines()]
    return [row[0] for row in rows if len(row) > 1 and row[1] == "known" and _of_storm(row[0])]


def _of_storm(text):
    import ipaddress
    try:
        address = ipaddress.ip_address(text.split("/")[0])
    except ValueError:
        return False
    if address.version == 4:
        return address in ipaddress.ip_network(STORM_V4)
    return 0x20010db89000 <= int(address) >> 80 < 0x20010db8c000
