"""Text files as UTF-8, whatever they are compressed with and encoded in: gzip, zstd, bzip2, xz; UTF-16 and UTF-32.

What a file is compressed with is told by its first bytes, not by its name: downloads are unpacked on the way, and
keep their names. Everything is streamed, so no file takes more memory than the pieces here.
"""

from __future__ import annotations

import bz2
import codecs
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple, cast

import zstandard

from cluster.text_encoding import HEAD_BYTES, remedy, unmarked
from nbmf.text_encoding import encoding_of

_PIECE_BYTES = 256 * 1024
_ZSTD_PIECE_BYTES = 128
"""zstd inflates a whole piece at once, and four bytes may make 128 KiB."""

_MAX_WINDOW_BYTES = 512 * 1024 * 1024
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"
_ERRORS = (zlib.error, zstandard.ZstdError, lzma.LZMAError, OSError, EOFError, ValueError)


class Damaged(Exception):
    """Compressed or encoded data cannot be read on.

    `sound_bytes` of the text before it can be trusted: all of it (None) where data is cut off, else what a checksum
    vouches for, as what is before the place may be altered too.
    """

    def __init__(self, problem: str, sound_bytes: int | None) -> None:
        self.problem = problem
        self.sound_bytes = sound_bytes
        super().__init__(problem)


class NotUtf8(Exception):
    """The file is text in an encoding that is not read; says in which, and what to do."""


class _Zlib:
    """As bz2 and lzma have it: what is left of the input is not the caller's affair."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflater.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inflater.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflater.decompress(self._inflater.unconsumed_tail + data, max_length)


class _Zstd:
    needs_input = True

    def __init__(self) -> None:
        self._inflater = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES).decompressobj()

    @property
    def eof(self) -> bool:
        return bool(self._inflater.eof)

    @property
    def unused_data(self) -> bytes:
        return self._inflater.unused_data

    def decompress(self, data: bytes, _max_length: int) -> bytes:
        return self._inflater.decompress(data)


class _Format(NamedTuple):
    name: str
    magic: bytes
    make: Callable[[], Any]
    piece_bytes: int = _PIECE_BYTES
    padded: bool = False

    def begins(self, data: bytes) -> bool:
        skippable = self.name == "zstd" and data[:1] and data[0] & 0xF0 == 0x50 and data[1:4] == _ZSTD_SKIPPABLE
        return bool(skippable) or data.startswith(self.magic)


_FORMATS = (
    _Format("gzip", b"\x1f\x8b", _Zlib, padded=True),
    _Format("zstd", b"\x28\xb5\x2f\xfd", _Zstd, _ZSTD_PIECE_BYTES),
    _Format("bzip2", b"BZh", bz2.BZ2Decompressor),
    _Format("xz", b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(memlimit=_MAX_WINDOW_BYTES), padded=True),
)
_MAGIC_BYTES = 6


def open_text(file: BinaryIO) -> BinaryIO:
    """The text of a file that has just been opened, as UTF-8; lines that end in CR alone end in LF.

    A byte order mark of UTF-8 stays. What is returned is `file` itself where that is UTF-8 already, else a stream that
    cannot seek; closing it closes the file. Reading it raises Damaged. Raises NotUtf8. Of a pipe what is there is read.
    """
    head = _beginning(file)
    packed = next((one for one in _FORMATS if one.begins(head)), None)
    chunks = _inflated(file, packed) if packed else _pieces(file)
    if packed:
        head, chunks = _looked_at(chunks)
    encoding, mark_bytes = encoding_of(head)
    if not mark_bytes and (found := unmarked(head)):
        raise NotUtf8(f"it seems to be {found.upper()}, but has no byte order mark that says so; {remedy(found)}")
    text = head[mark_bytes:].decode(encoding, "ignore") if encoding != "utf-8" else head
    returns_only = ("\r" in text and "\n" not in text) if isinstance(text, str) else b"\r" in text and b"\n" not in text
    if encoding != "utf-8":
        chunks = _as_utf8(chunks, encoding, mark_bytes)
    if returns_only:
        chunks = _with_line_feeds(chunks)
    if encoding == "utf-8" and not packed and not returns_only:
        return file
    return cast(BinaryIO, io.BufferedReader(_Chunks(chunks, file), _PIECE_BYTES))


def _beginning(file: BinaryIO) -> bytes:
    """Which is read again after that."""
    if not file.seekable():
        return cast(io.BufferedReader, file).peek(HEAD_BYTES)[:HEAD_BYTES]
    start = file.tell()
    head = file.read(HEAD_BYTES)
    file.seek(start)
    return head


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := cast(io.BufferedReader, file).read1(_PIECE_BYTES):
        yield piece


def go_to(file: BinaryIO, offset: int) -> None:
    """Moves on to an offset; a file that cannot seek is read up to it, and must not be behind it."""
    if file.seekable():
        file.seek(offset)
        return
    while (left := offset - file.tell()) > 0:
        if not file.read(min(left, _PIECE_BYTES)):
            return


def _inflated(file: BinaryIO, packed: _Format) -> Iterator[bytes]:
    """Any number of streams one behind the other, as gzip's members and zstd's frames."""
    inflater, data = packed.make(), file.read(packed.piece_bytes)
    given = sound = 0
    while True:
        try:
            out = inflater.decompress(data, _PIECE_BYTES)
        except (*_ERRORS, MemoryError) as error:
            raise Damaged(f"its {packed.name} data is damaged: {error}", sound) from None
        if out:
            given += len(out)
            yield out
        if inflater.eof:
            sound = given
            data = _behind(file, packed, inflater.unused_data)
            if not data:
                return
            if not packed.begins(data):
                raise Damaged(f"other data follows its {packed.name} data", sound)
            inflater = packed.make()
        elif inflater.needs_input:
            data = file.read(packed.piece_bytes)
            if not data:
                raise Damaged(f"its {packed.name} data is cut off", None)
        else:
            data = b""


def _behind(file: BinaryIO, packed: _Format, data: bytes) -> bytes:
    """What follows a stream; nothing at the end of the file."""
    while True:
        if packed.padded:
            data = data.lstrip(b"\0")
        if len(data) >= _MAGIC_BYTES:
            return data
        more = file.read(packed.piece_bytes)
        if not more:
            return data
        data += more


def _looked_at(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The beginning, and all of it again."""
    taken, size = [], 0
    damaged: Damaged | None = None
    try:
        for chunk in chunks:
            taken.append(chunk)
            size += len(chunk)
            if size >= HEAD_BYTES:
                break
    except Damaged as error:
        damaged = error

    def again() -> Iterator[bytes]:
        yield from taken
        if damaged is not None:
            raise damaged
        yield from chunks

    return b"".join(taken)[:HEAD_BYTES], again()


def _as_utf8(chunks: Iterator[bytes], encoding: str, mark_bytes: int) -> Iterator[bytes]:
    """A lone surrogate becomes three bytes that are no UTF-8: a fault of its line, not of the file."""
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    try:
        for chunk in chunks:
            yield decoder.decode(chunk[mark_bytes:]).encode("utf-8", "surrogatepass")
            mark_bytes = max(0, mark_bytes - len(chunk))
        decoder.decode(b"", True)
    except UnicodeDecodeError as error:
        raise Damaged(f"it is no {encoding.upper()}: {error.reason}", None) from None
    except Damaged as error:
        raise Damaged(error.problem, None if error.sound_bytes is None else 0) from None


def _with_line_feeds(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk.replace(b"\r", b"\n")


class _Chunks(io.RawIOBase):
    def __init__(self, chunks: Iterator[bytes], file: BinaryIO) -> None:
        self._chunks = chunks
        self._file = file
        self._left = memoryview(b"")
        self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        self._given += size
        return size

    def tell(self) -> int:
        return self._given

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
