"""Records split into what is learnt from, watched by and measured on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cluster.errors import DestinationError, TooFewRecords
from cluster.sources import Source
from cluster.sources.parsing import Refused
from train_app.config import TrainConfig
from train_app.data.side_files import PLAIN, ZSTD, line_of, path_of, side_files, written_before
from train_app.data.sides import SIDES, Sides
from train_app.samples.reading import Intake, rows_of
from train_app.samples.rejections import Rejections
from train_app.samples.sample import Sample

REPORT_FILE, REJECTED_FILE = "split.json", "rejected.jsonl"
_ON_BOTH_SIDES = "near_both_sides"


def split(
    sources: Iterable[Source],
    folder: Path,
    config: TrainConfig,
    *,
    test_share: float,
    val_share: float,
    packed: bool,
    on_record: Callable[[], None],
) -> tuple[dict[str, Any], Intake]:
    """Writes train, val and test of the sources' records into a folder: its report, and what was left out.

    Records that an earlier split put there keep their side. Raises RecordsError, TooFewRecords where none are left,
    DestinationError if the folder has files of these names that no split wrote.
    """
    _check(folder)
    rejected = folder / REJECTED_FILE
    rejected.unlink(missing_ok=True)
    intake, sides = Intake(config.max_record_bytes, rejected), Sides(test_share, val_share)
    for side, sample in written_before(folder):
        sides.keep(sample, side)
    records, sizes = Counter[str](), Counter[str]()
    with side_files(folder, ZSTD if packed else PLAIN) as files:
        for row in rows_of(sources):
            on_record()
            new = intake.sample(row)
            placed = new and _placed(new, row, sides, intake.rejections)
            if new and placed:
                side, line = placed
                files[side].write(line)
                records[side] += 1
                sizes[side] += len(new.canonical)
        if not records:
            raise TooFewRecords(" ".join(["no record is left to be split.", *intake.rejections.lines(intake.records)]))
    suffix = ZSTD if packed else PLAIN
    report = {
        "test_share": test_share,
        "val_share": val_share,
        "records": intake.records,
        "duplicates": intake.duplicates,
        "rejected": dict(sorted(intake.rejections.counts.items())),
        "kept": sides.counts["kept"],
        "moved": sides.counts["moved"],
        "gone": sides.gone,
        "sides": {
            side: {"file": path_of(folder, side, suffix).name, "records": records[side], "bytes": sizes[side]}
            for side in SIDES
        },
    }
    (folder / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n")
    return report, intake


def _check(folder: Path) -> None:
    if (folder / REPORT_FILE).is_file():
        return
    for side in SIDES:
        for suffix in (PLAIN, ZSTD):
            if (path := path_of(folder, side, suffix)).exists():
                raise DestinationError(f"{path} is there, and no {REPORT_FILE} beside it: name another folder")


def _placed(sample: Sample, row: dict[str, Any], sides: Sides, rejections: Rejections) -> tuple[str, bytes] | None:
    """(side, line) of a record; None where it is left out."""
    try:
        line = line_of(sample, row["key"], row["around"])
    except Refused as refused:
        rejections.add(refused.reason, row["place"], refused.detail)
        return None
    side = sides.side_of(sample)
    if side is None:
        rejections.add(_ON_BOTH_SIDES, row["place"], "nearly the same as records of more than one side")
        return None
    return side, line
