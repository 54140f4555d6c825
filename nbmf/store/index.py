"""The key index of a Parquet data set: `_index.arrow`, from the hash of a key to the rows that may hold it.

An Arrow IPC file of three columns, `hash` (the first 8 bytes of the key's BLAKE2b, as a big-endian number), `part`
(its number in name order) and `row` in that part, sorted by all three. It has 2^`bits` record batches: batch `n`
holds the hashes whose first `bits` bits are `n`, some 4,096 entries or fewer, so that one batch is read for a key.
Each batch has a CRC-32 of its buffers in its metadata; the schema's metadata says `format`, `bits`, `records` and
the digest of the parts that it was made of.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbmf.store.errors import IndexUnusable
from nbmf.store.layout import INDEX
from nbmf.store.parts import Parts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa
    import pyarrow.fs as pafs

FORMAT = 1
ENTRY = [("hash", "<u8"), ("part", "<u4"), ("row", "<u4")]
"""The columns, as numpy has them."""

HASH_BITS = 64
BATCH_ENTRIES = 4096
METADATA = b"nbmf.index"
CHECKSUM = b"crc32"


def key_hash(key: str) -> int:
    """The hash by which a key is found."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")


def bits_for(records: int) -> int:
    """How many bits of a hash choose its batch."""
    return max(0, (max(1, records) - 1) // BATCH_ENTRIES).bit_length()


def checksum(batch: pa.RecordBatch) -> bytes:
    """Of a batch's values."""
    crc = 0
    for column in batch.columns:
        crc = zlib.crc32(_values(column).data, crc)
    return str(crc).encode()


def _values(column: pa.Array) -> npt.NDArray[Any]:
    """Of whole numbers, not copied: `to_numpy` imports pandas where it is installed, which takes 40 MB."""
    import numpy as np

    item_bytes = column.type.bit_width // 8
    buffer = column.buffers()[1] if len(column) else b"\0" * item_bytes
    return np.frombuffer(buffer, f"<u{item_bytes}", len(column), column.offset * item_bytes)


@dataclass(slots=True)
class Index:
    """An opened index. Only the batches that are asked for are read."""

    bits: int
    records: int
    _file: Any
    _reader: Any

    @classmethod
    def open(cls, parts: Parts) -> Index:
        """The index beside the parts. Raises IndexUnusable, which says why."""
        import pyarrow as pa

        path = f"{parts.folder}/{INDEX}"
        try:
            file = _open_file(parts.filesystem, path)
        except FileNotFoundError:
            raise IndexUnusable(f"{path} is not there") from None
        except OSError as error:
            raise IndexUnusable(f"{path}: {error}") from error
        try:
            reader = pa.ipc.open_file(file)
            fields = json.loads((reader.schema.metadata or {})[METADATA])
            if fields["format"] != FORMAT:
                raise IndexUnusable(f"{path} has format {fields['format']}, of a newer nbmf")
            if fields["parts"] != parts.digest:
                raise IndexUnusable(f"{path} is of other files than there are now")
            if reader.num_record_batches != 1 << fields["bits"]:
                raise IndexUnusable(f"{path} is damaged: it does not have the batches it says")
            if [(field.name, field.type) for field in reader.schema] != [
                (name, pa.from_numpy_dtype(kind)) for name, kind in ENTRY
            ]:
                raise IndexUnusable(f"{path} is damaged: it has other columns")
            return cls(fields["bits"], fields["records"], file, reader)
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            file.close()
            raise IndexUnusable(f"{path} is damaged: {error}") from error
        except IndexUnusable:
            file.close()
            raise

    def find(self, key: str) -> list[tuple[int, int]]:
        """(part, row) of every row that may hold the key, in the store's order. Raises IndexUnusable."""
        import numpy as np

        wanted = key_hash(key)
        hashes, parts, rows = self._columns(wanted >> (HASH_BITS - self.bits))
        first, last = (int(np.searchsorted(hashes, np.uint64(wanted), side)) for side in ("left", "right"))
        return list(zip(parts[first:last].tolist(), rows[first:last].tolist(), strict=True))

    def verify(self) -> None:
        """Reads all of it. Raises IndexUnusable if a batch is damaged, or entries are missing."""
        found = sum(len(self._columns(number)[0]) for number in range(1 << self.bits))
        if found != self.records:
            raise IndexUnusable(f"the index has {found} entries, not {self.records}")

    def close(self) -> None:
        """Closes its file."""
        self._file.close()

    def _columns(self, number: int) -> list[npt.NDArray[np.uint64]]:
        import pyarrow as pa

        try:
            batch, metadata = self._reader.get_batch_with_custom_metadata(number)
            intact = metadata is not None and metadata.get(CHECKSUM) == checksum(batch)
        except (pa.ArrowException, OSError, ValueError, TypeError) as error:
            raise IndexUnusable(f"batch {number} of the index cannot be read: {error}") from error
        if not intact:
            raise IndexUnusable(f"batch {number} of the index is damaged")
        return [_values(column) for column in batch.columns]


def _open_file(filesystem: pafs.FileSystem, path: str) -> Any:
    import pyarrow as pa
    import pyarrow.fs as pafs

    if isinstance(filesystem, pafs.LocalFileSystem):
        return pa.memory_map(path)
    return filesystem.open_input_file(path)
