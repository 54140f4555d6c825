"""Large records, such as the state of an agent's graph after each step: bytes and seconds by codec."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import zstandard

from bench.machine import facts
from bench.records import BenchRecord, NothingToMeasure, payload_bytes
from bench.speed.timed import Ours, Peer, Timed
from nbmf import Codec
from nbmf.effort import Effort
from nbmf.payload import Payload, from_canonical, to_canonical

SIZES_BYTES = 50_000, 200_000, 1_000_000, 5_000_000
_LONG_WINDOW_LOG = 27
_MESSAGE_BYTES = 3_000
_STEPS_A_STATE = 12


def records(small: Sequence[BenchRecord], sizes_bytes: Sequence[int] = SIZES_BYTES) -> Iterator[BenchRecord]:
    """Two of each size, made of small records as messages: each once, and a history whose steps hold all before them.

    Raises NothingToMeasure if the small ones are too few for the largest.
    """
    payloads = [from_canonical(r.kind, r.canonical) for r in small if len(r.canonical) <= _MESSAGE_BYTES]
    payloads = [p for p in payloads if isinstance(p, str | list | dict)]
    random.Random(1).shuffle(payloads)
    for size in sizes_bytes:
        for name, of in (("conversation", _conversation), ("history", _history)):
            kind, canonical = to_canonical(_grown(of, payloads, size))
            yield BenchRecord(f"{name} {size:,}", kind, canonical)


def _conversation(payloads: Sequence[Payload]) -> Payload:
    return {"thread_id": "t-1", "messages": [*map(_message, range(len(payloads)), payloads)]}


def _history(payloads: Sequence[Payload]) -> Payload:
    messages = [*map(_message, range(len(payloads)), payloads)]
    steps = min(_STEPS_A_STATE, len(messages))
    ends = [len(messages) * (step + 1) // steps for step in range(steps)]
    states = [{"step": step, "values": {"messages": messages[:end]}} for step, end in enumerate(ends)]
    return {"thread_id": "t-1", "states": states}


def _message(index: int, content: Payload) -> dict[str, Any]:
    return {"id": f"{index * 2_654_435_761 % 2**32:08x}", "role": ("user", "assistant")[index % 2], "content": content}


def _grown(of: Callable[[Sequence[Payload]], Payload], payloads: Sequence[Payload], size: int) -> Payload:
    """Of the fewest messages, from the first on, that reach the size."""
    few, many = 0, len(payloads)
    if len(to_canonical(of(payloads))[1]) < size:
        raise NothingToMeasure(f"the records of --data are too few for one of {size:,} bytes; give it more")
    while many - few > 1:
        middle = (few + many) // 2
        enough = len(to_canonical(of(payloads[:middle]))[1]) >= size
        few, many = (few, middle) if enough else (middle, many)
    return of(payloads[:many])


def run(
    small: Sequence[BenchRecord],
    version: Codec,
    efforts: Sequence[Effort],
    sizes_bytes: Sequence[int],
    begin: Callable[[int], object],
    advance: Callable[[], object],
) -> dict[str, Any]:
    """A report with a row a record: of each codec the coded bytes and the seconds. Raises NotEqual, NothingToMeasure.

    `begin` is called with the number of measurements, `advance` after each.
    """
    made = [*records(small, sizes_bytes)]
    timed = codecs(version, efforts)
    begin(len(made) * len(timed))
    rows = []
    for record in made:
        found = {}
        for codec in timed:
            codec.prepare()
            (measured,) = codec.measure([record])
            found[measured.codec] = {
                "coded_bytes": measured.coded_bytes,
                "encode_s": round(measured.encode_s, 4),
                "decode_s": round(measured.decode_s, 4),
            }
            advance()
        rows.append({"record": record.set, "payload_bytes": len(record.canonical), "codecs": found})
    return {
        "codec": version.id,
        "machine": facts(),
        "records": len(made),
        "payload_bytes": payload_bytes(made),
        "rows": rows,
    }


def codecs(version: Codec, efforts: Sequence[Effort]) -> list[Timed]:
    """zlib, zstd and zstd over long distances; ours at each effort."""
    long = zstandard.ZstdCompressionParameters.from_level(22, window_log=_LONG_WINDOW_LOG, enable_ldm=True)
    decompressor = zstandard.ZstdDecompressor(max_window_size=2**_LONG_WINDOW_LOG)

    def by_zstd(data: bytes, size: int) -> bytes:
        return decompressor.decompress(data, max_output_size=size)

    return [
        Peer("zlib-9", lambda data: zlib.compress(data, 9), lambda blob, _: zlib.decompress(blob)),
        Peer("zstd-19", zstandard.ZstdCompressor(level=19).compress, by_zstd),
        Peer("zstd-22 long", zstandard.ZstdCompressor(compression_params=long).compress, by_zstd),
        *(Ours(version, effort) for effort in efforts),
    ]
