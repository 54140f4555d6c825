"""What is done when a shard's process dies."""

import pytest
import synthetic
from ray import cloudpickle

from cluster.errors import DestinationError
from cluster.sources import jsonl, open_source
from migrate_job import job
from migrate_job.coding import tasks
from migrate_job.coding.tasks import _Attempt
from migrate_job.errors import WorkerDied
from migrate_job.plan.plan import Plan


def test_a_node_that_is_lost_is_not_the_shards_fault_at_first():
    attempt, modes = _Attempt(7), []
    for _ in range(tasks._NODES_LOST):
        attempt = attempt.after_death(node_lost=True)
        modes.append(attempt.isolated)
    assert modes == [False, False, True]
    assert attempt.index == 7


def test_a_worker_that_dies_is_looked_into_at_once():
    attempt = _Attempt(7).after_death(node_lost=False)
    assert (attempt.isolated, attempt.failures) == (True, 0)
    for failures in (1, 2, 3):
        attempt = attempt.after_death(node_lost=failures == 2)
        assert (attempt.isolated, attempt.failures) == (True, failures)


class FailingSource:
    """Like another source, but reading its second shard raises."""

    def __init__(self, source, error):
        self.source, self.error = source, error

    def __repr__(self):
        return "FailingSource"

    def plan(self):
        return self.source.plan()

    def read(self, shard):
        if shard.span[2] > 1:
            raise self.error
        return self.source.read(shard)


@pytest.fixture
def source(tmp_path, monkeypatch, ray_session):
    monkeypatch.setattr(jsonl, "_SHARD_LINES", 10)
    return open_source(synthetic.write_jsonl(tmp_path / "a.jsonl", synthetic.records(20, seed=3)))


@pytest.fixture(autouse=True)
def shipped():
    """Workers get this module, as they cannot import it."""
    import sys

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.mark.parametrize("error", [DestinationError("the disk is another one"), PermissionError(13, "denied")])
def test_an_error_is_raised_as_it_is(source, tmp_path, error):
    with pytest.raises(type(error)) as raised:
        job.run(FailingSource(source, error), tmp_path / "new", str(tmp_path), "none")
    assert str(raised.value) == str(error)


def test_what_dies_again_and_again_is_given_up_and_the_others_are_done(source, tmp_path):
    told = []
    failing = FailingSource(source, WorkerDied("no memory"))
    with pytest.raises(WorkerDied, match=r"at each: 1, the first of them part 1 .*no memory"):
        job.run(failing, tmp_path / "new", str(tmp_path), "none", on_shard=told.append)
    assert [counts["migrated"] for counts in told] == [10]
    assert job.run(source, tmp_path / "other", str(tmp_path), "none").migrated == 20


def test_a_gpu_is_asked_for_where_there_is_one(monkeypatch, tmp_path):
    import ray

    from nbmf.engine import Engine

    nodes = [{"Alive": True, "Resources": {"CPU": 8.0}}, {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}}]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    plan = Plan(None, (), tmp_path, "unused", "none", "lossless", engine=Engine("torch", 2))
    assert tasks.task_resources(plan) == {"num_cpus": 2, "num_gpus": 1}
    nodes.pop()
    assert tasks.task_resources(plan) == {"num_cpus": 2}
