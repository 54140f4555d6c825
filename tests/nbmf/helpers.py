"""What several tests of nbmf need: exact comparison, strategies, synthetic records, small versions."""

import base64
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
    json_numbers,
    json_values,
    keys,
    messages,
    payloads,
    same,
    scalars,
    texts,
    values_of_text,
)

from nbmf import json_text, manifest
from nbmf.payload import Kind
from nbmf.wire import from_wire


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


def blob_with(kind, coder, canonical, codec=None, fidelity="lossless", inner=None, full=False):
    """The blob that a given coder writes, whether or not it is the smallest. `inner`: of spans, else the smallest.

    `full`: in a full frame, if the coder has one.
    """
    from nbmf import frame
    from nbmf.coders import CODEC_FREE, spans

    pack = frame.pack_full if full else frame.pack
    if coder == "stored":
        return frame.pack_stored(kind, canonical)
    if coder in spans.NAMES.values():
        cut = spans.cut(kind, canonical)
        inners = [codec.coders.by_number[2]] if coder == "spans_learned" else [CODEC_FREE[0], CODEC_FREE[2]]
        bodies = [(c.number, c.encode(kind, cut.remaining)) for c in inners if inner in (None, c.name)]
        if coder == "spans" and inner in (None, "stored"):
            bodies.append((frame.STORED, cut.remaining))
        body = cut.body(*min(bodies, key=lambda one: len(one[1])))
        seed = bytes.fromhex(codec.id) if coder == "spans_learned" else b""
        number = next(n for n, name in spans.NAMES.items() if name == coder)
        return pack(kind, number, fidelity, seed[:2], seed, canonical, body)
    if coder == "deflate":
        return frame.pack_deflate(kind, canonical, CODEC_FREE[2].encode(kind, canonical))
    if coder == "zstd_dictionary":
        learned = codec.coders.by_number[2]
        reference, seed = codec.reference, bytes.fromhex(codec.id)
    else:
        learned = next(c for c in CODEC_FREE if c.name == coder)
        reference, seed = b"", b""
    return pack(kind, learned.number, fidelity, reference, seed, canonical, learned.encode(kind, canonical))


def coders_of(kind, canonical):
    """The coders that apply to canonical bytes."""
    from nbmf.coders import CODEC_FREE, spans

    names = ["stored", "zstd", "zstd_dictionary"]
    if kind is Kind.ARRAY:
        names.append("byte_planes")
        if CODEC_FREE[4].encode(kind, canonical):
            names.append("floats")
    elif canonical:
        names.append("deflate")
    return names + (["spans", "spans_learned"] if spans.cut(kind, canonical) else [])


def in_short_frame(coder):
    """Whether blobs of the coder have no flags: they are always lossless."""
    return coder in ("stored", "deflate")


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
        {"signature": base64.b64encode(rng.randbytes(50)).decode(), "vector": [rng.random() for _ in range(8)]},
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
        case "json_text":
            return json_text.loads(value)
        case "wire":
            return from_wire(value)
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
