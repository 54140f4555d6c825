"""Making the key index: in memory that does not grow with the data set, to the same bytes every time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nbmf.store.errors import IndexUnusable
from nbmf.store.files import remove_scratch
from nbmf.store.folder import Folder, LocalFolder, folder_at
from nbmf.store.index import BATCH_ENTRIES, CHECKSUM, ENTRY, FORMAT, HASH_BITS, METADATA, Index, bits_for, checksum
from nbmf.store.index import key_hash as key_hash
from nbmf.store.layout import INDEX
from nbmf.store.parts import Parts, list_parts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SPILL = "_index.spill"
FEWEST_ENTRIES, MOST_ENTRIES = 1 << 15, 1 << 18
"""Entries that are held in memory, 16 bytes each: of a pile while it is sorted, and of all piles while they grow."""
_PILES = 1 << 10
"""Files that entries are sorted into, until these would be larger than that."""


def ensure_index(folder: Folder) -> None:
    """Makes the index of a data set, unless it has a sound one of the parts that are there.

    One caller at a time. Killed at any point it leaves the index as it was.
    """
    parts = list_parts(*folder.filesystem())
    if isinstance(folder, LocalFolder):
        shutil.rmtree(folder.path / SPILL, ignore_errors=True)
        remove_scratch(folder.path, INDEX)
    try:
        index = Index.open(parts)
        try:
            index.verify()
        finally:
            index.close()
    except IndexUnusable:
        _build(folder)


def build_index(place: Path | str) -> None:
    """Makes the index of a data set anew, at a path or a URI that pyarrow.fs knows."""
    _build(folder_at(place))


def _build(folder: Folder) -> None:
    parts = list_parts(*folder.filesystem())
    records = 0
    for number in range(len(parts.names)):
        with parts.open(number) as file:
            records += file.metadata.num_rows
    bits = bits_for(records)
    with folder.scratch(SPILL) as spill:
        held = min(max(FEWEST_ENTRIES, records // _PILES), MOST_ENTRIES)
        pile_bits = max(0, bits - (held // BATCH_ENTRIES).bit_length() + 1)
        _spill(parts, spill, pile_bits, held)
        fields = {"format": FORMAT, "bits": bits, "records": records, "parts": parts.digest}
        folder.write(INDEX, lambda path: _write(path, fields, _piles(spill, pile_bits), bits - pile_bits))


def _spill(parts: Parts, spill: Path, pile_bits: int, most_held: int) -> None:
    """Entries, in the store's order, to one file for each beginning of a hash."""
    import numpy as np

    held: list[npt.NDArray[np.void]] = []
    count = row = 0
    part = -1
    for number, batch in parts.rows(["key"]):
        row, part = (row, part) if number == part else (0, number)
        entries = np.empty(len(batch), ENTRY)
        entries["hash"] = [key_hash(fields["key"]) for fields in batch]
        entries["part"] = number
        entries["row"] = np.arange(row, row + len(batch))
        row += len(batch)
        held.append(entries)
        count += len(batch)
        if count >= most_held:
            _flush(held, spill, pile_bits)
            held, count = [], 0
    if held:
        _flush(held, spill, pile_bits)


def _flush(held: list[npt.NDArray[np.void]], spill: Path, pile_bits: int) -> None:
    import numpy as np

    entries = np.concatenate(held)
    pile_of = _leading(entries["hash"], pile_bits)
    order = np.argsort(pile_of, kind="stable")
    entries, pile_of = entries[order], pile_of[order]
    for pile in np.unique(pile_of):
        first, last = np.searchsorted(pile_of, pile, "left"), np.searchsorted(pile_of, pile, "right")
        with (spill / str(pile)).open("ab") as file:
            file.write(entries[first:last].tobytes())


def _piles(spill: Path, pile_bits: int) -> Iterator[npt.NDArray[np.void]]:
    """Each sorted: stable by hash is by hash, part and row, as entries were added in the store's order."""
    import numpy as np

    for pile in range(1 << pile_bits):
        path = spill / str(pile)
        entries = np.fromfile(path, ENTRY) if path.exists() else np.empty(0, ENTRY)
        yield entries[np.argsort(entries["hash"], kind="stable")]


def _write(path: Path, fields: dict[str, object], piles: Iterator[npt.NDArray[np.void]], batch_bits: int) -> None:
    """The index file: of each pile 2^batch_bits batches."""
    import numpy as np
    import pyarrow as pa

    schema = pa.schema(
        [pa.field(name, pa.from_numpy_dtype(kind), nullable=False) for name, kind in ENTRY],
        metadata={METADATA: json.dumps(fields).encode()},
    )
    bits = fields["bits"]
    assert isinstance(bits, int)  # noqa: S101
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        number = 0
        for entries in piles:
            batch_of = _leading(entries["hash"], bits)
            for _ in range(1 << batch_bits):
                first, last = np.searchsorted(batch_of, number, "left"), np.searchsorted(batch_of, number, "right")
                chosen = entries[first:last]
                # Not by pa.array, which imports pandas where it is installed.
                buffers = [pa.py_buffer(np.ascontiguousarray(chosen[name])) for name, _ in ENTRY]
                columns = [
                    pa.Array.from_buffers(kind, len(chosen), [None, buffer])
                    for kind, buffer in zip(schema.types, buffers, strict=True)
                ]
                batch = pa.record_batch(columns, schema=schema)
                writer.write_batch(batch, custom_metadata={CHECKSUM: checksum(batch)})
                number += 1


def _leading(hashes: npt.NDArray[np.uint64], bits: int) -> npt.NDArray[np.uint64]:
    """The first bits of each hash: a shift by all 64 is not defined."""
    import numpy as np

    return hashes >> np.uint64(HASH_BITS - bits) if bits else np.zeros_like(hashes)
