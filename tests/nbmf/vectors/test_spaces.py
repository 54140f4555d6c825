"""Vector spaces of a version: smaller than without, the same bits everywhere, nothing taken on trust."""

import json
import pickle
import random

import numpy as np
import pytest
import vector_spaces

import nbmf
from nbmf.codec import WITHOUT_VERSION, Codec
from nbmf.errors import CorruptBlob, DamagedCodec, NbmfError, UnknownCodec
from nbmf.manifest import Manifest, read_version
from nbmf.vectors import Aim
from nbmf.vectors.spaces import Spaces

DIMS = 64
TYPES = [np.float16, np.float32, np.float64]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of two spaces of as many dims, and one of others."""
    compressors = [
        vector_spaces.compressor(DIMS),
        vector_spaces.compressor(96),
        vector_spaces.compressor(DIMS, space=1),
    ]
    return vector_spaces.write(tmp_path_factory.mktemp("version"), compressors)


@pytest.fixture(scope="module")
def codec(folder):
    return nbmf.load(folder)


def cosine(a, b):
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("space", [0, 1])
def test_a_learnt_space_takes_less(codec, dtype, space):
    vectors = vector_spaces.vectors(50, DIMS, seed=3, space=space).astype(dtype)
    blobs = [codec.encode(vector, "semantic") for vector in vectors]
    untrained = [WITHOUT_VERSION.encode(vector, "semantic") for vector in vectors]
    assert sum(map(len, blobs)) < 0.85 * sum(map(len, untrained))
    infos = [nbmf.inspect(blob) for blob in blobs]
    assert {(i.coder, i.fidelity, i.codec) for i in infos} == {("vectors_learned", "semantic", codec.id[:4])}
    decoded = [codec.decode(blob) for blob in blobs]
    assert all(one.dtype == dtype for one in decoded)
    cosines = [cosine(*pair) for pair in zip(decoded, vectors, strict=True)]
    assert min(cosines) >= 0.98
    assert np.mean(cosines) >= 0.995


def test_one_by_one_and_in_a_batch(codec):
    vectors = [*vector_spaces.vectors(9, DIMS, seed=4), *vector_spaces.vectors(5, 96, seed=4), {"a": 1}]
    blobs = codec.encode_batch(vectors, "semantic")
    assert blobs == [codec.encode(vector, "semantic") for vector in vectors]
    assert [nbmf.inspect(blob).coder for blob in blobs[:-1]] == ["vectors_learned"] * 14
    for got, one in zip(codec.decode_batch(blobs)[:-1], map(codec.decode, blobs), strict=False):
        assert got.tobytes() == one.tobytes()


@pytest.mark.parametrize("style", [lambda v: v.tolist(), lambda v: [float(str(x)) for x in v]])
def test_inside_json(codec, style):
    """With what remains by a coder of a version or by none."""
    vector = style(vector_spaces.vectors(1, 96, seed=5)[0])
    for record in ([vector][0], {"id": 7, "embedding": vector, "text": "as it was"}):
        blob = codec.encode(record, "semantic")
        info = nbmf.inspect(blob)
        assert (info.coder, info.fidelity, info.codec) == ("spans_learned", "semantic", codec.id[:4])
        assert len(blob) < 0.9 * len(WITHOUT_VERSION.encode(record, "semantic"))
        found = codec.decode(blob)
        changed = found if isinstance(found, list) else found["embedding"]
        assert 0.98 <= cosine(changed, vector) < 1
        if isinstance(record, dict):
            assert found == {**record, "embedding": changed}
        assert codec.encode(found) != blob  # what comes back, kept lossless, says so


def test_other_dims_go_without_training(codec):
    vector = vector_spaces.vectors(1, 80, seed=6)[0]
    assert codec.encode(vector, "semantic") == WITHOUT_VERSION.encode(vector, "semantic")


@pytest.mark.parametrize("vector", [np.zeros(DIMS, np.float32), np.full(DIMS, np.nan), np.eye(DIMS)[0] * 1e200])
def test_what_has_no_direction_is_lossless(codec, vector):
    blob = codec.encode(vector, "semantic")
    assert nbmf.inspect(blob).fidelity == "lossless"
    assert codec.decode(blob).tobytes() == vector.tobytes()


def test_a_floor_of_ones_own(codec):
    vectors = vector_spaces.vectors(30, DIMS, seed=7)
    for vector in vectors:
        assert cosine(codec.decode(codec.encode(vector, "semantic", aim=Aim(least_cosine=0.9995))), vector) >= 0.9995


def test_the_version_is_needed(codec):
    vector = vector_spaces.vectors(1, DIMS, seed=8)[0]
    for record in (vector, {"embedding": vector.tolist()}):
        blob = codec.encode(record, "semantic")
        with pytest.raises(UnknownCodec):
            WITHOUT_VERSION.decode(blob)
        assert nbmf.decode(blob) is not None  # the catalog knows it


def test_damaged_blobs(codec):
    """An error; or the vector, where a bit of the stream's end does not matter."""
    rng = random.Random(1)
    vector = vector_spaces.vectors(1, DIMS, seed=9)[0]
    for record in (vector, {"embedding": vector.tolist()}):
        blob = codec.encode(record, "semantic")
        expected = nbmf.payload.to_canonical(codec.decode(blob))
        errors = 0
        for _ in range(500):
            damaged = bytearray(blob)
            damaged[rng.randrange(2, len(blob))] ^= 1 << rng.randrange(8)
            try:
                assert nbmf.payload.to_canonical(codec.decode(bytes(damaged))) == expected
            except NbmfError:
                errors += 1
        assert errors > 450
        for end in range(len(blob)):
            with pytest.raises(NbmfError):
                codec.decode(blob[:end])


def test_spaces_that_are_not_there(codec):
    coder = codec.learned[-1]
    vector = vector_spaces.vectors(1, DIMS, seed=10)[0]
    _, body, _ = coder.approximate(*nbmf.payload.to_canonical(vector), Aim())
    for space in (1, 3, 200):  # of other dims, or none
        with pytest.raises(CorruptBlob, match=f"space {space}"):
            coder.spaces.decode(space, body[1:], "float32", DIMS)


def test_it_travels(codec):
    vector = vector_spaces.vectors(1, DIMS, seed=11)[0]
    assert pickle.loads(pickle.dumps(codec)).encode(vector, "semantic") == codec.encode(vector, "semantic")


def test_golden_records_are_of_each_number_of_dims(folder, codec, monkeypatch):
    _, manifest, files = read_version(folder)
    records = json.loads(files[manifest.golden])["records"]
    assert sum("10" in record["bodies"] for record in records) == 2
    Codec.load(folder).warm_up()
    monkeypatch.setattr(Spaces, "decode", lambda *arguments: bytes(4 * arguments[-1]))
    with pytest.raises(nbmf.errors.InexactMachine):
        Codec.load(folder).encode(vector_spaces.vectors(1, DIMS)[0], "semantic")


@pytest.mark.parametrize("content", [b"", b"{}", bytes(100), b"\x02\0\0\0\0\0\0\0{}"])
def test_files_that_are_none(folder, content):
    version_id, manifest, files = read_version(folder)
    codec = Codec(version_id, manifest, {**files, "vectors-0.safetensors": content})
    with pytest.raises(DamagedCodec, match="vector space 0"):
        codec.encode(vector_spaces.vectors(1, DIMS)[0], "semantic")


def test_other_dims_than_the_manifest_says(folder):
    version_id, manifest, files = read_version(folder)
    codec = Codec(version_id, manifest, {**files, "vectors-0.safetensors": files["vectors-1.safetensors"]})
    with pytest.raises(DamagedCodec, match="96 dims"):
        codec.encode(vector_spaces.vectors(1, DIMS)[0], "semantic")


@pytest.mark.parametrize(
    "vectors",
    [
        {},
        "x",
        [1],
        [{"file": "a"}],
        [{"file": 1, "dims": 64}],
        [{"file": "a", "dims": 7}],
        [{"file": "a", "dims": True}],
        [{"file": "a", "dims": 64}] * 65,
    ],
)
def test_manifests_that_are_none(vectors):
    with pytest.raises((ValueError, TypeError)):
        Manifest.of(
            {"name": "x", "created_at": "2026", "architecture": "vectors", "files": {}, "vectors": vectors},
        )


@pytest.mark.parametrize("vectors", [None, []])
def test_manifests_without_spaces(vectors):
    fields = {"name": "x", "created_at": "2026", "architecture": "vectors", "files": {}, "vectors": vectors}
    assert Manifest.of(fields).vectors == []
