"""Finds the runs that are worth cutting out. What it finds is not part of the format: a reader takes any.

Most records have none, so the first look is cheap: each byte's class, and whether any class lasts.
"""

from __future__ import annotations

import re
import string
import sys
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property, lru_cache

from nbmf import varint
from nbmf.coders.floats import FloatsCoder, encode_numbers
from nbmf.coders.spans import layout, numbers, planes
from nbmf.coders.spans.layout import MAX_NUMBERS, Cut, Numbers, Octets, Span, cut_out
from nbmf.coders.spans.numbers import Form
from nbmf.coders.spans.octets import LINE_ENDS, Base64, Hexadecimal
from nbmf.coders.vectors import LearnedVectorsCoder, VectorsCoder
from nbmf.payload import Kind
from nbmf.vectors import coding
from nbmf.vectors.aim import LEAST_DIMS_IN_JSON, Aim
from nbmf.vectors.spaces import Spaces

KINDS = frozenset({Kind.TEXT, Kind.MESSAGES, Kind.JSON})
"""That spans are cut out of: the format has no others."""

MIN_CHARACTERS = 40
"""Of base64: shorter runs are mostly words, and cost more to point at than they give."""

MIN_DIGITS = 96
"""Hexadecimal, in a run: the learned coders take 1.17 bytes for what two digits stand for, and hashes recur."""

MIN_NUMBERS = 8

_LEAST_OF_STREAM = 24
"""Numbers: what shorter runs give to a stream of their own they take from the planes of all together."""

_DISTINCT = 0.9
"""Of the numbers of a run: where more of them differ, planes of floats find nothing that a stream does not."""

_CLEAR = 128
"""Bytes of text: shorter runs, as hashes, may be in a version's static counts, which then need even less."""

_FEW_DIGITS = 9
"""Bytes a number with its separator: of lists with shorter ones the network may know more than their binary tells."""

_LONG_ENOUGH, _MOST, _NO_RULE, _BELOW_ZLIB = 1024, 0.8, 0.35, 0.65
"""Bytes of a record, share of it that numbers are, share of it that zlib's quickest level leaves, and share of that
which their binary takes, for which codecs of text are not tried. Of digits without a rule zlib leaves four tenths."""

_ALPHANUMERIC = (string.ascii_letters + string.digits).encode()
_OTHER, _IN_CLASS = b" ", b"b"


def _class_table(members: bytes) -> bytes:
    return bytes(_IN_CLASS[0] if byte in members else _OTHER[0] for byte in range(256))


_OF_BASE64 = _class_table(_ALPHANUMERIC + b"+/-_")
_LONG_BASE64 = _IN_CLASS * MIN_CHARACTERS
_OF_NUMBERS = _class_table(b"0123456789.,eE+- \n\\n")
_LONG_NUMBERS = _IN_CLASS * (4 * MIN_NUMBERS - 1)  # 0.1,0.1


def cut(kind: Kind, canonical: bytes) -> Cut | None:
    """The record without its spans; None if none is found."""
    spans = _chosen(kind, canonical, _smallest)
    if not spans:
        return None
    found = cut_out(canonical, spans, clear=any(map(_is_clear, spans)))
    return replace(found, sure=_is_sure(found, canonical))


def remaining(kind: Kind, canonical: bytes) -> bytes:
    """What `cut` leaves of a record, in less time; all of it if it finds nothing."""
    return layout.remaining(canonical, _chosen(kind, canonical, _uncoded))


def approximated(
    kind: Kind, canonical: bytes, found: Cut, aim: Aim, spaces: Spaces | None = None
) -> tuple[bytes, Cut, list[float]] | None:
    """The record with other vectors in place of its own, up to `aim`, that without its spans, and the cosine of each
    vector that changed; None where none did.

    `found`: what `cut` gave. Vectors are whole arrays of JSON, of LEAST_DIMS_IN_JSON floats at least: not numbers in
    text, nor inside strings. `spaces`: of the version that encodes.
    """
    if kind not in (Kind.JSON, Kind.MESSAGES):
        return None
    in_strings = _Strings(canonical)
    parts: list[bytes] = []
    spans: list[Span] = []
    cosines: list[float] = []
    at = size = 0
    for span in found.spans:
        between, text = canonical[at : span.begin], canonical[span.begin : span.end]
        at = span.end
        if isinstance(span, Numbers) and _is_vector(span, canonical, in_strings):
            near = _near(span, text, aim, spaces)
            if near:
                cosines += [near[2]] if near[1] != text else []
                span, text, _ = near
        parts += between, text
        spans.append(replace(span, begin=size + len(between), end=size + len(between) + len(text)))
        size = spans[-1].end
    record = b"".join(parts) + canonical[at:]
    return (record, cut_out(record, spans, clear=True), cosines) if cosines else None


def _is_vector(span: Numbers, canonical: bytes, in_strings: _Strings) -> bool:
    whole = canonical[span.begin - 1 : span.begin] == b"[" and canonical[span.end : span.end + 1] == b"]"
    return whole and span.count >= LEAST_DIMS_IN_JSON and not in_strings.hold(span.begin)


def _near(span: Numbers, text: bytes, aim: Aim, spaces: Spaces | None) -> tuple[Numbers, bytes, float] | None:
    """A vector near to the span's, its text, and the cosine of both; None if it would not keep the aim, or take no
    less."""
    space, values = coding.space_of(span.count), numbers.binary32(text.split(span.separator))
    if space is None or values is None:
        return None
    form = Form.BINARY32 if span.form is Form.BINARY32 else Form.SHORT_BINARY32
    (body,), decoded, (cosine,) = coding.encode(space, values, 1, form.type, aim)
    found = [] if body is None else [(body, bytes(decoded), VectorsCoder.number, cosine)]
    near = spaces.nearest(values, span.count, form.type, aim) if spaces else None
    if near:
        body = varint.to_bytes(near.space) + near.body
        found.append((body, near.decoded, LearnedVectorsCoder.number, near.cosine))
    if not found:
        return None
    data, values, coder, cosine = min(found, key=lambda one: len(one[0]))
    if len(data) >= len(span.data):
        return None
    written = numbers.write(form, 0, values, span.separator, sys.maxsize)
    return replace(span, form=form, scale=0, data=data, coder=coder), written, cosine


class _Strings:
    """Where a record's strings are; looked for when it is first asked."""

    _PATTERN = re.compile(rb'"(?:[^"\\]++|\\.)*+"')

    def __init__(self, canonical: bytes) -> None:
        self._canonical = canonical

    def hold(self, at: int) -> bool:
        """Whether a byte is within a string."""
        index = bisect_right(self._begins, at) - 1
        return index >= 0 and at < self._ends[index]

    @cached_property
    def _spans(self) -> list[tuple[int, int]]:
        return [match.span() for match in self._PATTERN.finditer(self._canonical)]

    @cached_property
    def _begins(self) -> list[int]:
        return [begin for begin, _ in self._spans]

    @cached_property
    def _ends(self) -> list[int]:
        return [end for _, end in self._spans]


_Coded = Callable[[list[float], list[str], int, int, bytes], Numbers]
"""What is made of numbers, their texts, where they begin and end, and their separator."""


def _chosen(kind: Kind, canonical: bytes, coded: _Coded) -> list[Span]:
    """Spans in their order, none over another; of numbers what `coded` makes of them."""
    if kind not in KINDS:
        return []
    spans: list[Span] = [*_octets(canonical), *_numbers(canonical, coded)]
    spans.sort(key=lambda span: span.begin)
    chosen: list[Span] = []
    n_numbers = 0
    for span in spans:
        if chosen and span.begin < chosen[-1].end:
            continue
        if isinstance(span, Numbers):
            if n_numbers + span.count > MAX_NUMBERS:
                continue
            n_numbers += span.count
        chosen.append(span)
    return chosen


def _is_clear(span: Span) -> bool:
    size = span.end - span.begin
    return size >= _CLEAR and (isinstance(span, Octets) or size >= _FEW_DIGITS * span.count)


def _is_sure(found: Cut, canonical: bytes) -> bool:
    """Whether the record is hardly more than numbers that differ and follow no rule that zlib sees, and their binary is
    far less than zlib's."""
    spans = [span for span in found.spans if isinstance(span, Numbers)]
    if len(canonical) < _LONG_ENOUGH or sum(span.end - span.begin for span in spans) < _MOST * len(canonical):
        return False
    distinct = {text for span in spans for text in canonical[span.begin : span.end].split(span.separator)}
    if len(distinct) < _DISTINCT * sum(span.count for span in spans):
        return False
    by_zlib = len(zlib.compress(canonical, 1))
    return by_zlib >= _NO_RULE * len(canonical) and len(found.head) <= _BELOW_ZLIB * by_zlib


def _runs(canonical: bytes, table: bytes, least: bytes) -> Iterator[tuple[int, int]]:
    """Where runs of at least that many bytes of a class begin and end."""
    classes = canonical.translate(table)
    begin = classes.find(least)
    while begin >= 0:
        end = classes.find(_OTHER, begin)
        end = len(classes) if end < 0 else end
        yield begin, end
        begin = classes.find(least, end)


# --- base64 and hexadecimal -------------------------------------------------------------------------------------

_STANDARD = rb"[A-Za-z0-9+/]"
_OF_ONE_ALPHABET = tuple(re.compile(members + rb"{%d,}" % MIN_CHARACTERS) for members in (_STANDARD, rb"[A-Za-z0-9_-]"))
_HEX_DIGITS = re.compile(rb"[0-9a-f]+|[0-9A-F]+")
_TEXT_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_CLASSES = bytes.maketrans(_ALPHANUMERIC, b"l" * 26 + b"u" * 26 + b"d" * 10)
_SAME_CLASS = re.compile(rb"l+|u+|d+|[^lud]+")
"""Three of five characters of random base64 are of another class than the one before: of words and paths, far fewer."""

_SAMPLE = 4096
_LONG = 256
_ENOUGH = 1 << 14


def _octets(canonical: bytes) -> Iterator[Octets]:
    done = 0
    for begin, end in _runs(canonical, _OF_BASE64, _LONG_BASE64):
        begin = max(done, begin + _escape_bytes(canonical, begin))
        for run_begin, run_end in _of_one_alphabet(canonical, begin, end):
            if run_begin < done:
                continue
            span = _span(canonical, run_begin, run_end)
            if span:
                done = span.end
                yield span


def _escape_bytes(canonical: bytes, begin: int) -> int:
    r"""Of a run's first bytes, how many belong to an escape of JSON, as the n of `\n`."""
    if canonical[begin - 1 : begin] != b"\\":
        return 0
    return 5 if canonical[begin : begin + 1] == b"u" else 1


def _of_one_alphabet(canonical: bytes, begin: int, end: int) -> list[tuple[int, int]]:
    """A run with letters of both alphabets, as sha512-… with a slash, cut where the longest part is whole."""
    run = canonical[begin:end]
    if not ((b"+" in run or b"/" in run) and (b"-" in run or b"_" in run)):
        return [(begin, end)]
    parts = [[match.span() for match in one.finditer(canonical, begin, end)] for one in _OF_ONE_ALPHABET]
    return max(parts, key=lambda spans: max((last - first for first, last in spans), default=0))


def _span(canonical: bytes, begin: int, end: int) -> Octets | None:
    if end - begin < MIN_CHARACTERS:
        return None
    if _HEX_DIGITS.fullmatch(canonical, begin, end):
        return _hexadecimal(canonical, begin, end)
    classes = canonical[begin : min(end, begin + _SAMPLE)].translate(_CLASSES)
    mixed = 6 * min(classes.count(b"l"), classes.count(b"u")) >= len(classes) and b"d" in classes
    if not mixed and end - begin < _LONG:
        return None
    found = _lines(canonical, begin, end) or _one_run(canonical, begin, end)
    if found is None:
        return None
    style, end, octets = found
    if _is_text(octets):
        return Octets(begin, end, style, octets, in_place=True)
    noise = mixed and 2 * len(_SAME_CLASS.findall(classes)) >= len(classes)
    return Octets(begin, end, style, octets) if noise or _is_smaller(canonical[begin:end], octets) else None


def _hexadecimal(canonical: bytes, begin: int, end: int) -> Octets | None:
    end -= (end - begin) % 2
    text = canonical[begin:end]
    if len(text) < MIN_DIGITS or text.isdigit():
        return None
    style = Hexadecimal(upper=text.upper() == text)
    octets = style.read(text)
    return Octets(begin, end, style, octets) if octets else None


def _one_run(canonical: bytes, begin: int, end: int) -> tuple[Base64, int, bytes] | None:
    text = canonical[begin:end]
    url_safe = b"-" in text or b"_" in text
    missing = -len(text) % 4
    if missing in (1, 2) and canonical.startswith(b"=" * missing, end):
        style = Base64(url_safe, padded=True)
        octets = style.read(canonical[begin : end + missing])
        if octets:
            return style, end + missing, octets
    style = Base64(url_safe)
    octets = style.read(text)
    if octets:
        return style, end, octets
    end -= len(text) % 4
    octets = style.read(canonical[begin:end])
    return (style, end, octets) if octets else None


def _lines(canonical: bytes, begin: int, end: int) -> tuple[Base64, int, bytes] | None:
    """A first line from `begin` to `end` and those behind it that are as long, and a last one."""
    line = end - begin
    if line % 4:
        return None
    for number, line_end in enumerate(LINE_ENDS):
        if canonical.startswith(line_end, end):
            match = _lines_pattern(line, line_end).match(canonical, begin)
            if match:
                text = match.group()
                padded = text.endswith(b"=")
                style = Base64(padded=padded, line=line, line_end=number)
                octets = style.read(text)
                if octets is None and not padded:
                    characters = len(text.replace(line_end, b""))
                    whole = characters - characters % 4
                    text = text[: whole + (whole - 1) // line * len(line_end)]
                    octets = style.read(text)
                return (style, begin + len(text), octets) if octets else None
    return None


@lru_cache(maxsize=32)
def _lines_pattern(line: int, line_end: bytes) -> re.Pattern[bytes]:
    end = re.escape(line_end)
    more = (end, _STANDARD, line)
    return re.compile(rb"%b{%d}(?:%b%b{%d})*(?:%b%b{1,%d}={0,2})?" % (_STANDARD, line, *more, *more))


def _is_text(octets: bytes) -> bool:
    """Whether the octets are text, which the coder of what remains takes better than its base64."""
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        return False
    return not _TEXT_CONTROLS.search(text)


def _is_smaller(text: bytes, octets: bytes) -> bool:
    """Whether a long run is better kept as octets, as far as zlib can tell by its beginning."""
    if len(text) < _LONG:
        return False
    return len(zlib.compress(octets[: 3 * _ENOUGH])) < 0.9 * len(zlib.compress(text[: 4 * _ENOUGH]))


# --- floats -----------------------------------------------------------------------------------------------------

_NUMBER = rb"(?>-?(?:0|[1-9]\d{0,16})(?:\.\d{1,25}(?:e[-+]?\d{1,3})?|e[-+]?\d{1,3}))"
_NUMBERS = re.compile(
    rb"(?<![0-9A-Za-z.+-])%b((?>,(?:[ \n]|\\n){0,40}))%b(?:\1%b){%d,}" % (_NUMBER, _NUMBER, _NUMBER, MIN_NUMBERS - 2)
)


def _numbers(canonical: bytes, coded: _Coded) -> Iterator[Numbers]:
    for begin, end in _runs(canonical, _OF_NUMBERS, _LONG_NUMBERS):
        for match in _NUMBERS.finditer(canonical, begin, end):
            separator = match.group(1)
            texts = match.group().decode("latin-1").split(separator.decode("latin-1"))
            values = list(map(float, texts))
            at = match.start()
            for first, last in _as_python_writes(values, texts):
                chosen = texts[first:last]
                run_begin = at + sum(map(len, texts[:first])) + first * len(separator)
                run_end = run_begin + sum(map(len, chosen)) + (last - first - 1) * len(separator)
                yield coded(values[first:last], chosen, run_begin, run_end, separator)


def _as_python_writes(values: list[float], texts: list[str]) -> Iterator[tuple[int, int]]:
    """First and last of the numbers in a row, enough of them, that `repr` writes as they are written."""
    written = list(map(repr, values))
    if written == texts:
        if len(texts) >= MIN_NUMBERS:
            yield 0, len(texts)
        return
    first = 0
    for index in range(len(texts) + 1):
        if index == len(texts) or written[index] != texts[index]:
            if index - first >= MIN_NUMBERS:
                yield first, index
            first = index + 1


def _uncoded(_values: list[float], texts: list[str], begin: int, end: int, separator: bytes) -> Numbers:
    """Where they are, and no more."""
    return Numbers(begin, end, Form.BINARY64, 0, separator, len(texts), b"")


def _smallest(values: list[float], texts: list[str], begin: int, end: int, separator: bytes) -> Numbers:
    """By the form that takes the least; BINARY64 is always one."""
    forms = [
        Numbers(begin, end, form, scale, separator, len(texts), data)
        for form, scale, data in numbers.read(values, texts)
    ]
    stream = _stream(forms) if len(texts) >= _LEAST_OF_STREAM else None
    if stream and len(set(texts)) >= _DISTINCT * len(texts):
        forms = [form for form in forms if form.form is Form.DECIMAL and _range_bytes(form) < len(stream.data)]
    sizes = [len(planes.encode(form.data, form.form.width)) for form in forms] if stream or len(forms) > 1 else [0]
    if stream and len(stream.data) < min(sizes, default=len(stream.data) + 1):
        return stream
    return min(zip(sizes, forms, strict=True), key=lambda pair: pair[0])[1]


def _stream(forms: list[Numbers]) -> Numbers | None:
    """A stream of its own, of numbers enough that its tallies learn something: by their first form that is floats.

    Binary32 never takes more than binary64.
    """
    first = next(form for form in forms if form.form is not Form.DECIMAL)
    made = encode_numbers(first.data, first.form.type, first.form.width)
    return replace(first, data=made[0] + made[1], coder=FloatsCoder.number) if made else None


def _range_bytes(decimals: Numbers) -> float:
    """About what planes take of numbers that are spread over their range."""
    scaled = memoryview(decimals.data).cast("I").tolist()
    return (max(scaled) - min(scaled)).bit_length() * len(scaled) / 8
