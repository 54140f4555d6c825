"""The body of the spans coders (docs/format.md): where the spans were, their binary, and what remains.

inner coder | spans | sections | the inner coder's body
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nbmf import varint
from nbmf.coders import floats, vectors
from nbmf.coders.spans import numbers, planes
from nbmf.coders.spans.numbers import Form
from nbmf.coders.spans.octets import LINE_ENDS, Base64, Hexadecimal
from nbmf.coders.vectors import LearnedVectorsCoder, VectorsCoder
from nbmf.errors import CorruptBlob
from nbmf.vectors.spaces import Spaces

MAX_NUMBERS = 1 << 20
"""In all spans of a record: to write one takes a hundred times as long as to copy its text."""

MAX_SEPARATOR_BYTES = 64

_TYPE_BITS = 5
_URL_SAFE, _PADDED, _LINES, _IN_PLACE = 1, 2, 4, 8
_BASE64_TYPES = 16
_HEXADECIMAL = {16: False, 17: True}  # type -> upper case
_FIRST_FORM = 20
_STREAMS = {
    24: (Form.BINARY32, floats.FloatsCoder.number),
    25: (Form.SHORT_BINARY32, floats.FloatsCoder.number),
    26: (Form.BINARY64, floats.FloatsCoder.number),
    28: (Form.BINARY32, VectorsCoder.number),
    29: (Form.SHORT_BINARY32, VectorsCoder.number),
    30: (Form.BINARY32, LearnedVectorsCoder.number),
    31: (Form.SHORT_BINARY32, LearnedVectorsCoder.number),
}
"""Type -> what of the numbers is kept, and the coder of a stream of their own that holds it."""
_NEAR = {VectorsCoder.number, LearnedVectorsCoder.number}
_SEPARATORS = (b",", b", ")
_SHORTEST_NUMBER = 3  # 0.0


@dataclass(frozen=True, slots=True)
class Octets:
    """A run of text from byte `begin` to `end` of the canonical bytes, and what it writes.

    `in_place`: the octets stay in what remains, where the text was.
    """

    begin: int
    end: int
    style: Base64 | Hexadecimal
    octets: bytes
    in_place: bool = False


@dataclass(frozen=True, slots=True)
class Numbers:
    """A run of `count` numbers from byte `begin` to `end`, with `separator` between them.

    `data` are the binary numbers, or where a `coder` is named, what it made of them.
    """

    begin: int
    end: int
    form: Form
    scale: int
    separator: bytes
    count: int
    data: bytes
    coder: int | None = None


Span = Octets | Numbers


@dataclass(frozen=True, slots=True)
class Cut:
    """A record whose spans are cut out. `clear`: the whole record is not worth the time of a learned coder. `sure`: nor
    of any other. `learned`: of a span that a version's vector spaces code."""

    remaining: bytes
    head: bytes
    spans: tuple[Span, ...]
    clear: bool
    learned: bool
    sure: bool = False

    @property
    def short(self) -> bool:
        """Whether all spans are short runs of octets, as hashes: a network that takes the whole record needs about as
        much for their characters as for where they stand and their binary, or less."""
        return not self.clear and all(isinstance(span, Octets) and not span.in_place for span in self.spans)

    def body(self, inner: int, inner_body: bytes) -> bytes:
        """The body, where coder `inner` made `inner_body` of what remains."""
        return bytes([inner]) + self.head + inner_body


def remaining(canonical: bytes, spans: Sequence[Span]) -> bytes:
    """A record without its spans, which are in their order and do not overlap."""
    kept = []
    at = 0
    for span in spans:
        kept.append(canonical[at : span.begin])
        if isinstance(span, Octets) and span.in_place:
            kept.append(span.octets)
        at = span.end
    return b"".join(kept) + canonical[at:]


def cut_out(canonical: bytes, spans: Sequence[Span], *, clear: bool) -> Cut:
    """`spans` in their order, at least one, not overlapping; at most MAX_NUMBERS numbers."""
    head = bytearray(varint.to_bytes(len(spans)))
    at = 0
    for span in spans:
        head += varint.to_bytes(span.begin - at) + _written(span)
        at = span.end
    for data, width in _sections(spans):
        if data:
            head += planes.encode(data, width)
    for span in spans:
        if isinstance(span, Numbers) and span.coder is not None:
            head += varint.to_bytes(len(span.data)) + span.data
    learned = any(isinstance(span, Numbers) and span.coder == LearnedVectorsCoder.number for span in spans)
    return Cut(remaining(canonical, spans), bytes(head), (*spans,), clear, learned)


def _sections(spans: Sequence[Span]) -> list[tuple[bytes, int]]:
    """Data and bytes an item, in the order in which a body has them."""
    octets = b"".join(span.octets for span in spans if isinstance(span, Octets) and not span.in_place)
    held = [span for span in spans if isinstance(span, Numbers) and span.coder is None]
    return [(octets, 1)] + [
        (b"".join(span.data for span in held if span.form in forms), forms[0].width) for forms in _SECTIONS
    ]


_SECTIONS = ((Form.BINARY32, Form.SHORT_BINARY32), (Form.BINARY64,), (Form.DECIMAL,))


def _written(span: Span) -> bytes:
    if isinstance(span, Numbers):
        of_stream = (kind for kind, stream in _STREAMS.items() if stream == (span.form, span.coder))
        written = _length_and_type(span.count, next(of_stream, _FIRST_FORM + span.form))
        if span.separator in _SEPARATORS:
            written += bytes([_SEPARATORS.index(span.separator)])
        else:
            written += varint.to_bytes(len(span.separator) + len(_SEPARATORS) - 1) + span.separator
        return written + (varint.to_bytes(span.scale) if span.form is Form.DECIMAL else b"")
    style = span.style
    if isinstance(style, Hexadecimal):
        return _length_and_type(len(span.octets), next(t for t, upper in _HEXADECIMAL.items() if upper == style.upper))
    kind = _URL_SAFE * style.url_safe | _PADDED * style.padded | _LINES * bool(style.line) | _IN_PLACE * span.in_place
    written = _length_and_type(len(span.octets), kind)
    return written + (varint.to_bytes(style.line * len(LINE_ENDS) + style.line_end) if style.line else b"")


def _length_and_type(length: int, kind: int) -> bytes:
    return varint.to_bytes(length << _TYPE_BITS | kind)


# --- reading ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _OctetsRead:
    gap: int
    style: Base64 | Hexadecimal
    length: int
    in_place: bool


@dataclass(frozen=True, slots=True)
class _NumbersRead:
    gap: int
    form: Form
    scale: int
    separator: bytes
    count: int
    coder: int | None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A body taken apart; its spans are written out, what remains is not decoded.

    `learned`: a version's vector spaces coded some.
    """

    inner: int
    inner_body: bytes
    remaining_bytes: int
    learned: bool
    _pieces: list[tuple[int, bytes | _OctetsRead]]

    def join(self, remaining: bytes) -> bytes:
        """The canonical bytes. Raises CorruptBlob unless `remaining` are as many as `remaining_bytes` says."""
        if len(remaining) != self.remaining_bytes:
            raise CorruptBlob(f"spans body: {len(remaining)} bytes remain, not {self.remaining_bytes}")
        parts = []
        at = 0
        for gap, piece in self._pieces:
            parts.append(remaining[at : at + gap])
            at += gap
            if isinstance(piece, bytes):
                parts.append(piece)
            else:
                parts.append(piece.style.write(remaining[at : at + piece.length]))
                at += piece.length
        return b"".join(parts) + remaining[at:]


def inner_coder(body: bytes) -> int:
    """The number of the coder of what remains. Raises CorruptBlob."""
    if not body:
        raise CorruptBlob("spans body: empty")
    return body[0]


def near_vectors(body: bytes, payload_bytes: int) -> int:
    """How many spans are vectors that are kept up to a cosine; nothing is written out. Raises CorruptBlob."""
    spans, _ = _read_spans(body, payload_bytes)
    return sum(isinstance(span, _NumbersRead) and span.coder in _NEAR for span in spans)


def parse(body: bytes, payload_bytes: int, spaces: Spaces | None = None) -> Parsed:
    """Takes a body apart. Neither work nor memory exceed what `payload_bytes` and MAX_NUMBERS allow.

    `spaces`: of the version that the blob names. Raises CorruptBlob if it cannot be the body of so many canonical
    bytes.
    """
    inner = inner_coder(body)
    spans, at = _read_spans(body, payload_bytes)
    texts, at = _read_sections(body, at, spans, payload_bytes, spaces or Spaces((), ()))
    in_place = sum(span.length for span in spans if isinstance(span, _OctetsRead) and span.in_place)
    remaining = payload_bytes + in_place
    pieces: list[tuple[int, bytes | _OctetsRead]] = []
    for span, text in zip(spans, texts, strict=True):
        if isinstance(text, bytes):
            remaining -= len(text)
        else:
            remaining -= text.style.size(text.length)
        pieces.append((span.gap, text))
    if remaining < in_place + sum(span.gap for span in spans):
        raise CorruptBlob("spans body: its spans do not fit the payload")
    learned = any(isinstance(span, _NumbersRead) and span.coder == LearnedVectorsCoder.number for span in spans)
    return Parsed(inner, body[at:], remaining, learned, pieces)


def _read_spans(body: bytes, payload_bytes: int) -> tuple[list[_OctetsRead | _NumbersRead], int]:
    count, at = varint.read(body, 1)
    if not 1 <= count <= len(body):
        raise CorruptBlob(f"spans body: {count} spans in {len(body)} bytes")
    spans: list[_OctetsRead | _NumbersRead] = []
    left = payload_bytes
    n_numbers = 0
    for _ in range(count):
        gap, at = varint.read(body, at)
        packed, at = varint.read(body, at)
        length, kind = packed >> _TYPE_BITS, packed & (1 << _TYPE_BITS) - 1
        span: _OctetsRead | _NumbersRead
        if kind < _BASE64_TYPES or kind in _HEXADECIMAL:
            style, at = _read_style(body, at, kind)
            span = _OctetsRead(gap, style, length, kind < _BASE64_TYPES and bool(kind & _IN_PLACE))
            left -= style.size(length)
        elif kind in _STREAMS or (kind >= _FIRST_FORM and kind - _FIRST_FORM < len(Form)):
            form, coder = _STREAMS[kind] if kind in _STREAMS else (Form(kind - _FIRST_FORM), None)
            separator, at = _read_separator(body, at)
            scale, at = varint.read(body, at) if form is Form.DECIMAL else (0, at)
            if not (0 if form is not Form.DECIMAL else 1) <= scale <= numbers.MAX_SCALE:
                raise CorruptBlob(f"spans body: numbers of {scale} decimals")
            span = _NumbersRead(gap, form, scale, separator, length, coder)
            left -= (_SHORTEST_NUMBER + len(separator)) * length - len(separator)
            n_numbers += length
        else:
            raise CorruptBlob(f"spans body: spans of type {kind} are not in the format")
        if length == 0 or left < 0 or gap > payload_bytes or n_numbers > MAX_NUMBERS:
            raise CorruptBlob("spans body: its spans do not fit the payload")
        spans.append(span)
    return spans, at


def _read_style(body: bytes, at: int, kind: int) -> tuple[Base64 | Hexadecimal, int]:
    if kind in _HEXADECIMAL:
        return Hexadecimal(_HEXADECIMAL[kind]), at
    line = line_end = 0
    if kind & _LINES:
        packed, at = varint.read(body, at)
        line, line_end = divmod(packed, len(LINE_ENDS))
        if line == 0:
            raise CorruptBlob("spans body: lines of no characters")
    return Base64(bool(kind & _URL_SAFE), bool(kind & _PADDED), line, line_end), at


def _read_separator(body: bytes, at: int) -> tuple[bytes, int]:
    number, at = varint.read(body, at)
    if number < len(_SEPARATORS):
        return _SEPARATORS[number], at
    length = number - len(_SEPARATORS) + 1
    separator = body[at : at + length]
    if length > MAX_SEPARATOR_BYTES or len(separator) < length:
        raise CorruptBlob("spans body: a separator that is too long")
    return separator, at + length


def _read_sections(
    body: bytes, at: int, spans: Sequence[_OctetsRead | _NumbersRead], payload_bytes: int, spaces: Spaces
) -> tuple[list[bytes | _OctetsRead], int]:
    """The text of each span, or the span where it is in place, and the offset behind the sections."""
    texts: list[bytes | _OctetsRead] = [span if isinstance(span, _OctetsRead) else b"" for span in spans]
    of_octets = [
        (index, span) for index, span in enumerate(spans) if isinstance(span, _OctetsRead) and not span.in_place
    ]
    total = sum(span.length for _, span in of_octets)
    if total:
        octets, at = planes.decode(body, at, 1, total)
        begin = 0
        for index, span in of_octets:
            texts[index] = span.style.write(octets[begin : begin + span.length])
            begin += span.length
    most = payload_bytes
    for forms in _SECTIONS:
        of_numbers = [
            (index, span)
            for index, span in enumerate(spans)
            if isinstance(span, _NumbersRead) and span.coder is None and span.form in forms
        ]
        total = sum(numbers_span.count for _, numbers_span in of_numbers)
        if not total:
            continue
        width = forms[0].width
        data, at = planes.decode(body, at, width, total)
        begin = 0
        for index, held in of_numbers:
            end = begin + held.count * width
            text = numbers.write(held.form, held.scale, data[begin:end], held.separator, most)
            texts[index] = text
            most -= len(text)
            begin = end
    for index, one in enumerate(spans):
        if isinstance(one, _NumbersRead) and one.coder is not None:
            length, at = varint.read(body, at)
            stream, at = body[at : at + length], at + length
            if len(stream) < length:
                raise CorruptBlob("spans body: truncated inside a stream of numbers")
            texts[index] = text = numbers.write(one.form, 0, _read_stream(one, stream, spaces), one.separator, most)
            most -= len(text)
    return texts, at


def _read_stream(span: _NumbersRead, stream: bytes, spaces: Spaces) -> bytes:
    """The binary numbers of a span. Raises CorruptBlob, DamagedCodec."""
    if span.coder == LearnedVectorsCoder.number:
        return vectors.decode_learned_numbers(stream, span.form.type, span.count, spaces)
    if span.coder == VectorsCoder.number:
        return vectors.decode_numbers(stream, span.form.type, span.count)
    _, begin = varint.read(stream, 1)
    return floats.decode_numbers(stream[:begin], stream[begin:], span.form.type, span.form.width, span.count)
