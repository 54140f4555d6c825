"""The coders of a codec version, or those that need none, and what names the version in blobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nbmf import coders, frame, golden
from nbmf.vectors.spaces import Spaces

if TYPE_CHECKING:
    from nbmf.manifest import Manifest


class VersionCoders:
    """`learned` are the version's own, `by_number` those that its blobs may name; checksums cover `seed`, its id.

    Immutable but for what it remembers of golden records; safe to share between threads.
    """

    def __init__(self, version_id: str | None, manifest: Manifest | None, files: dict[str, bytes] | None) -> None:
        self.id = version_id
        self.seed = bytes.fromhex(version_id) if version_id else b""
        learned: list[coders.Coder] = []
        if manifest is not None:
            from nbmf.manifest import dictionaries

            learned.append(coders.ZstdDictionaryCoder(dictionaries(manifest, files or {})))
            if manifest.neural:
                network = coders.NeuralCoder(manifest.neural, files or {})
                learned += [network, coders.NeuralAloneCoder(network), coders.SegmentsCoder(network)]
            if manifest.counts:
                counts = coders.CountsCoder(manifest.counts, files or {})
                learned += [counts, coders.CountsAloneCoder(counts)]
            learned += _windows(learned)
            if manifest.vectors:
                learned.append(coders.LearnedVectorsCoder(_spaces(manifest, files or {})))
        self.learned = tuple(learned)
        self.by_number: dict[int, coders.Coder] = {c.number: c for c in (*coders.CODEC_FREE, *learned)}
        self.vectors = next((coder for coder in learned if isinstance(coder, coders.LearnedVectorsCoder)), None)
        self.spaces = self.vectors.spaces if self.vectors else None
        self._golden = (files or {}).get(manifest.golden) if manifest and manifest.golden else None
        self.exact: set[int] = set()
        """Numbers of coders that gave the golden records."""

    @property
    def reference(self) -> bytes:
        """The two bytes by which blobs name this version; empty without one."""
        return self.seed[: frame.REFERENCE_BYTES]

    def __repr__(self) -> str:
        return f"Codec({self.id[:12] + '…' if self.id else 'no version'})"

    def check_golden(self, coder: coders.Coder) -> None:
        """Before a coder's first body is given out. Raises InexactMachine."""
        if self._golden is not None and coder.number not in self.exact:
            windows = coder.number == coders.WindowsCoder.number  # coded by the others
            numbers = {coder.number, coders.ALONE.get(coder.number)}
            asked = [c for c in self.learned if windows or c.number in numbers]
            golden.check(self._golden, [c for c in asked if c.number not in self.exact], self.id or "")
            self.exact |= {coder.number, *(c.number for c in asked)}


def _windows(learned: list[coders.Coder]) -> list[coders.Coder]:
    """For large records, by those that a version has."""
    network = next((coder for coder in learned if isinstance(coder, coders.NeuralCoder)), None)
    counts = next((coder for coder in learned if isinstance(coder, coders.CountsCoder)), None)
    return [coders.WindowsCoder(network, counts)] if network or counts else []


def _spaces(manifest: Manifest, files: dict[str, bytes]) -> Spaces:
    return Spaces([space.dims for space in manifest.vectors], [files[space.file] for space in manifest.vectors])
