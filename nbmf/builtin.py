"""Codec versions that ship inside the package: encoding works offline at once, and old ones stay readable."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from nbmf import _core, golden
from nbmf.codec import WITHOUT_VERSION, Codec

FOLDER = Path(__file__).parent / "builtin_versions"
"""Version folders, never removed; a file DEFAULT with the id of the one that encodes; and a file SPEED.json.

Golden records came later than these versions, whose manifests can't change: their file is beside the listed ones."""

_DEFAULT = FOLDER / "DEFAULT"
_SPEED = FOLDER / "SPEED.json"
"""Microseconds a token of a version's parts with this release of nbmf, by kind of processor (`_core.paths`), in place
of what its manifest, which can't be changed, says of the machine that it was made on: for latency budgets."""


@cache
def default_codec() -> Codec:
    """The built-in version that `nbmf.encode` uses; one without learned parts if the package has none."""
    folder = default_folder()
    return WITHOUT_VERSION if folder is None else load(folder)


@cache
def load(folder: Path) -> Codec:
    """A built-in version: one object, for encoding as for decoding."""
    from nbmf.manifest import read_version

    version_id, manifest, files = read_version(folder)
    speeds = json.loads(_SPEED.read_text()).get(version_id, {})
    parts: dict[str, Any] = {
        name: replace(getattr(manifest, name), decode_us_per_token=by_path[_core.cpu()])
        for name, by_path in speeds.items()
        if _core.cpu() in by_path
    }
    golden_file = folder / golden.FILE
    if manifest.golden is None and golden_file.is_file():
        files[golden.FILE] = golden_file.read_bytes()
        parts["golden"] = golden.FILE
    return Codec(version_id, replace(manifest, **parts), files)


def default_folder() -> Path | None:
    """The folder of that version, None if the package has none."""
    return FOLDER / _DEFAULT.read_text().strip() if _DEFAULT.is_file() else None
