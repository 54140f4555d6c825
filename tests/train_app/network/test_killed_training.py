"""Training jobs on two workers, and with workers and drivers killed in the middle: what comes out is as undisturbed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import lone_worker
import networks
import pytest
import torch

from nbmf.neural.config import PRESETS
from train_app.network.train import train_network
from train_app.samples.split import split

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_session"), pytest.mark.timeout(900)]

STEPS = 60


@pytest.fixture(scope="module")
def steady(settings):
    """A checkpoint about every second."""
    return lone_worker.steady(settings, 4, STEPS, max_minutes=60.0, checkpoint_interval_s=1.0)


def train(settings, folder, on_line=lambda _: None):
    """(weights as one vector, lines of the log)."""
    lines = []

    def told(line):
        lines.append(line)
        on_line(line)

    model, _, _ = train_network(*split(networks.sample_records()), PRESETS["tiny"], settings, folder, told)
    return torch.cat([tensor.flatten() for tensor in model.state_dict().values()]), lines


@pytest.fixture(scope="module")
def undisturbed(ray_session, steady, tmp_path_factory):
    return train(steady, tmp_path_factory.mktemp("runs") / "undisturbed")


def by_step(lines):
    return {line["step"]: line["loss_nats"] for line in lines if "loss_nats" in line}


def assert_same(found, undisturbed):
    (weights, lines), (expected, before) = found, undisturbed
    assert by_step(lines).keys() == set(range(1, STEPS + 1))
    assert by_step(lines) == pytest.approx(by_step(before), abs=2e-3)
    assert lines_of(lines, "final")[-1] == pytest.approx(lines_of(before, "final")[-1], abs=2e-3)
    assert (weights - expected).norm() < 1e-2 * expected.norm()


def lines_of(lines, name):
    return [line["validation_bits_per_byte"] for line in lines if name in line]


def test_two_workers_of_ray_train(steady, undisturbed, tmp_path):
    found = train(steady.model_copy(update={"num_workers": 2}), tmp_path / "two")
    assert [line["workers"] for line in found[1] if "workers" in line] == [2]
    assert_same(found, undisturbed)


class Killer:
    """SIGKILLs a process of its choice at the first report after a checkpoint, which is kept by then."""

    def __init__(self, pid_of):
        self.pid_of, self.kept, self.killed = pid_of, False, False

    def __call__(self, line):
        if "process" in line:
            self.worker = int(line["process"].split()[0])
        if self.kept and not self.killed and "loss_nats" in line:
            os.kill(self.pid_of(self), signal.SIGKILL)
            self.killed = True
        self.kept = self.kept or line.get("final") is False


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_worker_is_killed(steady, undisturbed, tmp_path, num_workers):
    killer = Killer(lambda found: found.worker)
    settings = steady.model_copy(update={"num_workers": num_workers})
    found = train(settings, tmp_path / "run", killer)
    assert killer.killed
    starts = [line["step"] for line in found[1] if "workers" in line]
    assert len(starts) == 2
    assert 0 < starts[1] < STEPS
    assert_same(found, undisturbed)


def test_the_driver_is_killed(steady, undisturbed, tmp_path, clean_environment):
    """The same command goes on; here with two workers where it had one."""
    asked = tmp_path / "settings.json"
    script = Path(__file__).parent / "killed_driver.py"

    def start(num_workers):
        asked.write_text(steady.model_copy(update={"num_workers": num_workers}).model_dump_json())
        return subprocess.Popen(
            [sys.executable, script, tmp_path / "run", asked], stdout=subprocess.PIPE, env=clean_environment, text=True
        )

    with start(1) as driver:
        killer, lines = Killer(lambda _: driver.pid), []
        for line in driver.stdout:
            lines.append(json.loads(line))
            killer(lines[-1])
        assert driver.wait(60) == -signal.SIGKILL
    assert max(by_step(lines)) < STEPS
    with start(2) as driver:
        more = [json.loads(line) for line in driver.stdout]
        assert driver.wait(60) == 0
    assert [line["workers"] for line in [*lines, *more] if "workers" in line] == [1, 2]
    first = next(line["step"] for line in more if "workers" in line)
    _, before = undisturbed
    losses = by_step([*lines, *more])
    assert 0 < first < STEPS
    assert {step: losses[step] for step in range(first + 1, STEPS + 1)} == pytest.approx(
        {step: by_step(before)[step] for step in range(first + 1, STEPS + 1)}, abs=2e-3
    )
    assert lines_of(more, "final")[-1] == pytest.approx(lines_of(before, "final")[-1], abs=2e-3)


def test_the_node_is_killed(steady, undisturbed, tmp_path, clean_environment):
    """With its workers and what it held of their records; they go on on another node."""
    asked = tmp_path / "settings.json"
    asked.write_text(steady.model_copy(update={"num_workers": 2}).model_dump_json())
    ran = subprocess.run(
        [sys.executable, Path(__file__).parent / "killed_node.py", tmp_path / "run", asked],
        env=clean_environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    assert [line for line in lines if "node_killed" in line] == [{"node_killed": True}]
    starts = [line["step"] for line in lines if "workers" in line]
    assert starts[0] == 0
    assert 0 < starts[-1] < STEPS
    _, before = undisturbed
    assert by_step(lines) == pytest.approx(by_step(before), abs=2e-3)
    assert lines_of(lines, "final")[-1] == pytest.approx(lines_of(before, "final")[-1], abs=2e-3)
