"""Effort and latency budget, from the configuration and from requests, through the ingress to a version's network.

Without Ray: the ingress is given a replica that it calls in this process.
"""

import asyncio
import math
from types import SimpleNamespace

import httpx
import pytest
from octets import OCTETS, frame_items, split_items

from cluster import config as configuration
from nbmf import builtin, inspect, json_text
from nbmf import engine as engine_setting
from nbmf.effort import EffortSetting
from nbmf.engine import Engine
from nbmf.payload import to_canonical
from serve_app.config import DEFAULT_FILE, BatchConfig, ServeConfig
from serve_app.http.ingress import Ingress
from serve_app.reading.items import ToEncode
from serve_app.replicas.replicas import Encoder

TEXT = "Remember that Anna prefers the window seat, and that the invoice of March is still open."
LONG = " ".join(f"{TEXT} Note {number}." for number in range(90))


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """A registry whose stable version is the one that ships with the package."""
    from cluster.registry import Registry

    folder = tmp_path_factory.mktemp("registry")
    version = (builtin.FOLDER / "DEFAULT").read_text().strip()
    (folder / "versions").mkdir()
    (folder / "versions" / version).symlink_to(builtin.FOLDER / version)
    Registry(folder).assign("stable", version)
    return str(folder)


@pytest.fixture(scope="module")
def encoder(registry):
    """A replica, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_setting, "_engine", None)  # which a replica sets, for its process
        yield Encoder(registry, "stable", Engine(), BatchConfig())


@pytest.fixture(scope="module")
def ask(encoder, registry):
    """A function: the answer to POST /v1/encode of a server with the given budget, and effort if it is not auto."""
    packaged = configuration.load(ServeConfig, None, DEFAULT_FILE).model_dump()

    def post(budget_ms, content, headers=None, server_effort="auto", **parameters):
        fields = packaged | {"latency_budget_ms": budget_ms, "effort": server_effort}
        config = ServeConfig.model_validate(fields)
        handle = SimpleNamespace(encode=SimpleNamespace(remote=encoder.encode))
        encoders = SimpleNamespace(of=lambda _version: handle)
        transport = httpx.ASGITransport(Ingress(config, registry, "stable", encoders, None).__serve_build_asgi_app__())

        async def send():
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.post("/v1/encode", content=content, headers=headers, params=parameters)

        return asyncio.run(send())

    return post


def _coders(answer):
    assert answer.status_code == 200, answer.text
    fields = answer.json()
    return [row["coder"] for row in fields.get("results", [fields])]


def _body(*texts):
    records = [{"payload": text} for text in texts]
    return json_text.dumps(records[0] if len(records) == 1 else {"records": records})


@pytest.mark.parametrize(("file", "budget_ms"), [(DEFAULT_FILE, 40), ("serve/production.yaml", 100)])
def test_the_packaged_budgets_keep_the_promise_of_120_ms(file, budget_ms):
    packaged = configuration.load(ServeConfig, None, file)
    assert packaged.latency_budget_ms == budget_ms
    assert ServeConfig.model_validate(packaged.model_dump() | {"latency_budget_ms": None}).latency_budget_ms is None


def test_a_record_beyond_the_budget_goes_to_another_coder(encoder):
    records = [ToEncode(int(kind), data) for kind, data in map(to_canonical, (TEXT, LONG))]

    def coders(effort, budget_ms):
        return [
            inspect(coded.blob).coder
            for coded in asyncio.run(encoder.encode(records, EffortSetting(effort, budget_ms)))
        ]

    assert coders("auto", math.inf) == coders("max", 0.1) == ["neural", "neural"]
    assert coders("auto", 100.0) == ["neural", "windows"]
    assert "neural" not in coders("auto", 0.1)
    assert coders("fast", math.inf) == ["counts", "windows"]


def test_a_request_without_one_gets_the_servers(ask):
    assert _coders(ask(100, _body(TEXT, LONG))) == ["neural", "windows"]
    assert _coders(ask(None, _body(TEXT, LONG))) == ["neural", "neural"]


def test_a_request_has_its_own_smaller_or_larger(ask):
    assert _coders(ask(100, _body(LONG), latency_budget_ms=5000)) == ["neural"]
    assert _coders(ask(5000, _body(LONG), latency_budget_ms=99.5)) == ["windows"]
    assert _coders(ask(None, _body(TEXT, LONG), latency_budget_ms=100)) == ["neural", "windows"]


def test_the_servers_effort(ask):
    assert _coders(ask(100, _body(TEXT, LONG), server_effort="max")) == ["neural", "neural"]
    assert _coders(ask(100, _body(TEXT, LONG), server_effort="fast")) == ["counts", "windows"]


def test_a_request_has_its_own_effort(ask):
    assert _coders(ask(100, _body(TEXT, LONG), effort="max")) == ["neural", "neural"]
    assert _coders(ask(None, _body(TEXT, LONG), effort="fast")) == ["counts", "windows"]
    assert _coders(ask(100, _body(TEXT, LONG), server_effort="max", effort="auto")) == ["neural", "windows"]
    assert _coders(ask(None, _body(LONG), effort="auto", latency_budget_ms=100)) == ["windows"]


@pytest.mark.parametrize("server_effort", ["fast", "max"])
def test_a_request_that_names_a_budget_only_has_effort_auto(ask, server_effort):
    answer = ask(5000, _body(TEXT, LONG), server_effort=server_effort, latency_budget_ms=100)
    assert _coders(answer) == ["neural", "windows"]


@pytest.mark.parametrize("effort", ["fast", "max"])
def test_a_budget_beside_an_effort_that_has_none_is_refused(ask, effort):
    answer = ask(100, _body(TEXT), effort=effort, latency_budget_ms=50)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "bad_request"
    assert "latency_budget_ms is for effort auto" in error["message"]


@pytest.mark.parametrize("value", ["quick", "AUTO", ""])
def test_what_is_no_effort_is_refused(ask, value):
    answer = ask(100, _body(TEXT), effort=value)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "bad_request"
    assert "query.effort" in error["message"]


def test_a_configuration_from_before_there_was_effort():
    fields = configuration.load(ServeConfig, None, DEFAULT_FILE).model_dump()
    for name in ("effort", "engine", "threads"):
        del fields[name]
    old = ServeConfig.model_validate(fields | {"latency_budget_ms": None})
    assert old.effort_of(None, None) == EffortSetting("auto", math.inf)
    assert (old.engine, old.threads) == ("auto", 1)


def test_octets(ask):
    data = LONG.encode()
    assert ask(100, data, OCTETS, kind="text").headers["X-Nbmf-Coder"] == "windows"
    assert ask(100, data, OCTETS, kind="text", latency_budget_ms=5000).headers["X-Nbmf-Coder"] == "neural"
    assert ask(100, data, OCTETS, kind="text", effort="max").headers["X-Nbmf-Coder"] == "neural"
    answer = ask(100, frame_items([data, TEXT.encode()]), OCTETS, kind="text", batch=True, latency_budget_ms=5000)
    assert [inspect(blob).coder for _, _, blob in split_items(answer.content)] == ["neural", "neural"]


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon", ""])
def test_what_is_no_budget_is_refused(ask, value):
    answer = ask(100, _body(TEXT), latency_budget_ms=value)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "bad_request"
    assert "query.latency_budget_ms" in error["message"]


def test_a_body_has_none(ask):
    answer = ask(100, json_text.dumps({"payload": TEXT, "latency_budget_ms": 5}))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
