"""Files of JSON Lines, and JSON documents, cut into shards and these into the bytes of single records.

A part of a file is (first byte, last byte + 1, number of the first record, form, detail), the last two only where the
file has to be decoded or looked through, in bytes of the text as UTF-8. Numbers are of lines, or of a document's
values. Of a shard with parts of several files, its span has one for each.
"""

from __future__ import annotations

import atexit
import codecs
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, BinaryIO, NamedTuple

from cluster.errors import RecordsError
from cluster.sources.json_values import Document, Value
from cluster.sources.kinds import DOCUMENT, is_packed, is_plain_lines, kind_of
from cluster.sources.parsing import Refused, parse_json
from cluster.sources.shards import Shard, changed, open_planned
from cluster.sources.stamps import FileStamp, stamp
from cluster.sources.storage import Storage
from cluster.text_encoding import HEAD_BYTES, Utf8Check
from cluster.text_files import Damaged, NotUtf8, go_to, open_text

_PLAIN, _LINES, _ITEMS, _VALUES, _LOST = "", "lines", "items", "values", "lost"
_PIECE_BYTES = 1024 * 1024
_SHARD_FILES = 500
_LOOKED_AT_BYTES = 64 * 1024
"""Of each record, to see whether it is UTF-8."""

_LONE_LINE_BYTES = 1024 * 1024
"""A document whose first line is a value by itself is read as lines; one that is longer than this is not tried."""


class Bounds(NamedTuple):
    """Of a shard."""

    records: int
    size_bytes: int


class Raw(NamedTuple):
    """A record's bytes, or their beginning if they are more than wanted, and how many they are.

    `lost` says why there are none, and none behind them in the file.
    """

    data: bytes
    size: int
    place: str
    key: str
    shard: Shard
    lost: str | None = None


class _Part(NamedTuple):
    start: int
    end: int
    number: int
    form: str = _PLAIN
    detail: str = ""

    @property
    def span(self) -> tuple[Any, ...]:
        return tuple(self)[: 3 if self.form == _PLAIN else 5 if self.detail else 4]


class _Counted(NamedTuple):
    part: _Part
    records: int


def plan_shards(paths: Iterable[str], root: str | None, storage: Storage, bounds: Bounds) -> Iterator[Shard]:
    """Shards in the files' order. Small files share one, but for those that nbmf has always read one by one, JSON
    Lines directly in the folder: so runs that an older version began go on. Raises RecordsError.
    """
    together = _Together(root or "", storage, bounds)
    for path in paths:
        name = path.removeprefix(f"{root}/") if root else ""
        files = (stamp(path, storage=storage),)  # before it is opened: what is written to it after that is noticed
        parts = _parts_of(path, storage, bounds)
        if "/" in name or (name and not is_plain_lines(name)):
            for counted in parts:
                yield from together.add(files[0]._replace(name=name), counted)
        else:
            yield from together.flush()
            for part, _ in parts:
                yield Shard(path, part.span, files, part.end - part.start, storage)
    yield from together.flush()


class _Together:
    """Parts of several files, to be one shard."""

    def __init__(self, root: str, storage: Storage, bounds: Bounds) -> None:
        self._root, self._storage, self._bounds = root, storage, bounds
        self._held: list[tuple[FileStamp, _Part]] = []
        self._records = self._size_bytes = 0

    def add(self, file: FileStamp, counted: _Counted) -> Iterator[Shard]:
        part, records = counted
        size_bytes = part.end - part.start
        is_full = self._records + records > self._bounds.records
        if is_full or self._size_bytes + size_bytes > self._bounds.size_bytes or len(self._held) >= _SHARD_FILES:
            yield from self.flush()
        self._held.append((file, part))
        self._records += records
        self._size_bytes += size_bytes

    def flush(self) -> Iterator[Shard]:
        if self._held:
            spans = tuple(part.span for _, part in self._held)
            files = tuple(file for file, _ in self._held)
            span = spans if len(spans) > 1 else spans[0]
            yield Shard(self._root, span, files, self._size_bytes, self._storage)
        self._held, self._records, self._size_bytes = [], 0, 0


def _parts_of(path: str, storage: Storage, bounds: Bounds) -> Iterator[_Counted]:
    """Raises RecordsError."""
    shown = storage.show(path)
    try:
        if is_packed(path) and not _is_what_it_says(path, storage):
            yield _lost([], "its name says that it is compressed, but it begins neither so nor like text")
            return
        if kind_of(path) == DOCUMENT:
            yield from _parts_of_document(path, storage, bounds)
            return
        with _opened(path, storage) as text:
            if text.seekable():
                yield from _Cut(text, _PLAIN, bounds).parts()
            else:
                yield from _Cut(text, _LINES, bounds).sound_parts()
    except OSError as error:
        raise RecordsError(f"{shown}: {error.strerror or error}") from error
    except NotUtf8 as error:
        raise RecordsError(f"{shown}: {error}") from error


def _parts_of_document(path: str, storage: Storage, bounds: Bounds) -> list[_Counted]:
    """The items of an array; else lines, if the first one is a value by itself; else values over any lines."""
    text = _opened(path, storage)
    try:
        is_lines = _begins_with_line(text)
        text = _from_start(text, path, storage)
        found = _Cut(text, _ITEMS, bounds).array()
        if found is not None and not (is_lines and found[-1:] and found[-1].part.form == _LOST):
            return found
        text = _from_start(text, path, storage)
        form = _VALUES if not is_lines else _PLAIN if text.seekable() else _LINES
        return _Cut(text, form, bounds).sound_parts()
    finally:
        text.close()


def _from_start(text: BinaryIO, path: str, storage: Storage) -> BinaryIO:
    if text.seekable():
        text.seek(0)
        return text
    text.close()
    return _opened(path, storage)


def _is_what_it_says(path: str, storage: Storage) -> bool:
    """Whether a file is compressed, or text that was unpacked on its way here."""
    with _opened(path, storage) as text:
        if not text.seekable():
            return True
        head = text.read(HEAD_BYTES)
    try:
        codecs.utf_8_decode(head, "strict", False)
    except UnicodeDecodeError:
        return False
    return b"\0" not in head


def _opened(path: str, storage: Storage) -> BinaryIO:
    file = storage.open(path)
    try:
        return open_text(file)
    except BaseException:
        file.close()
        raise


def _begins_with_line(text: BinaryIO) -> bool:
    try:
        while line := text.readline(_LONE_LINE_BYTES):
            if line.strip():
                parse_json(line)
                return True
    except (Refused, Damaged):
        pass
    return False


class _Cut:
    """A file's text, cut into parts as its records are counted."""

    def __init__(self, text: BinaryIO, form: str, bounds: Bounds) -> None:
        self._text, self._form, self._bounds = text, form, bounds
        self._document = Document(text, limit_bytes=_LOOKED_AT_BYTES)
        self._damaged: Damaged | None = None

    def parts(self) -> Iterator[_Counted]:
        """Up to where the data is damaged. Raises NotUtf8 at the end if most of the text is not UTF-8."""
        check = Utf8Check()
        start, end, first, number = None, 0, 1, 1
        records = _records(self._text, self._document, self._form, 0, None, _LOOKED_AT_BYTES)
        while True:
            try:
                found = next(records, None)
            except Damaged as damaged:
                self._damaged, found = damaged, None
            if found is None:
                break
            if start is None:
                start, first = found.start, number
            end, number = found.end, number + 1
            check.add(found.data)
            if number - first >= self._bounds.records or end - start >= self._bounds.size_bytes:
                yield _Counted(_Part(start, end, first, self._form), number - first)
                start = None
        if start is not None:
            yield _Counted(_Part(start, end, first, self._form), number - first)
        if problem := check.problem():
            raise NotUtf8(problem)

    def sound_parts(self) -> list[_Counted]:
        """Those that can be trusted, and one that says what is lost, if anything is."""
        found = list(self.parts())
        if self._damaged is None:
            return found
        sound_bytes = self._damaged.sound_bytes
        sound = [one for one in found if sound_bytes is None or one.part.end <= sound_bytes]
        problem = self._damaged.problem
        if len(sound) < len(found):
            problem += "; what is before the damage is not taken either, as no checksum says that it is whole"
        return [*sound, _lost(sound, problem)]

    def array(self) -> list[_Counted] | None:
        """Of a document that is no array None."""
        try:
            if not self._document.begins_array():
                return None
        except Damaged as damaged:
            return [_lost([], damaged.problem)]
        found = self.sound_parts()
        if self._damaged is None and not self._document.has_end:
            return [*found, _lost(found, "the file ends before its array does")]
        if self._damaged is None and (rest := self._document.rest()):
            return [*found, _lost(found, f"other text follows the array: {rest[:40]!r}")]
        return found


def _lost(before: list[_Counted], problem: str) -> _Counted:
    end = before[-1].part.end if before else 0
    number = before[-1].part.number + before[-1].records if before else 1
    return _Counted(_Part(end, end, number, _LOST, problem), 1)


def raw_records(shard: Shard, limit_bytes: int) -> Iterator[Raw]:
    """Every record of a shard; blank lines are none. Raises SourceChanged, SourceUnavailable."""
    for one, part in _parts_in(shard):
        shown, name = one.storage.show(one.file), one.file_name
        number = part.number
        if part.form == _LOST:
            yield Raw(b"", 0, f"{shown}:{number}", f"{name}:{number}", one, part.detail)
            continue
        with _positioned(one, part) as text:
            document = Document(text, part.start, part.end, limit_bytes + 1)
            for data, start, end in _records(text, document, part.form, part.start, part.end, limit_bytes):
                if part.form in (_ITEMS, _VALUES) or data.strip() or end - start > limit_bytes:
                    span = part._replace(start=start, end=end, number=number).span
                    alone = replace(one, span=span, size_bytes=end - start)
                    yield Raw(data, end - start, f"{shown}:{number}", f"{name}:{number}", alone)
                number += 1


@contextmanager
def _positioned(shard: Shard, part: _Part) -> Iterator[BinaryIO]:
    """The text of a shard's file, at the part's beginning."""
    if part.form == _PLAIN:
        with open_planned(shard) as file:
            file.seek(part.start)
            yield file
        return
    key = (id(shard.storage.filesystem), shard.storage, shard.file, shard.files)
    text = _streams.take(key, part.start) or _open_again(shard)
    try:
        go_to(text, part.start)
        yield text
    except Damaged as error:
        text.close()
        raise changed(shard, shard.files[0].name, error.problem) from error
    except BaseException:
        text.close()
        raise
    _streams.keep(key, text)


def _open_again(shard: Shard) -> BinaryIO:
    file = open_planned(shard)
    try:
        return open_text(file)
    except NotUtf8 as error:
        file.close()
        raise changed(shard, shard.files[0].name, str(error)) from error
    except BaseException:
        file.close()
        raise


class _Streams:
    """The stream that this process read last, to be read on: to come to a place of one, all before it is inflated."""

    def __init__(self) -> None:
        self._key: Any = None
        self._text: BinaryIO | None = None

    def take(self, key: Any, offset: int) -> BinaryIO | None:
        """It, if it is of this file and not past the offset."""
        text = self._text
        if text is None or key != self._key or text.tell() > offset:
            return None
        self._text = None
        return text

    def keep(self, key: Any, text: BinaryIO) -> None:
        self.close()
        self._key, self._text = key, text

    def close(self) -> None:
        if self._text is not None:
            self._text.close()
            self._text = None


_streams = _Streams()
atexit.register(_streams.close)


def _parts_in(shard: Shard) -> Iterator[tuple[Shard, _Part]]:
    """Each part, with a shard of it alone."""
    spans = shard.span if isinstance(shard.span[0], tuple) else (shard.span,)
    for file, span in zip(shard.files, spans, strict=True):
        part = _Part(*span)
        yield replace(shard, span=span, files=(file,), size_bytes=part.end - part.start), part


def _records(
    text: BinaryIO, document: Document, form: str, start: int, end: int | None, limit_bytes: int
) -> Iterator[Value]:
    if form == _ITEMS:
        return document.items()
    return document.values() if form == _VALUES else _lines(text, start, end, limit_bytes)


def _lines(text: BinaryIO, start: int, end: int | None, limit_bytes: int) -> Iterator[Value]:
    """Lines, or the beginnings of those that are longer than the limit."""
    while end is None or start < end:
        line = piece = text.readline(limit_bytes + 1)
        size = len(line)
        while piece and not piece.endswith(b"\n"):
            piece = text.readline(_PIECE_BYTES)
            size += len(piece)
        if not size:  # the file is shorter than it was when it was planned
            return
        yield Value(line, start, start + size)
        start += size
