# SPDX-License-Identifier: GPL-2.0-or-later
"""What cannot work is said in one sentence, with exit status 1, and changes nothing."""

import os
import shutil
import subprocess

from lib import gate as gate_module
from lib import kernel
from lib.child import within
from lib.frames import Sniffer, flood, spoof, syn_acks
from lib.gate import OPEN, PINS, Gate, filter_gone, limits, write, xdp_on
from lib.sandbox import WORK
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, ip, server_v4, source_v4


def one_sentence(t, what, outcome, *words):
    """The exit status is 1, and the only line of output has all of these words."""
    status, text = outcome
    lines = text.splitlines()
    missing = [w for w in words if w.lower() not in text.lower()]
    t.check(status == 1 and len(lines) == 1 and not missing,
            f"{what}: status {status}: {text}" + (f" -- lacks {missing}" if missing else ""))


def nothing_left(t, net, gate, program=None):
    t.equal("  XDP program afterwards", xdp_on(net, "s0"), program)
    t.equal("  links pinned afterwards", gate.link_pins(), [])


@scenario(limit=40)
def test_bad_config(t):
    """A wrong key, unit, number or prefix: file and line; -n touches nothing"""
    net = Net()
    gate = Gate(net, OPEN)
    t.equal("-n on a good config", gate.fails("-n")[0], 0)
    for section, keys, *words in (
            ("limits", {"colour": "red"}, "colour"),
            ("limits", {"connection-rate": "15"}, "15", "/s"),
            ("limits", {"connection-rate": "0/s"}, "0/s"),
            ("limits", {"connection-rate": "off"}, "connection-rate"),
            ("limits", {"connection-burst": 41}, "connection-burst", "41"),
            ("limits", {"source-rate": "60/min", "source-table": 1024}, "source-table"),
            ("limits", {"connection-rate": "1/d", "connection-burst": 10000000}, "burst"),
            ("load", {"hold": "15"}, "15"),
            ("classes", {"blocked": write("hostbits", "198.18.0.0/16\n\n198.18.1.1/24\n")},
             "hostbits:3", "198.18.1.1/24"),
            ("classes", {"known": write("word", "mx.example.org\n")}, "word:1"),
            ("classes", {"known": "/nowhere/list"}, "/nowhere/list")):
        before = {k: dict(v) for k, v in gate.sections.items()}
        gate.change(section, **keys)
        for check in (("-n",), ()):
            one_sentence(t, " ".join([*keys, *check]), gate.fails(*check), *words)
        gate.sections = before
    gate.write_config()
    one_sentence(t, "-o", gate.fails("-o", "limits.connection-rate=3/fortnight"), "fortnight")
    one_sentence(t, "no such file", gate.fails(config="/nowhere/x.conf"), "/nowhere/x.conf")
    nothing_left(t, net, gate)


@scenario(limit=90)
def test_bad_interface(t):
    """A missing interface, one without native XDP, a foreign program: named and left alone"""
    net = Net()
    gate = Gate(net, OPEN, interfaces=["s0", "nosuch0"])
    one_sentence(t, "missing interface", gate.fails(), "nosuch0")
    nothing_left(t, net, gate)
    gate.change("gate", interface=["s0", "lo"], xdp_mode="native")
    one_sentence(t, "native on lo", gate.fails(), "lo", "native")
    nothing_left(t, net, gate)

    def foreign(flags):
        program = kernel.load_xdp_pass("foreign")
        kernel.set_xdp(program, "s0", flags)

    for flags, name in ((kernel.XDP_FLAGS_DRV_MODE, "native"),
                        (kernel.XDP_FLAGS_SKB_MODE, "generic")):
        for wanted in ("native", "generic", "auto"):
            gate.change("gate", interface=["s0"], xdp_mode=wanted)
            within(net.server, foreign, flags)
            program = xdp_on(net, "s0")
            one_sentence(t, f"{wanted} over a foreign {name} program", gate.fails(), "s0",
                         "foreign", str(program))
            nothing_left(t, net, gate, program)
            ip(net.server, "link set dev s0 xdpgeneric off" if name == "generic" else
               "link set dev s0 xdpdrv off")
    link = net.hold_xdp(net.server, "s0", name="foreignlink")
    program = xdp_on(net, "s0")
    gate.change("gate", interface=["s0"], xdp_mode="native")
    one_sentence(t, "over a foreign link", gate.fails(), "s0", "foreignlink", str(program))
    nothing_left(t, net, gate, program)
    os.close(link)
    gate.start()
    t.equal("once it is gone", [i["mode"] for i in gate.status()["interfaces"]], ["native"])


@scenario(limit=40)
def test_bad_privilege(t):
    """No privilege, no bpffs: one sentence each"""
    net = Net()
    gate = Gate(net, OPEN)
    copy = os.path.join(WORK, "sluiced")  # where a user without rights can reach it
    shutil.copy(gate_module.SLUICED, copy)
    os.chmod(WORK, 0o755)
    no_caps = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    one_sentence(t, "root without capabilities", gate.fails(wrap=no_caps, program=copy), "CAP_BPF")
    nothing_left(t, net, gate)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    one_sentence(t, "nobody", gate.fails(wrap=nobody, program=copy), "")
    shutil.rmtree("/run/sluice")
    os.mkdir("/run/sluice", 0o777)
    os.chmod("/run/sluice", 0o777)
    one_sentence(t, "nobody, the runtime folder open", gate.fails(wrap=nobody, program=copy),
                 "CAP_BPF")
    shutil.rmtree("/run/sluice")
    nothing_left(t, net, gate)
    while subprocess.run(["mountpoint", "-q", "/sys/fs/bpf"]).returncode == 0:
        kernel.umount("/sys/fs/bpf")
    one_sentence(t, "without bpffs", gate.fails(), "/sys/fs/bpf", "mount -t bpf")
    t.equal("  XDP program afterwards", xdp_on(net, "s0"), None)
    kernel.mount("bpf", "/sys/fs/bpf", "bpf")
    gate.start()
    t.check(xdp_on(net, "s0"), "with both, the same config runs")


@scenario(limit=60)
def test_bad_neighbour(t):
    """State of another ABI, a second daemon of the name: refused, the running filter untouched"""
    net = Net()
    served = sink(net)
    gate = Gate(net, limits("3/s", 3, retry=0))
    gate.start()
    program, process = xdp_on(net, "s0"), gate.process
    one_sentence(t, "a second daemon", gate.fails(), gate.name, str(process.pid))
    other = Gate(net, gate.sections["limits"], name="other")
    one_sentence(t, "another instance on its interface", other.fails(), "s0", str(program))
    t.equal("the first one's program", xdp_on(net, "s0"), program)
    t.equal("the first one answers", gate.status()["ok"], True)
    gate.end()
    os.mkdir(f"{PINS}/{gate.name}/abi-99")
    one_sentence(t, "state of ABI 99", gate.fails(), "ABI 99", "detach")
    t.equal("the program that runs", xdp_on(net, "s0"), program)
    t.equal("its links", gate.link_pins(), ["link-s0"])
    sniffer = Sniffer(net)
    first, last, sent = spoof(net, flood(t.rng, 100, 3, source_v4), server_v4()).result()
    may = 3 * (last - first) + 3
    t.between(f"it limits: let in of {sent}", len(syn_acks(sniffer.finish())), may - 1.5, may + 0.5)
    t.equal("sluice detach", gate.sluice("detach").returncode, 0)
    filter_gone(net, "s0")
    nothing_left(t, net, gate)
    gate.start()
    served.finish()
