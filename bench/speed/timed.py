"""Codecs whose encoding and decoding are timed: ours, and general-purpose ones. Times in seconds.

Ours is timed through its public API, from a payload to a blob and back, checksum and JSON included; the others
from and to a record's canonical bytes. All decode what they encoded, and it is compared outside the timed part.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import brotli
import pyppmd
import zstandard

from bench.peers import (
    BROTLI,
    PPMD_MEMORY_BYTES,
    PPMD_ORDER,
    PRIMED_PPMD,
    ZSTD,
    ZSTD_WITH_DICTIONARY,
    Compress,
    Decompress,
    learning_samples,
    prime,
    zstd_with_dictionary,
)
from bench.ratio import column
from bench.records import BenchRecord, NotEqual, NothingToMeasure
from nbmf import Codec, NbmfError
from nbmf.effort import Effort
from nbmf.payload import Kind, from_canonical, to_canonical

T = TypeVar("T")

WARM_PPMD = "PPMd-6 warm"
"""Primed before the clock runs. Idealised: as if a primed model could be copied in no time."""

_BETWEEN = BenchRecord("between", Kind.TEXT, b"A short note that stands between two measured records.")


@dataclass(frozen=True, slots=True)
class Measured:
    """What coding some records one after the other took, and how many bytes they became."""

    codec: str
    coded_bytes: int
    encode_s: float
    decode_s: float


def _nothing() -> None:
    pass


class Timed(Protocol):
    """A codec to be timed."""

    def prepare(self) -> None:
        """Codes a short record, not timed, so that nothing of the record before is at hand, but the code is."""

    def measure(self, records: Sequence[BenchRecord], start: Callable[[], object] = _nothing) -> list[Measured]:
        """Codes the records and back; one result, or more if there is more than one way to look at it.

        `start` is called just before each part that is timed. Raises NotEqual.
        """


class Ours:
    """A version at an effort: one call a record, or batches of so many records."""

    def __init__(self, codec: Codec, effort: Effort, batch_size: int | None = None) -> None:
        self.name = column(effort)
        self._codec = codec
        self._effort = effort
        self._batch_size = batch_size

    def prepare(self) -> None:
        self.measure([_BETWEEN])

    def measure(self, records: Sequence[BenchRecord], start: Callable[[], object] = _nothing) -> list[Measured]:
        payloads = [from_canonical(record.kind, record.canonical) for record in records]
        start()
        begin = time.perf_counter()
        blobs = self._encode(payloads)
        encode_s = time.perf_counter() - begin
        for blob in blobs:
            if isinstance(blob, NbmfError):
                raise blob
        start()
        begin = time.perf_counter()
        decoded = self._decode(blobs)
        decode_s = time.perf_counter() - begin
        for record, value in zip(records, decoded, strict=True):
            if isinstance(value, NbmfError):
                raise _not_equal(self.name, record, str(value)) from value
            if to_canonical(value) != (record.kind, record.canonical):
                raise _not_equal(self.name, record, "another value")
        return [Measured(self.name, sum(map(len, blobs)), encode_s, decode_s)]

    def _encode(self, payloads: list[Any]) -> list[Any]:
        codec, effort, size = self._codec, self._effort, self._batch_size
        if size is None:
            return [codec.encode(payload, effort=effort) for payload in payloads]
        blobs: list[Any] = []
        for at in range(0, len(payloads), size):
            blobs += codec.encode_batch(payloads[at : at + size], effort=effort)
        return blobs

    def _decode(self, blobs: list[Any]) -> list[Any]:
        codec, size = self._codec, self._batch_size
        if size is None:
            return [codec.decode(blob) for blob in blobs]
        values: list[Any] = []
        for at in range(0, len(blobs), size):
            values += codec.decode_batch(blobs[at : at + size])
        return values


class Peer:
    """A general-purpose codec, one call a record."""

    def __init__(self, name: str, compress: Compress, decompress: Decompress) -> None:
        self.name = name
        self._compress = compress
        self._decompress = decompress

    def prepare(self) -> None:
        self.measure([_BETWEEN])

    def measure(self, records: Sequence[BenchRecord], start: Callable[[], object] = _nothing) -> list[Measured]:
        canonical = [record.canonical for record in records]
        compress, decompress = self._compress, self._decompress
        start()
        begin = time.perf_counter()
        blobs = [compress(data) for data in canonical]
        encode_s = time.perf_counter() - begin
        sized = [*zip(blobs, map(len, canonical), strict=True)]
        start()
        begin = time.perf_counter()
        decoded = [decompress(blob, size) for blob, size in sized]
        decode_s = time.perf_counter() - begin
        _compare(self.name, records, decoded)
        return [Measured(self.name, sum(map(len, blobs)), encode_s, decode_s)]


class PrimedPpmd:
    """PPMd that reads the prime anew for each record, as pyppmd cannot copy a primed model.

    Two results: with the time that the prime takes, as a reader would wait for it, and without. Of the stream,
    only what the record adds is counted.
    """

    def __init__(self, prime_bytes: bytes) -> None:
        self.prime = prime_bytes
        encoder = self._primed()[0]
        self._alone = len(self._primed_stream) + len(encoder.flush())

    def _primed(self) -> tuple[pyppmd.Ppmd7Encoder, float]:
        begin = time.perf_counter()
        encoder = pyppmd.Ppmd7Encoder(PPMD_ORDER, PPMD_MEMORY_BYTES)
        self._primed_stream: bytes = encoder.encode(self.prime)
        return encoder, time.perf_counter() - begin

    def prepare(self) -> None:
        """Nothing: it begins each record anew."""

    def measure(self, records: Sequence[BenchRecord], start: Callable[[], object] = _nothing) -> list[Measured]:
        coded_bytes = 0
        priming = [0.0, 0.0]
        times = [0.0, 0.0]
        for record in records:
            data = record.canonical
            start()
            encoder, seconds = self._primed()
            priming[0] += seconds
            begin = time.perf_counter()
            added = encoder.encode(data) + encoder.flush()
            times[0] += time.perf_counter() - begin
            stream = self._primed_stream + added
            coded_bytes += len(stream) - self._alone
            del encoder
            start()
            begin = time.perf_counter()
            decoder = pyppmd.Ppmd7Decoder(PPMD_ORDER, PPMD_MEMORY_BYTES)
            decoder.decode(stream, len(self.prime))
            primed = time.perf_counter()
            decoded = decoder.decode(b"", len(data))
            times[1] += time.perf_counter() - primed
            priming[1] += primed - begin
            _compare(PRIMED_PPMD, [record], [decoded])
        return [
            Measured(PRIMED_PPMD, coded_bytes, times[0] + priming[0], times[1] + priming[1]),
            Measured(WARM_PPMD, coded_bytes, *times),
        ]


def timed_peers(training: Sequence[bytes]) -> tuple[list[Peer], PrimedPpmd | None]:
    """zstd and brotli, and with training records zstd with a dictionary and primed PPMd.

    Raises NothingToMeasure if the training records are too few for a dictionary.
    """
    compressor, decompressor = zstandard.ZstdCompressor(level=19), zstandard.ZstdDecompressor()
    result = [
        Peer(ZSTD, compressor.compress, lambda blob, _: decompressor.decompress(blob)),
        Peer(BROTLI, lambda data: brotli.compress(data, quality=11), lambda blob, _: brotli.decompress(blob)),
    ]
    if not training:
        return result, None
    samples = learning_samples(training)
    try:
        with_dictionary = zstd_with_dictionary(samples)
    except zstandard.ZstdError as error:
        raise NothingToMeasure(
            f"zstd makes no dictionary of the {len(samples):,} records of --train ({error}); give it more"
        ) from error
    return [*result, Peer(ZSTD_WITH_DICTIONARY, *with_dictionary)], PrimedPpmd(prime(samples))


def _compare(name: str, records: Sequence[BenchRecord], decoded: Sequence[bytes]) -> None:
    for record, data in zip(records, decoded, strict=True):
        if data != record.canonical:
            raise _not_equal(name, record, "other bytes")


def _not_equal(name: str, record: BenchRecord, problem: str) -> NotEqual:
    start = record.canonical[:40].decode(errors="replace")
    return NotEqual(
        f"{name}: a record of set {record.set} with {len(record.canonical)} bytes ({start!r}…) decoded to {problem}; "
        "nothing was measured"
    )
