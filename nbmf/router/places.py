"""Where a router keeps records: the store's own files, and copies in nbmf's form beside them."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from nbmf.encryption import ENVELOPE, StoreKey
from nbmf.store.errors import KeyRequired
from nbmf.store.files import sync, write_whole
from nbmf.store.record_file import OWN_FOLDER, RECORDS_FOLDER, RecordFile, file_name
from nbmf.store.record_files import RecordFiles
from nbmf.store.record_locks import locks_folder, record_lock

_COPIES = "copies"
_KEPT_S = 24 * 3600
"""How long what a process that was killed had begun to write is left alone: others may be at work."""


class Places:
    """The store at `root`, and `<root>/.nbmf/copies/`, of the same layout.

    The store's file is what counts: a copy is written or removed before it, so that there is none of an older record,
    and a reader that looks at the store first never sees the copy of a write that was cut off.
    """

    def __init__(self, root: Path, key: StoreKey | None) -> None:
        self._root = root
        self._key = key
        self._copies = root / OWN_FOLDER / _COPIES
        self._new = root / OWN_FOLDER / "new"
        for folder in (root / RECORDS_FOLDER, self._copies / RECORDS_FOLDER, self._new, locks_folder(root)):
            _make(folder)
        _remove_older(self._new, time.time() - _KEPT_S)
        self.main = RecordFiles(root, key)
        self.copies = RecordFiles(self._copies, key)

    def write(self, key: str, record_class: str, main: dict[str, Any], copy: dict[str, Any] | None) -> None:
        """A record's file, and its copy or none, whole and on disk. Raises KeyRequired, OSError."""
        name = file_name(key, record_class)
        path, copy_path = self._root / RECORDS_FOLDER / name, self._copies / RECORDS_FOLDER / name
        contents = [
            None if fields is None else RecordFile(key, record_class, fields, self._key is not None).content(self._key)
            for fields in (main, copy)
        ]
        with record_lock(self._root, name):
            if self._key is None and _is_encrypted(path):
                raise KeyRequired(f"{path} is encrypted; a router without its key would replace it by a plain one")
            if contents[1] is None:
                _remove(copy_path)
            else:
                self._write(copy_path, contents[1])
            assert contents[0] is not None  # noqa: S101
            self._write(path, contents[0])

    def _write(self, path: Path, content: bytes) -> None:
        def fill(scratch: Path) -> None:
            scratch.write_bytes(content)
            if path.exists():
                shutil.copymode(path, scratch)

        write_whole(path, fill, scratch_folder=self._new)

    def delete(self, key: str, record_class: str) -> bool:
        """Removes both, the copy first; whether there was a file."""
        name = file_name(key, record_class)
        with record_lock(self._root, name):
            was_copy = _remove(self._copies / RECORDS_FOLDER / name)
            return _remove(self._root / RECORDS_FOLDER / name) or was_copy


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    sync(path.parent)
    return True


def _is_encrypted(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return ENVELOPE.encode() in file.read(len(ENVELOPE) + 16)
    except FileNotFoundError:
        return False


def _remove_older(folder: Path, than: float) -> None:
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < than:
                path.unlink()


def _make(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        sync(folder.parent)
