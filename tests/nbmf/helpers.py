"""What several tests of nbmf need: exact comparison, strategies, synthetic records, small versions."""

import functools
import json
import random
from pathlib import Path

import numpy as np
import zstandard
from payloads import (  # noqa: F401  for tests that import helpers
    arrays,
    floats,
    integers,
    json_values,
    keys,
    messages,
    payloads,
    same,
    scalars,
    texts,
)

from nbmf import manifest
from nbmf.payload import Kind


def nested(levels, shape="list"):
    """A value of that many nested containers."""
    value = []
    for level in range(levels - 1):
        match shape:
            case "list":
                value = [value]
            case "dict":
                value = {"k": value}
            case _:
                value = {"a": level, "k": value, "z": -0.0} if level % 2 else [1.5, {}, value, "end"]
    return value


# --- records and versions ---------------------------------------------------------------------------------------

_NAMES = ["Ada", "Grace", "Edsger", "Barbara", "Donald", "Radia", "Ken", "Frances", "Niklaus", "Hedy"]
_THINGS = ["the invoice", "a window seat", "the red folder", "two tickets", "the weekly report", "a quiet room"]
_VERBS = ["needs", "asked for", "prefers", "cancelled", "confirmed", "will bring"]


def sentence(rng):
    return f"{rng.choice(_NAMES)} {rng.choice(_VERBS)} {rng.choice(_THINGS)} on day {rng.randrange(1, 366)}."


def record(rng):
    """A message list as an assistant might keep it."""
    return [
        {"role": "user", "content": " ".join(sentence(rng) for _ in range(rng.randrange(1, 4)))},
        {"role": "assistant", "content": None, "tool_calls": [{"id": rng.randrange(10**6), "name": "remember"}]},
        {"role": "tool", "content": json.dumps({"ok": True, "score": round(rng.random(), 4)})},
    ]


@functools.cache
def dictionary(seed=1, size=2048):
    """A zstd dictionary trained on synthetic records."""
    rng = random.Random(seed)
    samples = [json.dumps(record(rng), separators=(",", ":")).encode() for _ in range(400)]
    return zstandard.train_dictionary(size, samples).as_bytes()


ALL_KINDS = tuple(kind.label for kind in Kind)


def fields(name="test", labels=ALL_KINDS, file="zstd.dict", **others):
    """The part of a manifest that a writer chooses."""
    return {
        "name": name,
        "created_at": "2026-01-01T00:00:00Z",
        "architecture": "zstd-dictionary",
        "dictionaries": dict.fromkeys(labels, file),
        **others,
    }


def write_version(parent: Path, name="test", seed=1, **others):
    """Writes a small version folder; returns its id."""
    return manifest.write_version(parent, fields(name, **others), {"zstd.dict": dictionary(seed)})


# --- every kind, every coder ------------------------------------------------------------------------------------


def blob_with(kind, coder, canonical, codec=None, fidelity="lossless"):
    """The blob that a given coder writes, whether or not it is the smallest."""
    from nbmf import frame
    from nbmf.coders import CODEC_FREE

    if coder == "stored":
        return frame.pack_stored(kind, canonical)
    if coder == "zstd_dictionary":
        learned = codec._coders[2]
        reference, seed = codec.reference, bytes.fromhex(codec.id)
    else:
        learned = next(c for c in CODEC_FREE if c.name == coder)
        reference, seed = b"", b""
    return frame.pack(kind, learned.number, fidelity, reference, seed, canonical, learned.encode(kind, canonical))


def coders_of(kind):
    """The coders that apply to a kind."""
    return ["stored", "zstd", "zstd_dictionary"] + (["byte_planes"] if kind is Kind.ARRAY else [])


def sample_payloads(seed=7):
    """Payloads of every kind, small and middling, compressible and not."""
    rng = random.Random(seed)
    vector = np.array([rng.gauss(0, 1) for _ in range(48)])
    return [
        "",
        "a",
        "Zürich, 東京, \ud800 alone",
        " ".join(sentence(rng) for _ in range(12)),
        record(rng),
        [*record(rng), *record(rng)],
        None,
        {},
        [True, False, None, 0, -0.0, 1.5, float("inf"), 2**80, "x"],
        {"user": {"name": "Ada", "tags": ["a", "b"] * 10}, "score": 0.25, "n": list(range(40))},
        nested(60, "mixed"),
        b"",
        rng.randbytes(64),
        b"\x00\x01" * 150,
        vector.astype("<f2"),
        vector.astype("<f4"),
        vector,
        np.linspace(0, 1, 64, dtype="<f4").reshape(4, 16),
        np.zeros((0, 3), "<f8"),
    ]


def build(described):
    """The payload that a golden file's `expected` describes."""
    ((how, value),) = described.items()
    match how:
        case "json":
            return value
        case "hex":
            return bytes.fromhex(value)
        case "array":
            numbers = np.frombuffer(bytes.fromhex(value["hex"]), dtype=value["dtype"])
            return numbers.reshape(value["shape"])
        case "nested":
            return nested(value["levels"], value["shape"])
        case "power_sum":
            return {"n": value["sign"] * (value["base"] ** value["exponent"] + value["plus"])}
        case "history":
            messages = value["messages"]
            return [{"step": step, "messages": messages[:step]} for step in range(len(messages) + 1)]
        case "repeat":
            return value["text"] * value["times"]
    raise AssertionError(f"unknown description {how}")
