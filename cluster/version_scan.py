"""What a version's vocabulary, counts, dictionaries and primer spell: searched for secrets and personal strings.

Entries of counts are short, but a sequence of six tokens may be a telephone number. A longer string that is there in
overlapping pieces only, each too short to be told from others, is not found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cluster import personal
from cluster.personal import FORBIDDEN, Finding, What
from nbmf.errors import DamagedCodec
from nbmf.manifest import Manifest
from nbmf.neural.counts import Counts
from nbmf.neural.counts_file import read_counts
from nbmf.neural.primer import load_primer
from nbmf.neural.tokenizer import NeuralTokenizer

_CHUNK_ENTRIES = 250_000
_EXAMPLES = 5
LONG = (24, 48)
"""Characters beyond which entries are counted."""

_DIGIT, _IN_RUN, _BEGINS_CHARACTER = 1, 2, 4
_CLASSES = np.array(
    [
        _DIGIT * (48 <= byte <= 57) | _IN_RUN * (byte in personal.RUN) | _BEGINS_CHARACTER * (byte & 0xC0 != 0x80)
        for byte in range(256)
    ],
    dtype=np.uint8,
)


@dataclass(slots=True)
class PartScan:
    """What was found in the entries of one file; a dictionary is one entry, of a primer each record is."""

    name: str
    entries: int = 0
    longest: int = 0  # in characters
    longer: dict[int, int] = field(default_factory=lambda: dict.fromkeys(LONG, 0))
    found: Counter[What] = field(default_factory=Counter)  # entries
    texts: dict[What, set[bytes]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For JSON, with no finding in full."""
        return {
            "name": self.name,
            "entries": self.entries,
            "longest_characters": self.longest,
            "entries_longer_than": {str(limit): count for limit, count in self.longer.items()},
            "found": {
                what.value: {
                    "entries": self.found[what],
                    "distinct": len(self.texts[what]),
                    "examples": [personal.masked(text) for text in sorted(self.texts[what])[:_EXAMPLES]],
                }
                for what in What
                if self.found[what]
            },
        }


def is_shareable(parts: Collection[PartScan]) -> bool:
    """Whether nothing was found that is somebody's in all likelihood."""
    return not any(part.found[what] for part in parts for what in FORBIDDEN)


class Scan:
    """Of one version, part after part."""

    def __init__(self, manifest: Manifest, files: dict[str, bytes]) -> None:
        self._texts = {name: [files[name]] for name in sorted(set(manifest.dictionaries.values()))}
        self._vocabularies: dict[str, list[bytes]] = {}
        self._counts: dict[str, tuple[Counts, str]] = {}
        for part in (manifest.counts, manifest.neural):
            if part is None:
                continue
            if part.tokenizer not in self._vocabularies:
                tokenizer = NeuralTokenizer.from_json(files[part.tokenizer].decode())
                self._vocabularies[part.tokenizer] = tokenizer.bytes_of_id
            if part.primer and part.primer not in self._texts:
                words = self._vocabularies[part.tokenizer]
                try:
                    self._texts[part.primer] = [_text(one.tokens_T, words) for one in load_primer(files[part.primer])]
                except ValueError as error:
                    raise DamagedCodec(f"{part.primer} is none: {error}") from error
            if part.counts and part.counts not in self._counts:
                self._counts[part.counts] = read_counts(files[part.counts]), part.tokenizer

    @property
    def entries(self) -> int:
        """How many there are in all."""
        vocabulary = sum(map(len, self._vocabularies.values()))
        return vocabulary + sum(len(c.token_N) for c, _ in self._counts.values()) + sum(map(len, self._texts.values()))

    def parts(self, on_entries: Callable[[int], None]) -> list[PartScan]:
        """All of them; `on_entries` is told how many entries were looked at since it was last called."""
        scans = []
        for name, words in self._vocabularies.items():
            scans.append(_scan(name, [_joined(words)], on_entries))
        for name, (counts, tokenizer) in self._counts.items():
            scans.append(_scan(name, _spelled(counts, self._vocabularies[tokenizer]), on_entries))
        for name, texts in self._texts.items():
            scans.append(_scan(name, [_joined(texts)], on_entries))
        return scans


def _text(tokens_T: memoryview, words: Sequence[bytes]) -> bytes:
    """What they spell. Raises ValueError for what is no token, which no coder of the version takes either."""
    if not all(0 <= token < len(words) for token in tokens_T):
        raise ValueError(f"no primer: tokens beyond the vocabulary of {len(words)}")
    return b"".join(words[token] for token in tokens_T)


def found_entries(
    counts: Counts, bytes_of_id: Sequence[bytes], kinds: Collection[What] = tuple(What)
) -> NDArray[np.int64]:
    """Which entries of the counts spell something of those kinds, sorted."""
    found = set()
    begin = 0
    for texts in _spelled(counts, bytes_of_id):
        found |= {begin + entry for entry, finding, _ in texts.findings() if finding.what in kinds}
        begin += len(texts)
    return np.array(sorted(found), dtype=np.int64)


class _Texts:
    """Many short texts in one, with a NUL byte behind each."""

    def __init__(self, text_B: NDArray[np.uint8], ends_N: NDArray[np.int64]) -> None:
        self._text_B = text_B
        self._ends_N = ends_N  # where the NUL bytes stand
        self._begins_N = np.concatenate([[0], ends_N[:-1] + 1])
        self._class_B = _CLASSES[text_B]

    def __len__(self) -> int:
        return len(self._ends_N)

    def characters(self) -> NDArray[np.int64]:
        """[N] How many each has; the NUL byte is none."""
        begin_B = (self._class_B & _BEGINS_CHARACTER != 0).astype(np.int64)
        return np.add.reduceat(begin_B, self._begins_N) - 1

    def findings(self) -> Iterator[tuple[int, Finding, bytes]]:
        """(index of a text, what is in it and where, that), for those texts alone that may hold anything."""
        (candidate_M,) = np.nonzero(self._candidates())
        if not len(candidate_M):
            return
        lengths_M = self._ends_N[candidate_M] + 1 - self._begins_N[candidate_M]
        ends_M = np.cumsum(lengths_M)
        source_B = np.repeat(self._begins_N[candidate_M] - (ends_M - lengths_M), lengths_M) + np.arange(ends_M[-1])
        data = self._text_B[source_B].tobytes()
        for finding in personal.find(data):
            entry = int(candidate_M[np.searchsorted(ends_M, finding.begin, side="right")])
            yield entry, finding, data[finding.begin : finding.end]

    def _candidates(self) -> NDArray[np.bool_]:
        digits_N = np.add.reduceat((self._class_B & _DIGIT).astype(np.int64), self._begins_N)
        candidate_N = digits_N >= personal.LEAST_DIGITS
        (breaks,) = np.nonzero(self._class_B & _IN_RUN == 0)  # the last NUL byte is one
        long_R = np.diff(breaks, prepend=-1) > personal.SHORTEST_RUN
        candidate_N[np.searchsorted(self._ends_N, breaks[long_R])] = True
        data = self._text_B.tobytes()
        for mark in personal.MARKS:
            candidate_N[np.searchsorted(self._ends_N, list(_places(data, mark)))] = True
        return candidate_N


def _places(data: bytes, mark: bytes) -> Iterator[int]:
    place = data.find(mark)
    while place >= 0:
        yield place
        place = data.find(mark, place + 1)


def _joined(texts: Sequence[bytes]) -> _Texts:
    text_B = np.frombuffer(b"".join(text + b"\0" for text in texts), dtype=np.uint8)
    return _Texts(text_B, np.cumsum([len(text) + 1 for text in texts]) - 1)


def _spelled(counts: Counts, bytes_of_id: Sequence[bytes]) -> Iterator[_Texts]:
    """All entries, in their order, some at a time. Types of records are spelled as nothing."""
    n, first_C = len(counts.token_N), counts.first()
    single = int(first_C[0])
    words = [*bytes_of_id[:single], *[b""] * (single - len(bytes_of_id)), b"\0"]
    word_bytes = np.frombuffer(b"".join(words), dtype=np.uint8)
    length_W = np.array([len(word) for word in words])
    begin_W = np.cumsum(length_W) - length_W
    context_N = np.concatenate([np.full(single, -1), np.repeat(np.arange(len(counts.followers_C)), counts.followers_C)])
    level, level_end = 1, single
    begin = 0
    while begin < n:
        end = min(begin + _CHUNK_ENTRIES, level_end)
        word_NL = np.full((end - begin, level + 1), len(words) - 1)
        entry_N = np.arange(begin, end)
        for place in range(level - 1, -1, -1):
            word_NL[:, place] = counts.token_N[entry_N]
            entry_N = context_N[entry_N]
        length_NL = length_W[word_NL]
        ends_NL = np.cumsum(length_NL.ravel())
        source_B = np.repeat(begin_W[word_NL.ravel()] - (ends_NL - length_NL.ravel()), length_NL.ravel())
        yield _Texts(word_bytes[source_B + np.arange(len(source_B))], ends_NL[level :: level + 1] - 1)
        begin = end
        if begin == level_end:
            level_end = int(first_C[level_end]) if level_end < len(first_C) else n
            level += 1


def _scan(name: str, chunks: Iterator[_Texts] | list[_Texts], on_entries: Callable[[int], None]) -> PartScan:
    part = PartScan(name)
    for texts in chunks:
        characters_N = texts.characters()
        part.entries += len(texts)
        part.longest = max(part.longest, int(characters_N.max(initial=0)))
        for limit in LONG:
            part.longer[limit] += int((characters_N > limit).sum())
        seen = set()
        for entry, finding, text in texts.findings():
            seen.add((entry, finding.what))
            part.texts.setdefault(finding.what, set()).add(text)
        part.found.update(what for _, what in seen)
        on_entries(len(texts))
    return part
