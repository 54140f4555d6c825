"""How the shards of a plan are done: here or on Ray, again where processes die, and in data sets of bounded size."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import synthetic
from ray import cloudpickle
from ray.exceptions import ActorDiedError

from cluster.errors import DestinationError
from cluster.sources import jsonl, open_source
from migrate_job import job
from migrate_job.coding import data_set, run
from migrate_job.errors import WorkerDied
from migrate_job.plan.options import Options
from migrate_job.plan.plan import Plan
from nbmf.engine import Engine
from nbmf.store.folder import LocalFolder


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
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "_SHARD_LINES", 10)
    return open_source(synthetic.write_jsonl(tmp_path / "a.jsonl", synthetic.records(20, seed=3)))


@pytest.fixture(autouse=True)
def shipped():
    """Workers get this module, as they cannot import it."""
    import sys

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture(params=["here", pytest.param("on Ray", marks=[pytest.mark.ray, pytest.mark.slow])])
def either_way(request, monkeypatch):
    if request.param == "on Ray":
        request.getfixturevalue("ray_session")
        monkeypatch.setattr(run, "LITTLE_BYTES", -1)


def test_an_error_on_ray_is_raised_as_it_is(ray_session, source, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "LITTLE_BYTES", -1)
    with pytest.raises(KeyError, match="a fault of ours"):
        job.run(FailingSource(source, KeyError("a fault of ours")), tmp_path / "new", str(tmp_path), "none")


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(
    "error", [DestinationError("the disk is another one"), PermissionError(13, "denied"), KeyError("a fault of ours")]
)
def test_an_error_is_raised_as_it_is(source, tmp_path, error):
    with pytest.raises(type(error)) as raised:
        job.run(FailingSource(source, error), tmp_path / "new", str(tmp_path), "none")
    assert str(raised.value) == str(error)


@pytest.mark.usefixtures("either_way")
def test_what_dies_again_and_again_is_given_up_and_the_others_are_done(source, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_TRIES", 2)
    told = []
    failing = FailingSource(source, WorkerDied("no memory"))
    with pytest.raises(WorkerDied, match=r"at each: 1, the first of them part 1 .*no memory"):
        job.run(failing, tmp_path / "new", str(tmp_path), "none", on_shard=told.append)
    assert [counts["migrated"] for counts in told] == [10]
    assert job.run(source, tmp_path / "other", str(tmp_path), "none").migrated == 20


def test_many_data_sets_do_what_one_does(ray_session, source, tmp_path, monkeypatch):
    """Each holds so many shards only, and what was done is the same."""
    monkeypatch.setattr(run, "LITTLE_BYTES", -1)
    monkeypatch.setattr(data_set, "_HELD_BYTES", 1)
    monkeypatch.setattr(data_set, "_SHARDS_PER_WORKER", 0)
    plan = Plan(source, tuple(source.plan()), LocalFolder(tmp_path), "unused", "none")
    assert [list(window) for window in data_set._windows(plan, [0, 1], workers=4)] == [[0], [1]]
    told = []
    report = job.run(source, tmp_path / "new", str(tmp_path), "none", on_shard=told.append)
    assert (len(told), report.migrated) == (2, 20)


def test_a_data_set_has_work_for_all_workers(source, tmp_path, monkeypatch):
    monkeypatch.setattr(data_set, "_HELD_BYTES", 1)
    plan = Plan(source, tuple(source.plan()) * 40, LocalFolder(tmp_path), "unused", "none")
    windows = list(data_set._windows(plan, range(80), workers=1))
    assert [len(window) for window in windows] == [32, 32, 16]
    assert data_set._unpacked(windows[0][0]) == plan.shards[0]


@pytest.mark.parametrize(
    ("size_bytes", "little"),
    [([500_000, 500_000], True), ([1_000_000, 100_000], False), ([10, 0], False), ([10**9], True)],
)
def test_what_is_little(source, tmp_path, size_bytes, little):
    """What has no size may be large, but a shard alone has one worker; PyTorch may have its GPU on another node."""
    shards = tuple(replace(source.plan()[0], size_bytes=one) for one in size_bytes)
    plan = Plan(source, shards, LocalFolder(tmp_path), "unused", "none")
    assert run.is_little(plan, range(len(shards))) is little
    assert not run.is_little(replace(plan, options=Options(engine=Engine("torch"))), range(len(shards)))


def test_lost_workers_cost_no_shard(source, tmp_path, monkeypatch):
    """A data set that ends before all are done is followed by one of the rest; one that does nothing, by two."""
    plan = Plan(source, tuple(source.plan()) * 5, LocalFolder(tmp_path), "unused", "none")
    seen = []

    def lossy(plan, window, workers):
        seen.append(list(window))
        for index in list(window)[: 2 if len(window) > 4 else 0]:
            yield index, {"index": index}
        raise ActorDiedError

    monkeypatch.setattr(data_set, "_run", lossy)
    monkeypatch.setattr(data_set, "_Workers", lambda _: SimpleNamespace(now=4))
    counts = data_set.migrate_on_ray(plan, range(8), {})
    done = []
    with pytest.raises(WorkerDied, match=r"lost 3 times before one of 4 parts of the source was done \(The actor died"):
        done += (one["index"] for one in counts)
    assert seen == [list(range(8)), list(range(2, 8)), *[list(range(4, 8))] * 3]


@pytest.mark.usefixtures("ray_session")
def test_cpus_of_a_worker():
    plan = Plan(None, (), LocalFolder(Path("new")), "unused", "none")
    found = [
        data_set.worker_resources(replace(plan, options=Options(engine=Engine("auto", threads))))
        for threads in (1, 3, 100)
    ]
    assert found == [{"num_cpus": 1}, {"num_cpus": 3}, {"num_cpus": 4}]


def test_a_gpu_is_asked_for_where_there_is_one(monkeypatch, tmp_path):
    import ray

    nodes = [{"Alive": True, "Resources": {"CPU": 8.0}}, {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}}]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    plan = Plan(None, (), LocalFolder(tmp_path), "unused", "none", Options(engine=Engine("torch", 2)))
    assert data_set.worker_resources(plan) == {"num_cpus": 2, "num_gpus": 1}
    nodes.pop()
    assert data_set.worker_resources(plan) == {"num_cpus": 2}
