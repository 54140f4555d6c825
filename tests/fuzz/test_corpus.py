"""Inputs that the fuzz targets keep, and some made of them, without sanitizers."""

import importlib.util
import random
import sys
from pathlib import Path

import pytest

from nbmf import _core, engine

HERE = Path(__file__).parent
MADE = 60


def _module(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_module("mutate")
TARGETS = [_module(name) for name in ("blobs", "versions", "vocabularies", "floating", "http_requests")]
run = _module("run")


@pytest.fixture(autouse=True)
def path(monkeypatch):
    """A target chooses among the paths of this processor, and has replicas, which set an engine."""
    monkeypatch.setattr(engine, "_engine", None)
    before = _core.cpu()
    yield
    _core.use(before)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.__name__)
def test_what_is_kept(target):
    inputs = [*target.seeds(), *run.corpus(target)]
    outcomes = {target.run(one) for one in inputs}
    assert len(outcomes) > 1
    rng = random.Random(0)
    for _ in range(MADE):
        one = target.mutated(rng.choice(inputs), rng, rng.choice(inputs))
        assert target.read(target.written(one)) == one
        target.run(one)


def test_a_target_notices(monkeypatch):
    blobs, versions, *_, http_requests = TARGETS
    blob = next(blob for blob in blobs.seeds() if blobs.run(blob) == "decoded")
    with monkeypatch.context() as patch:
        patch.setattr(blobs, "from_canonical", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            blobs.run(blob)
    with monkeypatch.context() as patch:
        patch.setattr(versions.WindowsCoder, "decode_batch", lambda _, bodies: [b"other"] * len(bodies))
        patch.setattr(versions, "_SELDOM", 1)
        with pytest.raises(AssertionError, match="does not give back"):
            [versions.run(one) for one in versions.seeds()]
    from serve_app import service
    from serve_app.http import bodies

    seeds = http_requests.seeds()
    encode, decode = (
        next(one for one in seeds if http_requests.run(one).startswith(f"{what}\n")) for what in ("encoded", "decoded")
    )
    with monkeypatch.context() as patch:
        patch.setattr(bodies, "decoded_json", lambda *_: b'{"kind":"text","payload":"another"}')
        with pytest.raises(AssertionError):
            http_requests.run(encode)
    with monkeypatch.context() as patch:
        patch.setattr(service, "inspect", lambda _: 1 / 0)
        with pytest.raises(AssertionError, match="internal_error"):
            http_requests.run(encode)
    with monkeypatch.context() as patch:
        patch.setattr(bodies, "decoded_json", lambda *_: b'{"kind":"text","payload":"","secret":1}')
        with pytest.raises(AssertionError):
            http_requests.run(decode)
