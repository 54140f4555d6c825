"""Vector spaces: what is found in records, what is learnt of it, what is worth keeping."""

import json
import random

import ml_dtypes
import numpy as np
import pytest
import vector_spaces

import nbmf
from nbmf import Codec
from nbmf.payload import to_canonical
from nbmf.vectors import LatentCompressor
from train_app.samples.sample import Sample
from train_app.samples.split import for_learned_coders
from train_app.vector_spaces import WHOLE_RECORD, learn_spaces, vectors_in

DIMS = 64


def sample(value):
    kind, canonical = to_canonical(value)
    return Sample(kind, canonical, canonical[:16])


def samples(count, dims=DIMS, seed=0, space=0):
    return [sample({"id": i, "e": v.tolist()}) for i, v in enumerate(vector_spaces.vectors(count, dims, seed, space))]


def learnt(training, held_out, config, **changes):
    told = []
    learned = learn_spaces(training, held_out, config.model_copy(update=changes), lambda *n: told.append(n))
    return learned, told


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", ml_dtypes.bfloat16])
def test_vectors_that_are_records(dtype):
    vector = vector_spaces.vectors(1, 24)[0].astype(dtype)
    ((place, found),) = vectors_in(sample(vector))
    assert place == WHOLE_RECORD
    assert found.dtype == np.float32
    assert np.array_equal(found, vector.astype(np.float32))


def test_vectors_within_json():
    """By their paths, indices left out; whole arrays of as many floats as fidelity semantic changes."""
    a, b, c = (one.tolist() for one in vector_spaces.vectors(3, DIMS))
    record = {
        "a": a,
        "list": [{"b": b}, {"b": c}],
        "short": a[:63],
        "mixed": [*a, 1],
        "text": json.dumps(a),
        "n": [1] * 99,
    }
    found = sorted((place, vector.tolist()) for place, vector in vectors_in(sample(record)))
    assert found == sorted([("$.a", a), ("$.list[].b", b), ("$.list[].b", c)])
    assert [*vectors_in(sample("no JSON"))] == []
    assert [place for place, _ in vectors_in(sample([a, [b]]))] == ["$[][]", "$[]"]


def test_deep_records():
    value = vector_spaces.vectors(1, DIMS)[0].tolist()
    for _ in range(5_000):
        value = [value]
    ((place, _),) = vectors_in(sample([value, "x"]))
    assert place == "$" + "[]" * 5_001


def test_a_space_is_learnt(train_config):
    learned, told = learnt(samples(300, seed=1), samples(40, seed=2), train_config)
    assert told == [(0, 1)]
    assert learned.fields == {"vectors": [{"file": "vectors-0.safetensors", "dims": DIMS, "place": "$.e"}]}
    compressor = LatentCompressor.from_safetensors(learned.files["vectors-0.safetensors"])
    (measured,) = learned.measured
    held_out = vector_spaces.vectors(40, DIMS, seed=2)
    assert measured["bytes"] == round(np.mean([len(body) for body in compressor.encode(held_out)]), 1)
    assert measured["bytes"] < 0.8 * measured["bytes_untrained"]
    assert (measured["learnt_from"], measured["vectors"]) == (300, 40)
    assert measured["cosine_mean"] >= 0.995
    assert measured["cosine_min"] >= 0.98
    assert 0.001 < measured["squared_error"] < 0.02


def test_without_held_out_ones_some_are_taken_from_the_others(train_config):
    learned, _ = learnt(samples(300, seed=1), [], train_config)
    assert [(one["learnt_from"], one["vectors"]) for one in learned.measured] == [(280, 20)]


def test_each_vector_is_learnt_once(train_config):
    learned, _ = learnt(samples(300, seed=1) * 3, samples(40, seed=2), train_config)
    assert [one["learnt_from"] for one in learned.measured] == [300]


def test_places_and_dims_apart(train_config):
    training = [
        sample({"e": e.tolist(), "f": f.tolist(), "g": g.tolist()})
        for e, f, g in zip(
            vector_spaces.vectors(300, DIMS, 1),
            vector_spaces.vectors(300, DIMS, 2, space=1),
            vector_spaces.vectors(300, 80, 3),
            strict=True,
        )
    ]
    learned, _ = learnt(training, [], train_config)
    assert {(s["place"], s["dims"]) for s in learned.fields["vectors"]} == {("$.e", DIMS), ("$.f", DIMS), ("$.g", 80)}
    assert sorted(learned.files) == [f"vectors-{n}.safetensors" for n in range(3)]
    fewer, told = learnt(training, [], train_config, max_vector_spaces=2)
    assert len(fewer.files) == 2
    assert told == [(0, 2), (1, 2)]
    none, _ = learnt(training, [], train_config, max_vector_spaces=0)
    assert (none.fields, none.files, none.measured) == ({}, {}, [])


def test_spaces_that_are_not_worth_their_file(train_config):
    """All directions alike, too few vectors, or too many numbers."""
    rng = np.random.default_rng(1)
    alike = [sample({"e": v.astype(np.float32).tolist()}) for v in rng.normal(size=(600, DIMS))]
    for training, changes in (
        (alike, {}),
        (samples(99), {}),
        (samples(100, dims=128), {}),
        (samples(300), {"max_space_bytes": 2 * DIMS * DIMS - 1}),
    ):
        learned, _ = learnt(training, [], train_config, **changes)
        assert (learned.fields, learned.files, learned.measured) == ({}, {}, [])


def test_zeros_are_not_learnt_from(train_config):
    nothing = [sample({"e": [0.0] * DIMS, "id": i}) for i in range(50)]
    learned, _ = learnt(nothing + samples(300, seed=1), samples(40, seed=2), train_config)
    assert [one["learnt_from"] for one in learned.measured] == [300]


def test_other_coders_learn_from_what_remains():
    vector = vector_spaces.vectors(1, DIMS)[0].tolist()
    plain, long = sample({"text": "Remember the milk."}), sample({"text": "Remember the milk.", "e": vector})
    array, image = sample(vector_spaces.vectors(1, DIMS)[0]), sample(random.Random(1).randbytes(2_000))
    kept, cut = for_learned_coders([plain, array, long, image])
    assert kept is plain
    assert (cut.canonical, cut.digest) == (b'{"text":"Remember the milk.","e":[]}', long.digest)


def test_a_version_learns_its_spaces(ray_session, train_config, tmp_path):
    from cluster.registry import Registry
    from cluster.sources import open_source
    from train_app import job
    from train_app.results import report

    path = tmp_path / "memory.jsonl"
    vectors = vector_spaces.vectors(400, DIMS, seed=1)
    lines = [json.dumps({"id": i, "text": "as it was", "embedding": v.tolist()}) for i, v in enumerate(vectors)]
    path.write_text("\n".join(lines))
    registry = Registry(tmp_path / "registry")
    trained = job.run([open_source(path)], registry, train_config, "spaces")
    codec = registry.load(trained.version_id)
    assert isinstance(codec, Codec)
    assert [(space.dims, space.place) for space in codec.manifest.vectors] == [(DIMS, "$.embedding")]
    assert codec.manifest.measured["vectors"] == trained.measured["vectors"]
    record = json.loads(lines[0])
    blob = codec.encode(record, "semantic")
    assert codec.decode(blob).keys() == record.keys()
    untrained = nbmf.inspect(Codec().encode(record, "semantic")).blob_bytes
    assert len(blob) <= untrained - 8
    table = report.vectors_table(trained.measured["vectors"])
    assert [*table.columns[0].cells] == ["$.embedding"]
