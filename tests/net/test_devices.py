# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices that many kernels have and not all: VLANs, a bond, macvlan, the fair queue."""

from lib.clients import connect_now
from lib.gate import Gate, limits
from lib.room import SPREAD, fifo, until
from lib.scenario import Skip, scenario
from lib.sink import sink
from lib.topology import Net, run, source_v4

ADDRESS, ROUTES = "198.19.255.1", "198.18.0.0/17"
CLIENT_MAC = "02:00:00:00:00:0c"
RATE, BURST, SENT = "5/s", 3, 9


def device(what, *words):
    """Sets up what this kernel may not have."""
    try:
        run(*words)
    except (RuntimeError, FileNotFoundError) as why:
        raise Skip(f"no {what} here: {why}")


def ip(namespace, text):
    return run("ip", "-n", namespace, *text.split())


def loads(gate):
    """What was judged for the load, by verdict."""
    return {r["verdict"]: r["count"] for r in gate.status()["reasons"] if r["reason"] == "load"}


def connect_one(net, number, server=ADDRESS):
    (a,) = connect_now(net, [source_v4(number)], server, patience=0.9)
    return a.error


@scenario(limit=60)
def test_refuse_vlan(t):
    """Hardware takes VLAN tags off: REFUSE acts as DEFER there, and refuses where they are kept"""
    net = Net()
    ours, theirs = "198.19.7.1", "198.19.7.2"
    for namespace, below, address in (("c", "c0", theirs), ("s", "s0", ours)):
        device("VLAN devices", "ip", "-n", namespace, "link", "add", f"{below}.7", "link", below,
               "type", "vlan", "id", "7")
        ip(namespace, f"link set {below}.7 up")
        ip(namespace, f"addr add {address}/24 dev {below}.7")
    ip("s", f"route replace {ROUTES} via {theirs} dev s0.7")
    device("ethtool", "ip", "netns", "exec", "s", "ethtool", "-K", "s0", "rxvlan", "on")
    served = sink(net)
    gate = Gate(net, limits("100/s", 100))
    gate.start()
    t.must(gate.sluice("tier", "refuse").returncode == 0, "sluice tier refuse")
    until("said", lambda: "takes VLAN tags off" in gate.log())
    t.equal("the client whose tag is taken off", connect_one(net, 1, ours), "given-up")
    t.equal("judged", loads(gate), {"defer": 1})
    run("ip", "netns", "exec", "s", "ethtool", "-K", "s0", "rxvlan", "off")
    run("ip", "netns", "exec", "c", "ethtool", "-K", "c0", "tx-vlan-hw-insert", "off")
    until("said", lambda: "refusals are sent again" in gate.log())
    t.equal("the client whose tag is kept", connect_one(net, 2, ours), "ECONNREFUSED")
    t.equal("judged", loads(gate), {"defer": 1, "refuse": 1})
    t.equal("accepted by the server", len(served.finish()), 0)


@scenario(limit=40)
def test_refuse_no_vlan(t):
    """Hardware that would take VLAN tags off, and no VLAN on it: REFUSE refuses"""
    net = Net()
    device("ethtool", "ip", "netns", "exec", "s", "ethtool", "-K", "s0", "rxvlan", "on")
    gate = Gate(net, limits("100/s", 100))
    gate.start()
    gate.sluice("tier", "refuse")
    t.equal("what the client sees", connect_one(net, 1), "ECONNREFUSED")
    t.equal("judged", loads(gate), {"refuse": 1})
    t.equal("nothing is said of VLANs", "VLAN" in gate.log(), False)


def move_addresses(upper):
    """The server's address goes from s0 to the device above it."""
    ip("s", "addr flush dev s0")
    ip("s", f"link set {upper} up")
    ip("s", f"addr add {ADDRESS}/24 dev {upper}")
    ip("s", f"neigh replace 198.19.255.2 lladdr {CLIENT_MAC} dev {upper} nud permanent")
    ip("s", f"route replace {ROUTES} via 198.19.255.2 dev {upper}")


def judged_refused_held(t, net, interface, xdp_mode):
    """What must hold of any device: a SYN is judged once, refused by RST, held in its turn."""
    served = sink(net)
    gate = Gate(net, limits(RATE, BURST, pace_horizon="5s"), interfaces=(interface,),
                xdp_mode=xdp_mode)
    gate.start()
    t.equal("interface", [(i["name"], i["mode"]) for i in gate.status()["interfaces"]],
            [(interface, xdp_mode)])
    attempts = connect_now(net, [source_v4(n) for n in range(SENT)], ADDRESS, patience=20)
    t.equal("served", sum(a.over is not None for a in attempts), SENT)
    # A retransmit of one that waits is another SYN; nobody was admitted twice, or judged again.
    said = {(r["verdict"], r["reason"]): r["count"] for r in gate.status()["reasons"]}
    t.equal("let in at once or held", said.get(("pass", "admitted"), 0) +
            said.get(("hold", "connection-rate"), 0), SENT)
    t.between("through the queue", fifo(net)["out"], SENT - BURST + 1 - SPREAD - 1,
              SENT - BURST + 1 + SPREAD)
    gate.sluice("tier", "refuse")
    t.equal("in the refuse tier", connect_one(net, 40), "ECONNREFUSED")
    t.equal("judged", loads(gate), {"refuse": 1})
    t.equal("accepted by the server", len(served.finish()), SENT)


def bond(net):
    """Puts s0 into a bond that has its address."""
    device("bonding", "ip", "-n", "s", "link", "add", "bond0", "type", "bond", "mode",
           "active-backup", "miimon", "100")
    ip("s", "link set s0 down")
    ip("s", "link set s0 master bond0")
    move_addresses("bond0")
    until("the bond is up", lambda: "LOWER_UP" in ip("s", "link show bond0"))


@scenario(limit=60)
def test_bond(t):
    """Native XDP on a bond: a SYN is judged once, refused by RST, held in its turn"""
    net = Net()
    bond(net)
    judged_refused_held(t, net, "bond0", "native")


@scenario(limit=60)
def test_bond_generic(t):
    """The same in generic mode"""
    net = Net()
    bond(net)
    judged_refused_held(t, net, "bond0", "generic")


@scenario(limit=60)
def test_bond_vlan(t):
    """A VLAN on the bond: what its port sees is deferred instead of refused"""
    net = Net()
    bond(net)
    for namespace, below, address in (("c", "c0", "198.19.7.2"), ("s", "bond0", "198.19.7.1")):
        device("VLAN devices", "ip", "-n", namespace, "link", "add", f"{below}.7", "link", below,
               "type", "vlan", "id", "7")
        ip(namespace, f"link set {below}.7 up")
        ip(namespace, f"addr add {address}/24 dev {below}.7")
    ip("s", f"route replace {ROUTES} via 198.19.7.2 dev bond0.7")
    served = sink(net)
    gate = Gate(net, limits("100/s", 100), interfaces=("bond0",))
    gate.start()
    gate.sluice("tier", "refuse")
    until("said", lambda: "takes VLAN tags off" in gate.log())
    t.equal("what the client sees", connect_one(net, 1, "198.19.7.1"), "given-up")
    t.equal("judged", loads(gate), {"defer": 1})
    t.equal("accepted by the server", len(served.finish()), 0)


def macvlan(t, xdp_mode):
    net = Net()
    device("macvlan", "ip", "-n", "s", "link", "add", "mv0", "link", "s0", "address",
           "02:00:00:00:00:55", "type", "macvlan", "mode", "bridge")
    move_addresses("mv0")
    ip("c", f"neigh replace {ADDRESS} lladdr 02:00:00:00:00:55 dev c0 nud permanent")
    judged_refused_held(t, net, "s0", xdp_mode)


@scenario(limit=60)
def test_macvlan(t):
    """The MTA behind a macvlan, native XDP on the device below: judged once, refused, held"""
    macvlan(t, "native")


@scenario(limit=60)
def test_macvlan_generic(t):
    """The same in generic mode"""
    macvlan(t, "generic")


@scenario(limit=60)
def test_fair_queue(t):
    """sch_fq on the interface beside HOLD's room: judged once, refused, held"""
    net = Net()
    device("sch_fq", "tc", "-n", "s", "qdisc", "replace", "dev", "s0", "root", "fq")
    judged_refused_held(t, net, "s0", "native")
    t.check("qdisc fq" in run("tc", "-n", "s", "qdisc", "show", "dev", "s0"), "fq is still there")
