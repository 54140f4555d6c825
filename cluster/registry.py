"""The codec registry: a folder on any filesystem that holds versions and says which are in use.

versions/<id>/...   immutable; manifest.json is written last, so a version without one is not there
channels.json       stable, candidate, and the history of both
*.spare             space kept for the file of that name, for when the disk is full: see local_documents
quarantine.jsonl    versions that killed or hung what used them: see cluster/quarantine.py
channels.lock       empty; locked by who changes a document or deletes a version, on local filesystems; on object
                    stores a document is written if nobody wrote it since it was read
rollout*.json*      documents of the rollout: see serve_app/rollout
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster import local_documents
from cluster.errors import RegistryError, VersionInUse, VersionNotFound
from nbmf.builtin import default_codec
from nbmf.catalog import Catalog
from nbmf.codec import WITHOUT_VERSION, Codec
from nbmf.errors import DamagedCodec, NbmfError
from nbmf.manifest import MANIFEST, Manifest, is_id, read_version, write_version
from nbmf.places import is_uri, shown
from nbmf.store.conditional_writes import Tag, WrittenMeanwhile, has_conditions, read_object, write_object
from nbmf.store.folder import again
from nbmf.stub_codec import StubCodec

if TYPE_CHECKING:
    from pyarrow.fs import FileSelector, FileSystem

    from cluster.channels import Channel, Channels

DEFAULT, BUILTIN, NONE, STUB = "default", "builtin", "none", "stub"
"""Names of versions that are no ids: see Registry.resolve."""

_held: ContextVar[frozenset[str]] = ContextVar("_held", default=frozenset())
"""Registries that this thread or task has locked: the lock is asked for once only."""

_seen: ContextVar[dict[tuple[str, str], Tag | None]] = ContextVar("_seen")
"""Documents of registries on object stores that were read since the registry was locked, as they were then."""

DEFAULT_LOCATION = "~/.nbmf/registry"
LOCATION_VARIABLE = "NBMF_REGISTRY"


def default_location() -> str:
    """The registry in NBMF_REGISTRY, else ~/.nbmf/registry."""
    return os.environ.get(LOCATION_VARIABLE) or DEFAULT_LOCATION


class Registry:
    """A registry at a local path or a URI that pyarrow.fs knows (`s3://`, `gs://`, `file://`).

    `location` is the URI or the absolute path: other processes find the same place by it.
    """

    def __init__(self, location: str | Path | None = None) -> None:
        self.location = str(location or default_location())
        if not is_uri(self.location):
            self.location = str(Path(self.location).expanduser().absolute())
        self._root = self.location
        if is_uri(self.location):
            self._fs, self._root = self._opened()
        self._cache = Path("~/.cache/nbmf/versions").expanduser()

    def __str__(self) -> str:
        """Its location, without what may be credentials."""
        return shown(self.location) if is_uri(self.location) else self.location

    @cached_property
    def _fs(self) -> FileSystem:
        """A local one is made when it is first asked: pyarrow takes longer to import than a blob to decode."""
        from pyarrow.fs import LocalFileSystem

        return LocalFileSystem()

    def _opened(self) -> tuple[FileSystem, str]:
        from pyarrow.fs import FileSystem

        try:
            opened: tuple[FileSystem, str] = FileSystem.from_uri(self.location)
        except (OSError, ValueError) as error:
            raise RegistryError(f"registry {self}: {error}") from error
        return opened

    @property
    def is_local(self) -> bool:
        """Whether versions can be read in place."""
        not_opened_yet = "_fs" not in vars(self)
        return not_opened_yet or self._fs.type_name == "local"

    def publish(self, manifest: dict[str, Any], files: dict[str, bytes]) -> str:
        """Writes a version and returns its id. It is on no channel: `assign` says who uses it."""
        with tempfile.TemporaryDirectory() as scratch:
            version_id = write_version(Path(scratch), manifest, files)
            folder = Path(scratch) / version_id
            if version_id not in self.list_ids():
                with self._named_failure(f"versions/{version_id}"):
                    self._copy(folder, sorted(files), self._path("versions", version_id))
        return version_id

    def list_ids(self) -> list[str]:
        """Ids of all complete versions, sorted."""
        base = self._path("versions")
        if self.is_local:
            versions = Path(base)
            names = [folder.name for folder in versions.iterdir()] if versions.exists() else []
            return sorted(name for name in names if is_id(name) and (versions / name / MANIFEST).is_file())
        infos = self._fs.get_file_info(_selector(base, allow_not_found=True))
        ids = [i.base_name for i in infos if not i.is_file and is_id(i.base_name)]
        manifests = self._fs.get_file_info([f"{base}/{i}/{MANIFEST}" for i in ids])
        return sorted(i for i, m in zip(ids, manifests, strict=True) if m.is_file)

    def resolve(self, name: str = DEFAULT) -> str:
        """The version called `name`: its full id, or "builtin", "none" or "stub". Raises VersionNotFound.

        `name` is `default` (stable if there is one, else built-in), `stable`, `candidate`, `builtin` (the one
        in the package), `none` (no learned part), `stub` (the zlib stub's dicts), an id, or the start of one.
        """
        if name in (BUILTIN, NONE, STUB):
            return name
        if name in (DEFAULT, "stable", "candidate"):
            channels = self.channels()
            version_id = channels.candidate if name == "candidate" else channels.stable
            if version_id is not None or name == DEFAULT:
                return version_id or BUILTIN
            raise VersionNotFound(f"registry {self} has no {name} version; train one first")
        matches = [i for i in self.list_ids() if name and i.startswith(name)]
        if len(matches) != 1:
            problem = f"{len(matches)} versions begin with" if matches else "no version begins with"
            raise VersionNotFound(f"registry {self}: {problem} {name!r} (see `nbmf versions list`)")
        return matches[0]

    def manifest(self, version_id: str) -> Manifest:
        """The manifest of a version. Raises VersionNotFound, DamagedCodec."""
        return read_version(self.fetch(version_id))[1]

    def manifests(self) -> Iterator[tuple[str, Manifest | NbmfError]]:
        """Ids of all complete versions, sorted, each with its manifest, or with what is wrong with the version."""
        for version_id in self.list_ids():
            try:
                yield version_id, self.manifest(version_id)
            except NbmfError as error:
                yield version_id, error
            except OSError as error:
                yield version_id, DamagedCodec(f"version {version_id[:12]} cannot be read: {error}")

    def load(self, name: str = DEFAULT) -> Codec:
        """The version called `name` (see `resolve`), every file verified. Raises VersionNotFound, DamagedCodec."""
        resolved = self.resolve(name)
        if resolved == NONE:
            return WITHOUT_VERSION
        if resolved == STUB:
            return StubCodec()
        return default_codec() if resolved == BUILTIN else Codec(*read_version(self.fetch(resolved)))

    def fetch(self, version_id: str) -> Path:
        """A local folder with the version's files: in place, or a verified copy in the user's cache."""
        source = self._path("versions", version_id)
        if not self._fs.get_file_info(f"{source}/{MANIFEST}").is_file:
            raise VersionNotFound(f"registry {self} has no version {version_id}")
        if self.is_local:
            return Path(source)
        cached = self._cache / version_id
        if not cached.exists():
            self._download(source, cached)
        return cached

    def _download(self, source: str, cached: Path) -> None:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=cached.parent) as scratch:
            folder = Path(scratch) / cached.name
            folder.mkdir()
            for info in self._fs.get_file_info(_selector(source)):
                (folder / info.base_name).write_bytes(self._read(info.path))
            read_version(folder)
            try:
                folder.replace(cached)
            except OSError:
                if not cached.exists():  # else another process was first, with the same content
                    raise

    def channels(self) -> Channels:
        """What is stable and candidate now, and the history."""
        from cluster.channels import Channels

        content = self.read_document("channels.json")
        if content is None:
            return Channels()
        try:
            return Channels.model_validate_json(content)
        except ValueError as error:
            raise RegistryError(f"registry {self}: channels.json is not readable: {error}") from error

    def assign(self, channel: Channel, version_id: str | None) -> None:
        """Puts a version on a channel (None empties it) and appends to the history. The stub may be stable.

        On a local filesystem, processes that do so at once wait for one another. On an object store, all but one are
        refused, where writes can be conditional; elsewhere one of them may find that the other overwrote it. Raises
        VersionNotFound, RegistryError.
        """
        from cluster.channels import Transition

        with self.locked():
            may_be = [*self.list_ids(), STUB] if channel == "stable" else self.list_ids()
            if version_id is not None and version_id not in may_be:
                raise VersionNotFound(f"registry {self} has no version {version_id}")
            channels = self.channels()
            now = datetime.now(UTC).isoformat(timespec="seconds")
            transition = Transition(at=now, channel=channel, version=version_id)
            updated = channels.model_copy(update={channel: version_id, "history": [*channels.history, transition]})
            self.write_document("channels.json", updated.model_dump_json(indent=1).encode())
            if self.channels() != updated:
                raise RegistryError(
                    f"registry {self}: another process changed the channels at the same time; "
                    "see `nbmf versions list` and repeat what is missing"
                )

    def delete(self, version_id: str) -> None:
        """Removes a version that was never stable or candidate. Raises VersionInUse, VersionNotFound.

        One that was may have written blobs, and without it they could not be read.
        """
        with self.locked():
            if version_id not in self.list_ids():
                raise VersionNotFound(f"registry {self} has no version {version_id}")
            if any(t.version == version_id for t in self.channels().history):
                raise VersionInUse(f"version {version_id[:12]} is or was on a channel: blobs may name it; it is kept")
            # The manifest goes first: a half-deleted version is then no version.
            target = self._path("versions", version_id)
            self._fs.delete_file(f"{target}/{MANIFEST}")
            self._fs.delete_dir(target)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Others that change the registry wait meanwhile, where it is on a local filesystem; may be nested.

        On an object store nobody waits: what is read within and then written is refused if another wrote it since.
        """
        held = _held.get()
        if self._root in held:
            yield
            return
        if not self.is_local:
            tokens = _held.set(held | {self._root}), _seen.set(dict(_seen.get({})))
            try:
                yield
            finally:
                _held.reset(tokens[0])
                _seen.reset(tokens[1])
            return
        self._fs.create_dir(self._root, recursive=True)
        with Path(self._path("channels.lock")).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            token = _held.set(held | {self._root})
            try:
                yield
            finally:
                _held.reset(token)

    def read_document(self, name: str) -> bytes | None:
        """A file beside channels.json; None if it is not there."""
        if self._writes_on_condition:
            found = again(lambda: read_object(self.location, name))
            _seen.get()[self._root, name] = None if found is None else found[1]
            return None if found is None else found[0]
        path = self._path(name)
        if not self._fs.get_file_info(path).is_file:
            return None
        return self._read(path)

    @property
    def _writes_on_condition(self) -> bool:
        return self._root in _held.get() and not self.is_local and has_conditions(self.location)

    def write_document(self, name: str, content: bytes) -> None:
        """Replaces a file beside channels.json as a whole: readers see it before or after."""
        with self._named_failure(name):
            self._fs.create_dir(self._root, recursive=True)
            if self.is_local:
                local_documents.replace(Path(self._path(name)), content)
                return
            seen = _seen.get({})
            if self._writes_on_condition and (self._root, name) in seen:
                try:
                    tag = again(lambda: write_object(self.location, name, content, seen[self._root, name]))
                except WrittenMeanwhile as error:
                    raise RegistryError(
                        f"registry {self}: another process changed {name} at the same time; nothing "
                        "was written: look at what there is now, and repeat what is missing"
                    ) from error
                seen[self._root, name] = tag
                return
            path = self._path(name)
            self._write(f"{path}.{os.getpid()}.new", content)
            self._fs.move(f"{path}.{os.getpid()}.new", path)

    def append_to_document(self, name: str, content: bytes) -> None:
        """Appends to a file beside channels.json; object stores cannot, so there it is written anew."""
        if not self.is_local:
            self.write_document(name, (self.read_document(name) or b"") + content)
            return
        with self._named_failure(name):
            self._fs.create_dir(self._root, recursive=True)
            local_documents.append(Path(self._path(name)), content)

    def catalog(self, max_loaded: int | None = None) -> Catalog:
        """A catalogue for decoders: any version of this registry, fetched and loaded when a blob names it.

        `max_loaded` as in Catalog.
        """
        return _RegistryCatalog(self, max_loaded)

    def _copy(self, folder: Path, names: list[str], target: str) -> None:
        """A version's files, the manifest last; or none: without a manifest they are no version, but take space."""
        new = f".{os.getpid()}.new"
        self._fs.create_dir(target, recursive=True)
        try:
            for name in names:
                self._write(f"{target}/{name}", (folder / name).read_bytes())
            self._write(f"{target}/{MANIFEST}{new}", (folder / MANIFEST).read_bytes())
            self._fs.move(f"{target}/{MANIFEST}{new}", f"{target}/{MANIFEST}")
        except OSError:
            with contextlib.suppress(OSError):
                if not self._fs.get_file_info(f"{target}/{MANIFEST}").is_file:  # of another process
                    self._fs.delete_dir(target)
            raise

    @contextmanager
    def _named_failure(self, name: str) -> Iterator[None]:
        """An OSError says what could not be written: a RegistryError."""
        try:
            yield
        except OSError as error:
            raise RegistryError(
                f"registry {self}: {name} cannot be written, and is as it was: {error}; make room or give the "
                "right to write there, then try again"
            ) from error

    def _path(self, *parts: str) -> str:
        return "/".join([self._root, *parts])

    def _read(self, path: str) -> bytes:
        with self._fs.open_input_stream(path, compression=None) as stream:
            content: bytes = stream.read()
        return content

    def _write(self, path: str, content: bytes) -> None:
        with self._fs.open_output_stream(path, compression=None) as stream:
            stream.write(content)


def _selector(folder: str, allow_not_found: bool = False) -> FileSelector:
    from pyarrow.fs import FileSelector

    return FileSelector(folder, allow_not_found=allow_not_found)


class _RegistryCatalog(Catalog):
    def __init__(self, registry: Registry, max_loaded: int | None) -> None:
        super().__init__(max_loaded=max_loaded)
        self._registry = registry

    def places(self) -> list[str]:
        return [*super().places(), f"registry {self._registry}"]

    def _available(self, prefix: str) -> list[str]:
        return [*super()._available(prefix), *(i for i in self._registry.list_ids() if i.startswith(prefix))]

    def _load(self, version_id: str) -> Codec:
        if version_id in super()._available(version_id):
            return super()._load(version_id)
        return Codec(*read_version(self._registry.fetch(version_id)))
