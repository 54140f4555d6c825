"""Target: vectors up to a cosine and floats without loss, in the core: whole, altered and noise, in damaged spaces.

An input is the number that all of it is made by.
"""

import json
import random
from collections import Counter
from typing import TypeAlias

import numpy as np

from nbmf import _core

Input: TypeAlias = dict[str, int]

SUFFIX = ".json"


def seeds() -> list[Input]:
    return [{"seed": seed} for seed in range(8)]


def run(one: Input) -> str:
    """What became of it. Raises whatever must not happen."""
    rng, found = random.Random(one["seed"]), Counter[str]()
    paths = _core.paths()
    _core.use(paths[one["seed"] % len(paths)])
    for _ in range(5):
        _vectors(rng, found)
        _floats(rng, found)
    return " ".join(sorted(found))


def mutated(one: Input, rng: random.Random, other: Input) -> Input:
    return {"seed": rng.randrange(1 << 32)}


def written(one: Input) -> bytes:
    return json.dumps(one).encode() + b"\n"


def read(content: bytes) -> Input:
    found: Input = json.loads(content)
    return found


_REALS = (0.0, -1.0, 1e30, -1e30, np.inf, -np.inf, np.nan, 1e-40, 3.4e38)


def _altered(array: np.ndarray, rng: random.Random) -> np.ndarray:
    array = np.array(array)
    flat = array.reshape(-1)
    for _ in range(rng.randrange(1, 4)):
        least, most = (0, 0) if array.dtype.kind == "f" else (np.iinfo(array.dtype).min, np.iinfo(array.dtype).max)
        value = rng.choice(_REALS if array.dtype.kind == "f" else (least, most, 0, rng.randrange(least, most)))
        flat[rng.randrange(len(flat))] = value
    return array


def _flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(rng.randrange(1, 4)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _space(rng: random.Random) -> _core.VectorSpace:
    """A rotation, or a fitted transform of which one array was damaged, at most. Raises ValueError."""
    dims = rng.choice((8, 9, 31, 64, 100))
    if rng.random() < 0.3:
        return _core.VectorSpace(dims)
    latents = rng.randrange(1, dims + 1)
    axes = np.linalg.qr(np.random.default_rng(rng.randrange(9)).normal(size=(dims, dims)))[0][:latents]
    arrays = {
        "forward_LD": np.clip(np.rint(axes * 2**15), 1 - 2**15, 2**15 - 1).astype(np.int16),
        "mean_D": np.full(dims, rng.choice((0, 10**7, -(2**28))), np.int32),
        "level_L": np.array([rng.randrange(-2048, 800) for _ in range(latents)], np.int32),
        "step_offset": np.array([rng.randrange(-256, 257)], np.int32),
    }
    if rng.random() < 0.5:
        name = rng.choice([*arrays])
        arrays[name] = _altered(arrays[name], rng)
    return _core.VectorSpace(dims, arrays)


def _vectors(rng: random.Random, found: Counter[str]) -> None:
    dims = 0
    try:
        damaged = _space(rng)
        dims = next(n for n in (8, 9, 31, 64, 100) if _fits(damaged, n))
    except ValueError:
        found["spaces refused"] += 1
        return
    kind, plain = rng.randrange(4), rng.random() < 0.2
    size = dims * (2, 4, 8, 2)[kind]
    some = np.random.default_rng(rng.randrange(99)).normal(size=dims) * 10.0 ** rng.randrange(-40, 38)
    with np.errstate(all="ignore"):
        numbers = rng.choice((some.astype(("<f2", "<f4", "<f8", "<f2")[kind]).tobytes(), rng.randbytes(size)))
    try:
        (body,) = damaged.encode(
            numbers, kind, rng.choice((-1, 7)), rng.randrange(128), 0.3, 1e-9, 18, bytearray(size), np.zeros(1), plain
        )
        for wrong in (
            body or b"",
            _flipped(body or b"", rng),
            rng.randbytes(40),
            bytes([kind]) + rng.randbytes(2 * dims),
        ):
            damaged.decode([wrong], kind, bytearray(size), plain)
            found["vectors"] += 1
    except ValueError:
        found["vectors refused"] += 1


def _fits(damaged: _core.VectorSpace, dims: int) -> bool:
    try:
        damaged.encode(bytes(4 * dims), 1, -1, 37, 0.3, 0.5, 18, bytearray(4 * dims), np.zeros(1), False)
    except ValueError:
        return False
    return True


def _floats(rng: random.Random, found: Counter[str]) -> None:
    item_bytes, exponent_bits = rng.choice(((2, 5), (2, 8), (4, 8), (8, 11)))
    decimals = np.array([rng.randrange(-999, 999) / 8 for _ in range(20)]).astype(f"<f{item_bytes}").tobytes()
    numbers, predictor = rng.choice((decimals, rng.randbytes(20 * item_bytes))), rng.randrange(5)
    try:
        made = _core.encode_floats(numbers, item_bytes, exponent_bits, predictor)
        dropped, largest, stream = made or (rng.randrange(64), rng.randrange(300), rng.randbytes(30))
        out = bytearray(len(numbers))
        if made:
            _core.decode_floats(stream, item_bytes, exponent_bits, predictor, dropped, largest, out)
            assert bytes(out) == numbers
        wrong = rng.choice((_flipped(stream, rng), rng.randbytes(30)))
        how = (predictor, rng.choice((dropped, rng.randrange(64))), rng.choice((largest, rng.randrange(2048))))
        _core.decode_floats(wrong, item_bytes, exponent_bits, *how, out)
        found["floats"] += 1
    except ValueError:
        found["floats refused"] += 1
