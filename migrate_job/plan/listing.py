"""The shards of a source, listed once a run and kept on disk: there may be more than fit into memory."""

from __future__ import annotations

import pickle
from array import array
from collections.abc import Iterable
from tempfile import TemporaryFile
from typing import Protocol

from cluster.sources import Shard, Source


class Shards(Protocol):
    """Shards by number. Any sequence of them will do; so will a dict, for who needs only some."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int, /) -> Shard:
        """One of them."""


class Listing:
    """Shards in a temporary file, which is there until the end of its `with` block; of each, eight bytes are held."""

    def __init__(self, shards: Iterable[Shard]) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._ends = array("Q", [0])
        try:
            for shard in shards:
                self._file.write(pickle.dumps(shard))
                self._ends.append(self._file.tell())
        except BaseException:
            self._file.close()
            raise

    @classmethod
    def of(cls, source: Source) -> Listing:
        """What the source plans. Raises RecordsError."""
        iter_shards = getattr(source, "iter_shards", None)
        return cls(iter_shards() if iter_shards else source.plan())

    def __enter__(self) -> Listing:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> Shard:
        begin, end = self._ends[index], self._ends[index + 1]
        self._file.seek(begin)
        shard: Shard = pickle.loads(self._file.read(end - begin))  # noqa: S301 - ours
        return shard
