"""Records that hold binary data as text, images and signatures in base64, embeddings in decimal: bytes by codec."""

from __future__ import annotations

import base64
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import zstandard

from bench.records import NotEqual
from nbmf import Codec
from nbmf.codec import WITHOUT_VERSION
from nbmf.inspection import inspect
from nbmf.payload import Payload, to_canonical

IMAGE_BYTES = (2_000, 50_000, 500_000)
SIGNATURE_BYTES = (150, 600, 1_500)
DIMENSIONS = (384, 1_536)
_QUESTION = "What is in this picture? I took it yesterday in the park near the old station."


@dataclass(frozen=True, slots=True)
class Attachment:
    """`binary_bytes`: of what the record holds as text."""

    name: str
    payload: Payload
    binary_bytes: int


def records(seed: int = 1) -> Iterator[Attachment]:
    """Noise stands for what images and signatures hold, normal deviates of length 1 for embeddings."""
    rng = random.Random(seed)
    for size in IMAGE_BYTES:
        url = "data:image/jpeg;base64," + base64.b64encode(rng.randbytes(size)).decode()
        parts = [{"type": "text", "text": _QUESTION}, {"type": "image_url", "image_url": {"url": url}}]
        yield Attachment(f"image {size:,}", [{"role": "user", "content": parts}], size)
    for size in SIGNATURE_BYTES:
        signature = base64.b64encode(rng.randbytes(size)).decode()
        parts = [{"type": "thinking", "thinking": "I look at the file first.", "signature": signature}]
        yield Attachment(f"signature {size:,}", [{"role": "assistant", "content": parts}], size)
    for dimensions in DIMENSIONS:
        vector = np.random.default_rng(seed).normal(size=dimensions).astype("<f4")
        vector /= np.linalg.norm(vector)
        rounded = [round(value, 6) for value in vector.tolist()]
        for how, numbers in (
            ("binary64", vector.tolist()),
            ("shortest", [float(str(single)) for single in vector]),
            ("6 decimals", rounded),
        ):
            record = {"id": "note-1", "text": "A note about the garden.", "embedding": numbers}
            yield Attachment(f"{dimensions:,} floats {how}", record, vector.nbytes)


def measure(codec: Codec, attachment: Attachment) -> dict[str, Any]:
    """Bytes by codec, and which coders ours took. Raises NotEqual."""
    _, canonical = to_canonical(attachment.payload)
    row: dict[str, Any] = {
        "record": attachment.name,
        "raw": len(canonical),
        "zlib-9": len(zlib.compress(canonical, 9)),
        "zstd-19": len(zstandard.ZstdCompressor(level=19).compress(canonical)),
        "binary": attachment.binary_bytes,
    }
    for name, ours, effort in (
        ("none", WITHOUT_VERSION, "auto"),
        ("fast", codec, "fast"),
        ("auto", codec, "auto"),
    ):
        blob = ours.encode(attachment.payload, effort=effort)  # type: ignore[arg-type]
        if ours.decode(blob) != attachment.payload:
            raise NotEqual(attachment.name)
        row[f"nbmf {name}"] = len(blob)
    info = inspect(blob)
    row["coders"] = info.coder + (f", {info.inner}" if info.inner else "")
    return row
