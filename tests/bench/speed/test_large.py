"""`nbmf bench large`: records of a size made of small ones, coded by each codec."""

import json
from itertools import pairwise

import pytest
import synthetic

from bench.records import BenchRecord, NothingToMeasure
from bench.speed import large
from bench.speed.tables import large_table
from cluster.progress import results
from nbmf.payload import Kind, from_canonical

FIELDS = ("--payload-field", "payload")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    lines = [{"payload": payload} for payload in synthetic.records(200, seed=4)]
    return synthetic.write_jsonl(tmp_path_factory.mktemp("large") / "data.jsonl", lines)


def test_the_command(nbmf_command, data, small_version, tmp_path):
    options = ("--size", 6_000, "--effort", "fast", "--effort", "auto", "--json", tmp_path / "report.json")
    result = nbmf_command("bench", "large", "--data", data, *FIELDS, *small_version.options, *options)
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["codec"] == small_version.id
    conversation, history = report["rows"]
    for row in report["rows"]:
        assert list(row["codecs"]) == ["zlib-9", "zstd-19", "zstd-22 long", "nbmf fast", "nbmf auto"]
        assert 6_000 <= row["payload_bytes"] < 12_000
    assert history["codecs"]["nbmf auto"]["coded_bytes"] < conversation["codecs"]["nbmf auto"]["coded_bytes"]
    out = result.out.decode()
    assert f"{history['codecs']['nbmf auto']['coded_bytes']:,}" in out
    assert "history 6,000" in out


def test_the_table_fits_a_terminal(capsys):
    found = {"coded_bytes": 1_384_527, "encode_s": 395.61, "decode_s": 0.00012}
    row = {"record": "conversation 5,000,000", "payload_bytes": 50_000_067, "codecs": {"zstd-22 long": found}}
    results().print(large_table({"rows": [row]}), width=80)
    said = capsys.readouterr().out
    for shown in ("conversation 5,000,000", "50,000,067", "zstd-22 long", "1,384,527", "36.11", "396", "decode s"):
        assert shown in said
    assert "…" not in said


def test_what_they_hold():
    small = [BenchRecord("s", Kind.TEXT, f"the {number}th of the messages".encode()) for number in range(300)]
    conversation, history = large.records(small, [4_000])
    messages = from_canonical(conversation.kind, conversation.canonical)["messages"]
    assert len({message["content"] for message in messages}) == len(messages)
    states = [s["values"]["messages"] for s in from_canonical(history.kind, history.canonical)["states"]]
    assert all(later[: len(state)] == state for state, later in pairwise(states))


def test_too_few():
    with pytest.raises(NothingToMeasure, match="too few for one of 4,000 bytes"):
        [*large.records([BenchRecord("s", Kind.TEXT, b"a note")], [4_000])]
