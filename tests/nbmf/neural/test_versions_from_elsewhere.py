"""Versions whose files are not what a version holds: DamagedCodec, before anything is computed with them."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import zstandard
from safetensors.numpy import load, save

import nbmf
from nbmf import Codec, coders, frame, manifest
from nbmf.catalog import Catalog
from nbmf.decoding import parse_bounded
from nbmf.errors import CorruptBlob, DamagedCodec, UnsupportedFormat
from nbmf.neural import tensors
from nbmf.neural.batches import CoreBatches
from nbmf.neural.tokenizer import NeuralTokenizer
from nbmf.payload import Kind

GOLDEN = Path(__file__).parents[2] / "golden" / "versions"
MANIFESTS = {folder: json.loads((folder / manifest.MANIFEST).read_text()) for folder in GOLDEN.iterdir()}
(FOLDER,) = (folder for folder, fields in MANIFESTS.items() if fields["name"] == "golden-hybrid-counts")
MANIFEST = MANIFESTS[FOLDER]
FILES = {name: (FOLDER / name).read_bytes() for name in MANIFEST["files"]}
MODEL, COUNTS, MIXED, TOKENIZER = "model.safetensors", "counts.zst", "adaptation.mixed.safetensors", "tokenizer.json"
TEXT = "Remember that Anna prefers the WINDOW seat. "


def written(parent, **files):
    """A version like the golden one, with other files; and what its manifest says besides."""
    fields = {key: value for key, value in MANIFEST.items() if key not in ("files", "salt")}
    of_manifest = files.pop("manifest", {})
    return parent / manifest.write_version(parent, fields | of_manifest, FILES | files)


def loaded(folder):
    return Codec(*manifest.read_version(folder))


def header_of(data):
    size = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def with_header(header, rest):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + rest


def model_with(**config):
    header, rest = header_of(FILES[MODEL])
    sizes = json.loads(header["__metadata__"]["config"]) | config
    header["__metadata__"]["config"] = json.dumps(sizes)
    return with_header(header, rest)


def arrays_with(name, data, change):
    arrays = {key: array.copy() for key, array in load(data).items()}
    arrays[name] = change(arrays[name])
    return save(arrays, metadata=header_of(data)[0].get("__metadata__"))


def filled(value):
    def change(array):
        array.reshape(-1)[:1] = value
        return array

    return change


SIZES = [
    {"d_model": 24}, {"d_model": 1.5}, {"d_model": 0}, {"d_shift": 5000}, {"d_memory": 4}, {"bigram_bits": 31},
    {"trigram_bits": -1}, {"n_layers": 0}, {"n_layers": 10**9, "layer_kinds": ""},
    {"n_layers": 65, "layer_kinds": "a" * 65},
    {"n_heads": 0}, {"n_heads": 3}, {"vocab_size": "512"}, {"vocab_size": 10**30}, {"window": True}, {"window": 501},
    {"rotary_period": 2}, {"rotary_period": 10**30}, {"layer_kinds": 5}, {"layer_kinds": "xy"}, {"n_clusters": 5000},
    {"cluster_size": 31}, {"unknown": 1},
]  # fmt: skip
CONSTANTS = [
    ("prior_SE", -1.0), ("prior_SE", np.nan), ("copy_SLB", np.nan), ("copy_strength_S", -2.0), ("share_S", np.nan),
    ("gate_rate_S", np.inf), ("discount_K", 2.0), ("gate_SGE", -1.0), ("network_share_SOCC", 1.5), ("spread_K", np.inf),
]  # fmt: skip
WEIGHTS = [
    ("expand_scale_LF", filled(np.nan)), ("norm_factor_N", filled(np.inf)),
    ("attention_exp", lambda array: array[:0]), ("attention_exp", filled(-1)), ("frequency_exp", filled(0)),
    ("rotary_turns_K", filled(1 << 30)), ("embedding_ID", lambda array: array.astype(np.int16)),
    ("embedding_ID", lambda array: array.T.copy()), ("head_VD", filled(-128)),
    ("rotary_cos_P", lambda array: array[:-1]),
    ("expand_LFD", lambda array: array.reshape(-1)), ("bigram_RM", lambda array: array[:1]),
]  # fmt: skip


@pytest.mark.parametrize("config", SIZES, ids=str)
def test_sizes_of_a_network(tmp_path, config):
    with pytest.raises(DamagedCodec):
        loaded(written(tmp_path, **{MODEL: model_with(**config)})).encode(TEXT, effort="max")


@pytest.mark.parametrize(("name", "value"), CONSTANTS)
def test_constants(tmp_path, name, value):
    data = arrays_with(name, FILES[MIXED], filled(value))
    with pytest.raises(DamagedCodec, match="out of range"):
        loaded(written(tmp_path, **{MIXED: data})).encode(TEXT, effort="max")


@pytest.mark.parametrize(("name", "change"), WEIGHTS)
def test_arrays_of_a_network(tmp_path, name, change):
    data = arrays_with(name, FILES[MODEL], change)
    with pytest.raises(DamagedCodec):
        loaded(written(tmp_path, **{MODEL: data})).encode(TEXT, effort="max")


@pytest.mark.parametrize("name", [MODEL, COUNTS, MIXED, TOKENIZER])
@pytest.mark.parametrize(
    "content",
    [b"", b"junk", b"\xff" * 20, b"\x08" + bytes(7) + b"[1,2,3] ", b"\x02" + bytes(7) + b"{}", b"[" * 100_000, b"{}",
     b'{"model": {"type": "BPE"}}'],
    ids=range(8),
)  # fmt: skip
def test_files_of_something_else(tmp_path, name, content):
    codec = loaded(written(tmp_path, **{name: content}))
    with pytest.raises(DamagedCodec, match="the version's files for its"):
        codec.encode(TEXT, effort="max")
    assert codec.decode(nbmf.Codec().encode(TEXT)) == TEXT  # without a learned part


def test_a_blob_that_names_a_damaged_version(tmp_path):
    """It is not corrupt, and others of its batch are decoded."""
    folder = written(tmp_path, **{COUNTS: b"junk"})
    good = nbmf.Codec().encode(TEXT)
    bad = frame.pack(Kind.TEXT, 5, "lossless", bytes.fromhex(folder.name[:4]), bytes(32), TEXT.encode(), b"body")
    of_dictionary = frame.pack_stored(Kind.TEXT, b"x")
    for decode in (loaded(folder).decode_canonical_batch, Catalog([tmp_path]).decode_canonical_batch):
        results = decode([parse_bounded(blob, 1000) for blob in (good, bad, of_dictionary)])
        assert results[0] == TEXT.encode()
        assert type(results[1]) is DamagedCodec
        assert results[2] == b"x"


def test_a_bomb_of_counts_is_refused_before_it_expands(tmp_path):
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 28))
    with pytest.raises(DamagedCodec, match=f"{len(bomb)} bytes that expand to {1 << 28}"):
        loaded(written(tmp_path, **{COUNTS: bomb})).encode(TEXT, effort="fast")


def test_arrays_that_overlap(tmp_path):
    """Steps become tokens in place: in an array that is checked as another, too, that would undo the check."""
    content = zstandard.ZstdDecompressor().decompress(FILES[COUNTS])
    header, rest = header_of(content)
    header["step_high_N"]["data_offsets"] = header["code_N"]["data_offsets"]
    with pytest.raises(ValueError, match="overlap"):
        tensors.views(with_header(header, rest))
    counts = zstandard.ZstdCompressor(level=1).compress(with_header(header, rest))
    with pytest.raises(DamagedCodec, match="overlap"):
        loaded(written(tmp_path, **{COUNTS: counts})).encode(TEXT, effort="fast")


def test_arrays_that_are_not_aligned_are_read():
    header, rest = header_of(FILES[MIXED])
    text = json.dumps(header).encode()
    text += b" " * (1 - len(text) % 8)
    found, _ = tensors.views(len(text).to_bytes(8, "little") + text + rest)
    for name, array in load(FILES[MIXED]).items():
        assert np.array_equal(found[name], array)
        assert memoryview(found[name]).format == "d"


LOSING = {
    "lower case": {"normalizer": {"type": "Lowercase"}},
    "cut off": {"truncation": {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}},
    "prefix": {"normalizer": {"type": "Prepend", "prepend": "x"}},
}


@pytest.mark.parametrize("change", LOSING.values(), ids=LOSING)
@pytest.mark.parametrize("effort", ["max", "auto", "fast"])
def test_a_vocabulary_that_would_not_give_records_back(tmp_path, change, effort):
    """Nothing is coded with what asks for more than pairs of bytes to be merged."""
    tokenizer = json.dumps(json.loads(FILES[TOKENIZER]) | change).encode()
    codec = loaded(written(tmp_path, **{TOKENIZER: tokenizer}))
    with pytest.raises(DamagedCodec, match=next(iter(change))):
        codec.encode(TEXT, effort=effort)


def test_tokens_are_looked_at_before_they_are_coded(monkeypatch):
    codec = loaded(FOLDER)
    monkeypatch.setattr(NeuralTokenizer, "decode", lambda *_: b"something else")
    blob = codec.encode(TEXT * 20, effort="max")
    assert nbmf.inspect(blob).coder not in ("neural", "counts")
    assert codec.decode(blob) == TEXT * 20


def test_numbers_that_give_no_probabilities_are_the_versions_fault(monkeypatch):
    codec = loaded(FOLDER)
    network = next(coder for coder in codec.learned if isinstance(coder, coders.NeuralCoder))
    blob = codec.encode(TEXT * 3, effort="max")

    class Broken:
        def __getattr__(self, name):
            raise ValueError("the version's numbers give no probabilities")

    for coder in (network, next(coder for coder in codec.learned if isinstance(coder, coders.CountsCoder))):
        monkeypatch.setattr(coder.codec(), "_core_batches", CoreBatches(Broken()))
    for work in (lambda: codec.encode(TEXT, effort="max"), lambda: codec.decode(blob)):
        with pytest.raises(DamagedCodec, match="no probabilities"):
            work()


def test_a_version_may_not_ask_for_any_length(tmp_path, monkeypatch):
    part = MANIFEST["counts"] | {"max_payload_bytes": 1 << 40}
    codec = loaded(written(tmp_path, manifest={"counts": part, "neural": None}))
    coder = next(coder for coder in codec.learned if isinstance(coder, coders.CountsCoder))
    body = coder.encode(Kind.TEXT, TEXT.encode())
    with pytest.raises(CorruptBlob, match="takes no text of 5000000 bytes; NBMF_MAX_LEARNED_BYTES=5000000 allows it"):
        coder.decode(Kind.TEXT, body, 5_000_000)
    monkeypatch.setenv("NBMF_MAX_LEARNED_BYTES", "10")
    assert coder.encode(Kind.TEXT, TEXT.encode()) is None
    monkeypatch.setenv("NBMF_MAX_LEARNED_BYTES", "much")
    with pytest.raises(ValueError, match="NBMF_MAX_LEARNED_BYTES is a number of bytes, not 'much'"):
        coder.decode(Kind.TEXT, body, len(TEXT))


def moved(folder, name):
    """A version's folder, and the path of a file that was taken out of it."""
    (folder / name).unlink()
    return folder / name


def test_only_regular_files_are_read(tmp_path):
    folder = written(tmp_path)
    for name in (MODEL, manifest.MANIFEST):
        content = (folder / name).read_bytes()
        path = moved(folder, name)
        path.symlink_to("/dev/zero")
        with pytest.raises(DamagedCodec, match="no regular file"):
            manifest.read_version(folder)
        path.unlink()
        os.mkfifo(path)  # nobody writes to it
        with pytest.raises(DamagedCodec, match="no regular file"):
            manifest.read_version(folder)
        path.unlink()
        (tmp_path / "elsewhere").write_bytes(content)
        path.symlink_to(tmp_path / "elsewhere")
        assert manifest.read_version(folder)[0] == folder.name
        path.unlink()
        path.write_bytes(content)


def test_sizes_are_looked_at_first(tmp_path, monkeypatch):
    folder = written(tmp_path)
    with (folder / MODEL).open("ab") as file:
        file.truncate(1 << 40)
    with pytest.raises(DamagedCodec, match=f"has {1 << 40} bytes, where {len(FILES[MODEL])} belong"):
        manifest.read_version(folder)
    os.truncate(folder / MODEL, len(FILES[MODEL]))
    assert manifest.read_version(folder)
    monkeypatch.setenv("NBMF_MAX_VERSION_BYTES", "1000")
    with pytest.raises(DamagedCodec, match="of which 1000 are read; NBMF_MAX_VERSION_BYTES allows more"):
        manifest.read_version(folder)
    monkeypatch.setenv("NBMF_MAX_VERSION_BYTES", "")
    assert manifest.read_version(folder)
    os.truncate(folder / manifest.MANIFEST, 1 << 40)
    with pytest.raises(DamagedCodec, match="at most belong"):
        manifest.read_version(folder)


@pytest.mark.parametrize("minimum", ["3", "1", None, 1.5, True, [], {}, -1])
def test_a_minimum_reader_is_a_number(tmp_path, minimum):
    (tmp_path / manifest.MANIFEST).write_text(json.dumps(MANIFEST | {"minimum_reader": minimum}))
    with pytest.raises(DamagedCodec, match="minimum_reader"):
        manifest.read_version(tmp_path)
    (tmp_path / manifest.MANIFEST).write_text(json.dumps(MANIFEST | {"minimum_reader": manifest.READER + 1}))
    with pytest.raises(UnsupportedFormat):
        manifest.read_version(tmp_path)


def test_a_corrupt_blob_of_a_version_of_which_another_part_is_damaged(tmp_path):
    folder = written(tmp_path, **{MODEL: b"junk"})
    codec = loaded(folder)
    blob = codec.encode(TEXT, effort="fast")
    assert nbmf.inspect(blob).coder == "counts"
    altered = blob[:-1] + bytes([blob[-1] ^ 1])
    by_network = frame.pack(Kind.TEXT, 4, "lossless", bytes.fromhex(folder.name[:4]), bytes(32), TEXT.encode(), b"body")
    results = Catalog([tmp_path]).decode_canonical_batch([parse_bounded(b, 99) for b in (blob, altered, by_network)])
    assert results[0] == TEXT.encode()
    assert isinstance(results[1], CorruptBlob)
    assert type(results[2]) is DamagedCodec
