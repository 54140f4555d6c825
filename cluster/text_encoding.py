"""In which encoding a text file without a byte order mark is, if it is not UTF-8 (for marks: nbmf.text_encoding)."""

from __future__ import annotations

import codecs
import re

HEAD_BYTES = 64 * 1024
"""Of a file's beginning, what is looked at."""

_NULS = {"utf-32-be": (1, 1, 1, 0), "utf-32-le": (0, 1, 1, 1), "utf-16-be": (1, 0), "utf-16-le": (0, 1)}
"""Where ASCII text in these encodings has NULs, in turns."""

_NUL_SHARE = 0.05
"""Of the characters of a file that many are ASCII at least: in JSON what is between the texts."""

_LATIN = re.compile(rb"(?<![\x80-\xff])[\x80-\xff]{1,2}(?![\x80-\xff])")
_HIGH = re.compile(rb"[\x80-\xff]")
_SAMPLE_BYTES = 64 * 1024
_FEW, _MANY = 2, 20
"""Lines that may be damaged in a file that is UTF-8 otherwise: the second, if they are less than one in a hundred."""


def unmarked(head: bytes) -> str | None:
    """Of a file without a mark: whether it is UTF-16 or UTF-32 all the same."""
    for name, nuls in _NULS.items():
        width = len(nuls)
        units = len(head) // width
        if not units or any((head[at] == 0) != bool(nul) for at, nul in enumerate(nuls)):
            continue
        planes = [head[at : units * width : width].count(0) / units for at in range(width)]
        if all(share >= _NUL_SHARE if nul else share < _NUL_SHARE for share, nul in zip(planes, nuls, strict=True)):
            return name
    return None


def remedy(encoding: str) -> str:
    """How to go on with a file in an encoding that is not read."""
    return f"convert it: iconv -f {encoding.upper()} -t UTF-8 FILE > NEW"


class Utf8Check:
    """Told of each line of a file, it knows whether some lines are damaged, or the file is not UTF-8 at all."""

    def __init__(self) -> None:
        self.lines = 0
        self._utf8 = 0
        self._other = 0
        self._sample = b""

    def add(self, line: bytes) -> None:
        """One more line."""
        self.lines += 1
        if line.isascii():
            return
        try:
            codecs.utf_8_decode(line, "strict", False)  # the beginning of a long line may end within a character
            self._utf8 += 1
        except UnicodeDecodeError:
            self._other += 1
            if len(self._sample) < _SAMPLE_BYTES:
                self._sample += line[: _SAMPLE_BYTES - len(self._sample)]

    def problem(self) -> str | None:
        """What is wrong with the file, if most of its text other than ASCII is not UTF-8."""
        if self._other <= max(_FEW, self._utf8, min(_MANY, self.lines // 100)):
            return None
        high = len(_HIGH.findall(self._sample))
        alone = sum(len(found) for found in _LATIN.findall(self._sample))
        latin = 2 * alone > high
        likely = "Windows-1252 (Latin-1)" if latin else "a national encoding, as GB18030, Shift JIS or Windows-1251"
        command = remedy("windows-1252" if latin else "encoding")
        return (
            f"it is not UTF-8 ({self._other:,} of its {self.lines:,} lines are not), and by its bytes probably "
            f"{likely}; {command}"
        )
