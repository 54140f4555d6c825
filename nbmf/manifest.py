"""A codec version's folder: `manifest.json` and the files it lists, immutable, its id made from its content.

The id is the SHA-256 of manifest.json, which holds the SHA-256 of every other file; so whoever knows
the id can tell an altered version from the true one.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nbmf.errors import DamagedCodec, UnsupportedFormat
from nbmf.payload import Kind

MANIFEST = "manifest.json"
READER = 2
"""The newest version format this package reads: 1 dictionaries and networks, 2 counts as well."""

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_NOT_THERE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_ID = re.compile(r"[0-9a-f]{64}")
KindLabel = Literal["text", "messages", "json", "bytes", "array"]


class FileEntry(BaseModel):
    """Size and digest of one file of a version."""

    model_config = ConfigDict(frozen=True)

    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class _LearnedPart(BaseModel):
    """What the learned parts have in common: names of files, and what they are used for."""

    model_config = ConfigDict(frozen=True)

    tokenizer: str
    constants: str
    max_payload_bytes: int = Field(gt=0, description="larger payloads are left to the other coders")
    decode_us_per_byte: float = Field(gt=0, description="measured where it was trained; for latency budgets")
    decode_us_per_token: float | None = Field(default=None, gt=0, description="the same by tokens; null in old ones")


class NeuralPart(_LearnedPart):
    """The network of a version."""

    model: str
    counts: str | None = Field(default=None, description="static counts mixed with the network's predictions")


class CountsPart(_LearnedPart):
    """The static counts of a version, for coding without a network."""

    counts: str


class Manifest(BaseModel):
    """What a version is, what it learnt from and what was measured. Unknown keys of a later writer are kept out."""

    model_config = ConfigDict(frozen=True)

    format: int = READER
    minimum_reader: int = Field(default=1, description="lowest reader number that decodes this version's blobs")
    name: str = Field(max_length=200)
    created_at: str = Field(description="UTC, ISO 8601")
    architecture: str = Field(description="what the learned part is, e.g. zstd-dictionary")
    dictionaries: dict[KindLabel, str] = Field(default_factory=dict, description="payload kind -> dictionary file")
    neural: NeuralPart | None = None
    counts: CountsPart | None = None
    golden: str | None = Field(default=None, description="records decoded when the version is loaded: nbmf.golden")
    files: dict[str, FileEntry]
    data: dict[str, Any] = Field(default_factory=dict, description="summary of the training data")
    measured: dict[str, Any] = Field(default_factory=dict, description="results on held-out records")
    salt: int = Field(default=0, description="raised until the id's first two bytes are usable as a reference")


def is_id(text: str) -> bool:
    """Whether `text` is a version id: 64 lower-case hex digits."""
    return _ID.fullmatch(text) is not None


def write_version(parent: Path, manifest: dict[str, Any], files: dict[str, bytes]) -> str:
    """Writes a version folder under `parent`, named by its id, which is returned; whole or not at all."""
    entries = {n: FileEntry(size_bytes=len(b), sha256=hashlib.sha256(b).hexdigest()) for n, b in files.items()}
    for name in files:
        if not _FILE_NAME.fullmatch(name) or name == MANIFEST:
            raise ValueError(f"{name!r} cannot be the name of a version's file")
    content, version_id = b"", ""
    salt = 0
    # Reference 0000 would look like "no codec".
    while not version_id or version_id.startswith("0000"):
        content = Manifest(**manifest, files=entries, salt=salt).model_dump_json(indent=1).encode()
        version_id = hashlib.sha256(content).hexdigest()
        salt += 1
    target = parent / version_id
    if target.exists():
        return version_id
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=parent) as scratch:
        folder = Path(scratch) / version_id
        folder.mkdir()
        for name, data in {**files, MANIFEST: content}.items():
            (folder / name).write_bytes(data)
        folder.replace(target)
    return version_id


def read_version(folder: Path) -> tuple[str, Manifest, dict[str, bytes]]:
    """(id, manifest, files) of a version folder, every byte verified.

    A folder named by an id must have that id. Raises DamagedCodec, UnsupportedFormat.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
    except _NOT_THERE as error:
        raise DamagedCodec(f"{folder} is not a codec version: it has no {MANIFEST}") from error
    version_id = hashlib.sha256(content).hexdigest()
    if is_id(folder.name) and folder.name != version_id:
        raise DamagedCodec(f"{folder / MANIFEST} was altered: its id is now {version_id[:12]}…")
    manifest = _parse_manifest(folder, content)
    files = {}
    for name, entry in manifest.files.items():
        if not _FILE_NAME.fullmatch(name):
            raise DamagedCodec(f"{folder}: {name!r} cannot be the name of a version's file")
        try:
            data = (folder / name).read_bytes()
        except _NOT_THERE as error:
            raise DamagedCodec(f"{folder / name} is missing") from error
        if len(data) != entry.size_bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise DamagedCodec(f"{folder / name} was altered: its SHA-256 is not the one in {MANIFEST}")
        files[name] = data
    named = set(manifest.dictionaries.values())
    if manifest.neural:
        named |= neural_files(manifest.neural)
    if manifest.counts:
        named |= {manifest.counts.counts, manifest.counts.tokenizer, manifest.counts.constants}
    if manifest.golden:
        named.add(manifest.golden)
    if missing := named - files.keys():
        raise DamagedCodec(f"{folder}: {MANIFEST} names files that it does not list: {sorted(missing)}")
    return version_id, manifest, files


def _parse_manifest(folder: Path, content: bytes) -> Manifest:
    try:
        fields = json.loads(content)
        minimum = fields.get("minimum_reader", READER)
        if isinstance(minimum, int) and minimum > READER:
            raise UnsupportedFormat(
                f"{folder} needs a reader of version formats up to {minimum}; this nbmf has {READER}"
            )
        return Manifest.model_validate(fields)
    except (ValueError, AttributeError, RecursionError, ValidationError) as error:
        raise DamagedCodec(f"{folder / MANIFEST} is not a manifest: {error}") from error


def neural_files(part: NeuralPart) -> set[str]:
    """Names of a network's files."""
    return {part.model, part.tokenizer, part.constants} | ({part.counts} if part.counts else set())


def dictionaries(manifest: Manifest, files: dict[str, bytes]) -> dict[Kind, bytes]:
    """The version's zstd dictionaries by payload kind."""
    return {Kind[label.upper()]: files[name] for label, name in manifest.dictionaries.items()}
