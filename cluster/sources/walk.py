"""What is in a folder and those below it: files of known kinds, and what is not read, and why."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

import pyarrow.fs as pafs

from cluster.errors import RecordsError
from cluster.sources.kinds import PARQUET, kind_of
from cluster.sources.storage import Storage, leads_out, raise_if_unavailable
from nbmf.store.layout import PLAN

HIDDEN = "hidden"
UNKNOWN = "unknown_kind"
OTHER = "other_kind"
EMPTY = "empty"
NO_TARGET = "link_to_nothing"
LINKED_FOLDER = "link_to_folder"
LINKED_OUT = "link_out_of_store"
UNREADABLE = "unreadable"
SPECIAL = "no_regular_file"
STORE = "store_of_nbmf"
TOOLS = "of_another_tool"

LINKED_OUT_DETAIL = "a link to what is not below the folder that is read, which --follow-links follows"

FAULTS = frozenset({NO_TARGET, UNREADABLE, LINKED_OUT})
"""Reasons for which records may be missing that were meant to be there."""

_DETAILS = {
    HIDDEN: "its name begins with a dot; it is read if it is named itself",
    UNKNOWN: "a file of no kind that is known by its name",
    OTHER: "another kind than what is read here; name it by itself, or see --reader",
    EMPTY: "there is nothing in it",
    NO_TARGET: "a link to what is not there",
    LINKED_FOLDER: "a link to a folder, which is not followed; name that folder by itself",
    LINKED_OUT: LINKED_OUT_DETAIL,
    SPECIAL: "neither a file nor a folder",
    STORE: "a data set of nbmf or the folder of a migration; name it by itself",
    TOOLS: "kept by the tool that wrote the Parquet files",
}
_DELTA_LOG = "_delta_log"
_DELTA = "the log of a Delta table: files that the table has dropped but not deleted are read, too"


class NotRead(NamedTuple):
    """A file, or a folder with all in it, that is not read; why, machine-readable and in words."""

    place: str
    reason: str
    detail: str


class Found(NamedTuple):
    """A file or folder by its path below the folder that was looked through. `reason` says why it cannot be read."""

    name: str
    kind: str | None = None
    reason: str | None = None
    detail: str = ""


def walk(
    storage: Storage,
    root: str,
    passed_over: Callable[[str], bool] = lambda _name: False,
    *,
    known_only: bool = False,
) -> Iterator[Found]:
    """All of a folder, in the order of the names, folder by folder; links to folders are not followed.

    What is `passed_over` by its path below `root` is not looked at. With `known_only`, files of unknown kinds are left
    out too, and their names are never held. Raises RecordsError if `root` cannot be listed.
    """
    if not storage.is_local:
        return _walk_away(storage, root, passed_over)

    def is_wanted(entry: os.DirEntry[str], name: str) -> bool:
        if passed_over(name):
            return False
        return not known_only or kind_of(name) is not None or entry.is_dir(follow_symlinks=False)

    return _walk_here(root, is_wanted, storage.follow_links)


def not_read(
    storage: Storage,
    root: str | None,
    paths: Iterable[str],
    passed_over: Callable[[str], bool] = lambda _name: False,
) -> Iterator[NotRead]:
    """What of a folder is not among the paths, or is empty; without a folder, which of the paths are empty."""
    if root is None:
        for path in paths:
            if storage.state(path).size_bytes == 0:
                yield NotRead(storage.show(path), EMPTY, _DETAILS[EMPTY])
        return
    taken = set(paths)
    for name, _, reason, detail in walk(storage, root, passed_over):
        path = f"{root}/{name}"
        if path not in taken or reason == EMPTY:
            reason = reason or OTHER
            yield NotRead(storage.show(path), reason, detail or _DETAILS[reason])


_Wanted: TypeAlias = Callable[[os.DirEntry[str], str], bool]


def _walk_here(root: str, is_wanted: _Wanted, follow_links: bool) -> Iterator[Found]:
    folders = [iter(_listed(root, "", is_wanted))]
    while folders:
        found = next(folders[-1], None)
        if found is None:
            folders.pop()
            continue
        entry, name = found
        seen = _seen(entry, name)
        if seen is not None and seen.reason is None and entry.is_symlink() and not follow_links:
            seen = Found(name, seen.kind, LINKED_OUT) if leads_out(entry.path, root) else seen
        if seen is not None:
            yield seen
            continue
        try:
            folders.append(iter(_listed(entry.path, f"{name}/", is_wanted)))
        except OSError as error:
            raise_if_unavailable(error, entry.path)
            yield Found(name, None, UNREADABLE, error.strerror or str(error))


def _listed(folder: str, prefix: str, is_wanted: _Wanted) -> list[tuple[os.DirEntry[str], str]]:
    try:
        with os.scandir(folder) as entries:
            wanted = (entry for entry in entries if is_wanted(entry, prefix + entry.name))
            listed = sorted(wanted, key=lambda entry: entry.name)
    except OSError as error:
        if prefix:
            raise
        raise RecordsError(f"{folder}: {error.strerror or error}") from error
    return [(entry, prefix + entry.name) for entry in listed]


def _seen(entry: os.DirEntry[str], name: str) -> Found | None:
    """None for a folder that is to be looked through."""
    if entry.name.startswith("."):
        return Found(name, None, HIDDEN)
    try:
        mode = entry.stat().st_mode
        size = entry.stat().st_size
    except OSError as error:
        raise_if_unavailable(error, entry.path)
        if entry.is_symlink() and error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
            return Found(name, None, NO_TARGET)
        return Found(name, None, UNREADABLE, error.strerror or str(error))
    if stat.S_ISDIR(mode):
        if entry.is_symlink():
            return Found(name, None, LINKED_FOLDER)
        return Found(name, None, STORE) if (Path(entry.path) / PLAN).exists() else _tools(name)
    if not stat.S_ISREG(mode):
        return Found(name, None, SPECIAL)
    found = _file(name, size)
    if found.reason is None and not os.access(entry.path, os.R_OK):
        return Found(name, found.kind, UNREADABLE, os.strerror(errno.EACCES))
    return found


def _walk_away(storage: Storage, root: str, passed_over: Callable[[str], bool]) -> Iterator[Found]:
    infos = storage.all_below(root)
    named = sorted(((info.path[len(root) :].strip("/").split("/"), info) for info in infos), key=lambda one: one[0])
    stores = {"/".join(parts[:-1]) for parts, _ in named if parts[-1] == PLAN and len(parts) > 1}
    done: list[str] | None = None
    for parts, info in named:
        if passed_over(parts[0]) or passed_over("/".join(parts)) or (done is not None and parts[: len(done)] == done):
            continue
        name = "/".join(parts)
        done = None
        is_folder = info.type == pafs.FileType.Directory
        hidden = next((at for at, part in enumerate(parts) if part.startswith(".")), None)
        store = next((at for at in range(1, len(parts) + 1) if "/".join(parts[:at]) in stores), None)
        if hidden is not None or store is not None:
            done = parts[: hidden + 1 if hidden is not None else store]
            yield Found("/".join(done), None, HIDDEN if hidden is not None else STORE)
        elif not is_folder:
            yield _file(name, info.size)
        elif found := _tools(name):
            done = parts
            yield found


def _file(name: str, size_bytes: int | None) -> Found:
    kind = kind_of(name)
    if size_bytes == 0:
        return Found(name, kind, EMPTY)
    if kind == PARQUET and any(part.startswith("_") for part in name.split("/")):
        return Found(name, kind, TOOLS)
    return Found(name, kind, None if kind else UNKNOWN)


def _tools(name: str) -> Found | None:
    """Of a folder."""
    if name.rpartition("/")[2] == _DELTA_LOG:
        return Found(name, None, TOOLS, _DELTA)
    return None
