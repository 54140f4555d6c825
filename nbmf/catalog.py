"""Where decoders find the codec version that a blob names."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from pathlib import Path

from nbmf import builtin
from nbmf.codec import WITHOUT_VERSION, Codec
from nbmf.errors import CorruptBlob, DamagedCodec, NbmfError, NotALocalPath, UnknownCodec, UnsupportedFormat
from nbmf.frame import Frame
from nbmf.places import local_path

PATH_VARIABLE = "NBMF_CODEC_PATH"


class Catalog:
    """Versions that were added, then built-in ones, then those in folders of version folders.

    A version is loaded when a blob first names it. With `max_loaded`, only so many of these stay in memory, those used
    last; what was added stays until it is released.
    """

    def __init__(self, folders: Iterable[Path] = (), max_loaded: int | None = None) -> None:
        self._folders = [builtin.FOLDER, *folders]
        self._max_loaded = max_loaded
        self._codecs: dict[str, Codec] = {}  # the one used last is the last
        self._added: set[str] = set()
        self._lock = threading.Lock()

    def add(self, codec: Codec) -> None:
        """Makes a loaded version known. A codec without a version needs no adding."""
        if codec.id is not None:
            with self._lock:
                self._added.add(codec.id)
                self._codecs[codec.id] = codec

    def release(self, version_id: str) -> None:
        """An added version is then as one that a blob named."""
        with self._lock:
            self._added.discard(version_id)
            self._drop_oldest()

    @property
    def loaded_ids(self) -> list[str]:
        """Versions in memory."""
        with self._lock:
            return list(self._codecs)

    def _use(self, codec: Codec) -> None:
        """Puts a version behind those that are dropped before it."""
        assert codec.id is not None  # noqa: S101
        with self._lock:
            self._codecs.pop(codec.id, None)
            self._codecs[codec.id] = codec
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        if self._max_loaded is not None:
            named = [version_id for version_id in self._codecs if version_id not in self._added]
            for version_id in named[: max(0, len(named) - self._max_loaded)]:
                del self._codecs[version_id]

    def candidates(self, reference: bytes) -> Iterator[Codec]:
        """All versions with that 2-byte reference, seldom more than one: the blob's checksum tells which wrote it.

        Loaded ones come first; folders are read only when the caller asks on. Raises DamagedCodec or
        UnsupportedFormat, at the end, if the files of one are not what its id says or need a newer nbmf.
        """
        prefix = reference.hex()
        with self._lock:
            known = [codec for version_id, codec in reversed(self._codecs.items()) if version_id.startswith(prefix)]
        for codec in known:
            self._use(codec)
            yield codec
        damage: DamagedCodec | UnsupportedFormat | None = None
        for version_id in self._available(prefix):
            if any(codec.id == version_id for codec in known):
                continue
            try:
                codec = self._load(version_id)
            except (DamagedCodec, UnsupportedFormat) as error:
                damage = error
                continue
            self._use(codec)
            yield codec
        if damage:
            raise damage

    def decode_canonical(self, parsed: Frame, *, first: Codec | None = None) -> bytes:
        """The canonical bytes in a parsed blob, with `first` or whichever version wrote it.

        Raises UnknownCodec if no version has its reference, BlobError, DamagedCodec.
        """
        (result,) = self.decode_canonical_batch([parsed], first=first)
        if isinstance(result, NbmfError):
            raise result
        return result

    def decode_canonical_batch(self, frames: Sequence[Frame], *, first: Codec | None = None) -> list[bytes | NbmfError]:
        """What `decode_canonical` gives for each, or the error that it raises; blobs of one version side by side."""
        results: list[bytes | NbmfError] = [CorruptBlob("not decoded")] * len(frames)
        of_reference: dict[bytes, list[int]] = {}
        for index, parsed in enumerate(frames):
            of_reference.setdefault(parsed.reference, []).append(index)
        for reference, chosen in of_reference.items():
            decoded = self._decode_named(reference, [frames[index] for index in chosen], first)
            for index, result in zip(chosen, decoded, strict=True):
                results[index] = result
        return results

    def _decode_named(self, reference: bytes, frames: list[Frame], first: Codec | None) -> list[bytes | NbmfError]:
        """Blobs of one reference: what the first version cannot decode, the next tries."""
        if not reference:
            return WITHOUT_VERSION.decode_canonical_batch(frames)
        given = [first] if first is not None and first.reference == reference else []
        results: list[bytes | NbmfError] = [UnknownCodec(reference.hex(), self.places())] * len(frames)
        left = list(range(len(frames)))
        damages: dict[int, NbmfError] = {}  # whatever else is said of a blob: this version may have written it
        try:
            for candidate in chain(given, self.candidates(reference)):
                for index, result in zip(
                    left, candidate.decode_canonical_batch([frames[index] for index in left]), strict=True
                ):
                    results[index] = result
                    if isinstance(result, DamagedCodec):
                        damages[index] = result
                left = [index for index in left if isinstance(results[index], CorruptBlob | DamagedCodec)]
                if not left:
                    break
        except (DamagedCodec, UnsupportedFormat) as error:
            damages = dict.fromkeys(left, error)
        for index in left:
            results[index] = damages.get(index, results[index])
        return results

    def places(self) -> list[str]:
        """Where this catalogue looks, for error messages."""
        with self._lock:
            loaded = ", ".join(version_id[:12] for version_id in self._codecs)
        return [f"loaded versions ({loaded or 'none'})", *map(str, self._folders)]

    def _available(self, prefix: str) -> list[str]:
        from nbmf.manifest import is_id

        return sorted(
            {p.name for folder in self._folders for p in folder.glob(prefix + "*") if is_id(p.name) and p.is_dir()}
        )

    def _load(self, version_id: str) -> Codec:
        from nbmf.manifest import read_version

        damage: DamagedCodec | UnsupportedFormat | None = None
        for folder in self._folders:
            if (folder / version_id).is_dir():
                try:
                    if folder == builtin.FOLDER:
                        return builtin.load(folder / version_id)
                    return Codec(*read_version(folder / version_id))
                except (DamagedCodec, UnsupportedFormat) as error:
                    damage = error  # another folder may hold a whole copy
        raise damage or DamagedCodec(f"codec version {version_id} went away while it was looked for")


@cache
def default_catalog() -> Catalog:
    """The process's catalogue: versions loaded with Codec.load, then the folders in NBMF_CODEC_PATH."""
    places = os.environ.get(PATH_VARIABLE, "")
    if "://" in places:  # split at colons it would be several folders
        raise NotALocalPath(
            f"{PATH_VARIABLE}={places}: folders on this machine, not URIs; `nbmf --registry` takes those"
        )
    return Catalog(local_path(folder) for folder in places.split(os.pathsep) if folder)
