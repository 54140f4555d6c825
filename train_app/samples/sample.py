"""A record to learn from or to measure on, and what its digest decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b

from nbmf.payload import Kind

DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Sample:
    """A record's canonical bytes and the digest that decides its split and whether it is sampled."""

    kind: Kind
    canonical: bytes
    digest: bytes
    group: str = ""
    """Class of the record in its store, where it has one: classes weigh the same when adaptation is fitted."""
    learnt: bytes | None = field(default=None, compare=False)
    """What learned coders are given of it (samples.binary); None where it was not looked at."""

    @property
    def learnt_bytes(self) -> int:
        """How many these are; all where it was not looked at."""
        return len(self.canonical if self.learnt is None else self.learnt)

    @property
    def compared(self) -> bytes:
        """What tells whether it is nearly the same as another: what is learnt of it, if anything is."""
        return self.learnt or self.canonical


def digest_of(kind: Kind, canonical: bytes) -> bytes:
    """Of a record: equal records have the same, whatever their class and place."""
    return blake2b(bytes([kind]) + canonical, digest_size=DIGEST_BYTES).digest()


def share(digest: bytes) -> float:
    """A number from 0 to 1, from another part of the digest than the one that samples are drawn by.

    A record is held out where this is below the share that is: with a larger share the same records are, and more.
    """
    return int.from_bytes(digest[-8:], "big") / 2**64


def is_held_out(record_class: str, fraction: float) -> bool:
    """Whether a class is one of those that are not learnt from: by a hash of its name."""
    return int.from_bytes(blake2b(record_class.encode(), digest_size=8).digest(), "big") < fraction * 2**64
