"""Counts as rungs of the ladder: which coder takes what, limits, budgets, missing parts, older readers."""

import pickle
import subprocess
import sys

import counts_versions
import networks
import pytest
from damage import check_damage

import nbmf
from nbmf import Codec, errors, frame, manifest
from nbmf.coders import CountsCoder, NeuralCoder
from nbmf.decoding import parse_bounded
from nbmf.manifest import read_version
from nbmf.payload import from_canonical


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("counts-versions")


@pytest.fixture(scope="module")
def counts_version(files_with_counts, folder):
    return counts_versions.write_counts_version(folder, files_with_counts, network=False)


@pytest.fixture(scope="module")
def both_version(files_with_counts, folder):
    return counts_versions.write_counts_version(folder, files_with_counts, network=True)


@pytest.fixture(scope="module")
def loaded(counts_version):
    return Codec(*read_version(counts_version))


@pytest.fixture(scope="module")
def both(both_version):
    return Codec(*read_version(both_version))


@pytest.fixture(scope="module")
def payloads():
    samples = [s for s in networks.sample_records() if 100 < len(s.canonical) <= counts_versions.NETWORK_LIMIT]
    return [from_canonical(s.kind, s.canonical) for s in samples[::8]]


def coded_by(coder, codec, payload):
    kind, canonical = nbmf.payload.to_canonical(payload)
    body = next(c for c in codec.coders.by_number.values() if type(c) is coder).encode(kind, canonical)
    return frame.pack(kind, coder.number, "lossless", codec.reference, codec.coders.seed, canonical, body)


def test_records_are_coded_by_counts(loaded, payloads):
    """What was counted, they code smaller than any coder without a version."""
    for payload in payloads:
        blob = loaded.encode(payload)
        info = nbmf.inspect(blob)
        assert (info.coder, info.codec) == ("counts", loaded.id[:4])
        assert loaded.decode(blob) == payload
        assert len(blob) < len(Codec().encode(payload))


def test_longer_records_are_left_to_zstd(loaded):
    payload = "a long text of some kind, " * (counts_versions.COUNTS_LIMIT // 20)
    blob = loaded.encode(payload)
    assert nbmf.inspect(blob).coder == "zstd"
    assert loaded.decode(blob) == payload
    longest = "b" * (counts_versions.COUNTS_LIMIT + 1)
    coder = next(c for c in loaded.coders.by_number.values() if isinstance(c, CountsCoder))
    assert coder.encode(nbmf.payload.Kind.TEXT, longest.encode()) is None
    assert coder.encode(nbmf.payload.Kind.TEXT, longest[:-1].encode()) is not None


def test_other_kinds_and_nothing_are_left_to_other_coders(loaded):
    for payload in (bytes(range(256)) * 2, b"", ""):
        assert nbmf.inspect(loaded.encode(payload)).coder not in ("counts", "neural")
        assert loaded.decode(loaded.encode(payload)) == payload


def test_both_rungs_of_a_version_decode(both, payloads):
    for payload in payloads[::3]:
        for coder in (CountsCoder, NeuralCoder):
            blob = coded_by(coder, both, payload)
            assert nbmf.inspect(blob).coder == coder.name
            assert both.decode(blob) == payload
        smallest = min(len(coded_by(c, both, payload)) for c in (CountsCoder, NeuralCoder))
        assert len(both.encode(payload, effort="max")) <= smallest


def test_beyond_the_networks_limit_counts_code(both):
    sample = next(s for s in networks.sample_records() if 2000 < len(s.canonical) <= counts_versions.COUNTS_LIMIT)
    payload = from_canonical(sample.kind, sample.canonical)
    blob = both.encode(payload)
    assert nbmf.inspect(blob).coder == "counts"
    assert both.decode(blob) == payload


def test_a_latency_budget_chooses_between_network_and_counts(both, payloads):
    """5 and 50 microseconds a byte."""
    payload = payloads[0]
    size = len(nbmf.payload.to_canonical(payload)[1])
    neither, counts = (both.encode(payload, latency_budget_ms=size * us / 1000) for us in (4, 6))
    assert nbmf.inspect(neither).coder not in ("counts", "neural")
    assert nbmf.inspect(counts).coder == "counts"
    assert both.decode(neither) == both.decode(counts) == payload


def test_damage_is_a_typed_error_or_the_right_payload(loaded, payloads):
    assert sum(check_damage(loaded, payload, loaded.encode(payload)) for payload in payloads[:6]) > 100


def test_a_declared_length_beyond_the_limit_costs_nothing(loaded, payloads):
    parsed = parse_bounded(loaded.encode(payloads[0]), 1 << 30)
    forged = frame.pack(parsed.kind, CountsCoder.number, "lossless", loaded.reference, b"", bytes(5000), parsed.body)
    with pytest.raises(errors.CorruptBlob, match=r"counts coder takes no .* of 5000 bytes"):
        loaded.decode(forged)


def test_a_version_without_counts_says_so(loaded, payloads, version):
    network = Codec(*read_version(version))
    network.id, network.coders.seed = loaded.id, loaded.coders.seed
    with pytest.raises(errors.CorruptBlob, match=r"counts, which .* does not have"):
        network.decode(loaded.encode(payloads[0]))


def test_a_reader_of_version_1_refuses_it(counts_version, both_version, version, monkeypatch):
    monkeypatch.setattr(manifest, "READER", 1)
    for folder in (counts_version, both_version):
        with pytest.raises(errors.UnsupportedFormat, match="up to 2; this nbmf has 1"):
            Codec.load(folder)
    assert read_version(version)[1].neural


def test_manifests_without_counts_stay_readable_by_a_reader_of_version_1(version):
    assert read_version(version)[1].minimum_reader == 1


def test_a_listed_file_must_be_there(files_with_counts, tmp_path):
    folder = counts_versions.write_counts_version(tmp_path, files_with_counts, network=True)
    (folder / counts_versions.COUNTS_FILE).unlink()
    with pytest.raises(errors.DamagedCodec, match=r"counts\.zst is missing"):
        Codec.load(folder)


def test_a_file_that_is_named_must_be_listed(files_with_counts, tmp_path):
    """Whichever part names the counts."""
    part = {"max_payload_bytes": 1, "decode_us_per_byte": 1.0, "counts": counts_versions.COUNTS_FILE}
    for learned, names in (
        ("counts", {name: networks.FILES[name] for name in ("tokenizer", "constants")}),
        ("neural", networks.FILES),
    ):
        files = {name: files_with_counts[name] for name in names.values()}
        fields = {"name": "n", "created_at": "", "architecture": "", learned: {**part, **names}}
        with pytest.raises(errors.DamagedCodec, match=r"counts\.zst"):
            read_version(tmp_path / manifest.write_version(tmp_path, fields, files))


def test_counts_of_another_vocabulary_are_a_corrupt_version(files_with_counts, tmp_path):
    other = networks.vocabulary(networks.sample_records()[::2], 300).to_str().encode()
    files = {**files_with_counts, networks.FILES["tokenizer"]: other}
    codec = Codec(*read_version(counts_versions.write_counts_version(tmp_path, files, network=False)))
    with pytest.raises((errors.NbmfError, ValueError), match="vocabulary"):
        codec.encode("a text of some words, which the counts would take")


def test_a_codec_travels_to_other_processes(both, payloads):
    blob = coded_by(CountsCoder, both, payloads[0])
    assert pickle.loads(pickle.dumps(both)).decode(blob) == payloads[0]


def test_decoding_imports_no_torch(counts_version, loaded, payloads, tmp_path):
    (tmp_path / "blob").write_bytes(loaded.encode(payloads[0]))
    code = (
        "import sys, nbmf; from pathlib import Path;"
        f"codec = nbmf.load({str(counts_version)!r});"
        "assert 'tokenizers' not in sys.modules;"
        f"codec.decode(Path({str(tmp_path / 'blob')!r}).read_bytes());"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
