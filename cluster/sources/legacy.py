"""The legacy record layout: `<root>/records/<key>__<class>.json`, each `{"payload", "meta", "cls"}`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cluster.errors import RecordsError
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES, BadRecord, Item, Shard
from cluster.sources.parsing import bad_json, parse_json, record_from_payload
from cluster.sources.sorted_names import sorted_names
from cluster.sources.stamps import stamp

RECORDS_FOLDER = "records"
_SEPARATOR = "__"
_ENVELOPE = "__encrypted__"
_SHARD_FILES = 500


def record_file_name(key: str, record_class: str) -> str:
    """The file name of a record; `/` in keys and classes is written `_`."""
    return f"{_safe(key)}{_SEPARATOR}{_safe(record_class)}.json"


def is_legacy_store(root: Path) -> bool:
    """Whether `root` has the folder of the legacy record layout."""
    return (root / RECORDS_FOLDER).is_dir()


@dataclass(frozen=True, slots=True)
class LegacyStore:
    """A legacy store. Keys come from file names, so a `/` that was written `_` stays `_`."""

    root: Path
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES

    def plan(self) -> list[Shard]:
        return list(self.iter_shards())

    def iter_shards(self) -> Iterator[Shard]:
        folder = self.root / RECORDS_FOLDER
        try:
            names = sorted_names(folder, ".json")
            while some := list(islice(names, _SHARD_FILES)):
                yield _shard(folder, some)
        except OSError as error:
            raise RecordsError(f"{folder}: {error.strerror or error}") from error

    def split(self, shard: Shard) -> Iterator[tuple[str, Shard]]:
        for name, file in zip(shard.span, shard.files, strict=True):
            yield str(Path(shard.path) / name), Shard(shard.path, (name,), (file,), file.size_bytes or 0)

    def read(self, shard: Shard) -> Iterator[Item]:
        for name in shard.span:
            yield self._record(Path(shard.path) / name)

    def _record(self, path: Path) -> Item:
        place = str(path)
        try:
            size = path.stat().st_size
            if size > self.max_record_bytes:
                return BadRecord(place, "too_large", f"{size} bytes; max_record_bytes is {self.max_record_bytes}")
            data = path.read_bytes()
        except OSError as error:
            return BadRecord(place, "unreadable", error.strerror or str(error))
        key, _, name_class = path.stem.rpartition(_SEPARATOR)
        if not key:
            return BadRecord(place, "bad_name", f"not <key>{_SEPARATOR}<class>.json", source_bytes=size)
        try:
            value = parse_json(data)
        except ValueError as error:
            return bad_json(place, error, key, size)
        if type(value) is dict and _ENVELOPE in value:
            return BadRecord(place, "encrypted", "encrypted records are not read by this version", key, size)
        if type(value) is not dict or "payload" not in value:
            return BadRecord(place, "no_payload", "not an object with a `payload`", key, size)
        record_class = value.get("cls", name_class)
        if type(record_class) is not str:
            return BadRecord(place, "bad_class", f"`cls` is {type(record_class).__name__}, not text", key, size)
        # The class may hold "__" itself; the one inside the file says where the key ends.
        suffix = _SEPARATOR + _safe(record_class)
        if path.stem.endswith(suffix) and len(path.stem) > len(suffix):
            key = path.stem.removesuffix(suffix)
        return record_from_payload(key, record_class, value.get("meta"), value["payload"], place, size)


def _shard(folder: Path, names: list[str]) -> Shard:
    files = tuple(stamp(folder, name) for name in names)
    return Shard(str(folder), tuple(names), files, sum(file.size_bytes or 0 for file in files))


def _safe(name: str) -> str:
    return name.replace("/", "_")
