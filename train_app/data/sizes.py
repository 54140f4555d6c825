"""How many records there are of something, and how large they are."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from typing import Any

import numpy as np

from train_app.samples.sample import Sample

_CENTILES = {"p5_bytes": 5, "median_bytes": 50, "p95_bytes": 95, "max_bytes": 100}


class Sizes:
    """Sizes in bytes of records' canonical bytes, and their kinds."""

    def __init__(self) -> None:
        self._bytes = array("Q")
        self.kinds: Counter[str] = Counter()

    def add(self, sample: Sample) -> None:
        """One record."""
        self._bytes.append(len(sample.canonical))
        self.kinds[sample.kind.label] += 1

    def to_dict(self) -> dict[str, Any]:
        """For JSON: `records`, `bytes`, centiles of records' bytes, `kinds`."""
        whole: dict[str, Any] = {"records": len(self._bytes), "bytes": sum(self._bytes)}
        if self._bytes:
            found = np.percentile(np.asarray(self._bytes), list(_CENTILES.values()))
            whole |= {name: int(value) for name, value in zip(_CENTILES, found, strict=True)}
        return whole | {"kinds": dict(sorted(self.kinds.items()))}


class SizesBy:
    """Those by name."""

    def __init__(self) -> None:
        self._by: defaultdict[str, Sizes] = defaultdict(Sizes)

    def add(self, name: str, sample: Sample) -> None:
        """One record, under its name."""
        self._by[name].add(sample)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """For JSON, those with most bytes first."""
        found = {name: sizes.to_dict() for name, sizes in self._by.items()}
        return dict(sorted(found.items(), key=lambda one: (-one[1]["bytes"], one[0])))
