"""Which destination a command line means."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cluster.errors import DestinationError
from nbmf.encryption import StoreKey
from nbmf.errors import NotALocalPath
from nbmf.places import local_path, shown
from nbmf.store.errors import StoreError
from nbmf.store.folder import Folder, LocalFolder, folder_at
from nbmf.store.record_files import is_record_store

if TYPE_CHECKING:
    from migrate_job.destinations import Destination

_SQLITE_SUFFIXES = (".sqlite", ".sqlite3", ".db")


class Form(enum.StrEnum):
    """What a migration writes."""

    PARQUET = "parquet"
    SQLITE = "sqlite"


@dataclass(frozen=True, slots=True)
class Choice:
    """A destination, and the folder of its run."""

    target: Destination
    folder: Folder


def choose(source: str, dest: str | None, form: Form | None, in_place: bool, key: StoreKey | None) -> Choice:
    """The destination. Raises DestinationError, and BadParameter for options that contradict each other."""
    from migrate_job.destinations import InPlace, ParquetParts, SqliteFile
    from migrate_job.destinations.in_place_files import StoreFolders
    from migrate_job.destinations.sqlite import run_folder

    if in_place:
        if dest is not None or form is not None:
            raise typer.BadParameter("--in-place takes neither DEST nor --to")
        store = _local(source, "--in-place is for stores on filesystems that are mounted here").expanduser().absolute()
        if not is_record_store(store):
            raise DestinationError(f"{store} is no legacy store of record files; --in-place is for those alone")
        return Choice(InPlace(store, key), LocalFolder(StoreFolders(store).run))
    if dest is None:
        raise typer.BadParameter("name a DEST, or give --in-place")
    folder = _folder(dest)
    if not isinstance(folder, LocalFolder):
        if form is Form.SQLITE or (form is None and dest.endswith(_SQLITE_SUFFIXES)):
            raise DestinationError(f"{folder}: a SQLite file is written on a filesystem of this machine; copy it then")
        return Choice(ParquetParts(key), folder)
    place = folder.path
    if form is Form.SQLITE or (form is None and place.suffix in _SQLITE_SUFFIXES and not place.is_dir()):
        if place.is_dir():
            raise DestinationError(f"{place} is a folder; --to sqlite wants the name of a file")
        return Choice(SqliteFile(place, key), LocalFolder(run_folder(place)))
    return Choice(ParquetParts(key), folder)


def _folder(place: str) -> Folder:
    try:
        return folder_at(place)
    except (NotALocalPath, StoreError) as error:
        raise DestinationError(str(error)) from None


def _local(place: str, remedy: str) -> Path:
    try:
        return local_path(place)
    except NotALocalPath:
        raise DestinationError(f"{shown(place)} reads as a URI; {remedy}") from None
