"""Effort as part of a plan: another one is refused, and plans from before there was effort go on."""

import hashlib
import json

import pytest
import synthetic

from cluster.errors import DestinationError
from cluster.sources import open_source
from migrate_job.plan.options import Options
from migrate_job.plan.plan import PLAN, Plan
from nbmf.effort import EffortSetting
from nbmf.engine import Engine
from nbmf.store.folder import LocalFolder


@pytest.fixture
def plan(tmp_path):
    """A function: the plan with such options for the same source and destination."""
    source = open_source(synthetic.write_jsonl(tmp_path / "a.jsonl", [1, 2]))
    (tmp_path / "new").mkdir()
    return lambda **options: Plan(
        source, tuple(source.plan()), LocalFolder(tmp_path / "new"), "unused", "none", Options(**options)
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"effort": EffortSetting("fast")}),
        ({"effort": EffortSetting("fast")}, {"effort": EffortSetting("max")}),
        ({"effort": EffortSetting("max")}, {}),
        ({"effort": EffortSetting(latency_budget_ms=50)}, {}),
        ({"effort": EffortSetting(latency_budget_ms=50)}, {"effort": EffortSetting(latency_budget_ms=60)}),
    ],
)
def test_another_effort_is_refused(plan, one, other):
    plan(**one).claim()
    with pytest.raises(DestinationError, match="or effort"):
        plan(**other).claim()
    plan(**one).claim()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"effort": EffortSetting("auto", 100)}),
        ({"effort": EffortSetting(latency_budget_ms=50)}, {"effort": EffortSetting(latency_budget_ms=50.0)}),
        ({"effort": EffortSetting("max", 50)}, {"effort": EffortSetting("max")}),
        ({"engine": Engine("cpu", 2)}, {}),
    ],
)
def test_what_writes_the_same_blobs_goes_on(plan, one, other):
    plan(**one).claim()
    plan(**other).claim()


def test_a_plan_from_before_there_was_effort_goes_on(plan):
    """The file and the fingerprint as they were written then."""
    now = plan()
    what = ["JsonLines", repr(now.source), "none", "lossless"]
    shards = [{"path": shard.path, "span": shard.span} for shard in now.shards]
    assert type(now.source).__name__ == what[0]
    fingerprint = hashlib.sha256(json.dumps([what, shards], sort_keys=True).encode()).hexdigest()
    old = {"fingerprint": fingerprint, "version": "none", "shards": len(shards)}
    (now.destination.path / PLAN).write_text(json.dumps(old))
    now.claim()
    with pytest.raises(DestinationError):
        plan(effort=EffortSetting("max")).claim()
    assert json.loads((now.destination.path / PLAN).read_text()) == old


def test_the_plan_says_what_it_was_made_with(plan):
    plan(effort=EffortSetting(latency_budget_ms=50)).claim()
    fields = json.loads((plan().destination.path / PLAN).read_text())
    assert (fields["version"], fields["effort"], fields["latency_budget_ms"]) == ("none", "auto", 50.0)
