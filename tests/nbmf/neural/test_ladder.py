"""The network as a rung of the ladder: whole blobs, limits, budgets, damage, missing and altered versions."""

import pickle
import subprocess
import sys

import networks
import pytest
from damage import check_damage

import nbmf
from nbmf import Codec, errors, frame
from nbmf.catalog import Catalog
from nbmf.coders import NeuralAloneCoder, NeuralCoder
from nbmf.decoding import parse_bounded
from nbmf.manifest import read_version, write_version
from nbmf.payload import from_canonical

MESSAGES = [{"role": "user", "content": "numpy.linalg.solve"}, {"role": "user", "content": "numpy.linalg.qr"}]


@pytest.fixture(scope="module")
def loaded(version):
    return Codec(*read_version(version))


@pytest.fixture(scope="module")
def samples():
    return [sample for sample in networks.sample_records()[::4] if len(sample.canonical) <= 2000]


@pytest.fixture(scope="module")
def blobs(loaded, samples):
    """Blobs that the network coded. It has learnt nothing, so the ladder would often take another rung."""
    coder = loaded.coders.by_number[NeuralAloneCoder.number]
    found = []
    for sample in samples:
        body = coder.encode(sample.kind, sample.canonical)
        blob = frame.pack(
            sample.kind, coder.number, "lossless", loaded.reference, loaded.coders.seed, sample.canonical, body
        )
        found.append((from_canonical(sample.kind, sample.canonical), blob))
    return found


def test_blobs_decode_and_say_what_they_are(loaded, blobs):
    for payload, blob in blobs:
        assert loaded.decode(blob) == payload
        assert nbmf.inspect(blob).coder == "neural"
        assert nbmf.inspect(blob).codec == loaded.id[:4]


def test_header_and_checksum_take_seven_bytes(loaded, blobs):
    for _, blob in blobs:
        parsed = parse_bounded(blob, 1 << 30)
        assert len(blob) - len(parsed.body) == 7


def test_the_smallest_rung_is_taken(loaded):
    blob = loaded.encode(MESSAGES, effort="max")
    assert loaded.decode(blob) == MESSAGES
    assert len(blob) <= len(Codec().encode(MESSAGES))


def test_other_kinds_and_long_payloads_are_left_to_other_coders(loaded):
    for payload in (b"bytes of some length", "", "long text " * 1000):
        assert nbmf.inspect(loaded.encode(payload)).coder != "neural"
        assert loaded.decode(loaded.encode(payload)) == payload


def test_a_latency_budget_leaves_the_network_out(loaded):
    coder = loaded.coders.by_number[NeuralAloneCoder.number]
    repeated = [MESSAGES[0]] * 3
    assert coder.decode_ms(b"x" * 1000) == 50.0
    fast = loaded.encode(repeated, latency_budget_ms=0.001)
    assert nbmf.inspect(fast).coder != "neural"
    assert loaded.decode(fast) == repeated


def test_damage_is_a_typed_error_or_the_right_payload(loaded, blobs):
    assert sum(check_damage(loaded, payload, blob) for payload, blob in blobs[:12]) > 200


def test_a_declared_length_beyond_the_limit_costs_nothing(loaded, blobs):
    _, blob = blobs[0]
    parsed = parse_bounded(blob, 1 << 30)
    forged = frame.pack(parsed.kind, NeuralCoder.number, "lossless", loaded.reference, b"", bytes(5000), parsed.body)
    with pytest.raises(errors.CorruptBlob, match="5000 bytes"):
        loaded.decode(forged)


def test_a_missing_version_is_no_corruption(blobs, tmp_path):
    parsed = parse_bounded(blobs[0][1], 1 << 30)
    with pytest.raises(errors.UnknownCodec):
        Catalog([tmp_path]).decode_canonical(parsed)


def test_a_version_without_the_network_says_so(blobs, loaded, tmp_path):
    manifest = {"name": "n", "created_at": "", "architecture": "none"}
    other = Codec(*read_version(tmp_path / write_version(tmp_path, manifest, {})))
    other.id = loaded.id
    other.coders.seed = loaded.coders.seed
    with pytest.raises(errors.CorruptBlob, match="does not have"):
        other.decode(blobs[0][1])


@pytest.mark.parametrize("part", networks.FILES)
def test_altered_files_are_noticed(files, part, tmp_path):
    folder = networks.write_neural_version(tmp_path, files)
    path = folder / networks.FILES[part]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(errors.DamagedCodec, match="altered"):
        Codec.load(folder)


def test_a_codec_travels_to_other_processes(loaded, blobs):
    assert pickle.loads(pickle.dumps(loaded)).decode(blobs[0][1]) == blobs[0][0]


def test_decoding_imports_no_torch(version, blobs, tmp_path):
    (tmp_path / "blob").write_bytes(blobs[0][1])
    code = (
        "import sys, nbmf; from pathlib import Path;"
        f"codec = nbmf.load({str(version)!r});"
        "assert 'tokenizers' not in sys.modules;"
        f"codec.decode(Path({str(tmp_path / 'blob')!r}).read_bytes());"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
