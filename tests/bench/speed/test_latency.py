"""`nbmf bench latency`: records by size, each coded by every codec, and a codec that decodes wrongly is found out."""

import json

import pytest
import synthetic

from bench.records import BenchRecord
from bench.speed import latency, timed
from nbmf import Codec
from nbmf.payload import Kind

FIELDS = ("--payload-field", "payload", "--set-field", "set")
PEERS = ["zstd-19", "brotli-11"]
WITH_TRAINING = ["zstd-19+dict", "PPMd-6 primed", "PPMd-6 warm"]


def texts(*sizes):
    return [BenchRecord("s", Kind.TEXT, bytes([97 + number % 26]) * size) for number, size in enumerate(sizes)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Five short notes, three of about 1 kB, an empty one, and one that is too long."""
    payloads = [*["a short note of some words, and no more than that"] * 5, *["word " * 200] * 3, "", "x" * 12_001]
    lines = [{"set": "s", "payload": payload} for payload in payloads]
    return synthetic.write_jsonl(tmp_path_factory.mktemp("data") / "data.jsonl", lines)


def test_the_command(nbmf_command, data, training_file, small_version, tmp_path):
    options = ("--per-size", 3, "--json", tmp_path / "report.json")
    result = nbmf_command(
        "bench", "latency", "--data", data, "--train", training_file, *FIELDS, *small_version.options, *options
    )
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["codec"] == small_version.id
    assert report["left_out"] == {"above 12000 bytes": 1, "empty": 1}
    assert [(row["size_bytes"], row["found"], row["records"]) for row in report["buckets"]] == [
        (100, 5, 3),
        (1000, 3, 3),
    ]
    assert (report["records"], report["payload_bytes"]) == (6, sum(row["payload_bytes"] for row in report["buckets"]))
    codecs = ["nbmf max", "nbmf fast", *PEERS, *WITH_TRAINING]
    assert list(report["totals"]) == codecs
    for row in report["buckets"]:
        assert list(row["codecs"]) == codecs
        for measured in row["codecs"].values():
            for times in measured.values():
                assert 0 < times["p50"] <= times["p95"]
        primed, warm = row["codecs"]["PPMd-6 primed"], row["codecs"]["PPMd-6 warm"]
        assert primed["decode_ms"]["p50"] > warm["decode_ms"]["p50"]
    assert "decode_us_per_token" in report["totals"]["nbmf fast"]
    assert "decode_us_per_token" not in report["totals"]["zstd-19"]
    codec = Codec.load(small_version.registry / "versions" / small_version.id)
    chosen = ["a short note of some words, and no more than that"] * 3 + ["word " * 200] * 3
    coded = sum(len(codec.encode(payload, effort="max")) for payload in chosen)
    assert report["totals"]["nbmf max"]["total_ratio"] == round(report["payload_bytes"] / coded, 4)
    assert report["machine"]["cores"] >= 1
    assert "1 records left out: above 12000 bytes" in result.out.decode()


def test_without_training_or_version(nbmf_command, data, tmp_path):
    options = ("--codec", "none", "--effort", "fast", "--json", tmp_path / "report.json")
    result = nbmf_command("bench", "latency", "--data", data, *FIELDS, *options)
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert list(report["totals"]) == ["nbmf fast", *PEERS]
    assert (report["codec"], report["tokens"]) == (None, None)


@pytest.mark.parametrize(
    ("size", "bucket"),
    [(0, None), (1, 100), (158, 100), (159, 250), (353, 250), (354, 500), (5656, 4000), (5657, 8000), (12_000, 8000)],
)
def test_the_nearest_size(size, bucket):
    assert latency.bucket_of(size) == bucket


def test_records_above_the_limit_have_no_size():
    assert latency.bucket_of(latency.MAX_BYTES + 1) is None


def test_records_are_spaced_through_the_file():
    records = texts(*[100] * 10, 2000, *[100] * 10)
    few, one = latency.pick(records, 4)
    assert [records.index(record) for record in few.records] == [0, 5, 11, 16]
    assert (few.size_bytes, few.found, one.size_bytes, one.found) == (100, 20, 2000, 1)
    assert latency.pick(records, 4) == [few, one]


def test_sizes_take_turns():
    buckets = latency.pick(texts(100, 100, 100, 1000, 8000, 8000), 60)
    assert [size for size, _ in latency.in_turn(buckets)] == [100, 1000, 8000, 100, 8000, 100]


def test_a_version_that_decodes_wrongly(error_of, data, small_version, monkeypatch):
    decode = Codec.decode

    def planted(self, blob, **options):
        value = decode(self, blob, **options)
        return value[:-1] + "?" if len(value) == 1000 else value

    monkeypatch.setattr(Codec, "decode", planted)
    message = error_of("bench", "latency", "--data", data, *FIELDS, *small_version.options)
    assert message.startswith("nbmf: not_equal: nbmf max: a record of set s with 1000 bytes ('word ")


@pytest.mark.parametrize("wrong", [b"?" * 10, b""])
def test_a_peer_that_decodes_wrongly(wrong):
    peer = timed.Peer("wrong", lambda data: data, lambda *_: wrong)
    with pytest.raises(timed.NotEqual, match="wrong: a record of set s with 10 bytes"):
        peer.measure(texts(10))


def test_primed_ppmd_counts_what_ratio_counts():
    from bench.peers import primed_ppmd

    prime = b"".join(record.canonical for record in texts(*range(50, 90)))
    records = texts(300, 17, 1)
    for found in timed.PrimedPpmd(prime).measure(records):
        assert found.coded_bytes == sum(primed_ppmd(prime)([record.canonical for record in records]))


def test_no_record_of_a_size(error_of, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "data.jsonl", ["x" * 12_001, ""])
    message = error_of("bench", "latency", "--data", path, "--codec", "none")
    assert message.startswith("nbmf: nothing_to_measure: none of the 2 records has 1 to 12,000 bytes")


def test_too_few_records_for_a_dictionary(error_of, data, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "train.jsonl", [{"payload": "one", "set": "a"}])
    message = error_of("bench", "latency", "--data", data, *FIELDS, "--train", path, "--codec", "none")
    assert message.startswith("nbmf: nothing_to_measure: zstd makes no dictionary of the 1 records of --train")


def test_a_package_that_is_not_installed(error_of, data, monkeypatch):
    from bench import extra

    monkeypatch.setattr(extra, "find_spec", lambda name: None if name == "pyppmd" else name)
    message = error_of("bench", "latency", "--data", data, "--codec", "none")
    assert message.startswith("nbmf: missing_package: pyppmd not installed")
    assert "pip install '.[bench]'" in message
