# SPDX-License-Identifier: GPL-2.0-or-later
"""The few system calls that Python 3.11 has no name for: namespaces, mounts, bpf(2)."""

import ctypes
import os
import platform
import signal
import socket
import struct
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
CLONE_NEWPID = 0x20000000
MS_REC = 0x4000
MS_BIND = 0x1000
MS_PRIVATE = 1 << 18
PR_SET_PDEATHSIG = 1

BPF_PROG_LOAD = 5
BPF_LINK_CREATE = 28
BPF_PROG_TYPE_XDP = 6
BPF_XDP = 37
XDP_FLAGS_SKB_MODE = 2
XDP_FLAGS_DRV_MODE = 4
SYS_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280}

libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result < 0:
        err = ctypes.get_errno()
        raise OSError(err, f"{what}: {os.strerror(err)}")
    return result


def unshare(flags):
    _check(libc.unshare(flags), "unshare")


def setns(fd, kind=CLONE_NEWNET):
    _check(libc.setns(fd, kind), "setns")


def mount(source, target, kind, flags=0, data=None):
    encoded = [x.encode() if x else None for x in (source, target, kind)]
    _check(libc.mount(*encoded, ctypes.c_ulong(flags), data.encode() if data else None),
           f"mount {target}")


def umount(target):
    _check(libc.umount2(target.encode(), 2), f"umount {target}")  # MNT_DETACH


def die_with_parent():
    """However the parent ends, kill -9 too, this process ends with it."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _bpf(command, attr):
    buffer = ctypes.create_string_buffer(attr.ljust(144, b"\0"), 144)
    number = SYS_BPF.get(platform.machine(), 321)
    return _check(libc.syscall(number, command, buffer, len(buffer)), f"bpf({command})")


def load_xdp_pass(name="pass"):
    """Loads `return XDP_PASS;`. Returns the program's file descriptor."""
    # mov r0, XDP_PASS; exit
    code = struct.pack("<BBhi", 0xB7, 0, 0, 2) + struct.pack("<BBhi", 0x95, 0, 0, 0)
    insns = ctypes.create_string_buffer(code, len(code))
    licence = ctypes.create_string_buffer(b"GPL")
    attr = struct.pack("<IIQQIIQII16s", BPF_PROG_TYPE_XDP, len(code) // 8,
                       ctypes.addressof(insns), ctypes.addressof(licence),
                       0, 0, 0, 0, 0, name.encode())
    return _bpf(BPF_PROG_LOAD, attr)


def link_xdp(program, interface, flags=XDP_FLAGS_DRV_MODE):
    """Attaches by a link: gone when the descriptor that is returned is closed."""
    attr = struct.pack("<IIII", program, socket.if_nametoindex(interface), BPF_XDP, flags)
    return _bpf(BPF_LINK_CREATE, attr)


def set_xdp(program, interface, flags=XDP_FLAGS_DRV_MODE):
    """Attaches the old way, by netlink: it stays, no descriptor holds it. -1 detaches."""
    # IFLA_XDP_FD and IFLA_XDP_FLAGS within IFLA_XDP
    nested = struct.pack("=HHi", 8, 1, program) + struct.pack("=HHI", 8, 3, flags)
    attr = struct.pack("=HH", 4 + len(nested), 43 | 0x8000) + nested
    index = socket.if_nametoindex(interface)
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, 0, 0) + attr
    header = struct.pack("=IHHII", 16 + len(body), 19, 5, 1, 0)  # RTM_SETLINK, REQUEST | ACK
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as s:
        s.send(header + body)
        answer = s.recv(65536)
    error = struct.unpack_from("=i", answer, 16)[0]
    if error:
        raise OSError(-error, f"RTM_SETLINK {interface}: {os.strerror(-error)}")


def supported():
    """Why the net tests cannot run here, or None."""
    if os.geteuid() != 0:
        return "only root may make network namespaces and load XDP programs"
    if sys.byteorder != "little":
        return "the hand-made BPF program is written for little-endian machines"
    pid = os.fork()
    if pid == 0:
        try:
            unshare(CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID)
            os.close(load_xdp_pass())
            os._exit(0)
        except OSError as e:
            os.write(2, f"{e}\n".encode())
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    return "namespaces or BPF programs cannot be made here" if status else None
