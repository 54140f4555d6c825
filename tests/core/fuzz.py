"""Damaged versions and damaged streams against the core: nothing but ValueError may come of them.

    python tests/core/fuzz.py SECONDS SEED

test_sanitizers.py runs it with a core that is built with AddressSanitizer and UndefinedBehaviorSanitizer.
"""

import dataclasses
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import zstandard

from nbmf import _core
from nbmf.neural.constants import load_constants
from nbmf.neural.core import make_model, make_network
from nbmf.neural.counts_file import load_counts
from nbmf.neural.tokenizer import NeuralTokenizer
from nbmf.neural.vocabulary import Vocabulary
from nbmf.neural.weights import IntegerWeights

MODEL, COUNTS, CONSTANTS = "model.safetensors", "counts.zst", "adaptation.mixed.safetensors"
FOLDERS = (Path(__file__).parents[1] / "golden" / "versions").iterdir()
VERSIONS = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in sorted(FOLDERS)]
VERSIONS = [files for files in VERSIONS if {MODEL, COUNTS, CONSTANTS} <= files.keys()]
TEXTS = ("Remember that Anna prefers the window seat. ", "x" * 300, json.dumps({"a": [1, 2, 3] * 20, "k": "värde"}))
SIZES = (0, 1, 2, 3, 7, 16, 64, 255, 500, 501, 10**6, -1)
VOCABULARY = [field.name for field in dataclasses.fields(Vocabulary)]
REALS = (0.0, -1.0, 1e30, -1e30, np.inf, -np.inf, np.nan, 1e-40, 3.4e38)


def altered(array: np.ndarray, rng: random.Random) -> np.ndarray:
    array = np.array(array)
    flat = array.reshape(-1)
    for _ in range(rng.randrange(1, 4)):
        if array.dtype.kind == "f":
            value = rng.choice(REALS)
        else:
            least, most = np.iinfo(array.dtype).min, np.iinfo(array.dtype).max
            value = rng.choice((least, most, 0, rng.randrange(least, most)))
        flat[rng.randrange(len(flat))] = value
    return array


def flipped(data: bytes, rng: random.Random, begin: int = 0) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(rng.randrange(1, 4)):
        changed[rng.randrange(min(begin, len(changed) - 1), len(changed))] = rng.randrange(256)
    return bytes(changed)


def model(files: dict[str, bytes], tokenizer: NeuralTokenizer, rng: random.Random) -> _core.Model:
    """Of a version of which one part was damaged, at most. Raises ValueError."""
    damage = rng.choice(("none", "weights", "sizes", "constants", "counts"))
    weights, config = IntegerWeights.load(files[MODEL])
    if damage == "weights":
        name = rng.choice([name for name, array in vars(weights).items() if array is not None])
        weights = dataclasses.replace(weights, **{name: altered(getattr(weights, name), rng)})
    if damage == "sizes":
        name = rng.choice([field.name for field in dataclasses.fields(config)])
        config = config.with_(**{name: rng.choice(SIZES)})
    network = make_network(weights, config) if rng.random() < 0.8 else None
    counts = files[COUNTS]
    if damage == "counts":
        content = zstandard.ZstdDecompressor().decompress(counts)
        header = 8 + int.from_bytes(content[:8], "little")
        content = flipped(content, rng, rng.choice((0, header)))
        counts = zstandard.ZstdCompressor(level=1).compress(content)
    constants = load_constants(files[CONSTANTS])
    if damage == "constants":
        name = rng.choice(constants._fields)
        constants = constants._replace(**{name: altered(getattr(constants, name), rng)})
    with_counts = network is None or rng.random() < 0.8
    counted = load_counts(counts) if with_counts else None
    return make_model(
        tokenizer.bytes_of_id, constants, network, counted, Vocabulary(*map(vars(config).get, VOCABULARY))
    )


def space(rng: random.Random) -> _core.VectorSpace:
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
        arrays[name] = altered(arrays[name], rng)
    return _core.VectorSpace(dims, arrays)


def vectors(rng: random.Random, found: Counter[str]) -> None:
    dims = 0
    try:
        damaged = space(rng)
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
            flipped(body or b"", rng),
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


def floats(rng: random.Random, found: Counter[str]) -> None:
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
        wrong = rng.choice((flipped(stream, rng), rng.randbytes(30)))
        how = (predictor, rng.choice((dropped, rng.randrange(64))), rng.choice((largest, rng.randrange(2048))))
        _core.decode_floats(wrong, item_bytes, exponent_bits, *how, out)
        found["floats"] += 1
    except ValueError:
        found["floats refused"] += 1


def main(seconds: float, seed: int) -> None:
    rng, found = random.Random(seed), Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _core.use(rng.choice(_core.paths()))
        for _ in range(20):
            vectors(rng, found)
            floats(rng, found)
        files = rng.choice(VERSIONS)
        tokenizer = NeuralTokenizer.from_json(files["tokenizer.json"].decode())
        records = [np.array(tokenizer.encode(text.encode())[:120], dtype=np.int32) for text in TEXTS]
        type_id = tokenizer.vocab_size
        try:
            damaged = model(files, tokenizer, rng)
        except (ValueError, TypeError, IndexError, OverflowError, ZeroDivisionError):
            found["versions refused"] += 1
            continue
        found["versions"] += 1
        for tokens in records:
            n_bytes = len(tokenizer.decode(tokens.tolist()))
            try:
                stream = damaged.encode(tokens, type_id + rng.randrange(4))
            except ValueError:
                found["records refused"] += 1
                continue
            for wrong in (stream, flipped(stream, rng), stream[: len(stream) // 2], rng.randbytes(20)):
                batch = [(wrong, n_bytes, type_id), (stream, n_bytes, type_id + 1), (b"", rng.randrange(50), type_id)]
                try:
                    damaged.decode(batch, rng.choice((1, 2, 16)))
                    found["batches"] += 1
                except ValueError:
                    found["batches refused"] += 1
    print(dict(found))


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
