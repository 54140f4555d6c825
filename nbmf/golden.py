"""Golden records: what a version's coders made of a few records when it was trained, decoded wherever it is loaded.

Each blob is decoded by integer arithmetic that is the same on all machines. Where an engine, a library or a processor
does it otherwise after all, this finds it before a record is written that others could not read, or one is called
corrupt that is not.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nbmf.coders.vectors import LearnedVectorsCoder
from nbmf.errors import DamagedCodec, InexactMachine
from nbmf.payload import Canonical, Kind, Payload, to_canonical

if TYPE_CHECKING:
    from nbmf.coders import Coder

FILE = "golden.json"

_OF_WHOLE_RECORDS = {2, 4, 5, 14, 15}
"""Numbers of coders that encode every record that they once did, whatever the latency budget."""

RECORDS: tuple[Payload, ...] = (
    "The user prefers the window seat, arrives on the 06:42 train, and asked twice not to be called before nine. "
    "Invoices go to the new address from 1 March on.",
    [
        {"role": "system", "content": "You help with travel and keep notes for later."},
        {"role": "user", "content": "Book the same hotel as last time, but for two nights."},
        {"role": "assistant", "content": "Done: two nights from 14 May, breakfast included, reference H-20817."},
    ],
    {
        "tool": "calendar.create",
        "arguments": {"title": "Dentist", "start": "2026-03-09T08:30:00Z", "minutes": 45, "remind": [60, 10]},
        "result": {"ok": True, "id": "evt_0193", "conflicts": [], "score": 0.9375, "note": None},
    },
    "明日の会議は午後三時に変更になりました。資料は前日までに送ってください。 Спасибо, всё получено вовремя. 🚲",
)
"""Written for this; changed freely, as a version holds its own."""


def write(coders: Sequence[Coder]) -> bytes:
    """The file, by the learned coders of a version."""
    records: list[dict[str, Any]] = []
    for payload in RECORDS:
        kind, canonical = to_canonical(payload)
        bodies = {coder.number: coder.encode(kind, canonical) for coder in coders}
        written = {str(number): _text(body) for number, body in bodies.items() if body is not None}
        records.append({"kind": kind.label, "canonical": _text(canonical), "bodies": written})
    for learned in (coder for coder in coders if isinstance(coder, LearnedVectorsCoder)):
        for canonical, body in learned.golden_vectors():
            written = {str(learned.number): _text(body)}
            records.append({"kind": Kind.ARRAY.label, "canonical": _text(canonical), "bodies": written})
    return json.dumps({"records": records}, indent=1).encode()


def check(content: bytes, coders: Sequence[Coder], version: str) -> None:
    """Decodes what the file holds, each coder's bodies in one batch, by the engine of `nbmf.engine`; and encodes the
    records, and decodes that.

    Raises InexactMachine, or DamagedCodec for a file that is none.
    """
    try:
        records = [
            (Kind[record["kind"].upper()], base64.b64decode(record["canonical"], validate=True), record["bodies"])
            for record in json.loads(content)["records"]
        ]
        bodies = {
            coder.number: [
                (kind, base64.b64decode(written[str(coder.number)], validate=True), canonical)
                for kind, canonical, written in records
                if str(coder.number) in written
            ]
            for coder in coders
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedCodec(f"{FILE} of version {version[:12]} is not a file of golden records: {error!r}") from error
    for coder in coders:
        golden = bodies[coder.number]
        decoded = coder.decode_batch([(kind, body, len(canonical)) for kind, body, canonical in golden])
        for (kind, _, canonical), result in zip(golden, decoded, strict=True):
            if result != canonical:
                raise InexactMachine(
                    f"version {version[:12]} decodes a golden record ({kind.label}, coder {coder.name}) otherwise here "
                    "than where it was trained; nothing is coded with it. Try another engine (--engine cpu or torch), "
                    "another release of torch, NBMF_CPU=plain, or another machine, and report this one"
                )
        _check_encoding(coder, [Canonical(kind, canonical) for kind, _, canonical in golden], version)


def _check_encoding(coder: Coder, records: list[Canonical], version: str) -> None:
    """Of records that the coder coded where the version was trained. Raises InexactMachine."""
    bodies = coder.encode_batch(records) if records else []
    made = [(record, body) for record, body in zip(records, bodies, strict=True) if body is not None]
    decoded = coder.decode_batch([(kind, body, len(canonical)) for (kind, canonical), body in made])
    if any(result != canonical for ((_, canonical), _), result in zip(made, decoded, strict=True)) or (
        len(made) < len(records) and coder.number in _OF_WHOLE_RECORDS
    ):
        raise InexactMachine(
            f"version {version[:12]} encodes a golden record (coder {coder.name}) so that it cannot be decoded; "
            "nothing is coded with it. If it does so on every machine, its vocabulary does not give records back"
        )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
