"""Batches of octets, as the service reads and writes them."""

import struct

from nbmf.payload import Kind

OCTETS = {"Content-Type": "application/octet-stream"}


def frame_items(items):
    return b"".join(struct.pack("<I", len(item)) + item for item in items)


def split_items(content):
    """(status, kind, bytes) of each item of a response."""
    at, found = 0, []
    while at < len(content):
        status, kind, size = struct.unpack_from("<BBI", content, at)
        at += 6 + size
        found.append((status, Kind(kind).label, content[at - size : at]))
    return found
