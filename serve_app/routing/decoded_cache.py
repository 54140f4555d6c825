"""A cache of records decoded lately. A blob is decoded to the same bytes for ever: nothing in it grows old."""

from __future__ import annotations

from collections import OrderedDict

_ENTRY_BYTES = 320
"""What Python needs for an entry beside the blob's and the record's bytes."""


class DecodedCache:
    """Blobs and their (kind, canonical bytes), those used last, in `max_bytes` of memory."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._records: OrderedDict[bytes, tuple[int, bytes]] = OrderedDict()
        self.held_bytes = 0

    def get(self, blob: bytes) -> tuple[int, bytes] | None:
        """The record, if it is held."""
        record = self._records.get(blob)
        if record is not None:
            self._records.move_to_end(blob)
        return record

    def put(self, blob: bytes, record: tuple[int, bytes]) -> None:
        """Holds a record, and no longer those that were not used for longest, where there is no room for both."""
        if blob in self._records or _size_bytes(blob, record) > self._max_bytes:
            return
        self._records[blob] = record
        self.held_bytes += _size_bytes(blob, record)
        while self.held_bytes > self._max_bytes:
            self.held_bytes -= _size_bytes(*self._records.popitem(last=False))


def _size_bytes(blob: bytes, record: tuple[int, bytes]) -> int:
    return len(blob) + len(record[1]) + _ENTRY_BYTES
