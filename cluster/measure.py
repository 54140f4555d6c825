"""Compression ratios of records and the general-purpose codecs to compare with."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import zstandard

BASELINES: dict[str, Callable[[bytes], int]] = {
    "zlib-9": lambda data: len(zlib.compress(data, 9)),
    "zstd-19": lambda data: len(zstandard.ZstdCompressor(level=19).compress(data)),
}
"""Compressed size of one record alone, as a store would write it. Raw is the record's canonical bytes."""


def ratio_statistics(raw_bytes: Sequence[int], coded_bytes: Sequence[int]) -> dict[str, Any]:
    """total (all raw / all coded), and mean, p5 and min of the records' own ratios; empty records count as 1."""
    raw, coded = np.asarray(raw_bytes, dtype=float), np.asarray(coded_bytes, dtype=float)
    if not len(raw):
        return {"records": 0}
    ratios = np.where(raw > 0, raw / coded, 1.0)
    return {
        "records": len(raw),
        "raw_bytes": int(raw.sum()),
        "coded_bytes": int(coded.sum()),
        "total_ratio": round(float(raw.sum() / coded.sum()), 4),
        "mean_ratio": round(float(ratios.mean()), 4),
        "p5_ratio": round(float(np.percentile(ratios, 5)), 4),
        "min_ratio": round(float(ratios.min()), 4),
    }
