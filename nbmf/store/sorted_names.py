"""The names in a folder, sorted, of which only a few are held at a time."""

from __future__ import annotations

import heapq
import os
import pickle
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

_RUN_NAMES = 50_000
"""Names that are sorted at once; of a larger folder, as many go to a temporary file, and the runs are merged."""

_PIECE_NAMES = 500


def sorted_names(folder: Path, suffix: str, prefix: str = "") -> Iterator[str]:
    """Names of the entries with a beginning and a suffix, in the order of `sorted`. Raises OSError before the first."""
    with os.scandir(folder) as entries, TemporaryFile() as spilled:
        names = (name for entry in entries if (name := entry.name).startswith(prefix) and Path(name).suffix == suffix)
        run = sorted(islice(names, _RUN_NAMES))
        if len(run) < _RUN_NAMES:
            yield from run
            return
        places: list[tuple[int, int]] = []
        while run:
            places.append(_spill(run, spilled))
            run = sorted(islice(names, _RUN_NAMES))
        yield from heapq.merge(*(_read(spilled, *place) for place in places))


def _spill(run: list[str], file: IO[bytes]) -> tuple[int, int]:
    begin = file.tell()
    for at in range(0, len(run), _PIECE_NAMES):
        pickle.dump(run[at : at + _PIECE_NAMES], file)
    return begin, file.tell()


def _read(file: IO[bytes], at: int, end: int) -> Iterable[str]:
    while at < end:
        file.seek(at)
        piece: list[str] = pickle.load(file)  # noqa: S301 - ours
        at = file.tell()
        yield from piece
