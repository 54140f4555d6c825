"""Target: blobs. A blob decodes to a payload that is encoded and decoded again, or is refused with an error of nbmf.

An input is a blob.
"""

import contextlib
import random
from pathlib import Path

import mutate

import nbmf
from nbmf import errors, frame, wire
from nbmf.catalog import Catalog
from nbmf.coders import ALONE, CODEC_FREE, spans
from nbmf.coders.windows import layout as windows
from nbmf.decoding import parse_bounded
from nbmf.json_text import values_within
from nbmf.payload import Kind, from_canonical, to_canonical
from nbmf.varint import to_bytes

GOLDEN = Path(__file__).parents[1] / "golden"
SUFFIX = ".blob"
MAX_OUTPUT_BYTES = 1 << 18
_LARGEST_SEED = 2_000
_CATALOG = Catalog([GOLDEN / "versions"])
_CODERS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15)


def seeds() -> list[bytes]:
    """Small golden blobs."""
    return [path.read_bytes() for path in sorted(GOLDEN.glob("*.blob")) if path.stat().st_size <= _LARGEST_SEED]


def run(blob: bytes) -> str:
    """What became of it. Raises whatever must not happen."""
    with contextlib.suppress(errors.BlobError):
        nbmf.inspect(blob)
    try:
        parsed = parse_bounded(blob, MAX_OUTPUT_BYTES)
        canonical = _CATALOG.decode_canonical(parsed)
        assert parsed.least_bytes <= len(canonical) <= parsed.payload_bytes
        payload = from_canonical(parsed.kind, canonical, None, values_within(MAX_OUTPUT_BYTES))
    except errors.NbmfError as error:
        return error.code
    wire.canonical_to_json(parsed.kind, canonical).decode()
    again = to_canonical(payload)
    assert to_canonical(from_canonical(*again)) == again
    return "decoded"


def mutated(blob: bytes, rng: random.Random, other: bytes) -> bytes:
    """Bytes changed anywhere, or in one part of the blob with the others kept, or in what it holds."""
    try:
        parsed = parse_bounded(blob, 1 << 40)
    except errors.BlobError:
        return mutate.octets(blob, rng, other)
    match rng.randrange(6):
        case 0:
            return mutate.octets(blob, rng, other)
        case 1:
            return parsed.head + mutate.octets(parsed.body, rng, other) + parsed.checksum
        case 2:
            return _with_length(parsed, abs(mutate.number(rng)))
        case 3:
            return _by_another(parsed, rng)
        case 4:
            return _windows(parsed, rng) or _of_canonical(parsed, rng, other)
        case _:
            return _of_canonical(parsed, rng, other)


def _head(parsed: frame.Frame, length: int) -> bytes:
    return parsed.head[: len(parsed.head) - len(to_bytes(parsed.payload_bytes))] + to_bytes(min(length, (1 << 56) - 1))


def _with_length(parsed: frame.Frame, length: int) -> bytes:
    if parsed.coder == frame.STORED or parsed.coder in ALONE:  # there is none
        return parsed.head + parsed.body[: length % (len(parsed.body) + 1)] + parsed.checksum
    return _head(parsed, length) + parsed.body + parsed.checksum


def _by_another(parsed: frame.Frame, rng: random.Random) -> bytes:
    """In a full frame of any coder and kind."""
    coder, kind = rng.choice(_CODERS), rng.randrange(8)
    reference = rng.choice([parsed.reference, *_references()]) if coder in frame.CODERS_WITH_REFERENCE else b""
    head = bytes([frame.MAGIC, coder | kind << 4 | rng.randrange(2) << 7]) + reference
    return head + to_bytes(parsed.payload_bytes) + parsed.body + rng.randbytes(4)


def _references() -> list[bytes]:
    return [bytes.fromhex(folder.name[:4]) for folder in sorted((GOLDEN / "versions").iterdir())]


def _windows(parsed: frame.Frame, rng: random.Random) -> bytes | None:
    """Repeats and windows of numbers of one's own."""
    body = parsed.body
    try:
        layout = windows.read_layout(body, parsed.payload_bytes)
    except errors.CorruptBlob:
        return None
    numbers = [layout.rest_bytes, layout.repeats, len(layout.table)]
    sizes = [[window.size << 3 | window.method, len(window.stream)] for window in layout.windows]
    where = rng.choice([numbers, *sizes])
    if where is not numbers and rng.random() < 0.5:  # another coder
        where[0] = where[0] >> 3 << 3 | rng.choice([1, 4, 5, windows.GOES_ON])
    else:
        where[rng.randrange(len(where))] = abs(mutate.number(rng)) % (1 << 56)
    head = [to_bytes(numbers[0]), to_bytes(numbers[1])]
    if numbers[1]:
        head += [to_bytes(numbers[2]), layout.table]
    told = [to_bytes(number) for size in sizes for number in size]
    streams = [window.stream for window in layout.windows]
    return parsed.head + b"".join([*head, *told, *streams]) + parsed.checksum


def _of_canonical(parsed: frame.Frame, rng: random.Random, other: bytes) -> bytes:
    """Of what it holds, changed, with a checksum that fits; by a coder that needs no version."""
    try:
        canonical = mutate.octets(_CATALOG.decode_canonical(parsed), rng, other)
    except errors.NbmfError:
        canonical = mutate.octets(parsed.body, rng, other)
    kind = parsed.kind if rng.random() < 0.8 else Kind(rng.randrange(len(Kind)))
    made = [frame.pack_stored(kind, canonical)]
    cut = spans.cut(kind, canonical)
    if cut is not None:
        body = cut.body(frame.STORED, cut.remaining)
        made.append(frame.pack(kind, spans.NUMBER, "lossless", b"", b"", canonical, body))
    for coder in CODEC_FREE:
        try:
            body = coder.encode(kind, canonical)
        except errors.CorruptBlob:  # an array's bytes that are none
            continue
        if body is not None and coder.number == frame.DEFLATE:
            made.append(frame.pack_deflate(kind, canonical, body))
        elif body is not None:
            made.append(frame.pack(kind, coder.number, "lossless", b"", b"", canonical, body))
    return rng.choice(made)


def written(blob: bytes) -> bytes:
    """As it stands in the corpus."""
    return blob


def read(content: bytes) -> bytes:
    return content
