"""Stores to migrate: the legacy layout, with damage if asked for, and JSON Lines."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from bench.migration.records import class_of, key_of, payload_of
from nbmf import stub
from nbmf.store.record_file import RECORDS_FOLDER
from nbmf.store.record_file import file_name as record_file_name

MAX_RECORD_BYTES = 20_000
"""What migrations of these stores are told: damaged ones hold larger records."""

Damage = Callable[[Path, dict[str, Any], random.Random], None]
"""Writes a record so that it cannot be read."""


def write_jsonl(path: Path, records: int) -> None:
    """A line a record: `key`, `class`, `payload`."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(records):
            fields = {"key": key_of(number), "class": class_of(number), "payload": payload_of(number)}
            file.write(json.dumps(fields, ensure_ascii=False) + "\n")


def write_legacy(root: Path, records: int, damaged: float = 0, on_record: Callable[[], None] = lambda: None) -> None:
    """A file a record; that share of them damaged, in each way in turn, at places that a fixed seed chooses."""
    folder = root / RECORDS_FOLDER
    folder.mkdir(parents=True)
    reasons = damage_of(records, damaged)
    for number in range(records):
        path = folder / record_file_name(key_of(number), class_of(number))
        payload = payload_of(number)
        if number % 5 == 4:  # as the stub wrote it
            payload = stub.encode(payload, "lossless")
        envelope = {"payload": payload, "meta": {"number": number}, "cls": class_of(number)}
        if number in reasons:
            _DAMAGES[reasons[number]](path, envelope, random.Random(number))
        else:
            path.write_text(json.dumps(envelope), encoding="utf-8")
        on_record()


def damage_of(records: int, damaged: float) -> dict[int, str]:
    """By number, why a migration cannot read the record."""
    chosen = random.Random(1).sample(range(records), round(records * damaged))
    ways = list(_DAMAGES)
    return {number: ways[at % len(ways)] for at, number in enumerate(sorted(chosen))}


def fingerprints(root: Path, numbers: Iterator[int]) -> dict[int, str]:
    """What the files of these records hold, links as the path that they name."""
    found = {}
    for number in numbers:
        path = root / RECORDS_FOLDER / record_file_name(key_of(number), class_of(number))
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        found[number] = f"{sha256(content).hexdigest()} {path.lstat().st_mtime_ns}"
    return found


def _cut_off(path: Path, envelope: dict[str, Any], rng: random.Random) -> None:
    content = json.dumps(envelope).encode()
    path.write_bytes(content[: rng.randrange(len(content))])


def _not_text(path: Path, _envelope: dict[str, Any], rng: random.Random) -> None:
    path.write_bytes(b"\xff" + rng.randbytes(200))


def _another_key(path: Path, envelope: dict[str, Any], rng: random.Random) -> None:
    """As of a key that nobody has: what AES-GCM writes cannot be told from random bytes."""
    sealed = {"nonce": rng.randbytes(12), "ciphertext": rng.randbytes(len(json.dumps(envelope)) + 16)}
    fields = {name: base64.urlsafe_b64encode(data).decode() for name, data in sealed.items()}
    path.write_text(json.dumps({"__encrypted__": {"alg": "AESGCM", **fields}}))


def _oversized(path: Path, envelope: dict[str, Any], _rng: random.Random) -> None:
    path.write_text(json.dumps(envelope | {"payload": "x" * MAX_RECORD_BYTES}))


def _dangling(path: Path, _envelope: dict[str, Any], rng: random.Random) -> None:
    path.symlink_to(f"lost-{rng.getrandbits(32):08x}")


def _empty(path: Path, envelope: dict[str, Any], _rng: random.Random) -> None:
    path.write_text(json.dumps({name: value for name, value in envelope.items() if name != "payload"}))


def _damaged_stub(path: Path, envelope: dict[str, Any], rng: random.Random) -> None:
    blob = stub.encode(envelope["meta"], "lossless")
    path.write_text(json.dumps(envelope | {"payload": blob | {"code": blob["code"][: -2 * rng.randrange(1, 8)]}}))


_DAMAGES: dict[str, Damage] = {
    "not_json": _cut_off,
    "encrypted": _another_key,
    "too_large": _oversized,
    "unreadable": _dangling,
    "not_utf8": _not_text,
    "no_payload": _empty,
    "damaged_stub_blob": _damaged_stub,
}
"""By the reason that a dead letter gives."""
