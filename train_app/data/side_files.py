"""Files of a split: JSON Lines in the specification's format, a file a side. Training reads them without flags."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import zstandard

from cluster.sources import JsonLines
from cluster.sources.parsing import Refused
from nbmf.neural.record_types import TYPE_OF_KIND
from nbmf.payload import Kind
from nbmf.wire import canonical_to_json, dump
from train_app.data.sides import SIDES
from train_app.samples.formats import KnownFormats
from train_app.samples.reading import read_samples
from train_app.samples.sample import Sample

PLAIN, ZSTD = ".jsonl", ".jsonl.zst"
_PAYLOAD = b'{"payload":'


def line_of(sample: Sample, key: str) -> bytes:
    """The record as a line, its end included. Raises Refused for bytes, arrays and text that no JSON can hold."""
    value = canonical_to_json(sample.kind, sample.canonical)
    if not value.startswith(_PAYLOAD):
        what = f"{sample.kind.label} of this content" if sample.kind in TYPE_OF_KIND else sample.kind.label
        raise Refused("no_json_form", f"{what} cannot be written as JSON")
    head = {"id": key, "domain": sample.group or None, "type": TYPE_OF_KIND[sample.kind]}
    return dump(head)[:-1] + b',"data":' + value[len(_PAYLOAD) :] + b"\n"


def path_of(folder: Path, side: str, suffix: str) -> Path:
    """Of a side's file."""
    return folder / f"{side}{suffix}"


def written_before(folder: Path) -> Iterator[tuple[str, Sample]]:
    """(side, record) of all that an earlier split wrote there. Raises RecordsError."""
    for side in SIDES:
        for suffix in (PLAIN, ZSTD):
            if (path := path_of(folder, side, suffix)).is_file():
                source = KnownFormats(JsonLines((path,)))
                for shard in source.plan():
                    for row in read_samples(source, shard):
                        if not row["reason"]:
                            yield side, Sample(Kind(row["kind"]), row["canonical"], row["digest"], row["group"])


class SideFiles:
    """Writes a file a side, beside those of before, which are replaced at the end if nothing was raised until then."""

    def __init__(self, folder: Path, suffix: str) -> None:
        self._folder, self._suffix = folder, suffix
        self._stack = ExitStack()
        self._files: dict[str, IO[bytes]] = {}

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        for side in SIDES:
            file: Any = self._stack.enter_context(self._new(side).open("wb"))
            if self._suffix == ZSTD:
                file = self._stack.enter_context(zstandard.ZstdCompressor(level=10).stream_writer(file))
            self._files[side] = file
        return self

    def write(self, side: str, line: bytes) -> None:
        """A line."""
        self._files[side].write(line)

    def __exit__(self, kind: type[BaseException] | None, error: object, traceback: TracebackType | None) -> None:
        self._stack.close()
        for side in SIDES:
            if kind is not None:
                self._new(side).unlink()
                continue
            for suffix in {PLAIN, ZSTD} - {self._suffix}:
                path_of(self._folder, side, suffix).unlink(missing_ok=True)
            self._new(side).replace(path_of(self._folder, side, self._suffix))

    def _new(self, side: str) -> Path:
        return self._folder / f".{side}{self._suffix}.new"
