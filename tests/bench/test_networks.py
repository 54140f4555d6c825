"""`nbmf bench architectures`, `pruning`, `augmentation`, `ablations`: networks trained alike and measured alike."""

import json

import hybrids
import networks
import pytest
import synthetic

from bench.networks import ablations, augmentation
from bench.networks.augmentation import OTHER, RUNS, SAME, markdown, markdown_by_set
from bench.networks.measure import ALL, Coding, decode_us_per_token, float_bits_by_set
from bench.networks.pruning import name_of
from bench.networks.runs import settings_of
from bench.networks.samples import read, some_of_each, to_learn_from
from nbmf import builtin
from train_app.augment.names import Augmentation
from train_app.network.pruning import NO_PRUNING, Pruning
from train_app.network.settings import FINETUNE


@pytest.fixture(scope="module")
def coding():
    samples = networks.sample_records()[::6]
    return Coding.of(hybrids.hybrid(), networks.vocabulary(samples), samples[:60])


def test_bits_are_those_of_the_network_and_the_streams_hold_them(coding):
    tested = [sample for sample in networks.sample_records()[1::40] if len(sample.canonical) < 3000]
    measured = coding.bits(tested)
    kinds = {sample.kind.label for sample in tested}
    assert list(measured["sets"]) == [ALL, *sorted(kinds)]
    everything = measured["sets"][ALL]
    assert everything["bytes"] == sum(len(sample.canonical) for sample in tested)
    assert everything["bytes"] == sum(measured["sets"][kind]["bytes"] for kind in kinds)
    of_kinds = [measured["sets"][kind] for kind in kinds]
    bits = sum(row["bytes"] * row["bits_per_byte"] for row in of_kinds)
    assert bits / everything["bytes"] == pytest.approx(everything["bits_per_byte"], abs=1e-3)
    assert everything["bits_per_byte"] == pytest.approx(measured["float_bits_per_byte"], rel=0.03)
    assert everything["ratio"] > 8 / everything["bits_per_byte"]  # adaptation learns within the record
    assert decode_us_per_token([coding], tested[:3])[0] > 0
    in_floats = float_bits_by_set(coding.model, coding.tokenizer, tested)
    assert list(in_floats) == list(measured["sets"])
    assert in_floats[ALL] == measured["float_bits_per_byte"]
    assert all(in_floats[kind] == pytest.approx(measured["sets"][kind]["bits_per_byte"], rel=0.05) for kind in kinds)


def row(name, copies, same, **other):
    return {
        "augmentation": name,
        "copies": {name: copies} if copies else {},
        "epochs": None if same is None else 1.25,
        SAME: same and {ALL: same},
        OTHER: same and other,
    }


def test_the_tables_say_how_much_more_or_less():
    rows = [
        row("none", 0, 2.0, all=3.0, x=1.0),
        row("roles", 0, None),
        row("values", 1200, 2.1, all=2.85, x=1.002),
    ]
    assert [*markdown(rows)][2:] == [
        "| none | 0 | 1.25 | 2.000 |  | 3.000 |  |",
        "| roles | 0 |  | applies to none |  |  |  |",
        "| values | 1,200 | 1.25 | 2.100 | +5.0% | 2.850 | -5.0% |",
    ]
    assert {line.count("|") for line in markdown(rows)} == {8}
    assert [*markdown_by_set(rows)] == [
        "| other source | none | values |",
        "|---|---|---|",
        "| all | 3.000 | -5.0% |",
        "| x | 1.000 | +0.2% |",
    ]


def test_what_is_pruned_is_named():
    assert name_of(NO_PRUNING) == "as it is"
    assert name_of(Pruning(0.5)) == "without 50% of channels"
    assert name_of(Pruning(0.25, 1)) == "without 25% of channels, tables halved 1 x"
    assert name_of(Pruning(0, 2)) == "tables halved 2 x"


@pytest.mark.parametrize("text", ["1", "0", "x", "0.5:x", "-0.1", "0:-1"])
def test_no_share(nbmf_command, text):
    result = nbmf_command("bench", "pruning", "--data", "x.jsonl", "--train", "y.jsonl", "--prune", text)
    assert result.code == 2
    assert "a share below 1, or with halvings as 0.5:1" in " ".join(result.err.replace("│", " ").split())


@pytest.fixture
def data(tmp_path):
    return synthetic.write_jsonl(tmp_path / "data.jsonl", synthetic.records(300, seed=41))


def test_samples_are_distinct_and_some_of_each_kind(data):
    samples = to_learn_from(str(data), None, None)
    assert len({sample.digest for sample in samples}) == len(samples) > 200
    some = some_of_each(samples, 2000)
    of_kinds = {kind: [s for s in some if s.kind is kind] for kind in {s.kind for s in samples}}
    for kind, found in of_kinds.items():
        assert 0 < sum(len(s.canonical) for s in found) < 6000, kind


@pytest.mark.slow
def test_architectures(nbmf_command, ray_session, data, tmp_path):
    result = nbmf_command(
        *("bench", "architectures", "--data", data, "--train", data, "--preset", "tiny", "--tokens", 12_000),
        *("--tested-bytes", 3000, "--json", tmp_path / "out.json"),
    )
    assert result.code == 0, result.err
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    assert [(row["architecture"], row["layers"], row["equal"]) for row in rows] == [
        (name, layers, equal)
        for equal in ("tokens", "time")
        for name, layers in (("transformer", "aa"), ("cnn", "cc"), ("hybrid", "ca"))
    ]
    by_tokens, by_time = rows[:3], rows[3:]
    assert len({row["tokens"] for row in by_tokens}) == 1
    assert by_tokens[2]["sets"] == by_time[2]["sets"]  # the hybrid's is the measure of time
    assert all(row["sets"]["all"]["bits_per_byte"] < 7 for row in rows)
    assert "Bits a byte, equal time" in result.out.decode()


@pytest.mark.slow
def test_pruning(nbmf_command, ray_session, data, tmp_path):
    version = networks.write_neural_version(tmp_path, networks.untrained_files(**networks.TWO_STEPS))
    result = nbmf_command(
        *("bench", "pruning", "--data", data, "--train", data, "--network", version, "--prune", "0.5:1"),
        *("--tokens", 30_000, "--tested-bytes", 3000, "--json", tmp_path / "out.json"),
    )
    assert result.code == 0, result.err
    rows = json.loads((tmp_path / "out.json").read_text())["rows"]
    names = ["as it is", "without 50% of channels, tables halved 1 x"]
    assert [(row["network"], row["trained"]) for row in rows] == [(n, t) for n in names for t in (False, True)]
    before, after = rows[2:]
    assert after["sets"]["all"]["bits_per_byte"] < before["sets"]["all"]["bits_per_byte"]
    assert before["parameters"] == after["parameters"] < 0.8 * rows[0]["parameters"]
    assert rows[0]["parameters"] == rows[1]["parameters"]
    assert "+0.0%" in result.out.decode()


def test_no_such_preset(nbmf_command):
    files = ("--data", "x.jsonl", "--train", "y.jsonl", "--other", "z.jsonl")
    result = nbmf_command("bench", "augmentation", *files, "--preset", "counts")
    assert result.code == 2
    told = " ".join(result.err.replace("│", " ").split())
    assert "no such preset: counts; there are tiny, small, base, finetune" in told


def test_each_augmentation_is_tried():
    assert [one.name for one in RUNS] == ["none", "none, another seed", *Augmentation, "all"]
    assert [one.augment for one in RUNS] == [(), (), *((name,) for name in Augmentation), tuple(Augmentation)]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_augmentation(nbmf_command, ray_session, data, tmp_path, monkeypatch):
    """Of records that have no JSON in text; on equally many tokens."""
    runs = [one for one in RUNS if one.name in ("none", "none, another seed", "key-order", "indent", "all")]
    monkeypatch.setattr(augmentation, "RUNS", runs)
    other = synthetic.write_jsonl(tmp_path / "other.jsonl", synthetic.records(60, seed=42))
    result = nbmf_command(
        *("bench", "augmentation", "--data", data, "--train", data, "--other", other, "--preset", "tiny"),
        *("--tokens", 12_000, "--tested-bytes", 3000, "--json", tmp_path / "out.json"),
    )
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "out.json").read_text())
    rows = {row["augmentation"]: row for row in report["rows"]}
    assert list(rows) == [one.name for one in runs]
    not_trained = {"copies": {}, "bytes": 0, "epochs": None, SAME: None, OTHER: None}
    assert rows["indent"] == {"augmentation": "indent"} | not_trained
    first, again = rows["none"], rows["none, another seed"]
    assert first["copies"] == again["copies"] == {}
    assert first["epochs"] == again["epochs"] > rows["all"]["epochs"] > 0
    assert first[SAME] != again[SAME]
    assert set(rows["key-order"]["copies"]) == {"key-order"}
    assert set(rows["all"]["copies"]) >= {"key-order", "values", "turns"}
    trained = [row for row in rows.values() if row["epochs"]]
    assert len(trained) == 4
    for one in trained:
        for where in (SAME, OTHER):
            assert set(one[where]) == {"all", "text", "messages", "json"}
            assert all(0 < bits < 8 for bits in one[where].values())
    assert len({one[OTHER]["all"] for one in trained}) == len(trained)
    out = result.out.decode()
    assert "| none | 0 |" in out
    assert "| indent | 0 |  | applies to none |" in out
    assert f"tiny, 12,000 tokens; learnt from {report['learnt_from']['records']:,} records" in out


def test_the_table_of_ablations():
    rows = [
        {"ablation": name, "float_bits_per_byte": floats, "train_us_per_token": 1234.5}
        | {"sets": {ALL: {"bits_per_byte": integers, "ratio": 4.5}}}
        for name, floats, integers in (("as it is", 1.0, 1.01), ("seed: 2", 1.1, 1.2))
    ]
    assert [*ablations.markdown(rows)][2:] == [
        "| as it is | 1.0000 |  | 1.0100 |  | +1.00% | 4.500 | 1,234 |",
        "| seed: 2 | 1.1000 | +10.00% | 1.2000 | +18.81% | +9.09% | 4.500 | 1,234 |",
    ]
    assert {line.count("|") for line in ablations.markdown(rows)} == {9}


@pytest.mark.parametrize(
    ("vary", "told"),
    [
        ("nonsense", "settings as of a file, as 'rounding_from: 0.9'; not 'nonsense'"),
        ("rounding_form: 0.9", "rounding_form: Extra inputs are not permitted"),
        ("rounding_from: 2", "rounding_from: Input should be less than or equal to 1"),
        ("{seed: ", "while parsing"),
    ],
)
def test_no_such_settings(nbmf_command, vary, told):
    result = nbmf_command("bench", "ablations", "--data", "x.jsonl", "--train", "y.jsonl", "--vary", vary)
    assert result.code == 2
    assert told in " ".join(result.err.replace("│", " ").split())


@pytest.mark.slow
def test_ablations_of_a_network_that_is_trained_on(ray_session, data, tmp_path):
    samples = read(str(data), str(data), None, None, 1, 3000)
    start = (hybrids.hybrid(), networks.vocabulary(networks.sample_records()[::6]))
    settings = settings_of(None, FINETUNE, 6000).model_copy(update={"batch_size": 2})
    compared = [ablations.Ablation(name, settings.model_copy(update={"seed": seed})) for seed, name in enumerate("ab")]
    rows = ablations.run(samples, compared, FINETUNE, start, None, tmp_path, lambda _step: None)
    assert [row["ablation"] for row in rows] == ["a", "b"]
    assert rows[0]["layers"] == start[0].config.kinds
    assert rows[0]["sets"]["all"]["bits_per_byte"] != rows[1]["sets"]["all"]["bits_per_byte"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ablations(nbmf_command, ray_session, data, tmp_path):
    """On equally many tokens, with the vocabulary of the teacher all of them."""
    [teacher] = [path for path in builtin.FOLDER.iterdir() if path.is_dir()]
    result = nbmf_command(
        *("bench", "ablations", "--data", data, "--train", data, "--preset", "tiny", "--tokens", 12_000),
        *("--vary", "{rounding_from: 0.5, seed: 3}", "--teacher", teacher),
        *("--tested-bytes", 3000, "--json", tmp_path / "out.json"),
    )
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "out.json").read_text())
    rows = {row["ablation"]: row for row in report["rows"]}
    assert list(rows) == ["as it is", "another seed", "rounding_from: 0.5, seed: 3", "with the teacher"]
    bits = [row["sets"]["all"]["bits_per_byte"] for row in rows.values()]
    assert all(0 < one < 4 for one in bits)
    assert len(set(bits)) == 4
    assert len({row["parameters"] for row in rows.values()}) == 1
    assert rows["with the teacher"]["train_us_per_token"] > rows["as it is"]["train_us_per_token"] > 0
    assert f"tiny, 12,000 tokens; learnt from {report['learnt_from']['records']:,} records" in result.out.decode()
