"""A global batch gives the same network whoever takes which part of it, and a run goes on where it stopped."""

import lone_worker
import numpy as np
import pytest
from lone_worker import CONFIG

STEPS = 14


@pytest.fixture(scope="module")
def streams():
    return lone_worker.sample_streams()


@pytest.fixture(scope="module")
def steady(settings):
    return lone_worker.steady(settings, 6, STEPS, batch_size=6)


@pytest.fixture(scope="module")
def whole(streams, steady, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    lone_worker.run(streams, steady, CONFIG, folder)
    return folder


def losses(folder):
    return {line["step"]: line["loss_nats"] for line in lone_worker.log(folder) if "loss_nats" in line}


def assert_same(folder, other):
    """Losses of all steps, and weights: by the length of their difference."""
    ours, theirs = losses(folder), losses(other)
    assert ours.keys() == theirs.keys() == set(range(1, STEPS + 1))
    assert list(ours.values()) == pytest.approx(list(theirs.values()), abs=1e-3)
    (a, _), (b, _) = lone_worker.weights(folder), lone_worker.weights(other)
    assert (a - b).norm() < 1e-3 * b.norm()


@pytest.mark.parametrize("batch_size", [1, 4])
def test_portions_of_any_size(streams, steady, whole, tmp_path, batch_size):
    """That divide the step, and that do not."""
    lone_worker.run(streams, steady.model_copy(update={"batch_size": batch_size}), CONFIG, tmp_path)
    assert_same(tmp_path, whole)
    assert losses(whole)[STEPS] < losses(whole)[1] - 0.5


@pytest.mark.parametrize("world", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_any_number_of_workers(streams, steady, whole, tmp_path, world):
    """Of four, two have a sequence less; of two, one has portions of 2 and 1."""
    lone_worker.run_together(streams, steady.model_copy(update={"batch_size": 2}), CONFIG, tmp_path, world)
    assert_same(tmp_path, whole)
    assert lone_worker.log(tmp_path)[0]["workers"] == world


@pytest.mark.slow
def test_more_workers_than_sequences(streams, steady, whole, tmp_path):
    few = steady.model_copy(update={"global_batch_size": 2})
    alone, together = tmp_path / "alone", tmp_path / "together"
    lone_worker.run(streams, few, CONFIG, alone)
    lone_worker.run_together(streams, few, CONFIG, together, 3)
    (a, _), (b, _) = lone_worker.weights(alone), lone_worker.weights(together)
    assert (a - b).norm() < 1e-3 * b.norm()


def test_a_run_goes_on_within_the_epoch(streams, steady, whole, tmp_path):
    """Stopped twice, the second time in the second epoch; other sizes of portions each time."""
    often = steady.model_copy(update={"checkpoint_interval_s": 1e-9})
    for stop_at, batch_size in ((3, 6), (STEPS - 3, 3), (None, 4)):
        lone_worker.run(streams, often.model_copy(update={"batch_size": batch_size}), CONFIG, tmp_path, stop_at=stop_at)
        _, state = lone_worker.weights(tmp_path)
        assert state["step"] == (stop_at or STEPS)
    assert_same(tmp_path, whole)


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_workers(streams, steady, whole, tmp_path):
    """One, two, one."""
    often = steady.model_copy(update={"checkpoint_interval_s": 1e-9})
    lone_worker.run(streams, often, CONFIG, tmp_path, stop_at=4)
    lone_worker.run_together(streams, often, CONFIG, tmp_path, 2, stop_at=9)
    lone_worker.run(streams, often, CONFIG, tmp_path)
    assert [line["workers"] for line in lone_worker.log(tmp_path) if "workers" in line] == [1, 2, 1]
    assert_same(tmp_path, whole)


def test_checkpoints_hold_the_names_of_the_bare_network(whole):
    _, state = lone_worker.weights(whole)
    assert "embedding.weight" in state["model"]
    assert state["sequences"] > 0
    assert np.isfinite(state["best_bits_per_byte"])
