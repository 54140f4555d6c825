"""MLflow and Weights & Biases are given the log's numbers by their own API, here modules that only note the calls."""

import contextlib
import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
import synthetic

from train_app.network import tracking
from train_app.network.run_log import LOG_FILE, RunLog
from train_app.network.tracking import NoTracker, check_tracker

LINES = [
    {"step": 10, "loss_nats": 5.25, "minutes_left": None},
    {"step": 20, "validation_bits_per_byte": 2.5, "class_bits_per_byte": {"a b": 2.0, "c(d)": 3.0}, "final": True},
]


@pytest.fixture
def calls(monkeypatch):
    """What either package was asked for."""
    noted = []

    def note(name, result=None):
        return lambda *args, **kwargs: (noted.append((name, args, kwargs)), result)[1]

    mlflow, wandb = ModuleType("mlflow"), ModuleType("wandb")
    mlflow.start_run = note("start_run", SimpleNamespace(info=SimpleNamespace(run_id="17")))
    mlflow.log_metrics, mlflow.end_run = note("log_metrics"), note("end_run")
    wandb.init = note("init", SimpleNamespace(log=note("log"), finish=note("finish")))
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    return noted


def write(folder, track):
    with contextlib.closing(RunLog(folder, 1, track)) as log:
        for line in LINES:
            log.write(line)


def test_mlflow(calls, tmp_path):
    """A run that is taken up again is the same run there."""
    write(tmp_path, "mlflow")
    write(tmp_path, "mlflow")
    assert [name for name, _, _ in calls] == ["start_run", "log_metrics", "log_metrics", "end_run"] * 2
    assert [kwargs for name, _, kwargs in calls if name == "start_run"] == [
        {"run_name": tmp_path.name},
        {"run_id": "17"},
    ]
    assert calls[1] == ("log_metrics", ({"loss_nats": 5.25},), {"step": 10})
    numbers = {"validation_bits_per_byte": 2.5, "class_bits_per_byte/a b": 2.0, "class_bits_per_byte/c_d_": 3.0}
    assert calls[2] == ("log_metrics", (numbers,), {"step": 20})


def test_wandb(calls, tmp_path):
    write(tmp_path, "wandb")
    assert [name for name, _, _ in calls] == ["init", "log", "log", "finish"]
    assert calls[0][2] == {"id": tmp_path.name, "name": tmp_path.name, "resume": "allow", "dir": str(tmp_path)}
    assert calls[1][1:] == (({"loss_nats": 5.25},), {"step": 10})


@pytest.mark.parametrize("fails", ["start_run", "log_metrics", "end_run"])
def test_a_server_that_is_gone_stops_no_run(calls, tmp_path, monkeypatch, fails):
    def gone(*_, **__):
        raise ConnectionError("no such host")

    monkeypatch.setattr(sys.modules["mlflow"], fails, gone)
    write(tmp_path, "mlflow")
    lines = [json.loads(line) for line in (tmp_path / LOG_FILE).read_text().splitlines()]
    assert [line["untracked"] for line in lines if "untracked" in line] == ["ConnectionError: no such host"]
    assert [line["step"] for line in lines if "untracked" not in line] == [10, 20]


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    check_tracker(None)
    with pytest.raises(
        NoTracker, match="--track mlflow needs the package mlflow on every node: pip install mlflow-skinny"
    ):
        check_tracker("mlflow")


@pytest.mark.usefixtures("ray_session")
def test_the_command_says_so_before_it_reads(error_of, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "find_spec", lambda _: None)
    path = synthetic.write_jsonl(tmp_path / "few.jsonl", [1])
    asked = ("train", "-r", path, "--out", tmp_path / "registry", "--preset", "tiny", "--runs", tmp_path / "runs")
    assert error_of(*asked, "--track", "wandb").startswith("nbmf: no_tracker: --track wandb needs the package wandb")
