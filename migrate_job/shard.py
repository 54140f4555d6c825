"""One shard: read, encode, decode again, compare, write. It counts only when all of it is on disk."""

from __future__ import annotations

import json
import os
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cluster.registry import Registry
from cluster.sources import BadRecord, Record
from migrate_job.plan import Plan
from nbmf import Codec, store
from nbmf.errors import NbmfError
from nbmf.payload import to_canonical

_COMPRESSION = {name: "none" if name == "blob" else "zstd" for name in store.schema().names}


def migrate_shard(plan: Plan, index: int) -> dict[str, Any]:
    """Migrates shard `index` and returns its counts. Running it again writes the same files again."""
    codec = _codec(plan.registry, plan.version)
    rows: list[dict[str, Any]] = []
    dead: list[BadRecord] = []
    for item in plan.source.read(plan.shards[index]):
        outcome = item if isinstance(item, BadRecord) else _migrate(item, codec, plan)
        if isinstance(outcome, BadRecord):
            dead.append(outcome)
        else:
            rows.append(outcome)
    counts = {
        "records": len(rows) + len(dead),
        "migrated": len(rows),
        "previews": sum(row["preview"] for row in rows),
        "dead": len(dead),
        "dead_reasons": Counter(letter.reason for letter in dead),
        "source_bytes": sum(row["source_bytes"] for row in rows),
        "payload_bytes": sum(row["payload_bytes"] for row in rows),
        "blob_bytes": sum(len(row["blob"]) for row in rows),
    }
    table = pa.Table.from_pylist(rows, schema=store.schema())
    _write(plan.part_file(index), lambda path: pq.write_table(table, path, compression=_COMPRESSION))
    letters = "".join(json.dumps(_letter(letter), ensure_ascii=True) + "\n" for letter in dead)
    _write(plan.dead_file(index), lambda path: path.write_text(letters))
    _write(plan.done_file(index), lambda path: path.write_text(json.dumps(counts)))
    return counts


def _migrate(record: Record, codec: Codec, plan: Plan) -> dict[str, Any] | BadRecord:
    """The row of a record whose blob decodes to an equal payload, or why there is none."""
    try:
        for name in (record.key, record.record_class):
            name.encode()
        written = to_canonical(record.payload)
        blob = codec.encode(record.payload, plan.fidelity)
        if to_canonical(codec.decode(blob)) != written:
            return _bad(record, "verification_failed", "the blob decodes to another payload")
        meta = json.dumps(record.meta)
    except NbmfError as error:
        return _bad(record, error.code, str(error))
    except UnicodeEncodeError as error:
        return _bad(record, "bad_key", f"key or class is not Unicode text: {error}")
    except (ValueError, RecursionError) as error:
        return _bad(record, "bad_meta", f"meta cannot be written as JSON: {error}")
    return {
        "key": record.key,
        "class": record.record_class,
        "meta": meta,
        "blob": blob,
        "preview": record.preview,
        "source_bytes": record.source_bytes,
        "payload_bytes": len(written[1]),
    }


def _bad(record: Record, reason: str, detail: str) -> BadRecord:
    return BadRecord(record.place, reason, detail, record.key, record.source_bytes)


def _letter(bad: BadRecord) -> dict[str, Any]:
    return {
        "key": bad.key,
        "place": bad.place,
        "reason": bad.reason,
        "detail": bad.detail,
        "source_bytes": bad.source_bytes,
    }


def _write(path: Path, write: Any) -> None:
    """Whole or not at all, and on disk before it has its name."""
    scratch = path.with_name(f"{path.name}.tmp.{os.getpid()}")
    write(scratch)
    with scratch.open("rb") as file:
        os.fsync(file.fileno())
    scratch.replace(path)


@lru_cache(maxsize=2)
def _codec(registry: str, version: str) -> Codec:
    """Loaded once a worker process."""
    return Registry(registry).load(version)
