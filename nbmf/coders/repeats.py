"""Repeats over long distances: found, cut out, and put back.

A repeat is a stretch of a record that has stood before, anywhere, and may overlap with what it repeats. Of each the
table says how many bytes are kept before it, how long it is, and how far back it stood.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbmf.coders.zstd import ZstdCoder
from nbmf.errors import CorruptBlob
from nbmf.payload import Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST_BYTES = 32
"""Of a repeat. What is shorter takes more to tell than to code again."""

MAX_PAYLOAD_BYTES = (1 << 32) - 1
_SAMPLING = 8  # one hash in so many, chosen by its value, is looked up: a repeat has the same chosen ones
_BLOCK_BYTES = 1 << 20  # hashed at once: bounds the memory
_ENTRY_BYTES = 12
_ZSTD = ZstdCoder()


class Repeat(NamedTuple):
    """In bytes: kept since the repeat before, its length, how far back it stood."""

    kept: int
    length: int
    distance: int


def find(data: bytes, least_bytes: int) -> list[Repeat]:
    """Repeats of at least so many bytes (LEAST_BYTES or more), in order, none over another; in linear time."""
    import numpy as np

    if len(data) < 2 * least_bytes:
        return []
    data_X = np.frombuffer(data, dtype=np.uint8)
    at_H, hash_H = _sampled(data_X)
    order_H = np.argsort(hash_H, kind="stable")
    same_H = hash_H[order_H[1:]] == hash_H[order_H[:-1]]
    later_H, earlier_H = at_H[order_H[1:][same_H]], at_H[order_H[:-1][same_H]]
    order_H = np.argsort(later_H)
    repeats: list[Repeat] = []
    end = 0
    for at, source in zip(later_H[order_H].tolist(), earlier_H[order_H].tolist(), strict=True):
        if at < end:
            continue
        length = _alike(data_X[at:], data_X[source : source + len(data) - at])
        if length < LEAST_BYTES:  # two stretches of the same hash
            continue
        before = _alike(data_X[end:at][::-1], data_X[:source][::-1])
        if before + length >= least_bytes:
            repeats.append(Repeat(at - before - end, before + length, at - source))
            end = at + length
    return repeats


def kept(data: bytes, repeats: list[Repeat]) -> bytes:
    """What is left of the data without the repeats."""
    parts, at = [], 0
    for repeat in repeats:
        parts.append(data[at : at + repeat.kept])
        at += repeat.kept + repeat.length
    return b"".join([*parts, data[at:]])


def restored(rest: bytes, repeats: list[Repeat]) -> bytes:
    """The whole from what `kept` left. Of repeats that `read_table` gave, it is as long as that was told."""
    out, at = bytearray(), 0
    for repeat in repeats:
        out += rest[at : at + repeat.kept]
        at += repeat.kept
        source = out[len(out) - repeat.distance : len(out) - repeat.distance + repeat.length]
        if len(source) < repeat.length:
            source = (source * (repeat.length // len(source) + 1))[: repeat.length]
        out += source
    return bytes(out + rest[at:])


def table(repeats: list[Repeat]) -> bytes:
    """A zstd body of 32-bit numbers, column by column, the low bytes of a column first."""
    import numpy as np

    columns = np.array(repeats, dtype="<u4").T.copy().view(np.uint8).reshape(3, -1, 4)
    return _ZSTD.encode(Kind.BYTES, columns.transpose(0, 2, 1).tobytes())


def read_table(body: bytes, count: int, rest_bytes: int, payload_bytes: int) -> list[Repeat]:
    """The repeats, such that `restored` gives `payload_bytes` from `rest_bytes`. Raises CorruptBlob."""
    import numpy as np

    if count > payload_bytes // LEAST_BYTES:
        raise CorruptBlob(f"{count} repeats in {payload_bytes} bytes")
    columns = np.frombuffer(_ZSTD.decode(Kind.BYTES, body, count * _ENTRY_BYTES), dtype=np.uint8)
    numbers = columns.reshape(3, 4, count).transpose(0, 2, 1).copy().view("<u4").reshape(3, count).astype(np.int64)
    kept_R, length_R, distance_R = numbers
    begin_R = np.cumsum(kept_R + length_R) - length_R
    if (
        length_R.min() < LEAST_BYTES
        or distance_R.min() < 1
        or (distance_R > begin_R).any()
        or kept_R.sum() > rest_bytes
        or rest_bytes + length_R.sum() != payload_bytes
    ):
        raise CorruptBlob(f"repeats that do not make {payload_bytes} bytes of {rest_bytes}")
    return [Repeat(*numbers_of) for numbers_of in numbers.T.tolist()]


def _sampled(data_X: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Positions and hashes of the chosen stretches of LEAST_BYTES bytes."""
    import numpy as np

    found = []
    for begin in range(0, len(data_X) - LEAST_BYTES + 1, _BLOCK_BYTES):
        hash_X = _hashes(data_X[begin : begin + _BLOCK_BYTES + LEAST_BYTES - 1])
        at_H = np.flatnonzero(hash_X % np.uint64(_SAMPLING) == 0)
        found.append((at_H + begin, hash_X[at_H]))
    return np.concatenate([at for at, _ in found]), np.concatenate([hashed for _, hashed in found])


def _hashes(data_X: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Of the LEAST_BYTES bytes from each position: a polynomial, its halves put together, then mixed."""
    import numpy as np

    hash_X, base, width = data_X.astype(np.uint64), 0x9E3779B97F4A7C15, 1
    while width < LEAST_BYTES:
        hash_X = hash_X[:-width] * np.uint64(base) + hash_X[width:]
        base = base * base % (1 << 64)
        width *= 2
    hash_X ^= hash_X >> np.uint64(29)
    hash_X *= np.uint64(0xBF58476D1CE4E5B9)
    return hash_X ^ hash_X >> np.uint64(32)


def _alike(a_X: NDArray[np.uint8], b_X: NDArray[np.uint8]) -> int:
    """How many bytes at the beginning are the same."""
    limit = min(len(a_X), len(b_X))
    at, width = 0, 64
    while at < limit:
        end = min(at + width, limit)
        differs = a_X[at:end] != b_X[at:end]
        first = int(differs.argmax())
        if differs[first]:
            return at + first
        at, width = end, 2 * width
    return limit
