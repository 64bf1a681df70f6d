# SPDX-License-Identifier: GPL-2.0-or-later
"""End to end: SYNs made in the kernel on one CPU come in over veth on another.

Each contender has a server of its own, all stand at the same time, and a turn of each makes a
round. What a SYN costs is the time that the thread ran which polls the interface and does all the
work up to the answer, over the SYNs that it took in; the generator is on the other CPU, and faster:
the ring before the server is always full.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import time

from daemon import start_sluice
from world import GENERATOR, Server, make_namespace, must, spawn

GENERATOR_CPU, SERVER_CPU = 0, 1
SECONDS = 0.6
PINS = "/sys/fs/bpf/bench"
PROFILE_SECONDS = 2
LEAST_SHOWN = 1.5  # percent
MANY = 1000000
SETTLE = 0.05  # s: what is in the ring is taken in

# The defaults of Sluice, and as near as the others come to them.
RATE, BURST, SOURCE_RATE, SOURCE_BURST = 100, 200, 60, 20
TABLE = 1 << 21  # sources that a set of the peers has room for: a full one is another matter

NFT_SET = f"""
    set sources {{ type ipv4_addr; size {TABLE}; flags dynamic,timeout; timeout 1m; }}"""
NFT_SYN = "tcp dport 25 tcp flags & (fin|syn|rst|ack) == syn"
NFT_SOURCE = (f"{NFT_SYN} update @sources {{ ip saddr limit rate over {SOURCE_RATE}/minute "
              f"burst {SOURCE_BURST} packets }} drop")
NFT_GLOBAL = f"{NFT_SYN} limit rate over {RATE}/second burst {BURST} packets drop"


def nft(server, hook, *rules):
    if hook == "ingress":
        family, hooked = "netdev", f'ingress device "{server.interface}"'
    else:
        family, hooked = "ip", hook
    text = (f"table {family} peer {{{NFT_SET}\n chain c {{ type filter hook {hooked} priority 0;\n"
            + "\n".join(rules) + "\n }\n}\n")
    path = f"/run/work/{server.interface}.nft"
    with open(path, "w") as f:
        f.write(text)
    must(server.namespace, "nft", "-f", path)


def hashlimit(server):
    command = shutil.which("iptables-legacy") or "iptables"
    syn = ["-p", "tcp", "--syn", "--dport", "25"]
    for rule in (["-m", "hashlimit", "--hashlimit-name", "peer", "--hashlimit-mode", "srcip",
                  "--hashlimit-above", f"{SOURCE_RATE}/min",
                  "--hashlimit-burst", str(SOURCE_BURST),
                  "--hashlimit-htable-size", str(TABLE // 4),
                  "--hashlimit-htable-max", str(TABLE),
                  "--hashlimit-htable-expire", "60000", "-j", "DROP"],
                 ["-m", "limit", "--limit", f"{RATE}/s", "--limit-burst", str(BURST),
                  "-j", "ACCEPT"],
                 ["-j", "DROP"]):
        must(server.namespace, command, "-A", "INPUT", *syn, *rule)


def sluice(server, mode):
    start_sluice(server, mode, f"xdp-mode = {mode}")


def attach(program):
    return lambda server: must(server.namespace, "ip", "link", "set", server.interface, "xdpdrv",
                               "pinned", f"{PINS}/{program}")


# name: (what it needs, how it is set up)
CONTENDERS = {
    "no limiter, a listener": (None, lambda server: None),
    "nftables at input": ("nft", lambda s: nft(s, "input", NFT_SOURCE, NFT_GLOBAL)),
    "nftables at ingress": ("nft", lambda s: nft(s, "ingress", NFT_SOURCE, NFT_GLOBAL)),
    "nftables at ingress, global first": ("nft", lambda s: nft(s, "ingress", NFT_GLOBAL,
                                                               NFT_SOURCE)),
    "iptables hashlimit at input": ("iptables", hashlimit),
    "Sluice, generic XDP": (None, lambda s: sluice(s, "generic")),
    "Sluice, native XDP": (None, lambda s: sluice(s, "native")),
    "XDP that parses and drops": (None, attach("parse_and_drop")),
    "XDP that drops": (None, attach("drop")),
}


def command(server, build, sources, seconds):
    return [f"{build}/bench/live", server.far, server.mac, str(GENERATOR_CPU), str(sources), "0",
            str(seconds)]


def one_turn(server, build, sources):
    """What a SYN cost the thread in ns, how many came, and how busy it was."""
    frames, busy = server.frames(), server.busy_ns()
    process = spawn(GENERATOR, command(server, build, sources, SECONDS), stdout=subprocess.PIPE,
                    text=True)
    sent = json.loads(process.communicate(timeout=60)[0])
    if process.returncode:
        raise RuntimeError("the generator has failed")
    time.sleep(SETTLE)
    frames, busy = server.frames() - frames, server.busy_ns() - busy
    if not frames:
        raise RuntimeError(f"{server.interface} has taken in none of {sent['sent']:.0f} SYNs")
    return {"ns": busy / frames, "per_s": frames / sent["seconds"],
            "busy": busy / 1e9 / sent["seconds"], "sent": sent["sent"] / sent["seconds"]}


def set_up_generator(build):
    """Its namespace, with a veth that stays down, and the programs of the bench pinned."""
    if os.path.exists(PINS):
        return
    make_namespace(GENERATOR)
    must(GENERATOR, "ip", "link", "add", "park", "type", "veth", "peer", "name", "park-far")
    os.mkdir(PINS)
    must(None, os.environ.get("BPFTOOL") or "bpftool", "prog", "loadall",
         f"{build}/bench/drive.bpf.o", PINS)


def server_for_daemon(build):
    """A server that no contender has."""
    set_up_generator(build)
    return Server(len(CONTENDERS), f"{PINS}/drop", SERVER_CPU)


def set_up(build, progress, skipped):
    set_up_generator(build)
    servers = {}
    for number, (name, (needs, prepare)) in enumerate(CONTENDERS.items()):
        progress(f"sets up: {name}")
        if needs and not shutil.which(needs):
            skipped.append({"what": name, "why": f"{needs} is not installed"})
            continue
        server = Server(number, f"{PINS}/drop", SERVER_CPU)
        try:
            prepare(server)
        except RuntimeError as e:
            if not needs:
                raise
            skipped.append({"what": name, "why": str(e)[:200]})
            continue
        servers[name] = server
    return servers


def profile(server, build, skipped):
    """Where the server's CPU is under the flood: (symbol, percent), from samples of perf."""
    if not shutil.which("perf"):
        skipped.append({"what": "profile", "why": "perf is not installed"})
        return []
    generator = spawn(GENERATOR, command(server, build, MANY, PROFILE_SECONDS + 1),
                      stdout=subprocess.DEVNULL)
    data = "/run/work/perf.data"
    try:
        must(None, "perf", "record", "-e", "cpu-clock", "-F", "5000", "-C", str(SERVER_CPU),
             "-o", data, "--", "sleep", str(PROFILE_SECONDS))
        text = must(None, "perf", "report", "-i", data, "--stdio", "--sort", "symbol",
                    "--percentage", "relative", "--comms", server.thread_name)
    except RuntimeError as e:
        skipped.append({"what": "profile", "why": str(e)[-200:]})
        return []
    finally:
        generator.wait(30)
    rows = re.findall(r"^\s+([\d.]+)%\s+\[.\]\s+(\S+)", text, re.M)
    if not rows:
        skipped.append({"what": "profile", "why": "perf has seen nothing of the thread"})
    return [{"symbol": re.sub(r"^bpf_prog_[0-9a-f]{16}_", "the gate: ", symbol),
             "percent": float(percent)}
            for percent, symbol in rows if float(percent) >= LEAST_SHOWN]


def summary(name, sources, turns):
    ns = sorted(t["ns"] for t in turns)
    return {"case": name, "sources": sources, "ns": round(statistics.median(ns), 1),
            "ns_least": round(ns[0], 1), "ns_most": round(ns[-1], 1),
            "per_s": round(statistics.median(t["per_s"] for t in turns)),
            "busy": round(statistics.median(t["busy"] for t in turns), 2)}


def measure(build, rounds, source_counts, progress, skipped):
    """Returns a list of summary(), and a profile of Sluice's."""
    servers = set_up(build, progress, skipped)
    turns = {(name, n): [] for n in source_counts for name in servers}
    for sources in source_counts:
        for round_ in range(rounds):
            for name, server in servers.items():
                progress(f"{sources:,} sources, round {round_ + 1} of {rounds}: {name}")
                turns[name, sources].append(one_turn(server, build, sources))
    progress("profile")
    return ([summary(name, sources, t) for (name, sources), t in turns.items()],
            profile(servers["Sluice, native XDP"], build, skipped))
