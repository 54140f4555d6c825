"""Fidelity semantic over HTTP: blobs as the codec makes them here, each record's own, and what was changed is told."""

import asyncio
import base64
import math
from functools import partial

import httpx
import numpy as np
import pytest
from in_process import make_ingress, make_replicas
from octets import OCTETS, frame_items, split_items

from cluster import config as configuration
from cluster.errors import ConfigError
from cluster.registry import Registry
from nbmf import Codec, engine, inspect
from nbmf.client import AsyncClient
from nbmf.effort import EffortSetting
from nbmf.payload import Kind, to_canonical
from nbmf.vectors import Aim
from nbmf.vectors.aim import DEFAULT_AIM
from nbmf.vectors.changed import Changed, Coded
from nbmf.vectors.compare import cosines
from nbmf.wire import dump, to_wire
from serve_app.config import DEFAULT_FILE, ServeConfig
from serve_app.observe.measurements import Counts
from serve_app.observe.metrics import ServiceMetrics
from serve_app.observe.observer import Observer
from serve_app.reading.items import ToEncode
from serve_app.replicas.replicas import Encoder
from serve_app.rollout.traffic import Traffic
from serve_app.routing.deployments import encoder_target

CODEC = Codec()


def embedding(seed, dims=384):
    vector = np.random.default_rng(seed).normal(size=dims)
    return (vector / np.linalg.norm(vector)).astype(np.float32).tolist()


def messages(seed):
    return [{"role": "user", "content": "Call Anna on Friday.", "embedding": embedding(seed)}, {"role": "tool", "n": 7}]


def blob_of(fields):
    return base64.b64decode(fields["blob"])


def test_messages_with_an_embedding(in_process):
    ask, record = in_process(), messages(1)
    fields = ask("POST", "/v1/encode", json={"payload": record, "fidelity": "semantic"}).json()
    assert blob_of(fields) == CODEC.encode(record, "semantic")
    assert fields["blob_bytes"] < len(CODEC.encode(record)) / 4
    decoded = ask("POST", "/v1/decode", json={"blob": fields["blob"]}).json()["payload"]
    (cosine,) = cosines(record, decoded)
    assert 0.98 <= cosine < 1
    assert fields["fidelity"] == "semantic"
    assert fields["similarity"] == {"vectors": 1, "cosine_mean": round(cosine, 6), "cosine_min": round(cosine, 6)}
    assert [{**one, "embedding": 0} for one in decoded] == [{**one, "embedding": 0} for one in record]


def test_the_client_is_told_what_was_changed(in_process):
    records = [messages(1), {"text": "nothing near"}, messages(2)]
    transport = httpx.ASGITransport(in_process().ingress.__serve_build_asgi_app__())

    async def encode():
        async with AsyncClient("http://127.0.0.1", transport=transport) as client:
            return await client.encode_measured(records, "semantic")

    found, here = asyncio.run(encode()), CODEC.encode_measured(records, "semantic")
    assert [one.blob for one in found] == [one.blob for one in here]
    assert found[1] == here[1] == Coded(CODEC.encode(records[1]))
    for one, other in zip(found[::2], here[::2], strict=True):
        assert one.changed.similarity() == other.changed.similarity()


def test_nothing_is_told_where_nothing_was_changed(in_process):
    ask, record = in_process(), messages(1)
    lossless = ask("POST", "/v1/encode", json={"payload": record}).json()
    assert blob_of(lossless) == CODEC.encode(record)
    text = ask("POST", "/v1/encode", json={"payload": "words, words", "fidelity": "semantic"}).json()
    assert blob_of(text) == CODEC.encode("words, words")
    for fields in (lossless, text):
        assert fields.keys() == {"blob", "kind", "coder", "codec", "payload_bytes", "blob_bytes"}


def test_fidelities_of_a_batch(in_process):
    values = [messages(1), messages(2), np.array(embedding(3), "<f4"), "text", {"v": embedding(4)}]
    fidelities = ["semantic", None, "semantic", "semantic", "lossless"]
    records = [
        {**to_wire(value), **({} if fidelity is None else {"fidelity": fidelity})}
        for value, fidelity in zip(values, fidelities, strict=True)
    ]
    for query, otherwise in (("", "lossless"), ("?fidelity=semantic", "semantic")):
        results = in_process()("POST", f"/v1/encode{query}", content=dump({"records": records})).json()["results"]
        asked = [fidelity or otherwise for fidelity in fidelities]
        assert [blob_of(row) for row in results] == [CODEC.encode(*pair) for pair in zip(values, asked, strict=True)]
        changed = ["similarity" in row for row in results]
        assert changed == [True, otherwise == "semantic", True, False, False]


def test_octets(in_process):
    ask, record = in_process(), {"v": [embedding(1), embedding(2)]}
    answer = ask("POST", "/v1/encode?kind=json&fidelity=semantic", content=dump(record), headers=OCTETS)
    assert answer.content == CODEC.encode(record, "semantic")
    found = cosines(record, CODEC.decode(answer.content))
    told = {name: answer.headers[f"x-nbmf-{name}"] for name in ("fidelity", "vectors", "cosine-mean", "cosine-min")}
    assert (told["fidelity"], told["vectors"]) == ("semantic", "2")
    assert float(told["cosine-mean"]) == pytest.approx(sum(found) / 2, abs=1e-6)
    assert float(told["cosine-min"]) == pytest.approx(min(found), abs=1e-6)
    whole = ask("POST", "/v1/encode?kind=json", content=dump(record), headers=OCTETS)
    assert whole.content == CODEC.encode(record)
    assert not {"x-nbmf-fidelity", "x-nbmf-vectors"} & whole.headers.keys()
    body = frame_items([dump(record), b"[1]"])
    batch = ask("POST", "/v1/encode?kind=json&batch=true&fidelity=semantic", content=body, headers=OCTETS)
    expected = [CODEC.encode(record, "semantic"), CODEC.encode([1])]
    assert [data for _, _, data in split_items(batch.content)] == expected


# --- how near -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aim", [Aim(least_cosine=0.999), Aim(step=61), Aim(least_cosine=0.5, step=9)])
def test_a_replica_keeps_to_its_aim(tmp_path, monkeypatch, aim):
    monkeypatch.setattr(engine, "_engine", None)
    encoder, _ = make_replicas(Registry(tmp_path).location, "none", aim=aim)
    record = {"v": embedding(5)}
    (coded,) = asyncio.run(
        encoder.encode([ToEncode(*to_canonical(record), "semantic")], EffortSetting("auto", math.inf))
    )
    assert coded.blob == CODEC.encode(record, "semantic", aim=aim) != CODEC.encode(record, "semantic")
    assert coded.changed.cosine_min >= aim.least_cosine


def test_the_configuration_says_how_near():
    load = partial(configuration.load, ServeConfig, None, DEFAULT_FILE)
    assert load().semantic.aim == DEFAULT_AIM
    config = load({"semantic": {"least_cosine": 0.99, "step": 41}})
    _, application = encoder_target(Encoder, config, "registry", "none", "nbmf")
    assert application._bound_deployment.init_args[-1] == Aim(least_cosine=0.99, step=41)
    for wrong in ({"least_cosine": 1}, {"least_cosine": 0}, {"step": 128}, {"step": -1}, {"floor": 0.9}):
        with pytest.raises(ConfigError, match="semantic"):
            load({"semantic": wrong})


# --- a rollout's copies -------------------------------------------------------------------------------------------


@pytest.fixture
def is_right(tmp_path):
    traffic = Traffic(Registry(tmp_path).location, "none", None, None, Observer(), least_cosine=0.99)
    return traffic._is_right


def test_blobs_of_a_candidate_are_compared_as_their_fidelity_says(is_right):
    value = {"v": embedding(6), "text": "x"}
    kind, canonical = to_canonical(value)
    near, whole = CODEC.encode(value, "semantic"), CODEC.encode(value)
    decoded = int(kind), to_canonical(CODEC.decode(near))[1]
    semantic, lossless = ToEncode(kind, canonical, "semantic"), ToEncode(kind, canonical)
    assert is_right(semantic, near, decoded)
    assert is_right(semantic, whole, (int(kind), canonical))
    assert is_right(lossless, whole, (int(kind), canonical))
    assert not is_right(lossless, near, decoded)  # which nobody asked for
    assert not is_right(semantic, whole, decoded)  # of which the blob tells nothing
    other = to_canonical(CODEC.decode(near) | {"text": "y"})[1]
    assert not is_right(semantic, near, (int(kind), other))
    assert not is_right(semantic, near, (int(kind), b"{"))
    assert not is_right(semantic, near, (int(Kind.TEXT), canonical))
    coarse = CODEC.encode(value, "semantic", aim=Aim(least_cosine=0.5, step=9))
    assert not is_right(semantic, coarse, (int(kind), to_canonical(CODEC.decode(coarse))[1]))
    assert inspect(coarse).fidelity == "semantic"


# --- what is counted ----------------------------------------------------------------------------------------------


def test_metrics(monkeypatch):
    told = []

    class Recorded:
        def __init__(self, name, **options):
            self._name = name

        def inc(self, value, labels=None):
            told.append((self._name, value, labels))

        observe = set = inc

    from ray.serve import metrics

    for kind in ("Counter", "Gauge", "Histogram"):
        monkeypatch.setattr(metrics, kind, Recorded)
    observer = Observer()
    observer._metrics = ServiceMetrics()
    near = Coded(b"blob", Changed(3, 0.995, 0.99, 900))
    observer.encoded("f" * 64, Counts(records=2), [near, Coded(b"blob")], 0.01)
    labels = {"version": "f" * 12, "purpose": "served"}
    assert [one for one in told if "semantic" in one[0]] == [
        ("nbmf_semantic_vectors_total", 3, labels),
        ("nbmf_semantic_least_cosine", 0.99, labels),
    ]


def test_encoding_counts_what_was_changed(tmp_path, monkeypatch):
    """From the replica to the ingress's metrics."""
    monkeypatch.setattr(engine, "_engine", None)
    registry, seen = Registry(tmp_path).location, []
    encoder, decoder = make_replicas(registry, "none")
    ingress = make_ingress(registry, "none", encoder.encode, decoder.decode)
    traffic = ingress._service._traffic
    monkeypatch.setattr(traffic._observer._metrics, "changed", lambda *told: seen.append(told))
    items = [ToEncode(*to_canonical({"v": embedding(seed)}), "semantic") for seed in (7, 8)]

    async def encode():
        return await traffic._encode(traffic._route, "none", items, EffortSetting("auto", math.inf), math.inf)

    coded = asyncio.run(encode())
    ingress._reader.close()
    assert seen == [("none", [one.changed for one in coded], "served")]
    assert all(one.changed.vectors == 1 for one in coded)
