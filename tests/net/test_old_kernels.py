# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux 5.15, the oldest that Sluice is for: what the programs and the daemon ask of a kernel.

The tables say since which Linux each thing is there; what is not in a table fails the scenario, so
that whoever uses something new has to look it up (BCC keeps a list: docs/kernel-versions.md).
"""

import glob
import os
import re
import struct
import subprocess

from lib.clients import connect_now
from lib.gate import BUILD, TOP, Gate, limits
from lib.room import fifo
from lib.sandbox import WORK
from lib.scenario import scenario
from lib.sink import sink
from lib.topology import Net, ip, server_v4, source_v4

OLDEST = (5, 15)
HELPERS = {  # by number, as an instruction names it
    1: ("bpf_map_lookup_elem", 3, 19), 2: ("bpf_map_update_elem", 3, 19),
    3: ("bpf_map_delete_elem", 3, 19), 5: ("bpf_ktime_get_ns", 4, 1),
    7: ("bpf_get_prandom_u32", 4, 1), 9: ("bpf_skb_store_bytes", 4, 1),
    54: ("bpf_xdp_adjust_meta", 4, 15), 65: ("bpf_xdp_adjust_tail", 4, 18),
    86: ("bpf_sk_release", 4, 20), 95: ("bpf_sk_fullsock", 5, 1), 96: ("bpf_tcp_sock", 5, 1),
    99: ("bpf_skc_lookup_tcp", 5, 2), 113: ("bpf_probe_read_kernel", 5, 5),
    118: ("bpf_jiffies64", 5, 6), 131: ("bpf_ringbuf_reserve", 5, 8),
    132: ("bpf_ringbuf_submit", 5, 8), 137: ("bpf_skc_to_tcp_sock", 5, 9),
    160: ("bpf_ktime_get_coarse_ns", 5, 11), 163: ("bpf_check_mtu", 5, 12)}
MAPS = {"ARRAY": (3, 19), "HASH": (3, 19), "PERCPU_ARRAY": (4, 6), "LRU_HASH": (4, 10),
        "LPM_TRIE": (4, 11), "ARRAY_OF_MAPS": (4, 12), "RINGBUF": (5, 8)}
PROGRAMS = {"xdp": (4, 8), "tc": (4, 1), "tp_btf": (5, 5), "raw_tp": (4, 17), "syscall": (5, 14)}
FLAGS = {"BPF_F_NO_PREALLOC": (4, 6), "BPF_F_CURRENT_NETNS": (4, 20), "BPF_F_MMAPABLE": (5, 5),
         "BPF_LINK_TYPE_XDP": (5, 9), "BPF_F_XDP_HAS_FRAGS": (5, 18),
         "ATTACH_TCX_INGRESS": (6, 6), "ATTACH_TCX_EGRESS": (6, 6)}
# Newer than 5.15, and chosen at the start: the scenario old_kernel refuses them to the daemon.
OPTIONAL = {"BPF_F_XDP_HAS_FRAGS", "ATTACH_TCX_INGRESS", "ATTACH_TCX_EGRESS"}
NEWEST_TYPE = 16  # of BTF: BTF_KIND_FLOAT, Linux 5.13; the next came with 5.16


def sections(path):
    """The sections of an ELF object: name, whether it is code, bytes."""
    with open(path, "rb") as f:
        data = f.read()
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    heads = [struct.unpack_from("<IIQQQQIIQQ", data, table + n * size) for n in range(count)]
    for name, _, flags, _, offset, length, *_ in heads:
        start = heads[names][4] + name
        body = b"" if length == 0 else data[offset:offset + length]
        yield data[start:data.index(b"\0", start)].decode(), bool(flags & 4), body


def newer_instruction(code, source, offset, value):
    """What it is if Linux 5.15 has no such instruction, or None."""
    kind = code & 7
    if code == 0x85 and source == 2:
        return "a kernel function (kfunc)"
    if code == 0x06 or code == 0xD7:
        return "gotol or bswap (-mcpu=v4)"
    if kind in (4, 7) and offset:
        return "a signed division or a sign extension (-mcpu=v4)"
    if kind == 1 and code & 0xE0 == 0x80:
        return "a load with sign extension (-mcpu=v4)"
    if code in (0xDB, 0xC3) and value not in (0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xA0, 0xA1,
                                              0xE1, 0xF1):
        return f"the atomic operation {value:#x}"
    return None


def instructions(code):
    """(opcode, source register, offset, value) of each; the second half of a wide one is left out."""
    wide = False
    for op, registers, offset, value in struct.iter_unpack("<BBhi", code):
        if not wide:
            yield op, registers >> 4, offset, value
        wide = op == 0x18 and not wide


def type_kinds(btf):
    """The kinds of all types in a .BTF section."""
    _, _, _, head, start, length, *_ = struct.unpack_from("<HBBIIIII", btf)
    extra = {1: 4, 3: 12, 14: 4, 17: 4}
    each = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
    at, end = head + start, head + start + length
    while at < end:
        _, info, _ = struct.unpack_from("<III", btf, at)
        kind = info >> 24 & 31
        yield kind
        at += 12 + extra.get(kind, 0) + each.get(kind, 0) * (info & 0xFFFF)


def words(pattern, files):
    """What a pattern finds in the sources: word -> the first place."""
    found = {}
    for path in files:
        with open(path) as f:
            for number, line in enumerate(f, 1):
                for word in re.findall(pattern, line):
                    found.setdefault(word, f"{os.path.relpath(path, TOP)}:{number}")
    return found


@scenario(limit=30)
def test_old_features(t):
    """Helpers, maps, programs, instructions and types: none newer than Linux 5.15, but with a way round"""
    kernel_side = sorted(glob.glob(f"{TOP}/bpf/*.[ch]"))
    daemon = sorted(glob.glob(f"{TOP}/daemon/*.[ch]"))
    lines = words(r"\b(bpf_[a-z_0-9]+)\(", kernel_side)
    objects = sorted(glob.glob(f"{BUILD}/*.bpf.o"))
    t.equal("objects", len(objects), len(glob.glob(f"{TOP}/bpf/*.bpf.c")))
    helpers, newer, kinds = set(), set(), set()
    for path in objects:
        for name, is_code, body in sections(path):
            if name == ".BTF":
                kinds |= set(type_kinds(body))
            for code in instructions(body) if is_code else ():
                newer.add(newer_instruction(*code))
                if code[0] == 0x85 and code[1] == 0:
                    helpers.add(code[3])
    for number in sorted(helpers):
        name, *since = HELPERS.get(number, (f"helper {number}, not in the table", 99, 0))
        t.check(tuple(since) <= OLDEST, f"{name}, Linux {since[0]}.{since[1]}, {lines.get(name)}")
    t.equal("instructions that came later", newer - {None}, set())
    t.check(max(kinds) <= NEWEST_TYPE, f"kinds of types: up to {max(kinds)}")
    for what, table, found in (
            ("map", MAPS, words(r"__uint\(type, BPF_MAP_TYPE_(\w+)\)", kernel_side)),
            ("program", PROGRAMS, words(r'SEC\("(?!\.maps|license)(\w+)', kernel_side)),
            ("flag", FLAGS, words(r"\b(BPF_F_\w+|BPF_LINK_TYPE_\w+|ATTACH_TCX_\w+)",
                                  kernel_side + daemon))):
        for word, place in found.items():
            since = table.get(word, (99, 0))
            t.check(since <= OLDEST or word in OPTIONAL,
                    f"{what} {word}, Linux {since[0]}.{since[1]}, {place}")


@scenario(limit=60)
def test_old_kernel(t):
    """A kernel that refuses what came after 5.15: generic mode for jumbo frames, HOLD by a tc filter"""
    os.makedirs(WORK, exist_ok=True)
    library, refused = os.path.join(WORK, "old_kernel.so"), os.path.join(WORK, "refused")
    done = subprocess.run(
        [os.environ.get("CC") or "cc", "-std=c11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra",
         "-Werror", "-shared", "-fPIC", "tests/net/old_kernel.c", "-ldl", "-o", library],
        cwd=TOP, capture_output=True, text=True)
    t.must(done.returncode == 0, f"cc: {done.stderr.strip() or 'done'}")
    net = Net()
    for fd in net.held:  # a program that knows of one buffer only holds the MTU down
        os.close(fd)
    for namespace, device in ((net.client, "c0"), (net.server, "s0")):
        ip(namespace, f"link set {device} mtu 9000")
    served = sink(net)
    gate = Gate(net, limits("5/s", 3, pace_horizon="5s"), xdp_mode="auto")
    os.environ |= {"LD_PRELOAD": library, "OLD_KERNEL_LOG": refused}
    try:
        gate.start()
    finally:
        del os.environ["LD_PRELOAD"], os.environ["OLD_KERNEL_LOG"]
    attempts = connect_now(net, [source_v4(n) for n in range(9)], server_v4(), patience=20)
    t.equal("served", sum(a.over is not None for a in attempts), 9)
    with open(refused) as f:
        t.equal("asked for and refused", set(f.read().split()), {"frags", "tcx"})
    t.equal("mode", [i["mode"] for i in gate.status()["interfaces"]], ["generic"])
    t.between("through the queue all the same", fifo(net)["out"], 6, 8)
    t.equal("accepted by the server", len(served.finish()), 9)


@scenario(limit=30)
def test_kernels_table(t):
    """The README's table of kernels is that of the last make check-kernels, and nothing failed in it"""
    done = subprocess.run([os.path.join(TOP, "scripts/check-kernels"), "--print"],
                          capture_output=True, text=True)
    t.must(done.returncode == 0, f"check-kernels --print: {done.stderr.strip() or 'done'}")
    for name in ("README.md", "docs/kernels.md"):
        with open(os.path.join(TOP, name)) as f:
            t.check(done.stdout in f.read(), f"{name} has the table")
    kernels = done.stdout.splitlines()[0].split("|")[2:-1]
    t.check(len(kernels) >= 2, f"kernels: {', '.join(k.strip() for k in kernels)}")
    t.check("failed" not in done.stdout and "not run" not in done.stdout,
            "every row has run on every kernel, and none failed")
