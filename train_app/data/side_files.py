"""Files of a split: JSON Lines in the specification's format, a file a side. Training reads them without flags."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import zstandard

from cluster.sources import JsonLines
from cluster.sources.parsing import Refused
from nbmf import json_text
from nbmf.neural.record_types import TYPE_OF_KIND
from nbmf.wire import canonical_to_json, dump
from train_app.data.sides import SIDES
from train_app.data.whole_file import whole_file
from train_app.samples.formats import KnownFormats
from train_app.samples.reading import read_samples, sample_of
from train_app.samples.sample import Sample

PLAIN, ZSTD = ".jsonl", ".jsonl.zst"
_LEVEL = 10
_PAYLOAD = b'{"payload":'


def value_of(sample: Sample) -> bytes:
    """The record as JSON. Raises Refused for bytes, arrays and text that no JSON can hold."""
    value = canonical_to_json(sample.kind, sample.canonical)
    if not value.startswith(_PAYLOAD):
        what = f"{sample.kind.label} of this content" if sample.kind in TYPE_OF_KIND else sample.kind.label
        raise Refused("no_json_form", f"{what} cannot be written as JSON")
    return value[len(_PAYLOAD) : -1]


def line_of(sample: Sample, key: str, around: str = "") -> bytes:
    """The record as a line, its end included: with the id, type and metadata that it had, as JSON text, or its key.

    Raises Refused as `value_of`.
    """
    held = json_text.loads(around) if around else {}
    head = {"id": key, "domain": sample.group or None, "type": TYPE_OF_KIND[sample.kind]} | held
    return dump(head)[:-1] + b',"data":' + value_of(sample) + b"}\n"


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
                            yield side, sample_of(row)


@contextmanager
def side_files(folder: Path, suffix: str) -> Iterator[dict[str, Any]]:
    """A file a side to write to; they replace those of before at the end, if nothing was raised until then."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        files: dict[str, Any] = {}
        for side in SIDES:
            files[side] = stack.enter_context(whole_file(path_of(folder, side, suffix)))
            if suffix == ZSTD:
                packing = zstandard.ZstdCompressor(level=_LEVEL).stream_writer(files[side], closefd=False)
                files[side] = stack.enter_context(packing)
        yield files
    for side in SIDES:
        for other in {PLAIN, ZSTD} - {suffix}:
            path_of(folder, side, other).unlink(missing_ok=True)
