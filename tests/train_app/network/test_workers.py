"""How many workers fit, what is refused at once, what is waited for and said."""

import time

import pytest
import synthetic

from cluster.registry import Registry
from train_app.network import train as job
from train_app.network import workers
from train_app.network.settings import worker_range
from train_app.network.train import _LogFollower
from train_app.network.workers import TooManyWorkers, check_room, resources_per_worker, room, waiting_for


@pytest.mark.parametrize(
    ("value", "expected"),
    [(2, 2), ("2", 2), ("2:8", (2, 8)), ([2, 8], (2, 8)), ((1, 4), (1, 4)), ("3:3", 3), ([1], 1)],
)
def test_numbers_of_workers(value, expected):
    assert worker_range(value) == expected


@pytest.mark.parametrize("value", [0, "0:2", "8:2", "2:", "many", "1:2:3", [], [2, "x"], None, -1])
def test_what_is_no_number_of_workers(value):
    with pytest.raises(ValueError, match=r"as 2, or the fewest and the most, as 2:8"):
        worker_range(value)


@pytest.mark.parametrize(
    ("per_worker", "nodes", "fit"),
    [
        ({"CPU": 1}, [{"CPU": 4.0}], 4),
        ({"CPU": 3}, [{"CPU": 4.0}, {"CPU": 4.0}], 2),  # not 8 / 3: each is on one node
        ({"CPU": 0.1}, [{"CPU": 0.3}], 3),
        ({"GPU": 1, "CPU": 2}, [{"GPU": 8.0, "CPU": 6.0}, {"CPU": 64.0}], 3),
        ({"CPU": 1}, [], 0),
    ],
)
def test_room(per_worker, nodes, fit):
    assert room(per_worker, nodes) == fit


@pytest.fixture
def cluster(monkeypatch):
    """Pretends that Ray has such nodes, which may become more or not."""
    import ray

    def pretend(*nodes, grows, free=None):
        total = {name: sum(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU")}
        monkeypatch.setattr(ray, "nodes", lambda: [{"Resources": node, "Alive": True} for node in nodes])
        monkeypatch.setattr(ray, "cluster_resources", lambda: total)
        monkeypatch.setattr(ray, "available_resources", lambda: free or total)
        monkeypatch.setattr(workers, "may_grow", lambda: grows)

    return pretend


def asking(settings, num_workers, cpus_per_worker=1.0):
    return settings.model_copy(update={"num_workers": num_workers, "cpus_per_worker": cpus_per_worker})


def test_workers_that_never_fit_are_refused(cluster, settings):
    cluster({"CPU": 4.0}, grows=False)
    expected = (
        r"^8 workers with 1 CPU each, and this machine's Ray session has 4 CPU: room for 4\. Use --workers 4, or "
        r"--workers 1:8 for as many as there is room for, or name a larger cluster with --address$"
    )
    with pytest.raises(TooManyWorkers, match=expected):
        check_room(asking(settings, 8))
    with pytest.raises(TooManyWorkers, match=r"^at least 5 workers with 1 CPU each"):
        check_room(asking(settings, (5, 8)))
    with pytest.raises(TooManyWorkers, match=r"^1 worker with 6 CPU, and .* room for 0\. Lower cpus_per_worker"):
        check_room(asking(settings, 1, 6.0))
    for fits in (asking(settings, 4), asking(settings, (2, 8)), asking(settings, 8, 0.5)):
        check_room(fits)


def test_gpus_are_counted_too(cluster, settings):
    cluster({"CPU": 16.0, "GPU": 1.0}, grows=False)
    assert resources_per_worker(asking(settings, 1)) == {"GPU": 1.0, "CPU": 1.0}
    check_room(asking(settings, 1))
    with pytest.raises(
        TooManyWorkers, match=r"2 workers with 1 CPU and 1 GPU each, .* has 16 CPU and 1 GPU: room for 1"
    ):
        check_room(asking(settings, 2))


def test_on_a_cluster_what_is_waited_for_is_told(cluster, settings):
    cluster({"CPU": 2.0}, {"CPU": 2.0}, grows=True)
    check_room(asking(settings, 8))
    told = waiting_for(asking(settings, 8))
    assert told.startswith(
        "waiting for nodes to join: 8 workers with 1 CPU each, and the cluster has 4 CPU, room for 4. "
    )
    cluster({"CPU": 4.0}, grows=True, free={"CPU": 1.0})
    assert waiting_for(asking(settings, 2)) == (
        "waiting for workers to start: 2 workers with 1 CPU each; free are 1 CPU"
    )


def test_while_no_worker_runs_it_is_told_again_and_again(tmp_path, monkeypatch):
    monkeypatch.setattr(job, "_POLL_S", 0.01)
    monkeypatch.setattr(job, "_NOTICE_INTERVAL_S", 0.05)
    log, lines = tmp_path / "log.jsonl", []

    def told(count):
        """Waits for so many more notices."""
        until, before = time.monotonic() + 20, len(lines)
        while sum("waiting" in line for line in lines[before:]) < count:
            assert time.monotonic() < until, lines
            time.sleep(0.01)

    with _LogFollower(log, lines.append, lambda: "for room"):
        told(2)
        log.write_text('{"step": 0, "workers": 1}\n{"failure": "the node is gone"}\n')
        told(2)
    assert lines[0] == {"waiting": "for room"}
    assert {"failure": "the node is gone"} in lines


def test_a_running_worker_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(job, "_POLL_S", 0.01)
    monkeypatch.setattr(job, "_NOTICE_INTERVAL_S", 0.3)
    log, lines = tmp_path / "log.jsonl", []
    log.touch()
    with _LogFollower(log, lines.append, lambda: "for room"):
        log.write_text('{"step": 0, "workers": 1}\n')
        time.sleep(0.8)
    assert lines == [{"step": 0, "workers": 1}]


@pytest.mark.usefixtures("ray_session")
def test_the_command_refuses_before_it_reads(error_of, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "few.jsonl", [1])
    registry = Registry(tmp_path / "registry")
    asked = ("train", "-r", path, "--out", registry.location, "--preset", "tiny", "--runs", tmp_path / "runs")
    message = error_of(*asked, "--workers", "99")
    assert message.startswith("nbmf: too_many_workers: 99 workers with 1 CPU each")
    assert not (tmp_path / "runs").exists()


def test_wrong_numbers_are_wrong_usage(nbmf_command, tmp_path):
    path = synthetic.write_jsonl(tmp_path / "few.jsonl", [1])
    asked = ("train", "-r", path, "--out", tmp_path / "registry", "--workers")
    result = nbmf_command(*asked, "8:2", "--preset", "tiny")
    assert result.code == 2
    assert "a number of workers, as 2" in result.err
    result = nbmf_command(*asked, "2", "--preset", "builtin")
    assert result.code == 2
    assert "needs a --preset that trains a network" in result.err
