"""What every store offers, whatever it is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from nbmf.store.errors import AmbiguousKey, RecordNotFound
from nbmf.store.record import RecordKey, StoredRecord
from nbmf.store.statistics import Statistics


class Store(ABC):
    """Records by key and class, read only. The same key may occur in several classes.

    Where the same key and class occurs more than once, as in a source that was appended to, all are kept:
    `get` gives the last in the store's order, `get_all` all of them.
    """

    def get(self, key: str, record_class: str | None = None) -> StoredRecord:
        """The record. Raises RecordNotFound; AmbiguousKey if several classes have the key and none was named."""
        found = self.get_all(key, record_class)
        if not found:
            of_class = "" if record_class is None else f" of class {record_class!r}"
            raise RecordNotFound(f"no record {key!r}{of_class} in {self}")
        classes = sorted({record.record_class for record in found})
        if len(classes) > 1:
            raise AmbiguousKey(f"records of the classes {', '.join(map(repr, classes))} have the key {key!r}; name one")
        return found[-1]

    @abstractmethod
    def get_all(self, key: str, record_class: str | None = None) -> list[StoredRecord]:
        """Every record of a key (and class), in the store's order; empty without one."""

    @abstractmethod
    def classes_of(self, key: str) -> list[str]:
        """The classes of every record of a key; nothing is decrypted."""

    @abstractmethod
    def iterate(self) -> Iterator[StoredRecord]:
        """All records, in the store's order, without holding more than a batch of them."""

    @abstractmethod
    def keys(self) -> Iterator[RecordKey]:
        """Key and class of every record, in the store's order; one that is there twice comes twice."""

    @abstractmethod
    def statistics(self) -> Statistics:
        """Counts and sizes, in all and by class."""

    @abstractmethod
    def __len__(self) -> int:
        """How many records there are."""

    def __contains__(self, key: object) -> bool:
        """Whether there is a record of a key, or of a `(key, class)`."""
        if isinstance(key, str):
            return bool(self.classes_of(key))
        if isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], str):
            return key[1] in self.classes_of(key[0])
        return False

    def __iter__(self) -> Iterator[StoredRecord]:
        return self.iterate()

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Closes open files. The store is not used after it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
