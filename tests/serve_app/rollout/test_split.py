"""Which version encodes a record, and what the ingress measures of both; encoder and decoder are in this process."""

import asyncio
import math
import time
from functools import partial
from types import SimpleNamespace

import pytest
import registries
from hypothesis import given
from hypothesis import strategies as st
from ray.exceptions import ActorDiedError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from cluster.registry import Registry
from nbmf.effort import EffortSetting
from nbmf.vectors.changed import Coded
from serve_app.admission.relief import Relief
from serve_app.observe.measurements import Measurements
from serve_app.observe.observer import Observer
from serve_app.reading.items import ToEncode
from serve_app.rollout.gates import gates
from serve_app.rollout.loading import Loader
from serve_app.rollout.split import Route, fraction, route
from serve_app.rollout.state import Rollout
from serve_app.rollout.store import RolloutStore
from serve_app.rollout.traffic import Keyed, Traffic
from serve_app.rollout_policy import RolloutPolicy
from serve_app.work.results import Failure

STABLE, CANDIDATE = "a" * 64, "c" * 64
ALL = RolloutPolicy(shadow_sample_percent=100, warm_up_calls=0)


def rollout(**fields):
    usual = {"id": "r", "candidate": CANDIDATE, "stable": STABLE, "policy": ALL, "since": 0, "reason": ""}
    return Rollout(**(usual | {"state": "canary", "ready": True} | fields))


@pytest.mark.parametrize("percent", [0, 1, 10, 50, 100])
def test_shares_are_those_asked_for(percent):
    """Within five standard deviations of the binomial distribution; the keys are fixed."""
    keys, share = 20_000, percent / 100
    now = Route(STABLE, rollout(percent=percent))
    found = sum(now.version_of(b"agent-%d" % i) == CANDIDATE for i in range(keys))
    assert abs(found - keys * share) <= 5 * math.sqrt(keys * share * (1 - share))


@given(st.binary(), st.floats(0, 100), st.floats(0, 100))
def test_a_key_stays_with_the_candidate_while_its_share_grows(key, one, other):
    low, high = sorted((one, other))
    before, after = (Route(STABLE, rollout(percent=p)).version_of(key) for p in (low, high))
    assert (before, after) != (CANDIDATE, STABLE)
    assert Route(STABLE, rollout(percent=100)).version_of(key) == CANDIDATE
    assert 0 <= fraction(CANDIDATE, key) < 1


def test_candidates_differ_in_whose_records_they_get():
    keys = [b"agent-%d" % i for i in range(1000)]
    one, other = ([fraction(c, key) < 0.5 for key in keys] for c in (CANDIDATE, "d" * 64))
    assert 400 < sum(map(bool.__eq__, one, other)) < 600


def test_no_share_before_the_replicas_are_ready():
    assert Route(STABLE, rollout(percent=100, ready=False)).version_of(b"key") == STABLE


@pytest.mark.parametrize(
    ("stable", "found", "expected"),
    [
        (STABLE, None, Route("deployed")),
        (STABLE, rollout(), Route(STABLE, rollout())),
        (STABLE, rollout(state="rolled_back"), Route(STABLE)),
        (CANDIDATE, rollout(state="stable"), Route(CANDIDATE)),
        (CANDIDATE, rollout(), Route(CANDIDATE)),  # promoted, and stopped before the rollout said so
        ("b" * 64, rollout(state="stable"), Route("deployed")),  # promoted by hand: from the next start on
    ],
)
def test_routes(stable, found, expected):
    assert route("deployed", stable, found) == expected


# --- measuring -----------------------------------------------------------------------------------------------------


class Replicas:
    """Encoder, decoder and controller: a blob is its version's first letter and the record's bytes."""

    def __init__(self):
        self.encoded = []
        self.fails = {}
        self.wrong = False

    async def encode(self, version, records, effort, deadline):
        asked = [record.canonical for record in records]
        self.encoded.append((version, asked))
        first = version[0].encode() * {"a": 1, "c": 2}[version[0]]
        return [self.fails.get((version, data)) or Coded(first + data) for data in asked]

    async def decode(self, blobs, deadline):
        return [(0, b"wrong" if self.wrong else blob.lstrip(b"ac")) for blob in blobs]

    @property
    def decoder(self):
        return SimpleNamespace(decode=SimpleNamespace(remote=self.decode))

    def of(self, version):
        return SimpleNamespace(encode=SimpleNamespace(remote=partial(self.encode, version)))


@pytest.fixture
def replicas():
    return Replicas()


@pytest.fixture
def encode(replicas, tmp_path):
    """A function: encodes records by a rollout and waits for the copies. Blobs, and what was measured."""

    async def run(now, records):
        place = Registry(tmp_path).location
        traffic = Traffic(place, "none", replicas, replicas.decoder)
        traffic._route = Route(STABLE, now)
        items = [Keyed(ToEncode(0, data), data) for data in records]
        coded = await traffic.encode(items, EffortSetting("auto", math.inf), time.time() + 600)
        blobs = [one if isinstance(one, Failure) else one.blob for one in coded]
        await asyncio.gather(*traffic._copies)
        return blobs, traffic._measured.get((now.id, now.round), Measurements())

    return lambda now, records: asyncio.run(run(now, records))


RECORDS = [b"%d" % i for i in range(40)]


def test_a_staged_candidate_encodes_copies_only(encode, replicas):
    blobs, measured = encode(rollout(state="staged"), RECORDS)
    assert blobs == [b"a" + data for data in RECORDS]
    assert replicas.encoded == [(STABLE, RECORDS), (CANDIDATE, RECORDS)]
    both = measured.compared
    payload = sum(map(len, RECORDS))
    assert (both.records, both.payload_bytes) == (40, payload)
    assert (both.stable_bytes, both.candidate_bytes) == (payload + 40, payload + 80)
    assert (measured.candidate.verified, measured.candidate.mismatches) == (40, 0)
    assert (measured.stable.records, measured.candidate.records) == (40, 40)
    assert measured.candidate.encode_ms.quantile_ms(0.95) is not None


def test_relief_under_load_but_not_in_a_rollout(replicas, tmp_path):
    """And it is counted, and no sign of how a version fits."""
    efforts, relieved, fitted = [], [], []

    async def slow(version, records, effort, deadline):
        efforts.append(effort.name)
        if len(efforts) <= 2:
            await asyncio.sleep(0.15)
        return [Coded(b"a" + record.canonical) for record in records]

    replicas.encode = slow
    reporter = SimpleNamespace(count=lambda *counted, **_: fitted.extend(counted[2:]))
    observer = Observer(reporter, EffortSetting("auto", 40.0))
    observer.relieved = relieved.append
    items = [Keyed(ToEncode(0, data), data) for data in RECORDS[:3]]

    async def run(now):
        efforts.clear()
        place = Registry(tmp_path).location
        traffic = Traffic(place, "none", replicas, replicas.decoder, observer, relief=Relief(0.05))
        traffic._route = Route(STABLE, now)

        def encode():
            return asyncio.ensure_future(traffic.encode(items, EffortSetting("auto", 40.0), time.time() + 600))

        first = [encode(), encode()]
        await asyncio.sleep(0.1)
        done = await asyncio.gather(*first, encode())
        done.append(await encode())
        await asyncio.gather(*traffic._copies)
        return done

    assert asyncio.run(run(None)) == [[Coded(b"a" + data) for data in RECORDS[:3]]] * 4
    assert (efforts, relieved, len(fitted)) == (["auto", "auto", "fast", "auto"], [3], 3)
    asyncio.run(run(rollout(state="canary", percent=0)))
    assert set(efforts) == {"auto"}
    assert relieved == [3]


def test_cold_replicas_decide_nothing(replicas, tmp_path):
    """A candidate whose first calls are slow: no gate counts their times, all else of them counts."""
    encode, slow = replicas.encode, iter([0.3] * 5)

    async def cold(version, *arguments):
        if version == CANDIDATE:
            await asyncio.sleep(next(slow, 0))
        return await encode(version, *arguments)

    replicas.encode = cold

    async def run(policy):
        traffic = Traffic(Registry(tmp_path).location, "none", replicas, replicas.decoder)
        now = rollout(percent=100, policy=policy)
        traffic._route = Route(STABLE, now)
        for _ in range(100):
            await traffic.encode([Keyed(ToEncode(0, b"1"), b"k")], ("auto", math.inf), time.time() + 600)
            await asyncio.gather(*traffic._copies)
        measured = traffic._of(now)
        return measured, next(gate for gate in gates(policy, measured) if gate.name == "p95")

    policy = RolloutPolicy(shadow_sample_percent=100, min_samples=60, p95_budget_ms=200, warm_up_calls=5)
    measured, gate = asyncio.run(run(policy))
    assert gate.passed
    assert (measured.candidate.records, measured.candidate.encode_ms.times) == (100, 95)
    slow = iter([0.3] * 6)
    measured, gate = asyncio.run(run(policy.model_copy(update={"warm_up_calls": 0})))
    assert gate.passed is False, gate


def test_a_share_and_the_other_versions_copies(encode, replicas):
    blobs, measured = encode(rollout(percent=50), RECORDS)
    own = {blob[0:1] for blob in blobs}
    assert own == {b"a", b"c"}
    assert [blob.lstrip(b"ac") for blob in blobs] == RECORDS
    assert (measured.compared.records, measured.candidate.verified) == (40, 40)
    assert (measured.stable.records, measured.candidate.records) == (40, 40)


def test_a_sample_of_what_is_served_is_decoded(encode, replicas, monkeypatch):
    chances = iter([0.5, 0.5])
    monkeypatch.setattr("serve_app.rollout.traffic.random.random", lambda: next(chances))
    policy = RolloutPolicy(shadow_sample_percent=40, verify_sample_percent=60)
    _, measured = encode(rollout(percent=100, policy=policy), RECORDS)
    assert replicas.encoded == [(CANDIDATE, RECORDS)]
    assert (measured.compared.records, measured.candidate.verified) == (0, 40)


def test_wrong_blobs_are_counted(encode, replicas):
    replicas.wrong = True
    _, measured = encode(rollout(state="staged"), RECORDS)
    assert measured.candidate.mismatches == 40


def test_what_the_candidate_fails_at_stable_encodes(encode, replicas):
    fault = Failure("internal_error", "no")
    replicas.fails = {(CANDIDATE, b"7"): fault}
    blobs, measured = encode(rollout(percent=100), RECORDS)
    assert [blob for blob in blobs if blob.startswith(b"a")] == [b"a7"]
    assert [blob.lstrip(b"ac") for blob in blobs] == RECORDS
    assert measured.candidate.faults >= 1
    assert measured.stable.faults == 0


def test_a_candidate_that_has_no_encoder_yet_has_no_faults(encode, replicas):
    """After a restart of the cluster in the middle of a rollout: of 45 records one such was enough to end it."""
    of = replicas.of
    replicas.of = lambda version: None if version == CANDIDATE else of(version)
    blobs, measured = encode(rollout(percent=100), RECORDS)
    assert blobs == [b"a" + data for data in RECORDS]
    assert (measured.candidate.records, measured.candidate.faults, measured.compared.records) == (0, 0, 0)
    assert measured.stable.records == 40


@pytest.mark.parametrize(("warm_up_calls", "counted"), [(1, 0), (0, 40)])
def test_a_cold_candidate_that_takes_too_long_is_not_counted(encode, replicas, warm_up_calls, counted):
    at_once = replicas.encode

    async def late(version, *arguments):
        await asyncio.sleep(30 if version == CANDIDATE else 0)
        return await at_once(version, *arguments)

    replicas.encode = late
    policy = RolloutPolicy(shadow_sample_percent=1e-9, warm_up_calls=warm_up_calls, candidate_timeout_s=0.05)
    blobs, measured = encode(rollout(percent=100, policy=policy), RECORDS)
    assert blobs == [b"a" + data for data in RECORDS]
    assert (measured.candidate.records, measured.candidate.faults) == (counted, counted)


def test_a_fault_of_the_record_is_nobodys(encode, replicas):
    replicas.fails = dict.fromkeys([(STABLE, b"7"), (CANDIDATE, b"7")], Failure("unsupported_payload", "no"))
    blobs, measured = encode(rollout(percent=100), RECORDS)
    assert blobs[7] == Failure("unsupported_payload", "no")
    assert (measured.candidate.faults, measured.compared.records) == (0, 39)


@pytest.fixture
def attempt(replicas, tmp_path):
    """A function: what was measured when one record was to be encoded by the candidate, and the answer or error."""

    async def run(policy, deadline):
        traffic = Traffic(Registry(tmp_path).location, "none", replicas, replicas.decoder)
        now = rollout(percent=100, policy=policy)
        traffic._route = Route(STABLE, now)
        (coded,) = await traffic.encode([Keyed(ToEncode(0, b"1"), b"k")], EffortSetting("auto", math.inf), deadline)
        await asyncio.gather(*traffic._copies)
        return coded.blob, traffic._of(now)

    return lambda policy, deadline: asyncio.run(run(policy, deadline))


QUIET = {"shadow_sample_percent": 1e-9, "verify_sample_percent": 0, "warm_up_calls": 0}


def test_a_candidate_that_hangs_is_at_fault_and_stable_does_it(replicas, attempt):
    encode = replicas.encode

    async def hangs(version, *arguments):
        if version == CANDIDATE:
            await asyncio.sleep(600)
        return await encode(version, *arguments)

    replicas.encode = hangs
    blob, measured = attempt(RolloutPolicy(candidate_timeout_s=0.01, **QUIET), time.time() + 600)
    assert (blob, measured.candidate.faults, measured.stable.faults) == (b"a1", 1, 0)
    # A client with so little time says nothing of the candidate, but for its slowness.
    blob, measured = attempt(RolloutPolicy(candidate_timeout_s=60, **QUIET), time.time() + 0.2)
    assert (blob, measured.candidate.faults) == (b"a1", 0)
    assert measured.candidate.encode_ms.quantile_ms(0.5) > 50


@pytest.mark.parametrize(
    "error", [ActorDiedError(), BackPressureError(2, 1), DeploymentUnavailableError("Encoder"), ValueError("no")]
)
def test_a_candidate_that_crashes_is_at_fault_and_stable_does_it(replicas, attempt, error):
    encode, tried = replicas.encode, []

    async def crashes(version, *arguments):
        tried.append(version)
        if version == CANDIDATE:
            raise error
        return await encode(version, *arguments)

    replicas.encode = crashes
    blob, measured = attempt(RolloutPolicy(**QUIET), time.time() + 600)
    assert (blob, measured.candidate.faults, measured.stable.faults) == (b"a1", 1, 0)
    assert tried == [CANDIDATE] * (2 if isinstance(error, ActorDiedError) else 1) + [STABLE]


def test_a_call_whose_replica_died_is_made_once_more(replicas, attempt):
    encode, tried = replicas.encode, []

    async def dies_once(version, *arguments):
        tried.append(version)
        if len(tried) == 1:
            raise ActorDiedError
        return await encode(version, *arguments)

    replicas.encode = dies_once
    blob, measured = attempt(RolloutPolicy(**QUIET), time.time() + 600)
    assert (blob, measured.candidate.faults) == (b"cc1", 0)
    assert tried == [CANDIDATE] * 2


def test_a_candidate_without_an_encoder_is_not_asked_before_it_is_ready(encode, replicas):
    _, measured = encode(rollout(state="staged", ready=False), RECORDS)
    assert replicas.encoded == [(STABLE, RECORDS)]
    assert measured.compared.records == 0


# --- loading -------------------------------------------------------------------------------------------------------


def test_versions_are_loaded_once_and_failures_told(tmp_path):
    registry = Registry(tmp_path)
    ids = [
        registries.publish(registry, {"name": n, "created_at": "2026-01-01", "architecture": "none"}, {"f": n.encode()})
        for n in "ab"
    ]
    store, loaded, released = RolloutStore(registry), [], []

    def load(version, trusted):
        assert trusted == (version == ids[0])
        loaded.append(version)
        if version == ids[1]:
            raise ValueError("no")

    loader = Loader(store, load, lambda *of: released.append(of))
    assert (loader.look(), loaded) == (None, [])
    started = store.start(ids[1], ALL, 0)
    assert loader.look() == loader.look() == (started.id, "ValueError: no")
    assert loaded == ids
    store.change(lambda r: r.rolled_back(1, ""))
    assert loader.look() is None
    again = store.start(ids[1], ALL, 2)
    assert loader.look() == loader.look() == (again.id, "ValueError: no")
    assert loaded == [*ids, ids[1]]
    store.change(lambda r: r.rolled_back(3, ""))
    loaded.clear()
    Loader(store, load, lambda *of: released.append(of))
    assert loaded == ids[:1]


def test_versions_that_no_rollout_needs_are_released(tmp_path):
    registry = Registry(tmp_path)
    first, second, third = (
        registries.publish(registry, {"name": n, "created_at": "2026-01-01", "architecture": "none"}, {"f": n.encode()})
        for n in "abc"
    )
    store, released = RolloutStore(registry), []
    loader = Loader(store, lambda *_: None, lambda *of: released.append(of))
    gone = [(first, True), (second, False)], [(second, True), (third, False)]
    for candidate, expected in ((second, gone[0]), (third, gone[0] + gone[1])):
        store.start(candidate, ALL, 0)
        loader.look()
        while store.read().is_active:
            store.change(lambda r: r.advanced(1, "", force=True))
        registry.assign("stable", candidate)
        loader.look()
        assert sorted(released) == sorted(expected)
