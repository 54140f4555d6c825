"""Rows of records as samples: validated, counted, de-duplicated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cluster.errors import RecordsError
from cluster.sources import BadRecord, Shard, Source
from nbmf import json_text
from nbmf.errors import UnsupportedPayload
from nbmf.payload import Kind, to_canonical
from train_app.samples.binary import Binary, learnt_of
from train_app.samples.formats import Unwrapped
from train_app.samples.rejections import Rejections
from train_app.samples.sample import Sample, digest_of

ROW = {
    "kind": -1,
    "canonical": b"",
    "is_cut": False,
    "learnt": b"",
    "digest": b"",
    "group": "",
    "place": "",
    "key": "",
    "format": "",
    "around": "",
    "reason": "",
    "detail": "",
    "fault": "",
}

_NOTHING = {b"null": "null", b"{}": "empty", b"[]": "empty"}


def read_samples(source: Source, shard: Shard) -> Iterator[dict[str, Any]]:
    """Rows of a shard's records: of good ones {kind, canonical, is_cut, learnt, digest, group, place, key, format,
    around}, of others {reason, place, detail}.

    `learnt` is what of the record is learnt from where `is_cut` says that this is not all of it (samples.binary).
    A payload that holds nothing, null above all, is one of the others: there is nothing to learn from it.
    """
    for item in source.read(shard):
        row = {**ROW, "place": item.place, "key": item.key or ""}
        if isinstance(item, BadRecord):
            yield {**row, "reason": item.reason, "detail": item.detail}
            continue
        if item.preview:
            yield {**row, "reason": "stub_preview"}
            continue
        if isinstance(item, Unwrapped):
            row["format"] = item.format
            row["around"] = json_text.dumps(item.around) if item.around else ""
        try:
            kind, canonical = to_canonical(item.payload)
        except UnsupportedPayload as error:
            yield {**row, "reason": "unsupported_payload", "detail": str(error)}
            continue
        reason = "" if canonical else "empty"
        if kind is Kind.JSON:
            reason = _NOTHING.get(canonical, "")
        if reason:
            yield {**row, "reason": reason}
            continue
        digest = digest_of(kind, canonical)
        good = {"kind": int(kind), "canonical": canonical, "digest": digest, "group": item.record_class or ""}
        learnt = learnt_of(kind, canonical)
        cut = {"is_cut": True, "learnt": learnt} if learnt != canonical else {}
        yield {**row, **good, **cut}


def sample_of(row: dict[str, Any]) -> Sample:
    """Of a good record's row."""
    learnt = row["learnt"] if row["is_cut"] else row["canonical"]
    return Sample(Kind(row["kind"]), row["canonical"], row["digest"], row["group"], learnt)


def rows_of(sources: Iterable[Source]) -> Iterator[dict[str, Any]]:
    """Rows of all records, as `read_samples` has them, in order, read in this process. Raises RecordsError."""
    shards = 0
    for source in sources:
        for shard in source.plan():
            shards += 1
            yield from read_samples(source, shard)
    if not shards:
        raise RecordsError("the sources hold no records at all")


class Intake:
    """Of rows, one after the other, those that are samples; what was left out, and why, is counted.

    `max_record_bytes` is of what is learnt of a record. `binary` counts the samples of which something is not.
    Records with a digest of `tested` are left out, and counted as that. `rejected_file` as of Rejections.
    """

    def __init__(self, max_record_bytes: int, rejected_file: Path | None = None, tested: Iterable[bytes] = ()) -> None:
        self._max_record_bytes = max_record_bytes
        self._seen: set[bytes] = set()
        self._tested = frozenset(tested)
        self.records = self.duplicates = self.tested = 0
        self.formats: Counter[str] = Counter()
        self.rejections = Rejections(rejected_file)
        self.binary = Binary()

    def sample(self, row: dict[str, Any]) -> Sample | None:
        """The row's sample; None where it is left out."""
        self.records += 1
        if row["format"]:
            self.formats[row["format"]] += 1
        if row["reason"]:
            self.rejections.add(row["reason"], row["place"], row["detail"])
            return None
        sample = sample_of(row)
        if sample.learnt_bytes > self._max_record_bytes:
            detail = f"{sample.learnt_bytes:,} bytes; max_record_bytes is {self._max_record_bytes:,}"
            self.rejections.add("too_large", row["place"], detail)
        elif sample.digest in self._seen:
            self.duplicates += 1
        elif sample.digest in self._tested:
            self.tested += 1
        else:
            self._seen.add(sample.digest)
            self.binary.add(sample)
            return sample
        return None
