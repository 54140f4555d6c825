"""The rollout in the registry: what is kept, who may change it, and `nbmf rollout`."""

import contextlib
import subprocess
import sys
import threading

import pytest
import registries

from cluster.errors import QuarantinedCodec, RegistryError, VersionInUse
from cluster.quarantine import Quarantine
from cluster.registry import Registry
from nbmf.errors import DamagedCodec
from serve_app.observe.measurements import Compared, Counts, Measurements
from serve_app.rollout.cli import app
from serve_app.rollout.state import RolloutChanged, RolloutError
from serve_app.rollout.store import DOCUMENT, HISTORY, RolloutStore
from serve_app.rollout_policy import RolloutPolicy

POLICY = RolloutPolicy(dwell_s=0, min_samples=1, steps_percent=(50, 100))
MANIFEST = {"created_at": "2026-01-01", "architecture": "none"}


@pytest.fixture
def registry(tmp_path):
    registry = Registry(tmp_path / "registry")
    for name in "ab":
        registries.publish(registry, {"name": name, **MANIFEST}, {"file": name.encode()})
    return registry


@pytest.fixture
def other(registry):
    return next(i for i in registry.list_ids() if i != registry.channels().stable)


@pytest.fixture
def store(registry):
    return RolloutStore(registry)


def passing():
    counts = Counts(records=1, verified=1)
    counts.encode_ms.count(1.0)
    return Measurements(
        stable=counts, candidate=counts, compared=Compared(records=1, stable_bytes=2, candidate_bytes=2)
    )


def test_to_the_end(store, registry, other):
    stable = registry.channels().stable
    rollout = store.start(other, POLICY, 1)
    assert registry.channels().candidate == other
    for now in (2, 3, 4):
        assert (rollout.stable, registry.channels().stable) == (stable, stable)
        rollout = store.judge("me", now, 10, {(rollout.id, rollout.round): passing()}, ready=True)
        assert RolloutStore(Registry(registry.location)).read() == rollout
    assert (rollout.state, registry.channels().stable, registry.channels().candidate) == ("stable", other, None)
    assert [(t.at, t.after, t.after_percent) for t in store.history()] == [
        (1, "staged", 0),
        (2, "canary", 50),
        (3, "canary", 100),
        (4, "stable", 100),
    ]
    assert [t.measured.compared.records for t in store.history()] == [0, 1, 1, 1]
    assert store.judge("me", 5, 10, {}, ready=True) is None


def test_a_rollback_leaves_stable_and_keeps_the_candidate(store, registry, other):
    stable = registry.channels().stable
    started = store.start(other, POLICY, 1)
    bad = Measurements(candidate=Counts(verified=3, mismatches=1))
    assert store.judge("me", 2, 10, {(started.id, 0): bad}, ready=True).state == "rolled_back"
    assert (registry.channels().stable, registry.channels().candidate) == (stable, None)
    assert "1 of 3 decoded blobs were wrong" in store.history()[-1].reason
    with pytest.raises(VersionInUse):
        registry.delete(other)
    assert store.start(other, POLICY, 3).id != started.id


def test_measurements_are_of_their_round(store, other):
    started = store.start(other, POLICY.model_copy(update={"min_samples": 5}), 1)
    mixed = {(started.id, 0): passing(), (started.id, 7): passing(), ("another", 0): passing()}
    assert store.judge("me", 2, 10, mixed, ready=True).measured.compared.records == 1
    assert store.judge("me", 2, 10, {(started.id, 0): passing()}, ready=True).measured.compared.records == 2
    late = Measurements(candidate=Counts(mismatches=1))
    assert store.judge("me", 3, 10, {(started.id, 7): late}, ready=True).state == "rolled_back"


def test_only_the_holder_of_the_lease_decides(store, other):
    """The other's measurements count all the same."""
    started = store.start(other, POLICY, 1)
    assert store.judge("me", 2, 10, {}, ready=False).lease.holder == "me"
    after = store.judge("you", 11, 10, {(started.id, 0): passing()}, ready=True)
    assert (after.state, after.ready, after.lease.holder) == ("staged", False, "me")
    after = store.judge("you", 12, 10, {}, ready=True)
    assert (after.state, after.lease.holder) == ("canary", "you")


def test_ready_stays_ready(store, other):
    store.start(other, POLICY, 1)
    assert [store.judge("me", 2, 10, {}, ready=ready).ready for ready in (False, True, False)] == [False, True, True]


def test_what_cannot_be_started(store, registry, other):
    stable = registry.channels().stable
    with pytest.raises(RolloutError, match="stable already"):
        store.start(stable, POLICY, 1)
    with pytest.raises(RolloutError, match="not a version of the registry"):
        store.start("builtin", POLICY, 1)
    with pytest.raises(RolloutError, match="no rollout"):
        store.change(lambda r: r.with_pause(True))
    store.start(other, POLICY, 1)
    with pytest.raises(RolloutError, match="is being rolled out"):
        store.start(other, POLICY, 1)


def test_a_damaged_candidate(store, registry, other, tmp_path):
    (tmp_path / "registry" / "versions" / other / "file").write_bytes(b"altered")
    with pytest.raises(DamagedCodec):
        store.start(other, POLICY, 1)
    assert store.read() is None


def test_a_damaged_document(store, registry):
    registry.write_document(DOCUMENT, b"{")
    with pytest.raises(RegistryError, match=DOCUMENT):
        store.read()


def test_a_line_of_the_history_that_was_cut(store, registry, other):
    store.start(other, POLICY, 1)
    registry.append_to_document(HISTORY, b'{"at": 2.0, "rollo\n')
    with pytest.raises(RegistryError, match=f"{HISTORY}, line 2"):
        store.history()


@pytest.mark.parametrize("field", ["p95_budget_ms", "max_p95_of_stable", "min_ratio_of_stable", "dwell_s"])
def test_a_policy_that_json_cannot_hold(field):
    with pytest.raises(ValueError, match=field):
        RolloutPolicy(**{field: float("inf")})


JUDGE = """
import sys
from cluster.registry import Registry
from serve_app.observe.measurements import Compared, Measurements
from serve_app.rollout.store import RolloutStore
location, holder, id_ = sys.argv[1:]
store = RolloutStore(Registry(location))
print("ready", flush=True)
sys.stdin.readline()
for now in range(40):
    store.judge(holder, now, 1, {(id_, 0): Measurements(compared=Compared(records=1))}, ready=True)
"""


def test_two_processes_lose_nothing_of_each_other(store, registry, other, repository):
    id_ = store.start(other, POLICY.model_copy(update={"min_samples": 1000}), 1).id
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", JUDGE, registry.location, holder, id_],
                    cwd=repository,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            for holder in "ab"
        ]
        for process in processes:
            assert process.stdout.readline() == b"ready\n"
        for process in processes:
            process.stdin.write(b"\n")
            process.stdin.flush()
    assert [process.returncode for process in processes] == [0, 0]
    assert store.read().measured.compared.records == 80


# --- the command ---------------------------------------------------------------------------------------------------


@pytest.fixture
def rollout_command(registry):
    """Runs `nbmf rollout ARGS...` on the registry, through the command itself: it need not be installed."""
    from typer.testing import CliRunner

    def run(*args):
        result = CliRunner().invoke(app, [*args, "--registry", registry.location], env={"COLUMNS": "200"})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_by_hand(rollout_command, registry, other):
    assert "There is no rollout" in rollout_command("status")
    assert f"{other[:12]}: staged, round 0, since" in rollout_command("start", other[:8])
    assert "canary 10 %" in rollout_command("advance")
    assert "canary 10 %, paused" in rollout_command("pause")
    status = rollout_command("status")
    assert "canary 10 %, paused" in status
    assert "0.98 of stable's" in status
    assert "gets no share yet" in status
    assert "paused" not in rollout_command("resume")
    assert "rolled_back" in rollout_command("rollback")
    with pytest.raises(RolloutError, match="is over"):
        rollout_command("advance")
    status = rollout_command("status")
    assert status.count("by hand") == 3  # the state, and two lines of the history
    assert "limit" not in status


def test_a_round_that_is_over(rollout_command, store, other):
    """Who saw an earlier one changes nothing."""
    rollout_command("start", other)
    rollout_command("advance", "--round", "0")
    for command in ("advance", "pause", "resume"):
        with pytest.raises(RolloutChanged, match="is in round 1"):
            rollout_command(command, "--round", "0")
    assert (store.read().percent, store.read().paused) == (10, False)


def test_several_that_advance_at_once(store, other):
    """Each saw the same round: one of them does it, and the others are told."""
    seen = store.start(other, POLICY, 1).seen
    done, refused = [], []

    def advance():
        try:
            done.append(store.change(lambda r: r.advanced(2, "by hand"), seen))
        except RolloutChanged:
            refused.append(1)

    threads = [threading.Thread(target=advance) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(done), len(refused), store.read().round) == (1, 4, 1)


def test_what_is_not_loaded_does_not_become_stable(rollout_command, store, registry, other):
    stable = registry.channels().stable
    rollout_command("start", other)
    for _ in range(3):
        rollout_command("advance")
    with pytest.raises(RolloutError, match="not all replicas have loaded it"):
        rollout_command("advance")
    assert (store.read().percent, registry.channels().stable) == (100, stable)
    rollout_command("advance", "--force")
    assert (store.history()[-1].after, store.history()[-1].reason) == ("stable", "by hand, forced")
    assert registry.channels().stable == other


def test_quarantine_by_the_command(rollout_command, store, registry, other):
    Quarantine(registry).add(other, "loading did not come to an end in 60 s", 1)
    with pytest.raises(QuarantinedCodec, match="did not come to an end"):
        rollout_command("start", other)
    assert store.read() is None
    assert "did not come to an end" in rollout_command("status")
    assert "out of quarantine" in rollout_command("release", other[:12])
    with pytest.raises(RolloutError, match="not in quarantine"):
        rollout_command("release", other)
    rollout_command("start", other)
    assert rollout_command("status").count("by hand") == 1


def test_a_breach_leaves_a_version_in_quarantine(store, registry, other):
    """Only people take it out."""
    started = store.start(other, POLICY, 1)
    Quarantine(registry).add(other, "killed", 2)
    store.judge("me", 3, 10, {(started.id, 0): Measurements(load_failure="in quarantine")}, ready=False)
    assert store.read().state == "rolled_back"
    assert list(Quarantine(registry).read()) == [other]


def test_steps_of_a_configuration(rollout_command, store, other, tmp_path):
    from importlib import resources

    text = resources.files("configs").joinpath("serve/local.yaml").read_text()
    path = tmp_path / "own.yaml"
    path.write_text(text.replace("steps_percent: [10, 50, 100]", "steps_percent: [5, 100]"))
    rollout_command("start", other, "--config", str(path))
    assert store.read().policy.steps_percent == (5, 100)
