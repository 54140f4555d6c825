"""Which decoder call a blob is part of, and which blobs need none."""

import asyncio
import math
from types import SimpleNamespace

import pytest
import synthetic

from nbmf import Codec, builtin
from nbmf.catalog import Catalog
from nbmf.decoding import parse_bounded
from nbmf.inspection import inspect
from serve_app.routing.decoders import Decoders
from serve_app.work.results import Failure, RequestFailed

RECORD = synthetic.records(1, seed=70)[0]


@pytest.fixture(scope="module")
def blobs(version):
    """One of the trained version, one of the package's first, one of none, and one that is none."""
    (first, *_) = (folder for folder in sorted(builtin.FOLDER.iterdir()) if folder.is_dir())
    return {
        "trained": version.codec.encode(RECORD),
        "builtin": builtin.load(first).encode(RECORD),
        "none": Codec().encode(RECORD),
        "bad": b"\xff\xff",
    }


class Replicas:
    """In place of a handle: notes the version and the blobs of each call."""

    def __init__(self, version):
        self.calls = []
        self._catalog = Catalog()
        self._catalog.add(version.codec)

    def options(self, multiplexed_model_id):
        return SimpleNamespace(decode=SimpleNamespace(remote=self._of(multiplexed_model_id)))

    @property
    def decode(self):
        return SimpleNamespace(remote=self._of(None))

    def _of(self, asked_for):
        async def decode(blobs, _deadline):
            self.calls.append((asked_for, list(blobs)))
            return [self._decoded(blob) for blob in blobs]

        return decode

    def _decoded(self, blob):
        try:
            parsed = parse_bounded(blob, 1 << 20)
        except Exception as error:
            return Failure("corrupt_blob", str(error))
        return int(parsed.kind), self._catalog.decode_canonical(parsed)


@pytest.fixture
def replicas(version):
    return Replicas(version)


def decoded(decoders, blobs):
    return asyncio.run(decoders.decode(blobs, math.inf))


def test_blobs_of_a_version_go_together_and_results_stay_in_order(replicas, version, blobs):
    decoders = Decoders(replicas, lambda: [version.id])
    results = decoded(decoders, [blobs[name] for name in ("builtin", "trained", "bad", "builtin", "none")])
    assert results[0] == results[1] == results[3] == results[4]
    assert isinstance(results[2], Failure)
    reference = inspect(blobs["builtin"]).codec
    assert sorted(replicas.calls, key=str) == sorted(
        [(None, [blobs["trained"], blobs["bad"], blobs["none"]]), (reference, [blobs["builtin"]] * 2)], key=str
    )


def test_versions_that_encode_are_everywhere(replicas, version, blobs, monkeypatch):
    (folder,) = builtin.FOLDER.glob(f"{inspect(blobs['builtin']).codec}*")
    monkeypatch.setattr(builtin, "default_folder", lambda: folder)
    for encoding in (["builtin", version.id], [folder.name, version.id]):
        replicas.calls.clear()
        decoded(Decoders(replicas, lambda encoding=encoding: encoding), list(blobs.values()))
        assert replicas.calls == [(None, list(blobs.values()))]


def test_a_cache_asks_for_what_it_has_not(replicas, version, blobs):
    decoders = Decoders(replicas, lambda: [version.id], cache_bytes=100_000)
    names = ("trained", "bad", "none")
    first = decoded(decoders, [blobs[name] for name in names])
    again = decoded(decoders, [blobs[name] for name in ("none", *names)])
    assert again == [first[2], *first]
    assert replicas.calls == [(None, [blobs[name] for name in names]), (None, [blobs["bad"]])]
    assert decoded(decoders, [blobs["none"]]) == [first[2]]
    assert len(replicas.calls) == 2


def test_without_a_cache_nothing_is_kept(replicas, version, blobs):
    decoders = Decoders(replicas, lambda: [version.id])
    for _ in range(2):
        decoded(decoders, [blobs["none"]])
    assert len(replicas.calls) == 2


def test_a_part_that_fails_is_the_requests_failure(version, blobs):
    async def refused(_blobs, _deadline):
        return Failure("deadline_exceeded", "late")

    replicas = SimpleNamespace(decode=SimpleNamespace(remote=refused))
    with pytest.raises(RequestFailed):
        decoded(Decoders(replicas, lambda: [version.id], cache_bytes=1000), [blobs["none"]])
