"""A codec version's folder: `manifest.json` and the files it lists, immutable, its id made from its content.

The id is the SHA-256 of manifest.json, which holds the SHA-256 of every other file; so whoever knows
the id can tell an altered version from the true one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from nbmf.errors import DamagedCodec, UnsupportedFormat
from nbmf.limits import MAX_MANIFEST_BYTES, VERSION_VARIABLE, max_version_bytes
from nbmf.payload import Kind
from nbmf.vectors.aim import LEAST_DIMS

MANIFEST = "manifest.json"
READER = 3
"""The newest version format this package reads: 1 dictionaries and networks, 2 counts as well, 3 primers as well."""

READER_OF_PRIMERS = 3

MOST_SPACES = 64
"""Vector spaces of a version."""

_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_NOT_THERE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class _Part:
    """Fields from JSON, each checked. Unknown keys of a later writer are kept out."""

    @classmethod
    def of(cls, held: Any) -> Self:
        """Raises ValueError for what is no such part, with the key."""
        if not isinstance(held, dict):
            raise ValueError(f"{cls.__name__} is an object")
        return cls(**{field.name: held[field.name] for field in fields(cls) if field.name in held})

    def to_dict(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self)

    def to_json(self) -> str:
        """As it stands in a version's folder."""
        return json.dumps(_finite(self.to_dict()), indent=1)

    def _check(self, name: str, good: bool, what: str) -> None:
        if not good:
            raise ValueError(f"{name} must be {what}, not {str(getattr(self, name))[:80]!r}")

    def _check_text(self, *names: str) -> None:
        for name in names:
            self._check(name, isinstance(getattr(self, name), str), "text")

    def _check_whole(self, name: str, least: int) -> None:
        value = getattr(self, name)
        self._check(name, isinstance(value, int) and not isinstance(value, bool) and value >= least, f"{least} or more")

    def _check_positive(self, name: str) -> None:
        value = getattr(self, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        self._check(name, number and 0 < value < float("inf"), "a number above 0")


@dataclass(frozen=True)
class FileEntry(_Part):
    """Size and digest of one file of a version."""

    size_bytes: int
    sha256: str

    def __post_init__(self) -> None:
        self._check_whole("size_bytes", 0)
        self._check_text("sha256")
        self._check("sha256", is_id(self.sha256), "64 hexadecimal digits")


@dataclass(frozen=True, kw_only=True)
class _LearnedPart(_Part):
    """What the learned parts have in common: names of files, and what they are used for."""

    tokenizer: str
    constants: str
    max_payload_bytes: int  # larger payloads are left to the other coders
    decode_us_per_byte: float  # measured where it was trained; for latency budgets
    decode_us_per_token: float | None = None  # the same by tokens; null in old ones
    primer: str | None = None  # records that all are coded behind

    def __post_init__(self) -> None:
        self._check_text("tokenizer", "constants")
        if self.primer is not None:
            self._check("primer", isinstance(self.primer, str) and self.primer != "", "the name of a file, or null")
        self._check_whole("max_payload_bytes", 1)
        self._check_positive("decode_us_per_byte")
        if self.decode_us_per_token is not None:
            self._check_positive("decode_us_per_token")

    def named_files(self) -> set[str]:
        """All that it is made of."""
        return {self.tokenizer, self.constants} | ({self.primer} if self.primer else set())


@dataclass(frozen=True, kw_only=True)
class NeuralPart(_LearnedPart):
    """The network of a version."""

    model: str
    counts: str | None = None  # static counts mixed with the network's predictions

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_text("model", *(["counts"] if self.counts is not None else []))

    def named_files(self) -> set[str]:
        """All that it is made of."""
        return super().named_files() | {self.model} | ({self.counts} if self.counts else set())


@dataclass(frozen=True, kw_only=True)
class CountsPart(_LearnedPart):
    """The static counts of a version, for coding without a network."""

    counts: str

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_text("counts")

    def named_files(self) -> set[str]:
        """All that it is made of."""
        return super().named_files() | {self.counts}


@dataclass(frozen=True, kw_only=True)
class VectorsPart(_Part):
    """A vector space of a version."""

    file: str
    dims: int
    place: str = ""  # where its vectors stand in the records that it was learnt from: for people

    def __post_init__(self) -> None:
        self._check_text("file", "place")
        self._check_whole("dims", LEAST_DIMS)


@dataclass(frozen=True, kw_only=True)
class Manifest(_Part):
    """What a version is, what it learnt from and what was measured."""

    format: int = READER
    minimum_reader: int = 1  # lowest reader number that decodes this version's blobs
    name: str
    created_at: str  # UTC, ISO 8601
    architecture: str  # what the learned part is, e.g. zstd-dictionary
    dictionaries: dict[str, str] = field(default_factory=dict)  # payload kind -> dictionary file
    neural: NeuralPart | None = None
    counts: CountsPart | None = None
    vectors: list[VectorsPart] = field(default_factory=list)  # numbered as they stand here
    golden: str | None = None  # records decoded when the version is loaded: nbmf.golden
    files: dict[str, FileEntry]
    data: dict[str, Any] = field(default_factory=dict)  # summary of the training data
    measured: dict[str, Any] = field(default_factory=dict)  # results on held-out records
    salt: int = 0  # raised until the id's first two bytes are usable as a reference

    @classmethod
    def of(cls, held: Any) -> Self:
        """Raises ValueError for what is no manifest, with the key."""
        if isinstance(held, dict):
            parts: dict[str, type[_Part]] = {"neural": NeuralPart, "counts": CountsPart}
            made = {name: part.of(held[name]) for name, part in parts.items() if held.get(name) is not None}
            vectors = held.get("vectors")
            if vectors is None or isinstance(vectors, list):
                made["vectors"] = [VectorsPart.of(space) for space in vectors or []]  # type: ignore[assignment]
            files = held.get("files")
            if isinstance(files, dict):
                made["files"] = {name: FileEntry.of(entry) for name, entry in files.items()}  # type: ignore[assignment]
            held = held | made
        return super().of(held)

    def __post_init__(self) -> None:
        self._check_whole("format", 0)
        self._check_whole("minimum_reader", 0)
        self._check_whole("salt", 0)
        primed = any(part and part.primer for part in (self.neural, self.counts))
        self._check(
            "minimum_reader",
            not primed or self.minimum_reader >= READER_OF_PRIMERS,
            f"{READER_OF_PRIMERS} or more with a primer",
        )
        self._check_text("name", "created_at", "architecture", *(["golden"] if self.golden is not None else []))
        self._check("name", len(self.name) <= 200, "of 200 characters at most")
        for name in ("dictionaries", "files", "data", "measured"):
            self._check(name, isinstance(getattr(self, name), dict), "an object")
        few = isinstance(self.vectors, list) and len(self.vectors) <= MOST_SPACES
        self._check("vectors", few, f"a list of {MOST_SPACES} vector spaces at most")
        labels = {kind.label for kind in Kind}
        known = all(label in labels and isinstance(name, str) for label, name in self.dictionaries.items())
        self._check("dictionaries", known, "names of files by kinds of payload")


def is_id(text: str) -> bool:
    """Whether `text` is a version id: 64 lower-case hex digits."""
    return _ID.fullmatch(text) is not None


def write_version(parent: Path, manifest: dict[str, Any], files: dict[str, bytes]) -> str:
    """Writes a version folder under `parent`, named by its id, which is returned; whole or not at all."""
    entries = {n: {"size_bytes": len(b), "sha256": hashlib.sha256(b).hexdigest()} for n, b in files.items()}
    for name in files:
        if not _FILE_NAME.fullmatch(name) or name == MANIFEST:
            raise ValueError(f"{name!r} cannot be the name of a version's file")
    content, version_id = b"", ""
    salt = 0
    # Reference 0000 would look like "no codec".
    while not version_id or version_id.startswith("0000"):
        content = Manifest.of({**manifest, "files": entries, "salt": salt}).to_json().encode()
        version_id = hashlib.sha256(content).hexdigest()
        salt += 1
    if len(content) > MAX_MANIFEST_BYTES:
        raise ValueError(f"a manifest of {len(content)} bytes, of at most {MAX_MANIFEST_BYTES}: tell less in it")
    target = parent / version_id
    if target.exists():
        return version_id
    import tempfile  # what is only read does not need it

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
        content = _read(folder / MANIFEST, MAX_MANIFEST_BYTES)
    except _NOT_THERE as error:
        raise DamagedCodec(f"{folder} is not a codec version: it has no {MANIFEST}") from error
    version_id = hashlib.sha256(content).hexdigest()
    if is_id(folder.name) and folder.name != version_id:
        raise DamagedCodec(f"{folder / MANIFEST} was altered: its id is now {version_id[:12]}…")
    manifest = _parse_manifest(folder, content)
    files = {}
    whole = sum(entry.size_bytes for entry in manifest.files.values())
    if whole > max_version_bytes():
        raise DamagedCodec(
            f"{folder}: files of {whole} bytes, of which {max_version_bytes()} are read; {VERSION_VARIABLE} allows more"
        )
    for name, entry in manifest.files.items():
        if not _FILE_NAME.fullmatch(name):
            raise DamagedCodec(f"{folder}: {name!r} cannot be the name of a version's file")
        try:
            data = _read(folder / name, entry.size_bytes, exactly=True)
        except _NOT_THERE as error:
            raise DamagedCodec(f"{folder / name} is missing") from error
        if len(data) != entry.size_bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise DamagedCodec(f"{folder / name} was altered: its SHA-256 is not the one in {MANIFEST}")
        files[name] = data
    named = set(manifest.dictionaries.values())
    for part in (manifest.neural, manifest.counts):
        named |= part.named_files() if part else set()
    if manifest.golden:
        named.add(manifest.golden)
    named |= {space.file for space in manifest.vectors}
    if missing := named - files.keys():
        raise DamagedCodec(f"{folder}: {MANIFEST} names files that it does not list: {sorted(missing)}")
    return version_id, manifest, files


def _read(path: Path, most: int, *, exactly: bool = False) -> bytes:
    """A regular file of at most, or exactly, so many bytes, which is looked at first. Raises DamagedCodec, OSError."""
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise DamagedCodec(f"{path} is no regular file")
            if found.st_size > most or (exactly and found.st_size != most):
                wanted = f"{most}" if exactly else f"{most} at most"
                raise DamagedCodec(f"{path} was altered: it has {found.st_size} bytes, where {wanted} belong")
            return file.read(most + 1)
    except _NOT_THERE:
        raise
    except OSError as error:
        raise DamagedCodec(f"{path} cannot be read: {error}") from error


def _open_at_once(path: str, flags: int) -> int:
    """A pipe without a writer holds up nobody."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _finite(value: Any) -> Any:
    """JSON has no infinity, and nothing that is no number: null stands for them."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parse_manifest(folder: Path, content: bytes) -> Manifest:
    try:
        held = json.loads(content)
        minimum = held.get("minimum_reader", READER)
        if isinstance(minimum, int) and minimum > READER:
            raise UnsupportedFormat(
                f"{folder} needs a reader of version formats up to {minimum}; this nbmf has {READER}"
            )
        return Manifest.of(held)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedCodec(f"{folder / MANIFEST} is not a manifest: {error}") from error


def dictionaries(manifest: Manifest, files: dict[str, bytes]) -> dict[Kind, bytes]:
    """The version's zstd dictionaries by payload kind."""
    return {Kind[label.upper()]: files[name] for label, name in manifest.dictionaries.items()}
