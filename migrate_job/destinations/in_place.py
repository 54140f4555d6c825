"""A legacy store, migrated in place: each record file is replaced by one that holds a blob.

A record's file is at every instant the old one or the new one, whole: it is replaced by a rename, after its original
was copied and that copy is on disk.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from cluster.sources import BadRecord
from migrate_job.destinations.base import Row, on_this_machine
from migrate_job.destinations.in_place_files import (
    StoreFolders,
    copy_like,
    digest,
    new_files,
    originals,
    read_or_none,
    read_replaced,
    read_with_status,
    write_replaced,
)
from nbmf.encryption import StoreKey
from nbmf.errors import CorruptBlob
from nbmf.store.files import sync
from nbmf.store.folder import Folder
from nbmf.store.record_file import parse
from nbmf.store.record_locks import record_lock


@dataclass(frozen=True, slots=True)
class InPlace:
    """The store that `InPlaceRecords` reads. Encrypted files stay encrypted, with `key`."""

    store: Path
    key: StoreKey | None = None

    def prepare(self, folder: Folder) -> None:
        pass

    def write(self, folder: Folder, index: int, rows: list[Row]) -> list[BadRecord]:
        """Leaves previews as they are, and out what the application wrote since its original was copied."""
        return self._write(on_this_machine(folder), index, rows)

    def _write(self, folder: Path, index: int, rows: list[Row]) -> list[BadRecord]:
        records, kept, new = StoreFolders(self.store).records, originals(folder, index), new_files(folder, index)
        before = read_replaced(folder, index)
        digests: dict[str, str] = {}
        changed: list[BadRecord] = []
        for row in rows:
            name = Path(row["place"]).name
            if row["preview"]:
                continue
            found = read_with_status(records / name)
            if found is None:
                changed.append(_changed(row, None))
                continue
            now, status = found
            if digest(now) == before.get(name):
                digests[name] = before[name]  # by this shard's worker that was killed
            elif now != (kept / name).read_bytes():
                changed.append(_changed(row, now))
            else:
                content = self._new_content(name, now, row["blob"])
                copy_like(content, new / name, status, times=False)
                digests[name] = digest(content)
        for name in digests:
            sync(kept / name)
            if (new / name).exists():
                sync(new / name)
        for made in (kept, kept.parent, folder):
            sync(made)
        write_replaced(folder, index, digests)
        for row in rows:
            name = Path(row["place"]).name
            if (new / name).exists() and not self._replace(records / name, new / name, kept / name):
                changed.append(_changed(row, read_or_none(records / name)))
                del digests[name]
        sync(records)
        write_replaced(folder, index, digests)
        for path in kept.iterdir():
            if path.name not in digests:
                path.unlink()
        shutil.rmtree(new)
        return changed

    def finish(self, folder: Folder, shards: int) -> None:
        shutil.rmtree(on_this_machine(folder) / "_new", ignore_errors=True)

    def _new_content(self, name: str, content: bytes, blob: bytes) -> bytes:
        new = parse(name, content, self.key).to_migrated(blob, self.key)
        if parse(name, new, self.key).to_record().blob != blob:
            raise CorruptBlob(f"{name}: the new file does not hold its blob")
        return new

    def _replace(self, path: Path, new: Path, original: Path) -> bool:
        """False if the application wrote or removed the file."""
        with record_lock(self.store, path.name):
            if read_or_none(path) != original.read_bytes():
                return False
            new.replace(path)
        return True


def _changed(row: Row, now: bytes | None) -> BadRecord:
    did = "removed" if now is None else "wrote"
    detail = f"the application {did} it during the migration; it is left as it is"
    return BadRecord(row["place"], "changed", detail, row["key"], row["source_bytes"])
