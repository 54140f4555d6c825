"""`nbmf data split`, and training on what it writes."""

import json
import random

import pytest
import synthetic
import yaml

from cluster.registry import Registry
from cluster.sources import open_source
from nbmf.payload import Kind, to_canonical
from train_app.data.side_files import line_of, written_before
from train_app.data.sides import SIDES, Sides
from train_app.samples.sample import Sample, digest_of, share

SHARES = ("--test-share", "0.2", "--val-share", "0.1")


def sample_of(record, group=""):
    kind, canonical = to_canonical(record)
    return Sample(kind, canonical, digest_of(kind, canonical), group)


def sides_in(folder):
    """Side by digest of all records in the files."""
    return {sample.digest: side for side, sample in written_before(folder)}


def test_sides_are_those_of_the_hash(nbmf_command, tmp_path):
    """Of records that are near to no other: by the number that training holds out by."""
    records = synthetic.records(400, seed=41)
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [*records, *records[:9], None])
    result = nbmf_command("data", "split", path, "-o", tmp_path / "split", *SHARES)
    assert result.code == 3, result.err
    report = json.loads((tmp_path / "split" / "split.json").read_text())
    assert (report["records"], report["duplicates"], report["rejected"]["null"]) == (410, 9, 1)
    found = sides_in(tmp_path / "split")
    assert len(found) == sum(one["records"] for one in report["sides"].values()) > 380
    others = 0
    for digest, side in found.items():
        at = share(digest)
        others += side != ("test" if at < 0.2 else "val" if at < 0.3 else "train")
    assert others == report["moved"] < 20
    (null,) = [
        line
        for line in map(json.loads, (tmp_path / "split" / "rejected.jsonl").read_text().splitlines())
        if line["reason"] == "null"
    ]
    assert null["place"] == f"{path}:410"


def test_the_default_is_what_training_holds_out(nbmf_command, ray_session, train_config, tmp_path):
    from train_app.samples.prepare import prepare

    records = [r for r in synthetic.records(600, seed=42) if type(r) is not dict]  # those are near to one another
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", records)
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump(train_config.model_dump() | {"dictionary_sizes_bytes": [4096]}))
    nbmf_command("data", "split", path, "-o", tmp_path / "split", "--config", settings)
    found = sides_in(tmp_path / "split")
    held_out = {sample.digest for sample in prepare([open_source(path)], train_config, lambda _: None).holdout}
    moved = json.loads((tmp_path / "split" / "split.json").read_text())["moved"]
    assert len(held_out ^ {digest for digest, side in found.items() if side == "test"}) <= moved


def variants(rng, words, count):
    """The same text with a word or two changed."""
    for number in range(count):
        changed = list(words)
        changed[rng.randrange(len(words))] = f"word{number}"
        yield " ".join(changed)


@pytest.fixture
def families():
    """Eighty texts, each with three that are nearly the same."""
    rng = random.Random(6)
    found = []
    for _ in range(80):
        words = [word for _ in range(8) for word in synthetic.sentence(rng).split()]
        found.append(list(variants(rng, words, 4)))
    return found


def test_near_duplicates_stay_together(families):
    sides = Sides(0.2, 0.2)
    placed = [[sides.side_of(sample_of(text)) for text in family] for family in families]
    together = [len(set(family)) == 1 for family in placed]
    assert sum(together) >= 79  # a pair that the hashes miss
    assert {family[0] for family in placed} == set(SIDES)
    assert sides.counts["moved"] > 40


def test_what_is_near_to_two_sides_is_on_none():
    rng = random.Random(7)
    first, second = (" ".join(synthetic.sentence(rng) for _ in range(60)) for _ in range(2))
    sides = Sides(0.2, 0.2)
    shared = " ".join(synthetic.sentence(rng) for _ in range(500))
    sides.keep(sample_of(shared + first[:2000]), "test")
    sides.keep(sample_of(shared + second[:2000]), "train")
    assert sides.side_of(sample_of(shared)) is None


@pytest.mark.parametrize("zstd", [False, True])
def test_records_that_come_later_change_nothing(nbmf_command, tmp_path, families, zstd):
    """Neither behind those that were there, nor before them if the folder has these."""
    texts = [text for family in families for text in family]
    random.Random(0).shuffle(texts)
    old, new = synthetic.write_jsonl(tmp_path / "b.jsonl", texts[:200]), texts[200:]
    nbmf_command("data", "split", old, "-o", tmp_path / "one", *SHARES)
    before = sides_in(tmp_path / "one")
    behind = synthetic.write_jsonl(tmp_path / "c.jsonl", new)
    nbmf_command("data", "split", old, behind, "-o", tmp_path / "two", *SHARES)
    assert before.items() <= sides_in(tmp_path / "two").items()
    first = synthetic.write_jsonl(tmp_path / "a.jsonl", new)
    result = nbmf_command("data", "split", first, old, "-o", tmp_path / "one", *SHARES, *["--zstd"] * zstd)
    assert f"; {len(before):,} were there before." in result.out.decode()
    after = sides_in(tmp_path / "one")
    assert before.items() <= after.items()
    assert len(after) > 300
    assert "in no file now" not in result.out.decode()
    suffix = ".jsonl.zst" if zstd else ".jsonl"
    expected = {*(f"{side}{suffix}" for side in SIDES), "split.json"}
    assert {path.name for path in (tmp_path / "one").iterdir()} - {"rejected.jsonl"} == expected


def test_records_that_go_are_told(nbmf_command, tmp_path):
    records = synthetic.records(60, seed=4)
    for name, some in (("all", records), ("some", records[:25])):
        given = synthetic.write_jsonl(tmp_path / f"{name}.jsonl", some)
        result = nbmf_command("data", "split", given, "-o", tmp_path / "out", *SHARES)
    there = len(sides_in(tmp_path / "out"))
    gone = json.loads((tmp_path / "out" / "split.json").read_text())["gone"]
    assert 0 < there <= 25
    assert 25 <= gone <= 60 - there
    assert f"{gone:,} that were there before are not among these records, and in no file now." in result.out.decode()


@pytest.mark.parametrize(
    "record",
    [
        "plain",
        '{"a": 1}',
        {"id": 1, "domain": "d", "type": "t", "data": "x"},
        {"messages": [{"role": "user", "content": "x"}]},
        [{"role": "user", "content": "x"}],
        {"value": 1, "__meta__": 2},
        {"text": "\ud800"},
        [1.5, -0.0, 10**30, None, True],
        7,
    ],
)
def test_a_record_comes_back_as_it_was(tmp_path, record):
    given = sample_of(record, "notes")
    (tmp_path / "val.jsonl").write_bytes(line_of(given, "k"))
    assert list(written_before(tmp_path)) == [("val", given)]


def test_ids_types_and_metadata_stay(nbmf_command, tmp_path):
    """Of a record in the specification's format all of it; a type that was obeyed is the one of what came of it."""
    given = [
        {"id": "a", "domain": "d", "type": "code", "data": "x = 1", "metadata": {"n": [1, None]}},
        {"id": 7, "domain": None, "type": "structured", "data": '{"a": 1.50}', "metadata": None},
        {"id": "c", "domain": "d", "type": "structured", "data": '"a text"'},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(one) + "\n" for one in given))
    assert nbmf_command("data", "split", tmp_path / "a.jsonl", "-o", tmp_path / "out").code == 0
    lines = [line for side in SIDES for line in (tmp_path / "out" / f"{side}.jsonl").read_text().splitlines()]
    found = {str(one["id"]): one for one in map(json.loads, lines)}
    assert found["a"] == given[0]
    assert found["7"] == {"id": 7, "domain": None, "type": "structured", "data": {"a": 1.5}}
    assert any('{"a":1.50}' in line for line in lines)
    assert found["c"] == {"id": "c", "domain": "d", "type": "text", "data": "a text"}


def test_what_json_has_no_form_for(tmp_path):
    from cluster.sources.parsing import Refused

    for kind, data in ((Kind.BYTES, b"\xff"), (Kind.TEXT, "\ud83d\ude00".encode("utf-8", "surrogatepass"))):
        with pytest.raises(Refused, match=f"no_json_form: {kind.label} .*cannot be written as JSON"):
            line_of(Sample(kind, data, b""), "k")


def test_nothing_is_left_to_split(error_of, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", [None, {}])
    message = error_of("data", "split", path, "-o", tmp_path / "split")
    assert message.startswith("nbmf: too_few_records: no record is left to be split. Left out 2 of 2 records")
    assert {path.name for path in (tmp_path / "split").iterdir()} == {"rejected.jsonl"}


@pytest.mark.parametrize("name", ["train.jsonl", "test.jsonl.zst"])
def test_files_of_somebody_else_are_not_replaced(error_of, tmp_path, name):
    path = synthetic.write_jsonl(tmp_path / "train.jsonl", synthetic.records(60, seed=44))
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / name).write_bytes(path.read_bytes())
    message = error_of("data", "split", path, "-o", tmp_path / "there")
    assert message.startswith("nbmf: destination_error: ")
    assert "no split.json beside it: name another folder" in message
    assert (tmp_path / "there" / name).read_bytes() == path.read_bytes()
    assert [one.name for one in (tmp_path / "there").iterdir()] == [name]


@pytest.mark.usefixtures("ray_session")
def test_training_on_a_split(nbmf_command, tmp_path, train_config):
    """Measured on the records of the test file, none of which are learnt from; a few to watch by are enough."""
    records = synthetic.records(300, seed=43)
    lines = [{"domain": type(r).__name__, "type": "text", "data": r} for r in records]
    folder = tmp_path / "split"
    nbmf_command("data", "split", synthetic.write_jsonl(tmp_path / "a.jsonl", lines), "-o", folder, *SHARES)
    sides = json.loads((folder / "split.json").read_text())["sides"]
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump(train_config.model_dump() | {"dictionary_sizes_bytes": [4096]}))
    registry = Registry(tmp_path / "registry")
    result = nbmf_command(
        *("train", "-r", folder / "train.jsonl", "--validation", folder / "val.jsonl", "--test", folder / "test.jsonl"),
        *("-r", folder / "test.jsonl", "--preset", "counts", "--config", settings, "--out", registry.location),
        *("--runs", tmp_path / "runs"),
    )
    assert result.code == 0, result.err
    (version_id,) = registry.list_ids()
    data = registry.manifest(version_id).data
    assert data["holdout_records"] == data["tested"] == sides["test"]["records"]
    assert data["holdout_bytes"] == sides["test"]["bytes"]
    assert data["training_records"] == sides["train"]["records"]
    assert set(data["classes"]) == {"str", "list", "dict"}
    assert registry.manifest(version_id).measured["records"] == sides["test"]["records"]
