"""TensorBoard's event files, read without TensorBoard."""

import struct

from tensorboardX.proto import event_pb2
from tensorboardX.record_writer import masked_crc32c


def events(folder):
    """Every event of every file of a folder, in order; each record's checksums are checked."""
    found = []
    for path in sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns):
        data, at = path.read_bytes(), 0
        while at < len(data):
            header = data[at : at + 8]
            (size,) = struct.unpack("<Q", header)
            assert struct.unpack("<I", data[at + 8 : at + 12])[0] == masked_crc32c(header)
            record = data[at + 12 : at + 12 + size]
            assert struct.unpack("<I", data[at + 12 + size : at + 16 + size])[0] == masked_crc32c(record)
            found.append(event_pb2.Event.FromString(record))
            at += 16 + size
    return found


def scalars(folder):
    """{name: [(step, value), …]} in the order in which they were written."""
    found = {}
    for event in events(folder):
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found
