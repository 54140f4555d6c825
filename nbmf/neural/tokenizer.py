"""Bytes to token ids and back, by the compiled core, of the `tokenizer.json` of a codec version."""

from __future__ import annotations

import json
from array import array
from functools import cache, cached_property, lru_cache
from itertools import accumulate, chain, pairwise
from typing import Any

from nbmf import _core

PATTERN = "|".join(
    (
        r"""[\]\[{}",:.?!]*"role":"(?:user|assistant|system|tool)","content":\"""",
        r"""[\]\[{}",:]*"[A-Za-z_$@][A-Za-z0-9_.$@-]*":[\[{]*"?""",
        r"'(?:[sdmt]|ll|ve|re)",
        r" ?\p{L}+",
        r"\p{N}{1,2}",
        r""" ?[^\s\p{L}\p{N}]+?(?=[\]\[{}",:]*"[A-Za-z_$@][A-Za-z0-9_.$@-]*":)""",
        r" ?[^\s\p{L}\p{N}]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
"""What text is cut into before pairs are merged. The core has it by hand, and no other (nbmf/_core/bpe.c): a JSON key
with the punctuation around it stays whole, and so does the border between two messages."""

_ASKED: dict[str, Any] = {
    "normalizer": None,
    "pre_tokenizer": {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        ],
    },
    "post_processor": None,
    "truncation": None,
    "padding": None,
    "added_tokens": [],
}
_ASKED_OF_MODEL = {
    "type": "BPE",
    "dropout": None,
    "unk_token": None,
    "continuing_subword_prefix": None,
    "end_of_word_suffix": None,
    "ignore_merges": False,
}


class _Bytes(dict[int, str]):
    """By character; nothing else stands for a byte."""

    def __missing__(self, character: int) -> str:
        raise ValueError(f"{chr(character)!r} in a token stands for no byte")


@cache
def _stand_ins() -> _Bytes:
    """The byte of each printable stand-in that byte-level BPE uses (GPT-2's bytes_to_unicode)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = sorted({*range(256)} - {*printable})
    characters = [*printable, *range(256, 256 + len(others))]
    return _Bytes(zip(characters, map(chr, printable + others), strict=True))


class NeuralTokenizer:
    """Byte-level BPE over UTF-8; bytes that are not UTF-8 become single-byte tokens."""

    def __init__(self, text: str) -> None:
        """Of a tokenizer.json. Raises ValueError for one that is damaged or asks for what the core does not do."""
        try:
            asked = json.loads(text)
            model = asked["model"]
            _check(asked, _ASKED)
            _check(model, _ASKED_OF_MODEL)
            ids: dict[str, int] = model["vocab"]
            tokens: list[str] = sorted(ids, key=ids.__getitem__)
            if [*map(ids.__getitem__, tokens)] != [*range(len(tokens))]:
                raise ValueError("ids that are not 0, 1, 2, …")
            pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]  # old files: text
            self._token_bytes = "".join(tokens).translate(_stand_ins()).encode("latin-1")
            self._begin_V = array("i", accumulate(map(len, tokens), initial=0))
            self.core = _core.Tokenizer(
                self._token_bytes,
                self._begin_V,
                array("i", [*map(ids.__getitem__, chain.from_iterable(pairs))]),
                array("i", [*map(ids.__getitem__, map("".join, pairs))]),
            )
        except (KeyError, TypeError, AttributeError, OverflowError, RecursionError, ValueError) as error:
            raise ValueError(f"no vocabulary that this nbmf reads: {error!r}") from error
        self._last: tuple[bytes, memoryview] = (b"", memoryview(b"").cast("i"))

    @staticmethod
    @lru_cache(maxsize=8)
    def from_json(text: str) -> NeuralTokenizer:
        """One object for one text: coders of a version share it."""
        return NeuralTokenizer(text)

    @property
    def vocab_size(self) -> int:
        return self.core.vocab_size

    @cached_property
    def bytes_of_id(self) -> list[bytes]:
        """Of each token."""
        return [self._token_bytes[begin:end] for begin, end in pairwise(self._begin_V)]

    def encode(self, data: bytes) -> memoryview:
        """Token ids, int32, whose bytes, joined, are `data`. The last answer is kept: coders ask for it in turn."""
        before, ids = self._last
        if before != data:
            ids = memoryview(self.core.encode(data)).cast("i")
            self._last = (data, ids)
        return ids

    def decode(self, ids: Any) -> bytes:
        """The bytes of the tokens, an array of int32, joined."""
        return self.core.decode(ids)


def _check(asked: dict[str, Any], known: dict[str, Any]) -> None:
    for name, value in known.items():
        if asked.get(name, value) != value:
            raise ValueError(f"{name} is {str(asked[name])[:200]}")
