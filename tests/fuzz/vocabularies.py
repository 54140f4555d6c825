"""Target: vocabularies with a damaged array, and texts. Of one that is taken, all that is encoded decodes to itself.

An input is the number of a golden version and of what is done with its vocabulary.
"""

import json
import random
from typing import TypeAlias
from unittest import mock

import numpy as np
from versions import FOLDERS

from nbmf import _core
from nbmf.neural.tokenizer import NeuralTokenizer

Input: TypeAlias = dict[str, int]

SUFFIX = ".json"
_MARKS = (
    '"',
    "[",
    "{",
    ",",
    ":",
    "'s",
    " ",
    "\n",
    '"role":"user","content":"',
    '"a_b":',
    "é",
    "日",
    "😀",
    "12",
    "word",
)
_PIECES = [mark.encode() for mark in _MARKS] + [bytes([byte]) for byte in range(256)]
_TOKENIZERS = [path for folder in FOLDERS if (path := folder / "tokenizer.json").is_file()]


def seeds() -> list[Input]:
    return [{"version": number, "seed": seed} for number in range(len(_TOKENIZERS)) for seed in range(8)]


def run(one: Input) -> str:
    """What became of it. Raises whatever must not happen."""
    rng = random.Random(one["seed"])
    try:
        tokenizer = _vocabulary(_TOKENIZERS[one["version"]].read_text(), rng)
    except ValueError:
        return "refused"
    for _ in range(5):
        _code(tokenizer, rng)
    return "coded"


def mutated(one: Input, rng: random.Random, other: Input) -> Input:
    return {"version": rng.randrange(len(_TOKENIZERS)), "seed": rng.randrange(1 << 32)}


def written(one: Input) -> bytes:
    return json.dumps(one).encode() + b"\n"


def read(content: bytes) -> Input:
    found: Input = json.loads(content)
    return found


def _altered(array: np.ndarray, rng: random.Random) -> np.ndarray:
    changed = array.copy()
    for _ in range(rng.choice((1, 1, 3))):
        limits = np.iinfo(array.dtype)
        changed[rng.randrange(len(changed))] = rng.choice((0, 1, limits.min, limits.max, rng.randint(0, len(array))))
    return changed


def _vocabulary(text: str, rng: random.Random) -> _core.Tokenizer:
    """One of its arrays damaged or none. Raises ValueError."""
    with mock.patch.object(_core, "Tokenizer", lambda *arrays: [*arrays]):
        arrays = NeuralTokenizer(text).core
    index = rng.randrange(len(arrays) + 1)
    if index < len(arrays):
        array = np.frombuffer(arrays[index], np.int32 if index else np.uint8)
        with np.errstate(all="ignore"):
            damaged = [_altered(array.astype(np.int64), rng).astype(array.dtype), array[: rng.randrange(len(array))]]
        arrays[index] = rng.choice([*damaged, np.roll(array, 1)])
    return _core.Tokenizer(*arrays)


def _code(tokenizer: _core.Tokenizer, rng: random.Random) -> None:
    """A text, and what are no tokens of one."""
    data = b"".join(rng.choice(_PIECES) * rng.choice((1, 1, 1, 2, 63, 64, 1024)) for _ in range(rng.randrange(20)))
    tokens = np.frombuffer(tokenizer.encode(data), np.int32)
    assert tokenizer.decode(tokens) == data
    assert tokenizer.n_bytes(tokens) == len(data)
    _core.find_repeats(data, rng.choice((32, 64)))
    if len(tokens):
        try:
            tokenizer.decode(_altered(tokens, rng))
        except ValueError:
            return
