# SPDX-License-Identifier: GPL-2.0-or-later
"""Capture files, byte by byte: pcap and pcapng, of frames that carry TCP SYNs."""

import ipaddress
import struct

ETHERNET, RAW, SLL, IPV4, IPV6, SLL2, WIFI = 1, 101, 113, 228, 229, 276, 105
DEST_V4, DEST_V6 = "198.51.100.25", "2001:db8:ffff::25"


def tcp(source_port, isn, port=25, flags=2, options=20):
    return struct.pack("!HHIIBBHHH", source_port, port, isn, 0, (20 + options) // 4 << 4, flags,
                       64240, 0, 0) + b"\1" * options


def datagram(source, segment, dest=None):
    """An IP datagram around a segment: (ethertype, bytes)."""
    a = ipaddress.ip_address(source)
    if a.version == 4:
        d = ipaddress.ip_address(dest or DEST_V4)
        return 0x0800, struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(segment), 0, 0x4000, 64, 6, 0,
                                   a.packed, d.packed) + segment
    d = ipaddress.ip_address(dest or DEST_V6)
    return 0x86DD, struct.pack("!IHBB16s16s", 6 << 28, len(segment), 6, 64, a.packed,
                               d.packed) + segment


def frame(link, kind, data, outgoing=False, vlan=None):
    """What stands in front of a datagram on a link of this type."""
    if link == ETHERNET:
        tag = struct.pack("!HH", 0x8100, vlan) if vlan else b""
        return bytes.fromhex("020000000025 020000000001") + tag + struct.pack("!H", kind) + data
    if link == SLL:
        return struct.pack("!HHH8sH", 4 if outgoing else 0, 1, 6, b"\2\0\0\0\0\1", kind) + data
    if link == SLL2:
        return struct.pack("!HHIHBB8s", kind, 0, 2, 1, 4 if outgoing else 0, 6,
                           b"\2\0\0\0\0\1") + data
    return data


def syn(link, source, port=4000, isn=1, **others):
    return frame(link, *datagram(source, tcp(port, isn)), **others)


def pcap(link, frames, order="<", nano=False, snap=65535):
    """frames: (seconds, bytes), in the order given."""
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snap, link)
    unit = 1e9 if nano else 1e6
    for at, data in frames:
        ticks = round(at * unit)
        out += struct.pack(order + "IIII", int(ticks // unit), int(ticks % unit),
                           min(len(data), snap), len(data)) + data[:snap]
    return out


def block(kind, body):
    body += b"\0" * (-len(body) % 4)
    return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)


def pcapng(link, frames):
    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    out += block(1, struct.pack("<HHI", link, 0, 65535))
    for at, data in frames:
        ticks = round(at * 1e6)
        out += block(6, struct.pack("<IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(data),
                                    len(data)) + data)
    return out
