"""Damaged versions and damaged streams against the core: nothing but ValueError may come of them.

Of a vocabulary that is taken, all that is encoded decodes to itself.

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
from unittest import mock

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


MARKS = ('"', "[", "{", ",", ":", "'s", " ", "\n", '"role":"user","content":"', '"a_b":', "é", "日", "😀", "12", "word")
PIECES = [mark.encode() for mark in MARKS] + [bytes([byte]) for byte in range(256)]


def vocabulary(files: dict[str, bytes], rng: random.Random) -> _core.Tokenizer:
    """Of a version, one of its arrays damaged or none. Raises ValueError."""
    with mock.patch.object(_core, "Tokenizer", lambda *arrays: [*arrays]):
        arrays = NeuralTokenizer(files["tokenizer.json"].decode()).core
    index = rng.randrange(len(arrays) + 1)
    if index < len(arrays):
        array = np.frombuffer(arrays[index], np.int32 if index else np.uint8)
        arrays[index] = rng.choice((altered(array, rng), array[: rng.randrange(len(array))], np.roll(array, 1)))
    return _core.Tokenizer(*arrays)


def code(tokenizer: _core.Tokenizer, rng: random.Random) -> None:
    """A text, and what are no tokens of one."""
    data = b"".join(rng.choice(PIECES) * rng.choice((1, 1, 1, 2, 63, 64, 1024)) for _ in range(rng.randrange(20)))
    tokens = np.frombuffer(tokenizer.encode(data), np.int32)
    assert tokenizer.decode(tokens) == data
    assert tokenizer.n_bytes(tokens) == len(data)
    _core.find_repeats(data, rng.choice((32, 64)))
    if len(tokens):
        try:
            tokenizer.decode(altered(tokens, rng))
        except ValueError:
            return


def main(seconds: float, seed: int) -> None:
    rng, found = random.Random(seed), Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        _core.use(rng.choice(_core.paths()))
        files = rng.choice(VERSIONS)
        for _ in range(5):
            try:
                code(vocabulary(files, rng), rng)
                found["vocabularies"] += 1
            except ValueError:
                found["vocabularies refused"] += 1
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
            n_bytes = len(tokenizer.decode(tokens))
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
