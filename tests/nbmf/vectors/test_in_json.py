"""Vectors inside JSON: lossless as floats of their own, and near ones with fidelity semantic."""

import contextlib
import json

import numpy as np
import pytest

import nbmf
from nbmf import json_text
from nbmf.codec import WITHOUT_VERSION as CODEC
from nbmf.coders import spans
from nbmf.errors import CorruptBlob
from nbmf.payload import Kind, to_canonical
from nbmf.vectors import Aim
from nbmf.vectors.aim import LEAST_DIMS_IN_JSON


def unit(dims, seed=0):
    vector = np.random.default_rng(seed).normal(size=dims)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


STYLES = {
    "widened": lambda vector: vector.tolist(),
    "short": lambda vector: [float(str(x)) for x in vector],
    "six decimals": lambda vector: [round(x, 6) for x in vector.tolist()],
}


def cosine(a, b):
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.mark.parametrize(("style", "lossless"), [("widened", 1310), ("short", 1310), ("six decimals", 885)])
def test_sizes_of_an_embedding(style, lossless):
    """Of sign and mantissa alone 1,152 bytes."""
    vectors = [STYLES[style](unit(384, seed)) for seed in range(20)]
    whole = [CODEC.encode(vector) for vector in vectors]
    assert [nbmf.decode(blob) for blob in whole] == vectors
    assert np.mean([len(blob) for blob in whole]) <= lossless
    near = [CODEC.encode(vector, "semantic") for vector in vectors]
    assert np.mean([len(blob) for blob in near]) <= 185
    cosines = [cosine(nbmf.decode(blob), vector) for blob, vector in zip(near, vectors, strict=True)]
    assert min(cosines) > 0.98
    assert np.mean(cosines) >= 0.9949


@pytest.mark.parametrize("style", STYLES)
def test_nothing_but_the_vectors_changes(style):
    """Whole arrays of floats, at any path; not shorter ones, nor what is in strings, nor arrays with other things."""
    vector, other, third, fourth, fifth = (STYLES[style](unit(128, seed)) for seed in range(5))
    kept = {
        "short": vector[: LEAST_DIMS_IN_JSON - 1],
        "in a string": f'he said "{json_text.dumps(third)}" and \\ left',
        "with others": [*fourth, "x"],
        "with an integer": [1, *fifth],
        "integers": list(range(200)),
        "when": "2026-11-26T10:00:00Z",
    }
    record = {"a": vector, **kept, "deep": [{"embedding": other, "id": 12}]}
    blob = CODEC.encode(record, "semantic")
    info, found = nbmf.inspect(blob), nbmf.decode(blob)
    assert (info.fidelity, info.coder, info.vectors) == ("semantic", "spans", 2)
    assert {name: found[name] for name in kept} == kept
    assert list(found) == list(record)
    assert found["deep"][0]["id"] == 12
    for got, given in ((found["a"], vector), (found["deep"][0]["embedding"], other)):
        assert got != given
        assert cosine(got, given) > 0.99


def test_it_is_semantic_only_if_that_is_smaller():
    """As where a vector stands there again and again."""
    vector = unit(128).tolist()
    record = {f"copy {n}": vector for n in range(20)}
    assert CODEC.encode(record, "semantic") == CODEC.encode(record)


def test_it_is_semantic_only_if_something_changed():
    records = [
        json_text.dumps(unit(128).tolist()),  # text
        {"embedding": [0.0] * 100},
        {"series": unit(20).tolist()},
        [1e300, *[0.5] * 99],
        "no vector",
        [{"role": "user", "content": f"[{json_text.dumps(unit(80).tolist())}]"}],
    ]
    for record in records:
        blob = CODEC.encode(record, "semantic")
        assert nbmf.inspect(blob).fidelity == "lossless"
        assert blob == CODEC.encode(record)


def test_a_conversation_with_an_embedding():
    messages = [{"role": "user", "content": "hi", "embedding": unit(256, 3).tolist()}]
    assert to_canonical(messages)[0] is Kind.MESSAGES
    found = nbmf.decode(CODEC.encode(messages, "semantic"))
    assert cosine(found[0].pop("embedding"), messages[0]["embedding"]) > 0.99
    assert found == [{"role": "user", "content": "hi"}]


def test_a_batch_is_as_one_by_one():
    records = [{"embedding": unit(96, 4).tolist()}, "text", unit(64, 5), {"a": 1}, 5j]
    blobs = CODEC.encode_batch(records, "semantic")
    assert isinstance(blobs.pop(), Exception)
    assert blobs == [CODEC.encode(record, "semantic") for record in records[:-1]]


@pytest.mark.parametrize(
    "vector",
    [
        np.eye(1, 300)[0],
        np.where(np.arange(200) % 40 == 0, 1e6, 1e-6),
        np.full(100, 0.125),
        np.random.default_rng(6).normal(size=500) * 10.0 ** np.random.default_rng(7).integers(-30, 30, 500),
        np.random.default_rng(8).normal(size=64) * 1e-39,
        np.arange(100) - 0.5,
    ],
    ids=["one-hot", "outliers", "constant", "wide", "denormal", "line"],
)
@pytest.mark.parametrize("least", [0.98, 0.9999])
def test_the_floor_holds(vector, least):
    given = {"v": [float(x) for x in vector]}
    found = nbmf.decode(CODEC.encode(given, "semantic", aim=Aim(least_cosine=least)))
    assert found == given or cosine(np.array(found["v"]) / np.abs(vector).max(), vector / np.abs(vector).max()) >= least


def test_decoding_again_gives_the_same_blob_of_what_was_decoded():
    """What was changed once is a record like any other."""
    found = nbmf.decode(CODEC.encode({"v": unit(384, 9).tolist()}, "semantic"))
    assert nbmf.decode(CODEC.encode(found)) == found


@pytest.mark.parametrize("fidelity", ["lossless", "semantic"])
def test_damaged_streams_are_told(fidelity):
    record = {"embedding": unit(128, 10).tolist()}
    kind, canonical = to_canonical(record)
    found = spans.cut(kind, canonical)
    changed, cut, _ = (found and spans.approximated(kind, canonical, found, Aim())) or (canonical, None, [])
    if fidelity == "lossless":
        changed, cut = canonical, spans.cut(kind, canonical)
    body = cut.body(0, cut.remaining)
    assert spans.parse(body, len(changed)).join(cut.remaining) == changed
    rng = np.random.default_rng(11)
    for _ in range(300):
        at = int(rng.integers(1, len(body)))
        damaged = [body[:at], body[:at] + bytes([int(rng.integers(256))]) + body[at + 1 :]][int(rng.integers(2))]
        with contextlib.suppress(CorruptBlob):
            assert len(spans.parse(damaged, len(changed)).join(cut.remaining)) == len(changed)
    assert json.loads(changed).keys() == {"embedding"}


def test_what_changed_is_told():
    vectors = [unit(dims, dims).tolist() for dims in (64, 384, 100)]
    record = {"few": vectors[0][:40], "v": vectors, "text": "x"}
    (coded,) = CODEC.encode_measured([record], "semantic")
    assert coded.blob == CODEC.encode(record, "semantic")
    found = nbmf.decode(coded.blob)["v"]
    cosines = [cosine(a, b) for a, b in zip(vectors, found, strict=True)]
    assert coded.changed.vectors == 3
    assert coded.changed.cosine_mean == pytest.approx(np.mean(cosines), abs=1e-9)
    assert coded.changed.cosine_min == pytest.approx(min(cosines), abs=1e-9)
    assert coded.changed.lossless_bytes == len(CODEC.encode(record))


def test_fidelities_of_a_batch_are_each_records_own():
    records = [{"v": unit(384, 1).tolist()}, unit(384, 2), "text", unit(384, 3), {"v": unit(384, 4).tolist()}]
    fidelities = ["semantic", "semantic", "semantic", "lossless", "lossless"]
    coded = CODEC.encode_canonical_measured([to_canonical(record) for record in records], fidelities)
    expected = [CODEC.encode(*pair) for pair in zip(records, fidelities, strict=True)]
    assert [one.blob for one in coded] == expected
    assert [one.changed is not None for one in coded] == [True, True, False, False, False]
