"""`nbmf bench exact`: every mode of a small network agrees, and whatever does not is found and named."""

import dataclasses
import json

import networks
import numpy as np
import pytest
import synthetic

from bench.exact import comparison as exact
from bench.exact import worker as exact_worker
from bench.exact.comparison import Mode
from bench.exact.worker import GPU, Job
from nbmf import _core, engine
from nbmf.neural.codec import NeuralCodec
from nbmf.neural.record_types import TYPE_OF_KIND
from nbmf.neural.torch_batches import TorchBatches
from nbmf.neural.torch_engine import TorchEngine
from nbmf.payload import from_canonical

LEFT_OUT = "too long for the network " * 200
QUICK = [
    Mode("loop", "core"),
    Mode("batches", "torch", batch=8),
    Mode("records", "records"),
]


def short_samples():
    return [s for s in networks.sample_records()[::9] if len(s.canonical) <= 1500]


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("registry")
    networks.write_neural_version(folder / "versions", networks.untrained_files())
    return folder


@pytest.fixture(scope="module")
def folder(registry):
    (found,) = (registry / "versions").iterdir()
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Twelve records of unequal lengths in three sets, one of them too long."""
    payloads = [from_canonical(s.kind, s.canonical) for s in short_samples()[:11]]
    payloads.insert(4, LEFT_OUT)
    lines = [{"set": f"s{number % 3}", "payload": payload} for number, payload in enumerate(payloads)]
    return synthetic.write_jsonl(tmp_path_factory.mktemp("data") / "data.jsonl", lines)


@pytest.fixture
def command(nbmf_command, data, registry, folder, tmp_path):
    """A function: runs the command on all records; its result and report."""

    def run(*options):
        path = tmp_path / "report.json"
        fields = ("--payload-field", "payload", "--set-field", "set", "--json", path)
        result = nbmf_command(
            "bench", "exact", "--data", data, "--registry", registry, "--codec", folder.name[:8], *fields, *options
        )
        return result, json.loads(path.read_text())

    return run


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(exact, "modes", lambda: QUICK)


@pytest.fixture
def given():
    return [(TYPE_OF_KIND[s.kind], s.canonical) for s in short_samples()[:9]]


@pytest.fixture(autouse=True)
def engine_as_it_was(monkeypatch):
    """Jobs that run in this process set it."""
    monkeypatch.setattr(engine, "_engine", None)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_modes_agree(command):
    check_agreement(command("--processes", 2))


def test_some_modes_agree(command, monkeypatch):
    """Those that are quick."""
    some = [m for m in exact.modes() if m.measure != "torch" or m.name == "torch, batches of 64"]
    monkeypatch.setattr(exact, "modes", lambda: some)
    check_agreement(command("--processes", 2))


def check_agreement(ran):
    result, report = ran
    assert result.code == 0, (result.out, result.err)
    assert report["differences"] == []
    assert len(report["streams_sha256"]) == 64
    assert (report["records"], report["left_to_other_coders"]) == (11, 1)
    rows = report["modes"]
    assert [row["name"] for row in rows] == [mode.name for mode in exact.modes()]
    assert {(r["records"], r["equal"], r["different"], r["failure"]) for r in rows} == {(11, 11, 0, None)}
    assert len({r["tokens"] for r in rows}) == 1
    for row in rows:
        if row["device"] == GPU:
            pass  # it tells its name
        elif row["measure"] == "torch":
            believed = {"avxvnni": "AVX2, ", "avx2": "AVX2, ", "sse41": "DEFAULT, ", "plain": "DEFAULT, "}
            assert row["processor"].startswith(believed.get(row["imitated"], ""))
        else:
            assert row["processor"] == (row["imitated"] or _core.cpu())
        assert (row["measure"] == "records") == all(row.get(f"{part}_kb_per_s", 0) > 0 for part in ("encode", "decode"))
    assert b"the same integers?" in result.out


@pytest.mark.usefixtures("quick")
def test_a_sample(command):
    result, report = command("--every", 4)
    assert result.code == 0
    assert (report["records"], report["left_to_other_coders"]) == (2, 1)  # records 0, 4 and 8


@pytest.mark.usefixtures("quick")
def test_modes_can_be_chosen(command):
    result, report = command("--mode", "RECORDS", "--every", 4)
    assert result.code == 0
    assert [row["name"] for row in report["modes"]] == [QUICK[0].name, "records"]
    with pytest.raises(exact.UnknownMode, match=r"'avx9'.*records"):
        exact.chosen(["records", "avx9"])


@pytest.mark.usefixtures("quick")
def test_a_planted_difference_is_named(command, monkeypatch):
    """One mode is told another type for one record, so the network starts it with another token."""
    apart = exact.run_apart

    def planted(job, variables, on_record):
        if job.batch == 8:
            records = list(job.records)
            records[5] = ("other", records[5][1])
            job = dataclasses.replace(job, records=records)
        return apart(job, variables, on_record)

    monkeypatch.setattr(exact, "run_apart", planted)
    result, report = command()
    assert result.code == 1
    # Record 4 was left out, so the sixth that is compared is number 6 of the file, in line 7.
    expected = {"record": 6, "key": "data.jsonl:7", "set": "s0", "mode": "batches", "problem": "other predictions"}
    assert report["differences"] == [expected]
    assert b"record 6 (data.jsonl:7) of set s0, batches: other predictions" in result.out
    assert [row["different"] for row in report["modes"]] == [0, 1, 0]


@pytest.mark.usefixtures("quick")
def test_a_mode_whose_process_fails(command, monkeypatch, tmp_path):
    """The other modes are reported all the same."""
    apart = exact.run_apart

    def planted(job, variables, on_record):
        if job.measure == "core":
            job = dataclasses.replace(job, version=tmp_path)
        return apart(job, variables, on_record)

    monkeypatch.setattr(exact, "run_apart", planted)
    result, report = command()
    assert result.code == 1
    rows = {row["name"]: row for row in report["modes"]}
    assert rows["loop"]["failure"].startswith("exit code 1: nbmf.errors.DamagedCodec: ")
    assert rows["loop"]["different"] == 11
    assert rows["batches"]["records"] == 11
    assert {d["problem"] for d in report["differences"]} == {"not worked out", "nothing to compare with"}
    assert b"loop: failed with exit code" in result.out


def test_one_integer_of_one_token_changes_the_digest(folder, given, monkeypatch):
    job = Job("torch", folder, given, batch=4)
    whole = {found.record: found.predictions for found in exact_worker.run(job)}
    loop = {f.record: f.predictions for f in exact_worker.run(dataclasses.replace(job, measure="core"))}
    assert whole == loop
    step = TorchEngine.step

    def planted(self, tokens, state):
        begin = state.position
        distances = step(self, tokens, state).clone()
        if begin == 0 and len(tokens) == 1:
            distances[0, 3, 7] += 1
        return distances

    monkeypatch.setattr(TorchEngine, "step", planted)
    single = dataclasses.replace(job, batch=1, records=given[:2])
    changed = {found.record: found.predictions for found in exact_worker.run(single)}
    assert changed.keys() == {0, 1}
    assert all(changed[record] != whole[record] for record in changed)


def test_a_stream_that_decodes_to_something_else_is_noticed(folder, given, monkeypatch):
    decode = NeuralCodec.decode
    wrong, damaged = given[2][1], given[4][1]

    def planted(self, stream, n_bytes, record_type):
        data = decode(self, stream, n_bytes, record_type)
        if data == damaged:
            raise ValueError("the stream does not end")
        return data[:-1] + b"?" if data == wrong else data

    monkeypatch.setattr(NeuralCodec, "decode", planted)
    found = {f.record: f for f in exact_worker.run(Job("core", folder, given))}
    problems = [exact._problem(found[n], found[n]) for n in range(len(given))]
    assert {n for n, problem in enumerate(problems) if problem} == {2, 4}
    assert problems[2] == problems[4] == "the stream decodes to something else"


def test_another_stream_is_noticed(folder, given):
    loop, encoded = (list(exact_worker.run(Job(measure, folder, given[:2]))) for measure in ("core", "records"))
    assert [exact._problem(a, b) for a, b in zip(loop, encoded, strict=True)] == [None, None]
    assert exact._problem(loop[0], dataclasses.replace(encoded[0], stream=encoded[1].stream)) == "another stream"


def test_where_there_is_a_gpu_it_takes_part(folder, given, monkeypatch):
    """Here its part is PyTorch's on the processor."""
    monkeypatch.setattr(exact, "gpu_is_there", lambda: False)
    assert not [mode for mode in exact.modes() if mode.device == GPU]
    monkeypatch.setattr(exact, "gpu_is_there", lambda: True)
    assert {mode.measure for mode in exact.modes() if mode.device == GPU} == {"torch", "records"}
    decode = TorchBatches.decode
    by_torch = []
    monkeypatch.setattr(TorchBatches, "decode", lambda self, part: by_torch.append(len(part)) or decode(self, part))
    short = [(kind, data[:200]) for kind, data in given]
    cpu, gpu = (list(exact_worker.run(Job("records", folder, short, batch=5, device=on))) for on in ("cpu", GPU))
    assert cpu == gpu
    assert by_torch == [2, 5, 4]  # the first to warm up
    assert exact_worker.spent.keys() == {"encode", "decode"}


@pytest.mark.parametrize(("count", "batch"), [(1, 64), (9, 8), (300, 8), (700, 64)])
def test_batches_hold_every_record_once(count, batch):
    lengths = np.random.default_rng(count).integers(1, 900, count).tolist()
    dealt = list(exact_worker.batches(lengths, batch))
    assert sorted(index for members in dealt for index in members) == list(range(count))
    assert max(map(len, dealt)) <= batch
    if count >= 300:
        assert all(len({lengths[index] for index in members}) > 1 for members in dealt)


def test_versions_without_a_network(error_of, data, registry):
    options = ("bench", "exact", "--data", data, "--payload-field", "payload", "--registry", registry)
    assert error_of(*options, "--codec", "none").startswith("nbmf: no_network:")


@pytest.mark.usefixtures("quick")
def test_files_without_records_for_the_network(error_of, tmp_path, registry, folder):
    path = synthetic.write_jsonl(tmp_path / "long.jsonl", [LEFT_OUT])
    message = error_of("bench", "exact", "--data", path, "--registry", registry, "--codec", folder.name[:8])
    assert message.startswith("nbmf: no_network: no record that the network takes (1 ")
