"""The admin API: who may use it, what it does to the rollout, and what it tells."""

import asyncio
import time
from types import SimpleNamespace

import httpx
import jsonschema
import pytest
import registries
from in_process import serve_config
from keys import entry
from ray.exceptions import ActorDiedError

from cluster.quarantine import Quarantine
from cluster.registry import Registry
from serve_app.http.admin import MAX_BODY_BYTES
from serve_app.http.ingress import Ingress
from serve_app.observe.measurements import Compared, Counts, Measurements
from serve_app.observe.recent import RecentCounts, RecentMeasurements
from serve_app.rollout.store import RolloutStore

WRITER, ADMIN = "nbmf_writers-key", "nbmf_admins-key"
KEYS = [entry("writer", WRITER, "encode", "decode"), entry("ops", ADMIN, "admin")]
BEARER = {"Authorization": f"Bearer {ADMIN}"}
LOCAL = {"Host": "127.0.0.1:8000"}
ROUTES = [
    ("GET", "/v1/admin/rollout"),
    ("GET", "/v1/admin/rollout/history"),
    ("GET", "/v1/admin/recent"),
    *(("POST", f"/v1/admin/rollout/{action}") for action in ("start", "advance", "pause", "resume", "rollback")),
    ("POST", "/v1/admin/quarantine/release"),
]


@pytest.fixture
def registry(tmp_path):
    registry = Registry(tmp_path / "registry")
    for name in "ab":
        manifest = {"name": name, "created_at": "2026-01-01", "architecture": "none"}
        registries.publish(registry, manifest, {"file": name.encode()})
    return registry


@pytest.fixture
def other(registry):
    return next(i for i in registry.list_ids() if i != registry.channels().stable)


@pytest.fixture
def store(registry):
    return RolloutStore(registry)


@pytest.fixture
def recent():
    return RecentMeasurements()


@pytest.fixture
def ask(registry, recent):
    """A function: one request to an ingress of this registry, whose controller is `recent` alone."""

    def remote(function):
        async def call(*arguments):
            return function(*arguments)

        return SimpleNamespace(remote=call)

    def request(method, path, *, controlled=True, headers=BEARER, **options):
        settings = {"api_keys": KEYS, **options.pop("settings", {})}
        config = serve_config(**settings)
        controller = SimpleNamespace(
            measured=remote(lambda *_: None),
            recent=remote(lambda *_: None),
            recent_series=remote(lambda: recent.series(time.time())),
        )

        async def send():
            ingress = Ingress(
                config,
                registry.location,
                registry.resolve(config.version),
                SimpleNamespace(of=lambda _: None),
                None,
                controller if controlled else None,
            )
            transport = httpx.ASGITransport(ingress.__serve_build_asgi_app__())
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, headers=headers, **options)

        return asyncio.run(send())

    return request


@pytest.fixture
def advance(ask, store):
    """A function: goes on from where the rollout is."""

    def request(**fields):
        rollout = store.read()
        return ask("POST", "/v1/admin/rollout/advance", json={"rollout": rollout.id, "round": rollout.round, **fields})

    return request


def fails(answer, status, code):
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    return answer.json()["error"]["message"]


# --- who ----------------------------------------------------------------------------------------------------------


def test_these_are_all_routes(ask):
    paths = ask("GET", "/openapi.json").json()["paths"]
    found = {(m.upper(), path) for path, methods in paths.items() for m in methods if path.startswith("/v1/admin")}
    assert found == set(ROUTES)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_the_role_admin_is_needed(ask, method, path):
    assert ask(method, path, headers={}).headers["WWW-Authenticate"].startswith("Bearer")
    fails(ask(method, path, headers={}), 401, "unauthorized")
    fails(ask(method, path, headers={"Cookie": f"key={ADMIN}"}), 401, "unauthorized")
    fails(ask(method, path, params={"key": ADMIN}, headers={}), 401, "unauthorized")
    assert "admin" in fails(ask(method, path, headers={"Authorization": f"Bearer {WRITER}"}), 403, "forbidden")


OPEN = {"settings": {"api_keys": []}}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_keys(ask, method, path):
    """For this machine only, and for no page of another origin."""
    assert ask(method, path, headers=LOCAL, **OPEN).status_code not in (401, 403)
    fails(ask(method, path, headers={**LOCAL, "Origin": "http://evil.example"}, **OPEN), 403, "forbidden")
    reachable = {"settings": {"api_keys": [], "host": "0.0.0.0"}}
    assert "nbmf api-key new" in fails(ask(method, path, headers=LOCAL, **reachable), 403, "forbidden")


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "127.0.0.2", "localhost:8000", "[::1]:8000"])
def test_names_of_this_machine(ask, host):
    for origin in ({}, {"Origin": f"http://{host}"}):
        assert ask("GET", "/v1/admin/rollout", headers={"Host": host, **origin}, **OPEN).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:8000"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": ""},
        {"Host": "["},
        {**LOCAL, "Origin": "http://127.0.0.1:9000"},
        {**LOCAL, "Origin": "http://[::1"},
        {**LOCAL, "Origin": "null"},
    ],
)
def test_pages_of_other_origins(ask, headers):
    """Also those whose name was made to lead to this machine."""
    fails(ask("GET", "/v1/admin/rollout", headers=headers, **OPEN), 403, "forbidden")


# --- what it does -------------------------------------------------------------------------------------------------


def test_by_hand_to_the_end(ask, advance, registry, store, other):
    stable = registry.channels().stable
    status = ask("GET", "/v1/admin/rollout").json()
    assert (status["follows"], status["rollout"]) == (True, None)
    assert status["shares"] == [{"version": stable, "percent": 100}]
    started = ask("POST", "/v1/admin/rollout/start", json={"version": other[:10]}).json()["rollout"]
    assert (started["candidate"], started["stable"], started["state"]) == (other, stable, "staged")
    assert started["next"] == {"state": "canary", "percent": 10}
    assert {gate["verdict"] for gate in started["gates"]} == {"passed", "too_little_measured"}
    store.judge("me", time.time(), 10, {}, ready=True)
    advanced = advance().json()
    assert advanced["shares"] == [{"version": stable, "percent": 90}, {"version": other, "percent": 10}]
    shares = {row["id"]: row["share_percent"] for row in ask("GET", "/v1/versions").json()["versions"]}
    assert shares == {stable: 90, other: 10}
    assert ask("POST", "/v1/admin/rollout/pause").json()["rollout"]["paused"] is True
    fails(ask("POST", "/v1/admin/rollout/pause"), 409, "rollout_error")
    assert ask("POST", "/v1/admin/rollout/resume").json()["rollout"]["paused"] is False
    for _ in range(3):
        last = advance().json()
    assert (last["rollout"]["state"], last["rollout"]["gates"], last["rollout"]["next"]) == ("stable", [], None)
    assert last["shares"] == [{"version": other, "percent": 100}]
    assert registry.channels().stable == other
    fails(advance(), 409, "rollout_error")
    for action in ("pause", "resume", "rollback"):
        fails(ask("POST", f"/v1/admin/rollout/{action}"), 409, "rollout_error")


def test_only_from_where_it_was_seen(ask, advance, store, other):
    first = ask("POST", "/v1/admin/rollout/start", json={"version": other}).json()["rollout"]
    seen = {"rollout": first["id"], "round": first["round"]}
    for body in (
        b"",
        b"{}",
        b'{"round": 0}',
        b'{"rollout": "x", "round": -1}',
        b'{"rollout": "x", "round": 0, "to": 1}',
    ):
        fails(ask("POST", "/v1/admin/rollout/advance", content=body), 400, "bad_request")
    assert ask("POST", "/v1/admin/rollout/advance", json=seen).status_code == 200
    for action in ("advance", "pause", "resume", "rollback"):
        fails(ask("POST", f"/v1/admin/rollout/{action}", json=seen), 409, "rollout_changed")
        of_another = {**seen, "rollout": "another", "round": 1}
        fails(ask("POST", f"/v1/admin/rollout/{action}", json=of_another), 409, "rollout_changed")
    assert (store.read().round, store.read().paused) == (1, False)


def test_stable_only_once_it_is_loaded(ask, advance, registry, store, other):
    ask("POST", "/v1/admin/rollout/start", json={"version": other})
    for _ in range(3):
        advance()
    assert "not all replicas have loaded it" in fails(advance(), 409, "rollout_error")
    assert registry.channels().stable != other
    forced = advance(force=True).json()["rollout"]
    assert (forced["state"], forced["reason"]) == ("stable", "advanced by hand, with API key ops, forced")


def test_quarantine(ask, registry, store, other):
    """By hand out of it, or by a rollback by hand; the history says so, and versions in it are named."""
    quarantine, release, start = Quarantine(registry), "/v1/admin/quarantine/release", "/v1/admin/rollout/start"
    fails(ask("POST", release, json={"version": other}), 409, "rollout_error")
    fails(ask("POST", release, json={"version": "0123456789"}), 404, "version_not_found")
    quarantine.add(other, "decoding ended its process by SIGSEGV", 1)
    quarantine.add(other, "once more", 2)
    (row,) = ask("GET", "/v1/admin/rollout").json()["quarantined"]
    assert (row["version"], row["reason"]) == (other, "decoding ended its process by SIGSEGV")
    (error,) = (row["error"] for row in ask("GET", "/v1/versions").json()["versions"] if row["id"] == other)
    assert error["code"] == "quarantined_codec"
    assert "SIGSEGV" in error["message"]
    assert "SIGSEGV" in fails(ask("POST", start, json={"version": other}), 503, "quarantined_codec")
    assert ask("POST", release, json={"version": other}).json()["quarantined"] == []
    assert ask("POST", start, json={"version": other}).status_code == 200
    quarantine.add(other, "again", 3)
    assert ask("POST", "/v1/admin/rollout/rollback").json()["quarantined"] == []
    lines = ask("GET", "/v1/admin/rollout/history").json()["quarantine"]
    by = "by hand, with API key ops"
    assert [(line["quarantined"], line["reason"]) for line in lines] == [
        (False, f"its rollout was taken back: rolled back {by}"),
        (True, "again"),
        (False, f"released {by}"),
        (True, "decoding ended its process by SIGSEGV"),
    ]


def test_back_and_who_did_it(ask, registry, other):
    ask("POST", "/v1/admin/rollout/start", json={"version": other})
    back = ask("POST", "/v1/admin/rollout/rollback").json()
    assert (back["rollout"]["state"], back["rollout"]["active"]) == ("rolled_back", False)
    lines = ask("GET", "/v1/admin/rollout/history").json()["transitions"]
    assert [(line["after"]["state"], line["reason"]) for line in lines] == [
        ("rolled_back", "rolled back by hand, with API key ops"),
        ("staged", "started by hand, with API key ops"),
    ]
    assert lines[1]["before"] is None
    (newest,) = ask("GET", "/v1/admin/rollout/history", params={"limit": 1}).json()["transitions"]
    assert newest == lines[0]
    fails(ask("GET", "/v1/admin/rollout/history", params={"limit": 0}), 400, "bad_request")


def test_a_policy_of_its_own(ask, store, other):
    """What it says holds; the rest is as the server's file has it."""
    server = {"rollout": {"steps_percent": [20, 100], "min_samples": 7}}
    body = {"version": other, "policy": {"min_samples": 3}}
    started = ask("POST", "/v1/admin/rollout/start", json=body, settings=server).json()
    assert started["policy"]["min_samples"] == 7
    assert (started["rollout"]["policy"]["min_samples"], started["rollout"]["next"]["percent"]) == (3, 20)
    assert store.read().policy.steps_percent == (20, 100)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"version": ""}',
        b'{"version": 1}',
        b'{"version": "a", "percent": 10}',
        b'{"version": "a", "policy": {"dwell": 1}}',
        b'{"version": "a", "policy": {"steps_percent": [50]}}',
        b'{"version": "a", "policy": {"dwell_s": -1}}',
        b'{"version": "a", "policy": {"p95_budget_ms": 1e999}}',
        b'{"version": "a", "policy": {"max_p95_of_stable": Infinity}}',
        b'{"version": "a", "policy": {"min_ratio_of_stable": NaN}}',
        b'{"version": "\xff"}',
    ],
)
def test_bodies_that_are_none(ask, store, body):
    assert fails(ask("POST", "/v1/admin/rollout/start", content=body), 400, "bad_request")
    assert store.read() is None


def test_what_cannot_be_rolled_out(ask, registry, other):
    start = "/v1/admin/rollout/start"
    fails(ask("POST", start, json={"version": "0123456789"}), 404, "version_not_found")
    fails(ask("POST", start, json={"version": "builtin"}), 409, "rollout_error")
    fails(ask("POST", start, json={"version": registry.channels().stable}), 409, "rollout_error")
    fails(ask("POST", start, content=b" " * (MAX_BODY_BYTES + 1)), 413, "body_too_large")
    fails(ask("POST", "/v1/admin/rollout/advance", json={"rollout": "x", "round": 0}), 409, "rollout_error")
    assert ask("POST", start, json={"version": other}).status_code == 200
    fails(ask("POST", start, json={"version": other}), 409, "rollout_error")


def test_a_fixed_version(ask, advance, registry, store, other):
    """Its server neither follows nor changes rollouts of its registry."""
    fixed = {"settings": {"version": other}}
    ask("POST", "/v1/admin/rollout/start", json={"version": other})
    status = ask("GET", "/v1/admin/rollout", **fixed).json()
    assert (status["follows"], status["shares"]) == (False, [{"version": other, "percent": 100}])
    for action in ("start", "advance", "pause", "resume", "rollback"):
        fields = {"start": {"version": other}, "advance": {"rollout": "x", "round": 0}}.get(action, {})
        answer = ask("POST", f"/v1/admin/rollout/{action}", json=fields, **fixed)
        assert "one fixed version" in fails(answer, 409, "fixed_version")
    assert store.read().state == "staged"
    store.judge("me", time.time(), 10, {}, ready=True)
    advance()
    shares = {row["id"]: row["share_percent"] for row in ask("GET", "/v1/versions", **fixed).json()["versions"]}
    assert shares == {registry.channels().stable: 0, other: 100}


# --- what it tells ------------------------------------------------------------------------------------------------


def test_what_was_measured(ask, advance, store, other):
    ask("POST", "/v1/admin/rollout/start", json={"version": other})
    stable, candidate = (Counts(records=4, payload_bytes=40, blob_bytes=b, verified=2) for b in (20, 10))
    for counts in (stable, candidate):
        counts.encode_ms.count(8.0, 4)
    both = Compared(records=4, payload_bytes=40, stable_bytes=20, candidate_bytes=10)
    measured = Measurements(stable=stable, candidate=candidate, compared=both)
    store.judge("me", time.time(), 10, {(store.read().id, 0): measured}, ready=True)
    rollout = ask("GET", "/v1/admin/rollout").json()["rollout"]
    assert rollout["ready"] is True
    assert rollout["measured"]["compared_records"] == 4
    assert rollout["measured"]["ratio_of_stable"] == 2.0
    assert rollout["measured"]["candidate"] == {
        "records": 4,
        "faults": 0,
        "verified": 2,
        "mismatches": 0,
        "ratio": 4.0,
        "p50_ms": pytest.approx(8, rel=0.1),
        "p95_ms": pytest.approx(8, rel=0.1),
    }
    advance()
    assert ask("GET", "/v1/admin/rollout").json()["rollout"]["measured"]["compared_records"] == 0
    lines = ask("GET", "/v1/admin/rollout/history").json()["transitions"]
    assert lines[0]["measured"] == rollout["measured"]


def test_a_breach(ask, store, other):
    ask("POST", "/v1/admin/rollout/start", json={"version": other})
    wrong = Measurements(candidate=Counts(records=1, verified=1, mismatches=1))
    store.judge("me", time.time(), 10, {(store.read().id, 0): wrong}, ready=True)
    rollout = ask("GET", "/v1/admin/rollout").json()["rollout"]
    assert rollout["state"] == "rolled_back"
    assert "1 of 1 decoded blobs were wrong" in rollout["reason"]


def test_the_last_minutes(ask, recent):
    counted = RecentCounts(encoded=Counts(records=6, payload_bytes=60, blob_bytes=20), copies=2)
    recent.add("replica", {"v": counted}, time.time() - 60)
    series = ask("GET", "/v1/admin/recent").json()
    assert series["replicas"] == 1
    (version,) = series["versions"]
    assert version["version"] == "v"
    assert (sum(version["records"]), sum(version["copies"])) == (4, 2)
    assert [ratio for ratio in version["ratio"] if ratio is not None] == [3.0]
    assert {len(values) for name, values in version.items() if name != "version"} == {len(series["at"])}
    fails(ask("GET", "/v1/admin/recent", controlled=False), 503, "unavailable")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_it_is_as_described(ask, registry, store, other, method, path):
    api = ask("GET", "/openapi.json").json()
    ask("POST", "/v1/admin/rollout/start", json={"version": other})
    if path.endswith("resume"):
        ask("POST", "/v1/admin/rollout/pause")
    if path.endswith("start"):
        ask("POST", "/v1/admin/rollout/rollback")
    seen = {"rollout": store.read().id, "round": store.read().round}
    if path.endswith("release"):
        Quarantine(registry).add(other, "killed", 1)
    bodies = {"start": {"version": other}, "release": {"version": other}, "advance": seen}
    answer = ask(method, path, json=bodies.get(path.rpartition("/")[2]))
    described = api["paths"][path][method.lower()]["responses"]
    assert answer.status_code == 200, answer.text
    schema = described["200"]["content"]["application/json"]["schema"] | {"components": api["components"]}
    jsonschema.validate(answer.json(), schema, cls=jsonschema.Draft202012Validator)
    refused = ask(method, path, headers={})
    schema = described["401"]["content"]["application/json"]["schema"] | {"components": api["components"]}
    jsonschema.validate(refused.json(), schema, cls=jsonschema.Draft202012Validator)
    if path.endswith("start"):
        body = api["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        jsonschema.validate({"version": other, "policy": {"min_samples": 3}}, body | {"components": api["components"]})


def test_a_controller_that_died(ask, recent, monkeypatch):
    def series(now):
        raise ActorDiedError

    monkeypatch.setattr(recent, "series", series)
    answer = ask("GET", "/v1/admin/recent")
    fails(answer, 503, "unavailable")
    assert "Retry-After" in answer.headers
