"""Records to rows, in batches: encoded, and those that the plan says decoded again and compared with their source."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from cluster.sources import BadRecord, Record
from migrate_job.plan.plan import Plan
from migrate_job.plan.verification import is_chosen
from nbmf import Codec, inspect
from nbmf.batches import attempt_all, bounded
from nbmf.encryption import told
from nbmf.errors import DamagedCodec, InexactMachine, NbmfError, PayloadTooLarge, UnknownCodec
from nbmf.payload import Canonical, Payload, to_canonical
from nbmf.vectors.aim import Aim
from nbmf.vectors.changed import Coded
from nbmf.vectors.compare import is_near
from nbmf.wire import dump

_WITHOUT_CONTENT = {
    "verification_failed",
    *(error.code for error in (DamagedCodec, InexactMachine, PayloadTooLarge, UnknownCodec)),
}
"""Reasons whose details quote nothing of a record."""

BYTES_PER_TIMEOUT = 256 * 1024
"""A batch may take the time of a record once more for each so many bytes: 4 kB/s at 60 s."""

Row: TypeAlias = dict[str, Any]
"""Columns of the store; `verified`, which says whether the blob was decoded and compared; and `changed`, what semantic
fidelity made of the record, or None."""

Allow: TypeAlias = Callable[[float], None]
"""Called before each step with the seconds that it may take."""


def _no_limit(_seconds: float) -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Checked:
    """A record of which everything but the payload's coding is known to be sound."""

    record: Record
    meta: str
    written: Canonical


def migrate_records(
    items: Iterable[Record | BadRecord], codec: Codec, plan: Plan, allow: Allow = _no_limit
) -> Iterator[Row | BadRecord]:
    """In the order of the items: a row where a blob decodes to an equal payload (or to near vectors, if it says
    so), or why there is none.

    Raises MemoryError if a record alone needs more than there is.
    """
    for batch in bounded(_read(items, plan, allow), _size_bytes):
        good = [item for item in batch if isinstance(item, _Checked)]
        allow(plan.options.record_timeout_s * (1 + sum(len(one.written[1]) for one in good) / BYTES_PER_TIMEOUT))
        coded = iter(attempt_all(partial(_together, codec, plan), good, _failed))
        for item in batch:
            yield item if isinstance(item, BadRecord) else next(coded)


def _read(items: Iterable[Record | BadRecord], plan: Plan, allow: Allow) -> Iterator[_Checked | BadRecord]:
    allow(plan.options.record_timeout_s)
    for item in items:
        yield item if isinstance(item, BadRecord) else _checked(item)
        allow(plan.options.record_timeout_s)


def _checked(record: Record) -> _Checked | BadRecord:
    try:
        for name in (record.key, record.record_class):
            name.encode()
        json.dumps(record.meta)  # raises for what is deeper than readers of JSON go
        return _Checked(record, dump(record.meta).decode(), to_canonical(record.payload))
    except NbmfError as error:
        return _bad(record, error.code, str(error))
    except UnicodeEncodeError as error:
        return _bad(record, "bad_key", f"key or class is not Unicode text: {error}")
    except (TypeError, ValueError, RecursionError) as error:
        return _bad(record, "bad_meta", f"meta cannot be written as JSON: {error}")


def _size_bytes(item: _Checked | BadRecord) -> int:
    return len(item.written.data) if isinstance(item, _Checked) else 0


def _failed(one: _Checked, error: Exception) -> BadRecord:
    if isinstance(error, MemoryError):
        raise error
    if isinstance(error, NbmfError):
        return _bad(one.record, error.code, str(error))
    return _bad(one.record, "internal_error", f"{type(error).__name__}: {error}")


def _together(codec: Codec, plan: Plan, batch: list[_Checked]) -> list[Row | BadRecord]:
    coded = _encoded(batch, codec, plan)
    chosen = [is_chosen(one.record.key, one.record.record_class, plan.options.verify) for one in batch]
    good = [made.blob for made, its in zip(coded, chosen, strict=True) if its and not isinstance(made, NbmfError)]
    decoded = iter(codec.decode_batch(good))
    outcomes: list[Row | BadRecord] = []
    for one, made, its in zip(batch, coded, chosen, strict=True):
        if isinstance(made, NbmfError):
            outcomes.append(_bad(one.record, made.code, str(made)))
        elif its:
            outcomes.append(_verified(one, made, next(decoded), plan.options.aim))
        else:
            outcomes.append(_row(one, made, verified=False))
    return outcomes


def _encoded(batch: list[_Checked], codec: Codec, plan: Plan) -> list[Coded | NbmfError]:
    fidelities = [plan.options.fidelity.of(one.record.record_class) for one in batch]
    coded = {
        fidelity: iter(
            codec.encode_measured(
                [one.record.payload for one, its in zip(batch, fidelities, strict=True) if its == fidelity],
                fidelity,
                **plan.options.effort.keywords,
                aim=plan.options.aim,
            )
        )
        for fidelity in dict.fromkeys(fidelities)
    }
    return [next(coded[fidelity]) for fidelity in fidelities]


def _verified(one: _Checked, made: Coded, decoded: Payload | NbmfError, aim: Aim) -> Row | BadRecord:
    if isinstance(decoded, NbmfError):
        return _bad(one.record, decoded.code, str(decoded))
    read = to_canonical(decoded)
    if read != one.written and not (inspect(made.blob).fidelity == "semantic" and _is_near(one.written, read, aim)):
        return _bad(one.record, "verification_failed", "the blob decodes to another payload")
    return _row(one, made, verified=True)


def _is_near(written: Canonical, read: Canonical, aim: Aim) -> bool:
    """Whether nothing but vectors differs, and these by no more than was aimed at."""
    return written[0] == read[0] and is_near(*written, read[1], aim.least_cosine)


def _row(one: _Checked, made: Coded, verified: bool) -> Row:
    return {
        "key": one.record.key,
        "class": one.record.record_class,
        "meta": one.meta,
        "blob": made.blob,
        "preview": one.record.preview,
        "encrypted": one.record.encrypted,
        "place": one.record.place,
        "source_bytes": one.record.source_bytes,
        "payload_bytes": len(one.written[1]),
        "verified": verified,
        "changed": made.changed,
    }


def _bad(record: Record, reason: str, detail: str) -> BadRecord:
    detail = told(detail, record.encrypted and reason not in _WITHOUT_CONTENT)
    return BadRecord(record.place, reason, detail, record.key, record.source_bytes)
