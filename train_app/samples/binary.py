"""Records of text and of what is no text: images, sound, vectors, as base64, digits, floats or octets.

Learnt is what learned coders are given when such a record is encoded: what remains of it, or nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from nbmf.coders import spans
from nbmf.coders.neural import worth_learning
from nbmf.payload import Kind
from train_app.samples.sample import Sample


def learnt_of(kind: Kind, canonical: bytes) -> bytes:
    """A record less its spans: no base64 or floats inside text. Empty for arrays and images, which are not learnt."""
    return spans.remaining(kind, canonical) if worth_learning(kind, canonical) else b""


@dataclass(slots=True)
class Binary:
    """How many records have parts that are not learnt, how many bytes these are, and how many have no other."""

    records: int = 0
    bytes: int = 0
    alone: int = 0

    def add(self, sample: Sample) -> None:
        """A record, of which it is known what is learnt."""
        if sample.learnt != sample.canonical:
            self.records += 1
            self.bytes += len(sample.canonical) - sample.learnt_bytes
            self.alone += not sample.learnt

    def to_dict(self) -> dict[str, int]:
        """For JSON."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """For people."""
        if self.records:
            records = f"{self.records:,} record{'' if self.records == 1 else 's'}"
            rest = f"; {self.alone:,} not at all, as nothing else is in them" if self.alone else ""
            yield (
                f"{records} with binary data, as base64, digits, floats or octets ({self.bytes:,} bytes): learnt from "
                f"without it{rest}."
            )
