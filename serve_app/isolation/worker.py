"""The process of an isolated version: loads it, tries it, then decodes what it is sent.

Whatever the version's files make of it, it is this process alone that they do it to. It ends by itself, by an alarm of
the kernel that no loop keeps from ringing, where nobody is there any more to end it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import math
import os
import resource
import signal
import sys
from pathlib import Path

from nbmf import golden
from nbmf.codec import Codec
from nbmf.decoding import parse_bounded
from nbmf.engine import configure
from nbmf.errors import CorruptBlob, DamagedCodec, NbmfError, attempt
from nbmf.frame import Frame
from nbmf.json_text import values_within
from nbmf.manifest import read_version
from nbmf.payload import check_canonical, to_canonical
from serve_app.isolation import pipes
from serve_app.isolation.limits import LOADING_S, MAX_BLOB_BYTES, MAX_BLOBS, limit_s
from serve_app.isolation.pipes import Refusal

_MARGIN_S = 5
"""The replica, whose patience is the same, is to be the first."""


def main() -> None:
    """Arguments: the version's folder, engine, threads, largest payload in bytes, patience in seconds."""
    folder, engine, threads, max_payload_bytes, timeout_s = sys.argv[1:]
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would hold records
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what else is printed must not get among the answers
    pipes.write(answers, [])
    _set_alarm(LOADING_S)
    try:
        configure(engine, int(threads))  # type: ignore[arg-type] # the replica's own, which was checked
        codec = Codec(*read_version(Path(folder)))
        try_out(codec)
    except NbmfError as error:
        pipes.write(answers, [Refusal(error.code, str(error))])
        return
    except Exception as error:
        pipes.write(answers, [Refusal(DamagedCodec.code, f"the version cannot be loaded: {type(error).__name__}")])
        raise
    pipes.write(answers, [])
    signal.alarm(0)
    while (blobs := pipes.read(requests, MAX_BLOBS, MAX_BLOB_BYTES)) is not None:
        parsed = [attempt(parse_bounded, blob, int(max_payload_bytes)) for blob in blobs]
        frames = [one for one in parsed if isinstance(one, Frame)]
        _set_alarm(limit_s(float(timeout_s), sum(frame.payload_bytes for frame in frames)))
        decoded = iter(_decoded(codec, frames, values_within(int(max_payload_bytes))))
        results = [next(decoded) if isinstance(one, Frame) else one for one in parsed]
        pipes.write(answers, [Refusal(r.code, str(r)) if isinstance(r, NbmfError) else r for r in results])
        signal.alarm(0)


def try_out(codec: Codec) -> None:
    """Encodes records with each of the version's coders and decodes them, and damaged ones too.

    Raises DamagedCodec, InexactMachine.
    """
    codec.warm_up()
    records = [to_canonical(payload) for payload in golden.RECORDS]
    for coder in codec.learned:
        for (kind, canonical), body in zip(records, coder.encode_batch(records), strict=True):
            if body is None:
                continue
            if coder.decode(kind, body, len(canonical)) != canonical:
                raise DamagedCodec(f"its coder {coder.name} does not decode a record of {kind.label} as it was encoded")
            for damaged in _damaged(body) if canonical is records[0][1] else ():
                with contextlib.suppress(CorruptBlob):
                    coder.decode(kind, damaged, len(canonical))
    for effort in ("max", "fast"):
        frames = [parse_bounded(blob, 1 << 20) for blob in codec.encode_canonical_batch(records, effort=effort)]
        for (kind, canonical), result in zip(records, codec.decode_canonical_batch(frames), strict=True):
            if result != canonical:
                raise DamagedCodec(f"it does not decode a record of {kind.label} as it was encoded")


def _damaged(body: bytes) -> list[bytes]:
    middle = len(body) // 2
    flipped = body[:middle] + bytes([body[middle] ^ 0x55]) + body[middle + 1 :] if body else b"\0"
    return [b"", body[:middle], body[::-1], flipped]


def _decoded(codec: Codec, frames: list[Frame], max_values: int) -> list[bytes | NbmfError]:
    """Canonical bytes or an error of each; an error that nobody foresaw is one blob's only."""
    try:
        results = codec.decode_canonical_batch(frames)
    except Exception as error:
        if len(frames) > 1:
            return [result for frame in frames for result in _decoded(codec, [frame], max_values)]
        return [DamagedCodec(f"a blob could not be decoded: {type(error).__name__}")]
    return [attempt(_readable, *pair, max_values) for pair in zip(frames, results, strict=True)]


def _readable(frame: Frame, canonical: bytes | NbmfError, max_values: int) -> bytes:
    """As of other versions: a forged blob can have a true checksum over bytes that are no JSON."""
    if isinstance(canonical, NbmfError):
        raise canonical
    check_canonical(frame.kind, canonical, max_values)
    return canonical


def _set_alarm(seconds: float) -> None:
    signal.alarm(math.ceil(seconds) + _MARGIN_S)


if __name__ == "__main__":
    main()
