"""Encoder and decoder replicas in this process: one call a request, errors of single records, warm from the start."""

import asyncio
import gc
import math
import shutil
import threading
from pathlib import Path

import pytest
import synthetic
import zstandard

from cluster.registry import Registry
from nbmf import Codec
from nbmf import engine as engine_setting
from nbmf.catalog import Catalog
from nbmf.effort import EffortSetting
from nbmf.engine import Engine
from nbmf.errors import CorruptBlob, UnsupportedPayload
from nbmf.inspection import inspect
from nbmf.payload import Kind, to_canonical
from serve_app.config import BatchConfig, DecoderLimits
from serve_app.reading.items import ToEncode
from serve_app.replicas import replicas
from serve_app.replicas.replicas import Decoder, Encoder
from serve_app.work.results import Failure, attempt_batch, attempt_each

RECORDS = [(int(kind), data) for kind, data in map(to_canonical, synthetic.records(12, seed=91))]


def limits(max_payload_bytes=100_000, max_loaded_versions=2):
    return DecoderLimits(max_payload_bytes=max_payload_bytes, max_loaded_versions=max_loaded_versions)


LIMITS = limits()


@pytest.fixture(autouse=True)
def engine_of_the_process(monkeypatch):
    monkeypatch.setattr(engine_setting, "_engine", None)


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path).location


@pytest.fixture
def encoder(registry):
    return Encoder(registry, "none", Engine(), BatchConfig())


@pytest.fixture
def decoder(registry):
    decoder = Decoder(registry, "none", Engine(), BatchConfig(), LIMITS)
    yield decoder
    decoder._versions.isolated.close()


def encoded(encoder, records=RECORDS):
    coded = asyncio.run(encoder.encode([ToEncode(*record) for record in records], EffortSetting("auto", math.inf)))
    return [one if isinstance(one, Failure) else one.blob for one in coded]


def decoded(decoder, blobs):
    return asyncio.run(decoder.decode(blobs))


@pytest.fixture
def calls(monkeypatch):
    """(what was called, with how many records) of each call of the codec and of the catalogue."""
    found = []
    for cls, name in ((Codec, "encode_canonical_measured"), (Catalog, "decode_canonical_batch")):
        original = getattr(cls, name)

        def counted(self, items, *more, _original=original, _name=name, **options):
            found.append((_name, len(items)))
            return _original(self, items, *more, **options)

        monkeypatch.setattr(cls, name, counted)
    return found


def test_a_request_is_one_batch(encoder, decoder, calls):
    blobs = encoded(encoder)
    assert decoded(decoder, blobs) == RECORDS
    assert calls == [("encode_canonical_measured", 12), ("decode_canonical_batch", 12)]


def test_bad_blobs_are_failures_between_good_ones(encoder, decoder):
    blobs = encoded(encoder)
    altered = blobs[2][:-1] + bytes([blobs[2][-1] ^ 1])
    mixed = [b"", *blobs[:5], b"\xff\xff\xff", *blobs[5:], altered]
    results = decoded(decoder, mixed)
    bad = [index for index, result in enumerate(results) if isinstance(result, Failure)]
    assert bad == [0, 6, len(mixed) - 1]
    assert [result for result in results if not isinstance(result, Failure)] == RECORDS


def test_a_blob_over_the_servers_limit(registry, encoder):
    small = Decoder(registry, "none", Engine(), BatchConfig(), limits(max_payload_bytes=len(RECORDS[0][1])))
    first, second = decoded(small, encoded(encoder, [RECORDS[0], (RECORDS[0][0], RECORDS[0][1] + b" ")]))
    assert first == RECORDS[0]
    assert second.code == "output_too_large"


def test_a_blob_of_more_values_than_the_servers_limit(registry):
    """Each takes many times the memory, and the time, of its bytes, which are many times those of a blob."""
    bounded = Decoder(registry, "none", Engine(), BatchConfig(), limits(max_payload_bytes=4 * 2**20))
    blob = Codec().encode([0] * 1_100_000)
    assert len(blob) < 10_000
    (failure,) = asyncio.run(bounded.decode([blob]))
    assert failure.code == "output_too_large"
    assert "values" in failure.message


def test_values_are_made_without_looking_for_cycles(decoder, monkeypatch):
    looked, check = [], replicas.check_canonical
    monkeypatch.setattr(replicas, "check_canonical", lambda *how: (looked.append(gc.isenabled()), check(*how)))
    small, large = Codec().encode([0]), Codec().encode([0] * 40_000)
    for blob in (small, large, small):
        assert [type(one) for one in asyncio.run(decoder.decode([blob]))] == [tuple]
    assert looked == [True, False, True]
    assert gc.isenabled()


def test_a_record_that_breaks_the_whole_call_is_alone_in_failing(encoder, decoder, monkeypatch):
    poison = RECORDS[4][1]
    original = Codec.encode_canonical_measured

    def breaks(self, records, fidelities, **options):
        if any(data == poison for _, data in records):
            raise IndexError("out of range")
        return original(self, records, fidelities, **options)

    monkeypatch.setattr(Codec, "encode_canonical_measured", breaks)
    results = encoded(encoder)
    failure = results.pop(4)
    assert (failure.code, failure.status) == ("internal_error", 500)
    assert "IndexError" in failure.message
    assert decoded(decoder, results) == RECORDS[:4] + RECORDS[5:]


@pytest.mark.parametrize("version", ["none", "builtin"])
def test_replicas_are_warm_before_they_are_ready(registry, monkeypatch, version):
    warm = []
    monkeypatch.setattr(Codec, "warm_up", lambda codec: warm.append(codec))
    expected = Registry(registry).load(version)
    Encoder(registry, version, Engine(), BatchConfig())
    Decoder(registry, version, Engine(), BatchConfig(), LIMITS)
    assert warm == [expected, expected]


def test_replicas_set_the_engine_of_their_process(registry):
    Encoder(registry, "none", Engine("cpu", 3), BatchConfig())
    assert engine_setting.engine() == Engine("cpu", 3)
    Decoder(registry, "none", Engine("cpu", 2), BatchConfig(), LIMITS)
    assert engine_setting.engine() == Engine("cpu", 2, joins=True)
    Decoder(registry, "none", Engine("cpu", 2), BatchConfig(side_by_side=1), LIMITS)
    assert engine_setting.engine() == Engine("cpu", 2)
    Decoder(registry, "none", Engine("torch"), BatchConfig(), LIMITS)
    assert engine_setting.engine() == Engine("torch")


def test_what_each_coder_wrote_is_reckoned_by_its_own_speed(registry):
    """Unless batches are of several calls, which must not be parted for that."""
    stored, by_zstd = Codec().encode([0]), Codec().encode([0] * 40_000)
    coders = {inspect(blob).coder for blob in (stored, by_zstd)}
    assert coders == {"stored", "zstd"}
    alike = []
    for batch in (BatchConfig(), BatchConfig(side_by_side=1)):
        decoder = Decoder(registry, "none", Engine(), batch, LIMITS)
        for blobs in ([stored], [by_zstd], [b"", by_zstd, stored, stored], [stored]):
            decoded(decoder, blobs)
        alike.append(set(decoder._batcher._speeds._of_kind))
    assert alike == [{frozenset({0}), frozenset({1}), frozenset({0, 1})}, {None}]


# --- versions of a decoder ----------------------------------------------------------------------------------------


@pytest.fixture
def versions(registry):
    """Blobs of a record by four versions of the registry."""
    place, content = Registry(registry), zstandard.train_dictionary(4096, [data for _, data in RECORDS] * 20)
    blobs = []
    for number in range(4):
        manifest = {"name": str(number), "created_at": "2026-01-01", "architecture": "zstd-dictionary"}
        dictionaries = {"dictionaries": {"text": "d", "json": "d", "messages": "d"}}
        version = place.publish(manifest | dictionaries, {"d": content.as_bytes()})
        blobs.append(place.load(version).encode_canonical(Kind(RECORDS[0][0]), RECORDS[0][1]))
    assert len({inspect(blob).codec for blob in blobs}) == 4
    return blobs


def test_versions_are_dropped_when_others_are_named(decoder, versions):
    for blob in (*versions, *reversed(versions)):
        assert decoded(decoder, [blob]) == [RECORDS[0]]
        assert len(decoder._versions.isolated.loaded_ids) <= LIMITS.max_loaded_versions
    assert decoded(decoder, versions) == [RECORDS[0]] * 4


def test_a_version_that_is_not_to_be_had_fails_its_own_blobs_only(decoder, encoder, versions, registry):
    place = Registry(registry)
    gone, altered = (
        next(i for i in place.list_ids() if i.startswith(inspect(blob).codec)) for blob in (versions[0], versions[1])
    )
    shutil.rmtree(Path(registry) / "versions" / gone)
    (Path(registry) / "versions" / altered / "d").write_bytes(b"altered")
    good = encoded(encoder)
    results = decoded(decoder, [versions[0], good[0], versions[1], versions[2]])
    assert [getattr(result, "code", result) for result in results] == [
        "unknown_codec",
        RECORDS[0],
        "damaged_codec",
        RECORDS[0],
    ]
    assert "registry" in results[0].message


def test_a_registry_that_cannot_be_read_is_worth_another_try(decoder, encoder, versions, monkeypatch):
    def refused(_version):
        raise PermissionError("no")

    monkeypatch.setattr(decoder._versions.isolated, "start", refused)
    failure, record = decoded(decoder, [versions[0], encoded(encoder)[0]])
    assert (failure.code, failure.status) == ("registry_error", 503)
    assert record == RECORDS[0]
    monkeypatch.undo()
    assert decoded(decoder, versions[:1]) == RECORDS[:1]


def test_blobs_need_not_wait_for_a_version_of_others(decoder, encoder, versions, monkeypatch):
    """Two requests for it meanwhile are one load."""
    loading, done, loads = threading.Event(), threading.Event(), []
    start = decoder._versions.isolated.start

    def slow(version):
        loads.append(version)
        loading.set()
        assert done.wait(30)
        return start(version)

    monkeypatch.setattr(decoder._versions.isolated, "start", slow)
    good = encoded(encoder)

    async def both():
        slow_ones = [asyncio.create_task(decoder.decode(versions[:1])) for _ in range(2)]
        await asyncio.to_thread(loading.wait, 30)
        assert await decoder.decode(good) == RECORDS
        assert not any(task.done() for task in slow_ones)
        done.set()
        return [await task for task in slow_ones]

    assert asyncio.run(both()) == [[RECORDS[0]]] * 2
    assert len(loads) == 1


# --- results ------------------------------------------------------------------------------------------------------


def test_failures_are_passed_on_and_empty_batches_not_tried():
    before = Failure("bad_request", "no")

    def unused(items):
        raise AssertionError(items)

    assert attempt_each(unused, [before]) == [before]
    assert attempt_batch(unused, [before, before]) == [before, before]
    assert attempt_batch(lambda items: [item + 1 for item in items], [1, before, 2]) == [2, before, 3]


def test_errors_in_a_batch_and_of_it():
    def each(items):
        return [CorruptBlob("bad") if item == 2 else item for item in items]

    assert attempt_batch(each, [1, 2, 3]) == [1, Failure("corrupt_blob", "bad"), 3]

    def all_or_none(items):
        if 2 in items:
            raise UnsupportedPayload("$", "bad")
        return items

    assert attempt_batch(all_or_none, [1, 2, 3]) == [1, Failure("unsupported_payload", "$: bad"), 3]
