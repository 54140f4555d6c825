"""The version that ships inside the package: found, whole, exact on records it has never seen."""

import inspect as source
import json
import subprocess
import sys
import tokenize

import pytest

import nbmf
from nbmf import _core, builtin
from nbmf.catalog import Catalog
from nbmf.coders import NeuralCoder
from nbmf.decoding import parse_bounded
from nbmf.manifest import is_id, read_version
from nbmf.payload import to_canonical

MAX_BYTES, MAX_COUNTS_BYTES = 21_000_000, 10_500_000  # the wheel is to be no more than 32 MB
RECORDS = [
    "Remember that Anna prefers the window seat, and that the invoice of March is still open.",
    [
        {"role": "user", "content": "Which train do I take to be in Lyon before nine?"},
        {"role": "assistant", "content": "The 6:58 from Gare de Lyon arrives at 8:56."},
    ],
    {"type": "function", "name": "get_weather", "parameters": {"city": "Oslo", "units": "metric", "days": 3}},
    str(source.getdoc(json.dumps)),
    str(source.getdoc(tokenize)) * 3,
]
FOREIGN = "日本語と ascii とを混ぜた記録 🎉"


@pytest.fixture(scope="module")
def folder():
    return builtin.FOLDER / (builtin.FOLDER / "DEFAULT").read_text().strip()


@pytest.fixture(scope="module")
def codec(folder):
    return nbmf.Codec(*read_version(folder))


def test_versions_are_whole_and_named_by_their_content():
    folders = [p for p in builtin.FOLDER.iterdir() if is_id(p.name)]
    assert folders
    for path in folders:
        assert read_version(path)[0] == path.name


def test_the_default_is_small_enough_and_says_where_it_comes_from(codec, folder):
    counts = folder / codec.manifest.counts.counts
    assert counts.stat().st_size <= MAX_COUNTS_BYTES
    assert sum(p.stat().st_size for p in folder.iterdir() if p != counts) <= MAX_BYTES
    assert codec.manifest.neural
    assert not codec.manifest.dictionaries  # a dictionary would be passages of the training data
    assert "CC BY 4.0" in (folder / "attribution.md").read_text()


@pytest.mark.parametrize("payload", RECORDS, ids=lambda p: str(p)[:20])
def test_records_round_trip_and_shrink(codec, payload):
    blob = codec.encode(payload)
    assert nbmf.inspect(blob).coder == "neural"
    assert codec.decode(blob) == payload
    assert len(blob) < 0.75 * len(nbmf.Codec().encode(payload))
    # Any catalogue finds the built-in version, by the two bytes in the blob.
    assert Catalog().decode_canonical(parse_bounded(blob, 1 << 20)) == to_canonical(payload)[1]


def test_scripts_that_the_vocabulary_does_not_know_round_trip(codec):
    assert codec.decode(codec.encode(FOREIGN)) == FOREIGN


def test_an_installation_encodes_with_it_at_once():
    code = (
        "import nbmf, sys; blob = nbmf.encode('Remember the milk, and to call Anna on Friday.');"
        "assert nbmf.inspect(blob).coder in ('neural', 'counts'), nbmf.inspect(blob);"
        "assert nbmf.decode(blob).endswith('Friday.');"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_of_a_record_over_the_budget_the_network_takes_what_it_has_time_for(codec):
    text = str(source.getdoc(json)) + str(source.getdoc(tokenize)) + str(source.getdoc(subprocess))
    (network,) = (coder for coder in codec.coders.by_number.values() if isinstance(coder, NeuralCoder))
    whole_ms = network.decode_ms(text.encode())
    coders, sizes = {}, []
    for share in (1.01, 0.9, 0.5, 0.2, 0.045, 0.001):
        blob = codec.encode(text, latency_budget_ms=share * whole_ms)
        assert codec.decode(blob) == text
        coders[share] = nbmf.inspect(blob).coder
        sizes.append(len(blob))
    assert coders == {1.01: "neural", 0.9: "windows", 0.5: "windows", 0.2: "windows", 0.045: "counts", 0.001: "deflate"}
    assert sizes == sorted(sizes)


@pytest.mark.parametrize(("cpu", "us"), [("avx512", 0.25), ("avx2", 0.5), ("neon", None)])
def test_budgets_go_by_what_this_release_takes_on_such_a_processor(codec, folder, monkeypatch, tmp_path, cpu, us):
    """The manifest says what an older one took, somewhere."""
    (tmp_path / "SPEED.json").write_text(json.dumps({folder.name: {"counts": {"avx512": 0.25, "avx2": 0.5}}}))
    monkeypatch.setattr(builtin, "_SPEED", tmp_path / "SPEED.json")
    monkeypatch.setattr(_core, "cpu", lambda: cpu)
    as_made = read_version(folder)[1]
    ours = builtin.load.__wrapped__(folder).manifest
    assert ours.counts.decode_us_per_token == (us or as_made.counts.decode_us_per_token)
    assert ours.neural == as_made.neural
    assert builtin.load(folder).id == folder.name


def test_what_the_release_takes_is_said_of_parts_and_processors_that_there_are(folder):
    speeds = json.loads(builtin._SPEED.read_text())
    assert set(speeds) <= {path.name for path in builtin.FOLDER.iterdir() if path.is_dir()}
    manifest = read_version(folder)[1]
    for name, by_cpu in speeds[folder.name].items():
        assert getattr(manifest, name).decode_us_per_token > 0
        assert set(by_cpu) <= {"avx512", "avxvnni", "avx2", "sse41", "neon_dot", "neon", "plain"}
        assert all(us > 0 for us in by_cpu.values())


def test_a_process_that_encodes_and_decodes_has_it_once():
    code = (
        "import nbmf; from nbmf import builtin, catalog; blob = nbmf.encode('Remember the milk, and to call Anna.');"
        "nbmf.decode(blob); codec = builtin.default_codec();"
        "assert list(catalog.default_catalog()._codecs.values()) == [codec]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
