"""Which encoding text is in: UTF-8 unless a byte order mark says otherwise."""

from __future__ import annotations

import codecs

_OF_MARK = (  # UTF-32's little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def encoding_of(data: bytes) -> tuple[str, int]:
    """The encoding of text that begins so, and the bytes of its byte order mark, which are not of the text."""
    for mark, encoding in _OF_MARK:
        if data.startswith(mark):
            return encoding, len(mark)
    return "utf-8", 0


def decode_text(data: bytes) -> str:
    """Text without its byte order mark. Raises UnicodeDecodeError, which names the encoding."""
    encoding, mark_bytes = encoding_of(data)
    return data[mark_bytes:].decode(encoding)
