"""Where decoders find the codec version that a blob names."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from nbmf.codec import Codec
from nbmf.errors import UnknownCodec

PATH_VARIABLE = "NBMF_CODEC_PATH"


class Catalog:
    """Versions that were added, then version folders found in the given folders, loaded when first needed."""

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        self._folders = list(folders)
        self._codecs: dict[str, Codec] = {}
        self._lock = threading.Lock()

    def add(self, codec: Codec) -> None:
        """Makes a loaded version known. A codec without a version needs no adding."""
        if codec.id is not None:
            with self._lock:
                self._codecs[codec.id] = codec

    def find(self, reference: bytes) -> list[Codec]:
        """All versions with that 2-byte reference, seldom more than one: the blob's checksum tells which wrote it.

        Raises UnknownCodec if there is none, DamagedCodec if its files are not what its id says.
        """
        from nbmf.manifest import is_id, read_version

        prefix = reference.hex()
        with self._lock:
            for folder in self._folders:
                for path in sorted(folder.glob(prefix + "*")) if folder.is_dir() else []:
                    if is_id(path.name) and path.name not in self._codecs:
                        self._codecs[path.name] = Codec(*read_version(path))
            found = [codec for version_id, codec in self._codecs.items() if version_id.startswith(prefix)]
        if not found:
            raise UnknownCodec(prefix, self.places())
        return found

    def places(self) -> list[str]:
        """Where this catalogue looks, for error messages."""
        loaded = ", ".join(version_id[:12] for version_id in self._codecs)
        return [f"loaded versions ({loaded})" if loaded else "loaded versions (none)", *map(str, self._folders)]


@cache
def default_catalog() -> Catalog:
    """The process's catalogue: versions loaded with Codec.load, then the folders in NBMF_CODEC_PATH."""
    folders = os.environ.get(PATH_VARIABLE, "").split(os.pathsep)
    return Catalog(Path(folder) for folder in folders if folder)
