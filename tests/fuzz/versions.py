"""Target: codec versions whose files are not what a version holds. What they encode they decode, or an error of nbmf
says that they are damaged.

An input is a list of changes to the files of one of the golden versions: small, and to be read.
"""

import json
import random
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import mutate
import numpy as np
import zstandard

from nbmf import Codec, _core, errors
from nbmf.coders import Coder, LearnedVectorsCoder, WindowsCoder
from nbmf.manifest import MANIFEST, Manifest
from nbmf.neural.tensors import views
from nbmf.payload import Kind, to_canonical
from nbmf.vectors import Aim

Input: TypeAlias = dict[str, Any]

SUFFIX = ".json"
_VERSIONS = Path(__file__).parents[1] / "golden" / "versions"
# in the order in which they came: inputs name them by their place
FOLDERS = [next(_VERSIONS.glob(f"{start}*")) for start in ("09a4", "67ff", "7310", "eb74", "1466", "5875")]
_RECORDS = (
    (Kind.TEXT, b"Remember that Anna prefers the WINDOW seat. "),
    (Kind.TEXT, b"x" * 200),
    (Kind.JSON, json.dumps({"a": [1, 2, 3] * 9, "k": "värde"}, ensure_ascii=False).encode()),
    (Kind.BYTES, bytes(range(256)) + b"some text that is there" * 4),
)
_LARGE = (Kind.TEXT, b"".join(b"%d bottles of beer on the wall, " % n for n in range(280)))
_SELDOM = 0.05  # coded with the sanitizers, a large record takes seconds
_REALS = (0.0, -1.0, 1.0, 1e30, -1e30, float("inf"), float("-inf"), float("nan"), 1e-40, 3.4e38)
_TYPES = ("I8", "U8", "I16", "I32", "F32", "F64", "I64", "BOOL", "X")
_ARRAYS = (".safetensors", ".zst")


@cache
def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def seeds() -> list[Input]:
    """The golden versions as they are."""
    return [{"version": number, "path": 0, "changes": []} for number in range(len(FOLDERS))]


def run(change: Input) -> str:
    """What became of it. Raises whatever must not happen."""
    paths = _core.paths()
    _core.use(paths[change["path"] % len(paths)])
    folder = FOLDERS[change["version"]]
    files = dict(_files(folder))
    for name, *how in change["changes"]:
        if name in files:
            files[name] = _changed(files[name], name, how)
    try:
        manifest = Manifest.of(json.loads(files.pop(MANIFEST)))
    except (ValueError, TypeError, RecursionError):  # what read_version makes a DamagedCodec of
        return "no manifest"
    try:
        codec = Codec(folder.name, manifest, files)
    except (errors.DamagedCodec, KeyError):  # read_version refuses names of files that are not there
        return "damaged_codec"
    rng = random.Random(json.dumps(change))
    return " ".join(sorted({_coded(coder, rng) for coder in codec.learned}))


def _approximated(coder: LearnedVectorsCoder, rng: random.Random) -> str:
    """Vectors of the sizes that the version's spaces should have."""
    for dims in (24, 96):
        vector = np.array([rng.gauss(0, 1) for _ in range(dims)], dtype=rng.choice(("<f2", "<f4", "<f8")))
        kind, canonical = to_canonical(vector)
        try:
            near = coder.approximate(kind, canonical, Aim(least_cosine=0.5))
            if near:
                assert coder.decode(kind, near[1], len(canonical)) == near[0], "another vector than was said"
                damaged = mutate.octets(near[1], rng)
                (found,) = coder.decode_batch([(kind, damaged, len(canonical))])
                assert isinstance(found, errors.CorruptBlob) or len(found) == len(canonical)
        except errors.DamagedCodec:
            return "damaged_codec"
    return "coded"


def _coded(coder: Coder, rng: random.Random) -> str:
    if isinstance(coder, LearnedVectorsCoder):
        return _approximated(coder, rng)
    records = rng.sample(_RECORDS, 2)
    if isinstance(coder, WindowsCoder):
        records = [_LARGE] if rng.random() < _SELDOM else records[:1]
    try:
        bodies = coder.encode_batch(records, rng.choice((None, None, 50.0)))
        made = [(record, body) for record, body in zip(records, bodies, strict=True) if body is not None]
        decoded = coder.decode_batch([(kind, body, len(data)) for (kind, data), body in made])
        for ((_, data), _), found in zip(made, decoded, strict=True):
            assert found == data, f"{coder.name} does not give back what it coded"
        wrong = [
            (kind, damaged, len(data) + rng.choice((0, 0, 1, -1, 50)))
            for (kind, data), body in made
            for damaged in (mutate.octets(body, rng), body[: len(body) // 2], rng.randbytes(20))
        ]
        for found, (_, _, size) in zip(coder.decode_batch(wrong), wrong, strict=True):
            assert isinstance(found, errors.CorruptBlob) or len(found) <= size
    except errors.DamagedCodec:
        return "damaged_codec"
    return "coded" if made else "not coded"


def mutated(change: Input, rng: random.Random, other: Input) -> Input:
    """One change more, or less, or another."""
    changes = [*change["changes"]]
    version = change["version"] if rng.random() < 0.9 else rng.randrange(len(FOLDERS))
    if changes and rng.random() < 0.4:
        del changes[rng.randrange(len(changes))]
    if other["changes"] and rng.random() < 0.2:
        changes.append(rng.choice(other["changes"]))
    if not changes or rng.random() < 0.7:
        changes.append(_a_change(FOLDERS[version], rng))
    return {"version": version, "path": rng.randrange(8), "changes": changes[-6:]}


def _a_change(folder: Path, rng: random.Random) -> list[Any]:
    name = rng.choice(sorted(_files(folder)))
    if name.endswith(_ARRAYS) and rng.random() < 0.9:
        header, _ = _parts(_content(_files(folder)[name], name))
        array = rng.choice(sorted(set(header) - {"__metadata__"}))
        match rng.randrange(6):
            case 0 | 1 | 2:
                value = rng.choice(_REALS) if rng.random() < 0.5 else mutate.number(rng)
                return [name, "number", array, rng.randrange(1 << 20), repr(value)]
            case 3:
                shape = list(header[array]["shape"])
                shape = rng.choice((shape[::-1], [*shape, 1], shape[:-1], [mutate.number(rng)], [0], [1.0, "x"]))
                return [name, "header", array, rng.choice(("dtype", "shape")), rng.choice((*_TYPES, shape))]
            case 4:
                return [name, "offsets", array, mutate.number(rng), mutate.number(rng)]
            case _:
                sizes = json.loads(header.get("__metadata__", {}).get("config", "{}")) or {"vocab_size": 1}
                value = rng.choice((mutate.number(rng), mutate.number(rng), 1.5, "x", None, True, "ca", "aa", ""))
                return [name, "config", rng.choice(sorted(sizes)), value]
    if name.endswith(".json") and rng.random() < 0.7:
        held = json.loads(_files(folder)[name])
        path = []
        while isinstance(held, dict | list) and held and rng.random() < 0.9:
            key = rng.choice(sorted(held) if isinstance(held, dict) else range(len(held)))
            path.append(key)
            held = held[key]
        value = rng.choice((None, True, "", "x", [], {}, -1, 1.5, mutate.number(rng), {"type": "Lowercase"}, [[[]]]))
        return [name, "json", path, value]
    return [name, "octets", rng.randrange(1 << 30)]


def _content(data: bytes, name: str) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data, 1 << 28) if name.endswith(".zst") else data


def _parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    begin = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:begin]), data[begin:]


def _changed(data: bytes, name: str, how: list[Any]) -> bytes:
    """The file after one change; as it is where that cannot be done any more."""
    kind, *what = how
    try:
        if kind == "octets":
            return mutate.octets(data, random.Random(what[0]))
        if kind == "json":
            return _json_changed(data, *what)
        content = _arrays_changed(_content(data, name), kind, *what)
        return zstandard.ZstdCompressor(level=1).compress(content) if name.endswith(".zst") else content
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, zstandard.ZstdError):
        return data


def _json_changed(data: bytes, path: list[Any], value: Any) -> bytes:
    held = json.loads(data)
    if not path:
        return json.dumps(value).encode()
    inner = held
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return json.dumps(held).encode()


def _arrays_changed(content: bytes, kind: str, name: str, *what: Any) -> bytes:
    if kind == "number":
        held = bytearray(content)
        at, value = what
        flat = np.asarray(views(held)[0][name]).reshape(-1)
        with np.errstate(all="ignore"):
            flat[at % len(flat)] = np.array(float(value)).astype(flat.dtype)
        return bytes(held)
    header, rest = _parts(content)
    if kind == "header":
        header[name][what[0]] = what[1]
    elif kind == "offsets":
        header[name]["data_offsets"] = [
            offset + by for offset, by in zip(header[name]["data_offsets"], what, strict=True)
        ]
    else:
        metadata = header.setdefault("__metadata__", {})
        metadata["config"] = json.dumps(json.loads(metadata.get("config", "{}")) | {name: what[0]})
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + rest


def written(change: Input) -> bytes:
    """As it stands in the corpus."""
    return json.dumps(change).encode() + b"\n"


def read(content: bytes) -> Input:
    found: Input = json.loads(content)
    return found
