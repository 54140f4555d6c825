"""JSON Lines: a record a line, any JSON value; or an object of which one field, or the rest, is the payload."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from cluster.errors import RecordsError
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, BadRecord, Item, Shard
from cluster.sources.choice import PayloadField, Whole
from cluster.sources.dict_blobs import decoded_dict_blobs
from cluster.sources.parsing import Refused, parse_json, record_from_payload, too_large
from cluster.sources.stamps import open_planned, stamp
from cluster.sources.storage import LOCAL, Storage

_SHARD_LINES = 2000
_SHARD_BYTES = 4 * 1024 * 1024
_PIECE_BYTES = 1024 * 1024
_SHOWN_FIELDS = 20


@dataclass(frozen=True, slots=True)
class JsonLines:
    """Files of JSON Lines. Without a `payload_field` each line is a payload, whatever fields it has.

    Keys are `<file>:<line>` without a `key_field`, and for lines that lack it. A field that no line has is refused.
    """

    paths: tuple[str | Path, ...]
    payload_field: PayloadField = None
    key_field: str | None = None
    class_field: str | None = None
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES
    storage: Storage = LOCAL
    registry: str | None = field(default=None, repr=False)

    def plan(self) -> list[Shard]:
        return list(self.iter_shards())

    def iter_shards(self) -> Iterator[Shard]:
        named = (self.payload_field, self.key_field, self.class_field)
        missing, seen = {name for name in named if isinstance(name, str)}, dict[str, None]()
        for path in self.paths:
            for shard in _cut(str(path), self.storage):
                if missing:
                    self._look_for(missing, seen, shard)
                yield shard
        if missing and seen:
            names, has = ", ".join(map(repr, sorted(missing))), ", ".join(seen)
            raise RecordsError(f"{self.storage.show(str(self.paths[0]))}: no line has a field {names}; there are {has}")

    def split(self, shard: Shard) -> Iterator[tuple[str, Shard]]:
        start, end, number = shard.span
        shown = self.storage.show(shard.path)
        with open_planned(shard) as file:
            file.seek(start)
            while start < end:
                _, size = _read_line(file, 0)
                if not size:
                    break
                yield f"{shown}:{number}", replace(shard, span=(start, start + size, number), size_bytes=size)
                start, number = start + size, number + 1

    def read(self, shard: Shard) -> Iterator[Item]:
        return decoded_dict_blobs(self._records(shard), self.registry, self.max_record_bytes)

    def _records(self, shard: Shard) -> Iterator[Item]:
        name, shown = PurePosixPath(shard.path).name, self.storage.show(shard.path)
        for line, size, number in self._lines(shard):
            if line.strip() or size > self.max_record_bytes:
                yield self._record(line, size, f"{shown}:{number}", f"{name}:{number}")

    def _record(self, line: bytes, size: int, place: str, line_key: str) -> Item:
        if size > self.max_record_bytes:
            return too_large(size, self.max_record_bytes).bad(place, line_key, size)
        try:
            value = parse_json(line)
        except Refused as refused:
            return refused.bad(place, line_key, size)
        held = value if type(value) is dict else {}
        key, record_class = (held.get(name) if name else None for name in (self.key_field, self.class_field))
        rest = {name: one for name, one in held.items() if name not in (self.key_field, self.class_field)}
        fields: dict[str, Any] = {}
        if isinstance(self.payload_field, str):
            if self.payload_field not in held:
                return BadRecord(place, "no_payload", f"no field {self.payload_field!r}", line_key, size)
            payload = held[self.payload_field]
            fields = {name: one for name, one in rest.items() if name != self.payload_field}
        else:
            payload = rest if self.payload_field is Whole.ROW and type(value) is dict else value
        try:
            texts = line_key if key is None else str(key), "" if record_class is None else str(record_class)
        except (ValueError, RecursionError) as error:  # an integer of thousands of digits, a deep list
            return BadRecord(place, "bad_key", f"key or class cannot be written as text: {error}", line_key, size)
        return record_from_payload(*texts, fields, payload, place, size)

    def _look_for(self, missing: set[str], seen: dict[str, None], shard: Shard) -> None:
        """Takes what lines have out of `missing`, until nothing is: as a rule, one line is read."""
        for line, _, _ in self._lines(shard):
            with contextlib.suppress(Refused):
                if type(value := parse_json(line)) is dict:
                    missing.difference_update(value)
                    seen |= dict.fromkeys(list(value)[: _SHOWN_FIELDS - len(seen)])
            if not missing:
                return

    def _lines(self, shard: Shard) -> Iterator[tuple[bytes, int, int]]:
        """Each line, or its beginning if it is longer than the bound, its length in bytes, and its number."""
        start, end, number = shard.span
        with open_planned(shard) as file:
            file.seek(start)
            while file.tell() < end:
                line, size = _read_line(file, self.max_record_bytes)
                if not size:  # the file is shorter than it was when it was planned
                    break
                yield line, size, number
                number += 1


def _read_line(file: BinaryIO, limit_bytes: int) -> tuple[bytes, int]:
    """The next line, or its beginning if it is longer than the limit, and its whole length in bytes."""
    line = piece = file.readline(limit_bytes + 1)
    size = len(line)
    while piece and not piece.endswith(b"\n"):
        piece = file.readline(_PIECE_BYTES)
        size += len(piece)
    return line, size


def _cut(path: str, storage: Storage) -> Iterator[Shard]:
    """Spans (first byte, last byte + 1, number of the first line), cut at line ends."""
    files = (stamp(path, storage=storage),)  # before it is opened: what is written to it after that is then noticed
    try:
        file = storage.open(path)
    except OSError as error:
        raise RecordsError(f"{storage.show(path)}: {error.strerror or error}") from error
    with file:
        start = offset = 0
        first = number = 1
        while True:
            _, size = _read_line(file, 0)
            if not size:
                break
            offset += size
            number += 1
            if number - first >= _SHARD_LINES or offset - start >= _SHARD_BYTES:
                yield Shard(path, (start, offset, first), files, offset - start, storage)
                start, first = offset, number
        if offset > start:
            yield Shard(path, (start, offset, first), files, offset - start, storage)
