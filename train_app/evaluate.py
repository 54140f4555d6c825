"""What a version does to records it has not seen: whole blobs against general-purpose codecs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from cluster.measure import BASELINES, ratio_statistics
from nbmf import Codec
from nbmf.manifest import Manifest
from nbmf.payload import from_canonical, to_canonical
from train_app.prepare import Sample

OURS = "nbmf"
_CHUNK_RECORDS = 200
# Sizes do not depend on the id, which is not known before the results are in the manifest.
_PROVISIONAL_ID = "ff" * 32


def measure_chunk(samples: list[Sample], codec: Codec) -> list[Any]:
    """Rows (kind, raw bytes, whether our blob decodes equal, coded bytes by codec) of some records."""
    rows = []
    for sample in samples:
        blob = codec.encode(from_canonical(sample.kind, sample.canonical))
        exact = to_canonical(codec.decode(blob)) == (sample.kind, sample.canonical)
        sizes = {name: measure(sample.canonical) for name, measure in BASELINES.items()}
        rows.append((sample.kind.label, len(sample.canonical), exact, {**sizes, OURS: len(blob)}))
    return rows


def evaluate(
    holdout: list[Sample], manifest: Manifest, files: dict[str, bytes], on_records: Callable[[int], None]
) -> dict[str, Any]:
    """Ratios of each codec over all records and by kind, for the manifest; `exact` counts equal round trips."""
    import ray

    version = ray.put((manifest, files))

    @ray.remote
    def measure(samples: list[Sample], version: tuple[Manifest, dict[str, bytes]]) -> list[Any]:
        return measure_chunk(samples, Codec(_PROVISIONAL_ID, *version))

    chunks = [holdout[at : at + _CHUNK_RECORDS] for at in range(0, len(holdout), _CHUNK_RECORDS)]
    pending = [measure.remote(chunk, version) for chunk in chunks]
    rows: list[Any] = []
    while pending:
        done, pending = ray.wait(pending)
        for chunk_rows in ray.get(done):
            rows += chunk_rows
            on_records(len(chunk_rows))
    by_kind = defaultdict(list)
    for row in rows:
        by_kind[row[0]].append(row)
    return {
        "exact": sum(row[2] for row in rows),
        "records": len(rows),
        "all": _table(rows),
        "kinds": {kind: _table(kind_rows) for kind, kind_rows in sorted(by_kind.items())},
    }


def _table(rows: list[Any]) -> dict[str, Any]:
    raw = [row[1] for row in rows]
    return {name: ratio_statistics(raw, [row[3][name] for row in rows]) for name in (*BASELINES, OURS)}
