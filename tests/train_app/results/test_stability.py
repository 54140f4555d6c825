"""When a trained version becomes stable, and what is said of it; no Ray, nothing trained."""

import pytest
import registries

from cluster.registry import Registry
from nbmf.codec import WITHOUT_VERSION
from train_app.results.stability import BUILT_IN, STABLE, InUse, MakeStable, in_use, settle

ALWAYS, IF_SMALLER, NEVER = MakeStable.ALWAYS, MakeStable.IF_SMALLER, MakeStable.NEVER


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "registry")


def publish(registry, name):
    return registry.publish({"name": name, "created_at": "2026-01-01", "architecture": "none"}, {"f": name.encode()})


def measured(**coded_bytes):
    """Of 140 records, by codec."""
    return {"all": {name: {"coded_bytes": size, "records": 140} for name, size in coded_bytes.items()}}


def against(**other):
    return measured(nbmf=880, **{name.replace("_", "-"): size for name, size in other.items()})


@pytest.mark.parametrize(
    ("builtin_bytes", "wanted", "stable", "said"),
    [
        (1000, IF_SMALLER, True, "is stable: 12 % smaller than the built-in version on 140 held-out records."),
        (1000, ALWAYS, True, "is stable: 12 % smaller than the built-in version on 140 held-out records."),
        (1000, NEVER, False, "was not made stable, as asked: 12 % smaller than the built-in version on 140 held-"),
        (
            400,
            IF_SMALLER,
            False,
            "was not made stable: 120 % larger than the built-in version on 140 held-out records.",
        ),
        (400, ALWAYS, True, "is stable, as asked: 120 % larger than the built-in version on 140 held-out records."),
        (400, NEVER, False, "was not made stable: 120 % larger than"),
        (880, IF_SMALLER, False, "was not made stable: as large as the built-in version on 140 held-out records."),
        (881, IF_SMALLER, True, "is stable: 0.11 % smaller than the built-in version"),
    ],
)
def test_without_a_stable_version_the_built_in_one_is_what_is_compared_with(
    registry, builtin_bytes, wanted, stable, said
):
    version = publish(registry, "new")
    before = in_use(registry)
    found = settle(registry, version, against(built_in=builtin_bytes), before, wanted)
    assert found[0] is stable
    assert found[1].startswith(f"Version {version[:12]} {said}")
    assert registry.channels().stable == (version if stable else None)


@pytest.mark.parametrize(("stable_bytes", "stable"), [(1000, True), (800, False)])
def test_with_one_it_is_that_one(registry, stable_bytes, stable):
    """Whatever the built-in version makes of the records."""
    old = registries.publish(registry, {"name": "old", "created_at": "2026-01-01", "architecture": "none"}, {"f": b"o"})
    version = publish(registry, "new")
    before = in_use(registry)
    assert (before.stable, before.codecs.keys(), before.codecs[STABLE].id) == (old, {BUILT_IN, STABLE}, old)
    found, said = settle(registry, version, against(built_in=1, stable=stable_bytes), before, IF_SMALLER)
    assert found is stable
    assert f"than the stable version {old[:12]} on 140" in said
    assert (f"is stable in place of {old[:12]}: 12 % smaller" in said) is stable
    assert registry.channels().stable == (version if stable else old)


def test_a_rollout_is_not_disturbed(registry):
    version, candidate = publish(registry, "new"), publish(registry, "candidate")
    registry.assign("candidate", candidate)
    found, said = settle(registry, version, against(built_in=1000), in_use(registry), IF_SMALLER)
    assert not found
    assert f"as {candidate[:12]} is being rolled out; it is 12 % smaller" in said
    assert registry.channels().stable is None
    assert settle(registry, version, against(built_in=1000), in_use(registry), ALWAYS)[0]


def test_a_version_that_became_stable_meanwhile_stays(registry):
    version, meanwhile = publish(registry, "new"), publish(registry, "meanwhile")
    before = InUse(None, {BUILT_IN: WITHOUT_VERSION})
    registry.assign("stable", meanwhile)
    found, said = settle(registry, version, against(built_in=1000), before, IF_SMALLER)
    assert not found
    assert "as another was meanwhile" in said
    assert registry.channels().stable == meanwhile


def test_the_stub_is_not_replaced_but_by_a_rollout(registry):
    registry.assign("stable", "stub")
    before, version = in_use(registry), publish(registry, "new")
    assert before.codecs.keys() == {BUILT_IN}
    stable, said = settle(registry, version, against(built_in=1000), before, IF_SMALLER)
    assert not stable
    assert "rollout start" in said
    assert "than the built-in version" in said
    assert registry.channels().stable == "stub"
    assert settle(registry, version, against(built_in=1000), before, ALWAYS)[0]
