"""A legacy store as the source of its own migration in place.

The application may write meanwhile: what is encoded is a copy, and the copy is what a rollback restores.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from cluster.errors import DestinationError, RecordsError
from cluster.sources import BadRecord, Item, Record, Shard
from cluster.sources.base import DEFAULT_MAX_RECORD_BYTES
from cluster.sources.parsing import too_large
from cluster.sources.storage import LOCAL, raise_if_unavailable
from cluster.sources.walk import NotRead, not_read
from migrate_job.destinations.in_place_files import (
    StoreFolders,
    copy_like,
    names_file,
    originals,
    read_replaced,
)
from migrate_job.layout import NAMES
from nbmf import stub
from nbmf.encryption import StoreKey, told
from nbmf.errors import DamagedStubBlob
from nbmf.store.files import remove_scratch, sync, write_whole
from nbmf.store.layout import PLAN
from nbmf.store.record_file import OWN_FOLDER, RECORDS_FOLDER, SUFFIX, DamagedRecordFile, name_key, parse
from nbmf.store.sorted_names import sorted_names

_SHARD_FILES = 500


@dataclass(frozen=True, slots=True)
class InPlaceRecords:
    """The record files that were there when the migration began; those that hold a blob of nbmf are passed over."""

    store: Path
    key: StoreKey | None = None
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES

    def plan(self) -> list[Shard]:
        return list(self.iter_shards())

    def iter_shards(self) -> Iterator[Shard]:
        """Of a migration that has begun those of its beginning: names come and go while an application is at work."""
        folders = StoreFolders(self.store)
        for ending, command in ((folders.committing, "commit"), (folders.rolling_back, "rollback")):
            if ending.exists():
                raise DestinationError(f"{ending}: run `nbmf migrate {command} {self.store}` to its end first")
        names = names_file(folders.run)
        if not (folders.run / PLAN).exists():
            folders.run.mkdir(parents=True, exist_ok=True)
            remove_scratch(folders.run, NAMES)
            write_whole(names, lambda path: _list(folders.records, path))
            sync(folders.own)
            sync(folders.store)
        with names.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                yield Shard(str(self.store), (number, *json.loads(line)))

    def not_read(self) -> Iterator[NotRead]:
        """Files and folders in the store that are no record files: they stay as they are."""
        return not_read(LOCAL, str(self.store), (), _is_passed_over)

    def split(self, shard: Shard) -> Iterator[tuple[str, Shard]]:
        number, *names = shard.span
        for name in names:
            yield str(StoreFolders(self.store).records / name), Shard(shard.path, (number, name))

    def read(self, shard: Shard) -> Iterator[Item]:
        number, *names = shard.span
        folders = StoreFolders(self.store)
        kept = originals(folders.run, number)
        kept.parent.mkdir(exist_ok=True)
        kept.mkdir(exist_ok=True)
        replaced = read_replaced(folders.run, number)
        for name in names:
            item = self._item(folders.records / name, kept / name, name in replaced)
            if item is not None:
                yield item

    def _item(self, path: Path, original: Path, may_be_replaced: bool) -> Item | None:
        place = str(path)
        try:
            if path.is_symlink():
                return BadRecord(place, "unreadable", "a symbolic link, which is not replaced")
            is_kept = may_be_replaced and original.exists()
            with path.open("rb") as opened:
                status = os.fstat(opened.fileno())
                if status.st_size > self.max_record_bytes:
                    return too_large(status.st_size, self.max_record_bytes).bad(place, None, status.st_size)
                content = original.read_bytes() if is_kept else opened.read()
            size = len(content)
            file = parse(path.name, content, self.key)
            if file.is_migrated:
                return None
            payload = file.payload
            if stub.is_stub_blob(payload) and not file.is_preview:
                payload = stub.decode(payload)
        except OSError as error:
            raise_if_unavailable(error, place)
            return BadRecord(place, "unreadable", error.strerror or str(error))
        except DamagedRecordFile as error:
            return BadRecord(place, error.reason, error.detail, name_key(path.name) or None, size)
        except DamagedStubBlob as error:
            return BadRecord(place, error.code, told(error, file.encrypted), name_key(path.name) or None, size)
        if not is_kept and not file.is_preview:
            try:
                copy_like(content, original, status, times=True)
            except PermissionError as error:
                if error.errno != errno.EPERM:
                    raise
                detail = "its owner cannot be kept; migrate as its owner, or as root"
                return BadRecord(place, "unreadable", detail, file.key, size)
        meta = file.fields.get("meta")
        return Record(
            file.key, file.record_class, meta, payload, place, size, preview=file.is_preview, encrypted=file.encrypted
        )


def _is_passed_over(name: str) -> bool:
    folder, _, file = name.rpartition("/")
    return name == OWN_FOLDER or (folder == RECORDS_FOLDER and Path(file).suffix == SUFFIX)


def _list(records: Path, path: Path) -> None:
    names = sorted_names(records, SUFFIX)
    try:
        some = list(islice(names, _SHARD_FILES))
    except OSError as error:
        raise RecordsError(f"{records}: {error.strerror or error}") from error
    with path.open("w", encoding="utf-8") as lines:
        while some:
            lines.write(json.dumps(some) + "\n")
            some = list(islice(names, _SHARD_FILES))
