"""Codec versions that ship inside the package: encoding works offline at once, and old ones stay readable."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from nbmf.codec import WITHOUT_VERSION, Codec

FOLDER = Path(__file__).parent / "builtin_versions"
"""Version folders, never removed, and a file DEFAULT with the id of the one that encodes."""

_DEFAULT = FOLDER / "DEFAULT"


@cache
def default_codec() -> Codec:
    """The built-in version that `nbmf.encode` uses; one without learned parts if the package has none."""
    folder = default_folder()
    if folder is None:
        return WITHOUT_VERSION
    from nbmf.manifest import read_version

    return Codec(*read_version(folder))


def default_folder() -> Path | None:
    """The folder of that version, None if the package has none."""
    return FOLDER / _DEFAULT.read_text().strip() if _DEFAULT.is_file() else None
