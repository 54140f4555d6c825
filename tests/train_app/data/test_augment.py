"""`nbmf data augment`."""

import json

import pytest
import synthetic

from cluster.sources import JsonLines
from nbmf.payload import to_canonical
from train_app.data.side_files import read_samples
from train_app.samples.formats import KnownFormats


def lines_in(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def given(tmp_path):
    records = synthetic.records(90, seed=61)
    lines = [{"id": f"r{n}", "domain": type(r).__name__, "type": "text", "data": r} for n, r in enumerate(records)]
    lines[0]["type"], lines[0]["metadata"] = "code", {"n": 1}
    return synthetic.write_jsonl(tmp_path / "a.jsonl", [*lines, lines[1]])


def test_records_and_copies(nbmf_command, given, tmp_path):
    """The records as they were, each with its copies behind it, of its class; counted by augmentation."""
    out = tmp_path / "out.jsonl"
    options = ("--with", "key-order", "--with", "turns", "--with", "indent", "--json", tmp_path / "report.json")
    result = nbmf_command("data", "augment", "-r", given, *options, "-o", out)
    assert result.code == 0, result.err
    found, records = lines_in(out), lines_in(given)[:-1]
    originals = [line for line in found if "augmentation" not in (line.get("metadata") or {})]
    assert [(line["id"], line["domain"], line["data"]) for line in originals] == [
        (line["id"], line["domain"], line["data"]) for line in records
    ]
    assert originals[0]["metadata"] == {"n": 1}
    of = {line["id"]: line for line in records}
    copies = [line for line in found if line not in originals]
    for copy in copies:
        assert found[found.index(copy) - 1]["id"] == copy["metadata"]["of"]
        assert copy["id"] == f"{copy['metadata']['of']}~1"
        before = of[copy["metadata"]["of"]]
        assert copy["domain"] == before["domain"]
        assert to_canonical(copy["data"]) != to_canonical(before["data"])
    counts = {name: sum(one["metadata"]["augmentation"] == name for one in copies) for name in ("key-order", "turns")}
    assert counts["key-order"] >= 30  # of all dicts
    assert len(copies) == sum(counts.values())
    told = f"{out}: 90 records and {len(copies)} altered copies ({counts['key-order']} key-order, 0 indent, "
    assert f"{told}{counts['turns']} turns).\n" in result.out.decode().replace("\n ", " ")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report == {"records": 90, "duplicates": 1, "copies": counts, "seed": 1}


def test_it_is_read_as_training_reads(nbmf_command, given, tmp_path):
    """Copies too: their class is the record's, nothing but `data` is learnt, and none is there twice."""
    out = tmp_path / "out.jsonl"
    names = ("key-order", "key-names", "values", "indent", "roles", "turns")
    options = [part for name in names for part in ("--with", name)]
    assert nbmf_command("data", "augment", "-r", given, *options, "--copies", 3, "-o", out).code == 0
    source = KnownFormats(JsonLines((out,)))
    rows = [row for shard in source.plan() for row in read_samples(source, shard)]
    assert {row["format"] for row in rows} == {"envelope"}
    assert len({row["digest"] for row in rows}) == len(rows) > 250
    assert {row["group"] for row in rows} == {"str", "list", "dict"}


def test_the_seed_decides(nbmf_command, given, tmp_path):
    written = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        out = tmp_path / f"{name}.out"
        nbmf_command("data", "augment", "-r", given, "--with", "key-order", "--seed", seed, "-o", out)
        written.append(out.read_bytes())
    assert written[0] == written[1] != written[2]


def test_what_a_split_keeps_apart_is_refused(nbmf_command, given, tmp_path):
    folder, out = tmp_path / "split", tmp_path / "out.jsonl"
    nbmf_command("data", "split", given, "-o", folder, "--val-share", 0.2)
    refused = {"val.jsonl": "which a split keeps apart", "test.jsonl": "keeps apart", "": "all sides of a split"}
    for name, told in refused.items():
        result = nbmf_command("data", "augment", "-r", folder / name, "--with", "turns", "-o", out)
        assert result.code == 2
        message = " ".join(result.err.replace("│", " ").split())
        assert told in message
        assert "train.jsonl" in message
    assert not out.exists()
    assert nbmf_command("data", "augment", "-r", folder / "train.jsonl", "--with", "turns", "-o", out).code == 0


def test_user_errors(nbmf_command, error_of, given, tmp_path):
    out = tmp_path / "out.jsonl"
    out.write_text("of before")
    message = error_of("data", "augment", "-r", given, "--with", "roles", "--config", tmp_path / "no.yaml", "-o", out)
    assert "no.yaml" in message
    few = synthetic.write_jsonl(tmp_path / "few.jsonl", ["a text", None])
    message = error_of("data", "augment", "-r", few, "--with", "roles", "--with", "turns", "-o", out)
    assert message.startswith("nbmf: too_few_records: none of the 2 records can be altered by roles, turns: name other")
    assert "Left out 1 of 2 records" in message
    assert nbmf_command("data", "augment", "-r", given, "--with", "spelling", "-o", out).code == 2
    assert nbmf_command("data", "augment", "-r", given, "-o", out).code == 2
    assert nbmf_command("data", "augment", "-r", given, "--with", "turns", "-o", given).code == 2
    assert out.read_text() == "of before"


def test_what_is_left_out_is_told(nbmf_command, given, tmp_path):
    with given.open("ab") as file:
        file.write(b"{cut\n")
    result = nbmf_command("data", "augment", "-r", given, "--with", "turns", "-o", tmp_path / "out.jsonl")
    assert result.code == 3
    assert f"1 not_json: {given}:92" in result.out.decode()
