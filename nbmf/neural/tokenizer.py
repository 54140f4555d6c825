"""Bytes to token ids and back. Any bytes round-trip; decoding needs only the id -> bytes table."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_INVALID_RUN = re.compile("([\udc80-\udcff]+)")
_LONG_RUN = re.compile(r'(?:[^\w\s]|_){64}|"[A-Za-z_$@][A-Za-z0-9_.$@-]{1023}')
"""What vocabularies' patterns for JSON keys take cubic time over, or give up on: text is cut behind it."""

# Quicker than the pattern: whether there can be such a run at all.
_ALPHANUMERIC = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MARKS = bytes(byte not in _ALPHANUMERIC + b" \t\n\r" for byte in range(256))
_NAMES = bytes(byte in _ALPHANUMERIC + b"_.$@-" for byte in range(256))


def _may_hold_long_run(data: bytes) -> bool:
    return b"\1" * 64 in data.translate(_MARKS) or b"\1" * 1024 in data.translate(_NAMES)


@lru_cache(maxsize=1)
def _byte_of_character() -> dict[str, int]:
    """The printable stand-in of each byte that byte-level BPE uses (GPT-2's bytes_to_unicode)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {chr(byte): byte for byte in printable}
    others = (byte for byte in range(256) if byte not in set(printable))
    table.update({chr(256 + index): byte for index, byte in enumerate(others)})
    return table


class NeuralTokenizer:
    """Byte-level BPE over UTF-8; bytes that are not UTF-8 become single-byte tokens."""

    def __init__(self, text_tokenizer: Tokenizer) -> None:
        self._text_tokenizer = text_tokenizer
        byte_of = _byte_of_character()
        vocabulary = text_tokenizer.get_vocab()
        self.bytes_of_id: list[bytes] = [b""] * len(vocabulary)
        for token, token_id in vocabulary.items():
            self.bytes_of_id[token_id] = bytes(byte_of[character] for character in token)
        self._id_of_byte = [0] * 256
        for token_id, token_bytes in enumerate(self.bytes_of_id):
            if len(token_bytes) == 1:
                self._id_of_byte[token_bytes[0]] = token_id
        self._last: tuple[bytes, list[int]] = (b"", [])

    @staticmethod
    @lru_cache(maxsize=8)
    def from_json(text: str) -> NeuralTokenizer:
        """One object for one text: coders of a version share it."""
        from tokenizers import Tokenizer

        return NeuralTokenizer(Tokenizer.from_str(text))

    @property
    def vocab_size(self) -> int:
        return len(self.bytes_of_id)

    def encode(self, data: bytes) -> list[int]:
        """Token ids whose bytes, joined, are `data`. The last answer is kept: coders ask for it in turn."""
        before, ids = self._last
        if before != data:
            ids = self._encode(data)
            self._last = (data, ids)
        return ids

    def _encode(self, data: bytes) -> list[int]:
        encode = self._encode_cut if _may_hold_long_run(data) else self._encode_text
        try:
            return encode(data.decode())
        except UnicodeDecodeError:
            pass
        ids: list[int] = []
        for piece in _INVALID_RUN.split(data.decode(errors="surrogateescape")):
            if _INVALID_RUN.match(piece):
                ids += (self._id_of_byte[ord(character) - 0xDC00] for character in piece)
            elif piece:
                ids += encode(piece)
        return ids

    def _encode_text(self, text: str) -> list[int]:
        return self._text_tokenizer.encode(text).ids

    def _encode_cut(self, text: str) -> list[int]:
        cuts = [0, *(run.end() for run in _LONG_RUN.finditer(text)), len(text)]
        return [token for begin, end in pairwise(cuts) for token in self._encode_text(text[begin:end])]

    def decode(self, ids: list[int]) -> bytes:
        """The bytes of the tokens, joined."""
        return b"".join(map(self.bytes_of_id.__getitem__, ids))
