"""What a version does to records it has not seen: whole blobs against general-purpose codecs."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

from cluster.fit import OURS, TEXT_BYTES, TEXT_CODED_BYTES
from cluster.measure import BASELINES, ratio_statistics
from nbmf import Codec
from nbmf.errors import NbmfError
from nbmf.inspection import text_part
from nbmf.manifest import Manifest
from nbmf.payload import Canonical, to_canonical
from train_app.samples.sample import Sample

MOST_CLASSES = 100
"""Of which a version's manifest has measurements."""

_CHUNK_RECORDS = 200
# Sizes do not depend on the id, which is not known before the results are in the manifest.
_PROVISIONAL_ID = "ff" * 32
_loaded: dict[str, tuple[Codec, dict[str, Codec]]] = {}
"""In a worker: the versions of the run that it measures, whose tables take a while to build."""


class Row(NamedTuple):
    """What was measured of a record: sizes by codec, and what of them is not of spans (`nbmf.inspection.text_part`)."""

    kind: str
    raw_bytes: int
    exact: bool
    coded_bytes: dict[str, int]
    record_class: str
    text_bytes: int
    text_coded_bytes: int


def measure_chunk(samples: list[Sample], codec: Codec, others: dict[str, Codec]) -> list[Row]:
    """Of some records; `exact`: our blob decodes to an equal one."""
    records = [Canonical(sample.kind, sample.canonical) for sample in samples]
    sizes = {name: [measure(canonical) for _, canonical in records] for name, measure in BASELINES.items()}
    for name, other in others.items():
        sizes[name] = [len(blob) for blob in other.encode_canonical_batch(records)]
    blobs = codec.encode_canonical_batch(records)
    sizes[OURS] = [len(blob) for blob in blobs]
    exact = [not isinstance(value, NbmfError) and to_canonical(value) for value in codec.decode_batch(blobs)]
    return [
        Row(
            kind.label,
            len(canonical),
            exact[row] == (kind, canonical),
            {name: coded[row] for name, coded in sizes.items()},
            samples[row].group,
            *text_part(blobs[row], len(canonical)),
        )
        for row, (kind, canonical) in enumerate(records)
    ]


def _measure(samples: list[Sample], run: str, versions: tuple[tuple[Any, ...], dict[str, Codec]]) -> list[Row]:
    if run not in _loaded:
        _loaded.clear()
        _loaded[run] = Codec(*versions[0]), versions[1]
    return measure_chunk(samples, *_loaded[run])


def evaluate(
    holdout: list[Sample],
    manifest: Manifest,
    files: dict[str, bytes],
    others: dict[str, Codec],
    on_records: Callable[[int], None],
    by_class: bool = False,
) -> dict[str, Any]:
    """Ratios of each codec over all records and by kind, for the manifest; `exact` counts equal round trips.

    `by_class`: by the records' classes too, of those with most bytes. `others` are versions to compare with, by the
    names that they get in the results.
    """
    import ray

    run = uuid.uuid4().hex
    versions = ray.put(((_PROVISIONAL_ID, manifest, files), others))
    measure = ray.remote(_measure)
    chunks = [holdout[at : at + _CHUNK_RECORDS] for at in range(0, len(holdout), _CHUNK_RECORDS)]
    pending = [measure.remote(chunk, run, versions) for chunk in chunks]
    rows: list[Row] = []
    while pending:
        done, pending = ray.wait(pending)
        for chunk_rows in ray.get(done):
            rows += chunk_rows
            on_records(len(chunk_rows))
    return ratios(rows, by_class)


def ratios(rows: list[Row], by_class: bool) -> dict[str, Any]:
    """Of rows of `measure_chunk`, as `evaluate`."""
    return {
        "exact": sum(row.exact for row in rows),
        "records": len(rows),
        "all": _table(rows),
        "kinds": _tables(rows, lambda row: row.kind),
        **({"classes": _tables(_with_class(rows), lambda row: row.record_class)} if by_class else {}),
    }


def _with_class(rows: list[Row]) -> list[Row]:
    sizes: Counter[str] = Counter()
    for row in rows:
        sizes[row.record_class] += row.raw_bytes
    del sizes[""]
    kept = {name for name, _ in sizes.most_common(MOST_CLASSES)}
    return [row for row in rows if row.record_class in kept]


def _tables(rows: list[Row], of: Callable[[Row], str]) -> dict[str, Any]:
    groups = defaultdict(list)
    for row in rows:
        groups[of(row)].append(row)
    return {name: _table(group_rows) for name, group_rows in sorted(groups.items())}


def _table(rows: list[Row]) -> dict[str, Any]:
    """By codec; of the version itself also what is not of spans, where there are any."""
    raw = [row.raw_bytes for row in rows]
    table = {name: ratio_statistics(raw, [row.coded_bytes[name] for row in rows]) for name in rows[0].coded_bytes}
    text, text_coded = (sum(sizes) for sizes in zip(*((r.text_bytes, r.text_coded_bytes) for r in rows), strict=True))
    if text_coded != table[OURS]["coded_bytes"]:
        table[OURS] |= {TEXT_BYTES: text, TEXT_CODED_BYTES: text_coded}
    return table
