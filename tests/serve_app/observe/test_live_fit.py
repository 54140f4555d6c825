"""Whether live records fit the version that encodes them: what is counted, when a mismatch is raised, what is told."""

import asyncio
import base64
import logging
import math
import random
import time

import pytest
import registries
import synthetic
from in_process import make_ingress, make_replicas

from cluster.errors import VersionNotFound
from cluster.fit import OURS, Sizes, Verdict
from cluster.registry import BUILTIN, NONE, STUB, Registry
from nbmf import engine, stub
from nbmf.codec import WITHOUT_VERSION
from nbmf.effort import EffortSetting
from nbmf.payload import to_canonical
from nbmf.vectors.changed import Changed, Coded
from nbmf.wire import dump
from serve_app.config import FitConfig
from serve_app.observe.live_fit import LOG_EVERY_S, FitWatch, live_sizes
from serve_app.observe.observer import Observer
from serve_app.observe.recent import RecentCounts, RecentReporter
from serve_app.reading.items import ToEncode
from serve_app.rollout import traffic
from serve_app.rollout.split import keyed_record

CONFIG = FitConfig(larger_up_to=1.5, min_records=10, min_bytes=1000, half_life_s=100)
SECRET = "Anna-prefers-the-window-seat"
PATIENCE_S = 30


def row(records, raw_bytes, coded_bytes, **more):
    return {OURS: {"records": records, "raw_bytes": raw_bytes, "coded_bytes": coded_bytes, **more}}


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "registry")


@pytest.fixture
def learnt(registry):
    """Of text it takes 1 bit a byte, of JSON 2 without binary data, of all 1.6; it learnt from these two."""
    measured = {
        "all": row(60, 50_000, 10_000),
        "kinds": {"text": row(30, 8000, 1000), "json": row(30, 42_000, 9000, text_bytes=8000, text_coded_bytes=2000)},
    }
    manifest = {"name": "a", "created_at": "", "architecture": "none", "measured": measured}
    return registries.publish(registry, {**manifest, "data": {"kinds": {"text": 300, "json": 300}}}, {"f": b"1"})


@pytest.fixture
def watch(registry):
    return FitWatch(CONFIG, registry)


def of(times, records=20, raw_bytes=8000, bits=1.0):
    """Sizes of records that take so many times their bits a byte."""
    return Sizes(records, raw_bytes, round(times * bits * raw_bytes / 8))


# --- what is counted ----------------------------------------------------------------------------------------------


def coded(value):
    kind, canonical = to_canonical(value)
    return int(kind), len(canonical), Coded(WITHOUT_VERSION.encode(value))


def test_sizes_by_kind():
    notes = [coded(f"note {n}") for n in range(3)]
    found = live_sizes([*notes, coded({"a": 1}), coded([{"role": "user", "content": "x"}])])
    assert found.keys() == {"text", "json", "messages"}
    assert found["text"] == Sizes(3, sum(one[1] for one in notes), sum(len(one[2].blob) for one in notes))


def test_an_image_is_not_counted_and_its_text_is():
    image = random.Random(1).randbytes(6000)
    kind, size, one = coded({"caption": "A boat at sea.", "image": base64.b64encode(image).decode()})
    (sizes,) = live_sizes([(kind, size, one)]).values()
    assert size > 8000
    assert len(one.blob) > 6000
    assert sizes.raw_bytes == len('{"caption":"A boat at sea.","image":""}')
    assert sizes.coded_bytes < sizes.raw_bytes + 8


def test_what_says_nothing_is_left_out():
    kind, size, one = coded({"v": [math.sin(n) for n in range(384)]})
    changed = one._replace(changed=Changed(1, 0.995, 0.99))
    assert live_sizes([(kind, size, changed), (0, 4, Coded(dump(stub.encode("text"))))]) == {}


def test_of_which_requests():
    """Not of those that have less time than usual, by which blobs are larger; nor where nobody asks."""

    async def send(*_):
        pass

    reporter = RecentReporter("me", send)
    auto, quick, fast, most = (
        EffortSetting("auto", 50),
        EffortSetting("auto", 9),
        EffortSetting("fast"),
        EffortSetting("max"),
    )
    for usual, compared in ((auto, [auto, most]), (most, [most]), (quick, [auto, quick, most]), (fast, [most])):
        observer = Observer(reporter, usual)
        assert [effort for effort in (auto, quick, fast, most) if observer.compares(effort)] == compared
    assert not Observer(None, auto).compares(auto)


def test_counts_add_up():
    counts = RecentCounts(sizes={"text": Sizes(1, 20, 5)})
    counts.add(RecentCounts(sizes={"text": Sizes(2, 30, 6), "json": Sizes(1, 9, 9)}))
    assert counts.sizes == {"text": Sizes(3, 50, 11), "json": Sizes(1, 9, 9)}


@pytest.fixture
def encode(tmp_path, monkeypatch):
    """A function: encodes records with an effort through an ingress, and what that reported of it."""
    monkeypatch.setattr(engine, "_engine", None)
    place, reports = Registry(tmp_path).location, []
    encoder, decoder = make_replicas(place, "none")
    ingress = make_ingress(place, "none", encoder.encode, decoder.decode)
    through = ingress._service._traffic

    async def send(_replica, counts):
        reports.append(counts["none"])

    async def run(records, effort):
        reporter = through._observer._reporter = RecentReporter("me", send)
        items = [keyed_record(ToEncode(*to_canonical(record)), None) for record in records]
        try:
            await through.encode(items, effort, time.time() + 60)
        finally:
            await reporter.report()

    yield lambda records, effort: asyncio.run(run(records, effort)), reports
    ingress._reader.close()


def test_from_the_replica_to_the_report(encode):
    """Of records that were encoded, with the sizes of their blobs; nothing of requests with effort fast."""
    run, reports = encode
    records = synthetic.records(30, seed=4)
    for effort in (EffortSetting("auto", 50), EffortSetting("fast")):
        run(records, effort)
    usual, fast = reports
    assert (usual.encoded.records, fast.encoded.records, fast.sizes) == (30, 30, {})
    assert usual.sizes == live_sizes(map(coded, records))
    assert {kind: sizes.records for kind, sizes in usual.sizes.items()} == {"text": 10, "messages": 10, "json": 10}


def test_a_client_that_hangs_up_while_sizes_are_looked_at(encode, monkeypatch):
    """What was encoded for it is counted."""

    def hang_up(_coded):
        raise asyncio.CancelledError

    monkeypatch.setattr(traffic, "live_sizes", hang_up)
    run, reports = encode
    with pytest.raises(asyncio.CancelledError):
        run(["a note", "another"], EffortSetting("auto", 50))
    (counts,) = reports
    assert (counts.encoded.records, counts.encoded.faults, counts.sizes) == (2, 0, {})
    assert counts.encoded.blob_bytes > 0


# --- when it is raised --------------------------------------------------------------------------------------------


def states(fits):
    return {one.kind: (one.verdict, one.mismatch) for one in fits}


def test_it_is_raised_and_ends(watch, learnt):
    """At more than 1.5 times; between 1.25 and that it stays as it was."""
    watch.add(learnt, {"text": of(1.4)}, 1000)
    assert states(watch.judge([learnt], 1000)) == {"text": (Verdict.LARGER, False)}
    watch.add(learnt, {"text": of(2)}, 1000)
    (raised,) = watch.judge([learnt], 1001)
    assert (raised.verdict, raised.mismatch, raised.since) == (Verdict.DOES_NOT_FIT, True, 1001)
    assert (raised.records, raised.expected_bits_per_byte) == (40, 1.0)
    assert raised.bits_per_byte == pytest.approx(1.7, rel=1e-3)
    assert raised.advice.startswith("They are not what the version learnt from: train one on newer records")
    assert f"`nbmf evaluate {learnt[:12]} -r FILE`" in raised.advice
    watch.add(learnt, {"text": of(1.1, raw_bytes=16_000)}, 1002)
    (still,) = watch.judge([learnt], 1003)
    assert (still.verdict, still.mismatch, still.since) == (Verdict.LARGER, True, 1001)
    watch.add(learnt, {"text": of(0.5, raw_bytes=32_000)}, 1004)
    (over,) = watch.judge([learnt], 1005)
    assert (over.verdict, over.mismatch, over.since, over.advice) == (Verdict.FITS, False, None, "")
    assert watch.fits == [over]


@pytest.mark.parametrize("few", [of(3, records=9), of(3, raw_bytes=999)])
def test_of_too_little_nothing_is_said(watch, learnt, few):
    watch.add(learnt, {"text": few}, 0)
    assert states(watch.judge([learnt], 0)) == {"text": (Verdict.TOO_FEW, False)}


def test_what_was_long_ago_weighs_less(watch, learnt):
    watch.add(learnt, {"text": of(4)}, 0)
    assert watch.judge([learnt], 0)[0].mismatch
    assert watch.judge([learnt], 100)[0].records == 10
    (later,) = watch.judge([learnt], 150)
    assert (later.verdict, later.mismatch) == (Verdict.TOO_FEW, True)  # nothing says that it fits now
    watch.add(learnt, {"text": of(1)}, 500)
    (now,) = watch.judge([learnt], 500)
    assert now.bits_per_byte == pytest.approx(1 + 3 / 33, rel=1e-3)
    assert not now.mismatch
    watch.add(learnt, {"text": of(1)}, 400)  # a clock that was put back
    assert watch.judge([learnt], 450)[0].records == 41


def test_kinds_beside_what_is_known_of_them(watch, learnt):
    """JSON without its binary data, messages beside all records; of bytes nothing is known."""
    watch.add(learnt, {kind: of(2.1) for kind in ("json", "messages", "bytes", "array")}, 0)
    fits = {one.kind: one for one in watch.judge([learnt], 0)}
    assert fits.keys() == {"json", "messages"}
    assert (fits["json"].expected_bits_per_byte, fits["json"].mismatch) == (2.0, False)
    assert fits["messages"].expected_bits_per_byte == 1.6
    watch.add(learnt, {"messages": of(4)}, 0)
    (messages,) = (one for one in watch.judge([learnt], 0) if one.kind == "messages")
    assert messages.advice.startswith("The version learnt nothing of this kind: train one with some of these")


def test_of_versions_without_measurements(watch, registry):
    bare = registries.publish(registry, {"name": "b", "created_at": "", "architecture": "none"}, {"f": b"2"})
    versions = [NONE, STUB, BUILTIN, bare]  # in tests no version is built in
    for one in versions:
        watch.add(one, {"text": of(9)}, 0)
    assert watch.judge(versions, 0) == []


def test_versions_that_encode_no_more_are_forgotten(watch, learnt):
    watch.add(learnt, {"text": of(3)}, 0)
    watch.add("a" * 64, {"text": of(3)}, 0)
    assert len(watch.judge([learnt], 0)) == 1
    assert watch.judge([NONE], 1) == []
    assert watch.judge([learnt], 2) == []
    with pytest.raises(VersionNotFound):
        watch.judge(["a" * 64], 3)


# --- what is told -------------------------------------------------------------------------------------------------


def test_the_log(watch, learnt, caplog, monkeypatch):
    """A line a change, and no more than one in some minutes."""
    monkeypatch.setattr("serve_app.observe.live_fit._log", logging.getLogger("tests.live_fit"))
    bad, good = {"text": of(9)}, {"text": of(0.1, raw_bytes=200_000)}
    watch.add(learnt, bad, 0)
    for second in range(5):
        watch.judge([learnt], second)
    (line,) = caplog.messages
    assert line.startswith(f"version {learnt[:12]} does not fit the text records that it encodes: 9.00 bits a byte, ")
    assert "of its own held-out ones 1.00. They are not what" in line
    assert caplog.records[0].levelno == logging.WARNING
    watch.add(learnt, good, 5)
    assert not watch.judge([learnt], 6)[0].mismatch
    watch.add(learnt, {"text": of(9, raw_bytes=10**7)}, 7)
    assert watch.judge([learnt], 8)[0].mismatch
    watch.add(learnt, {"text": of(0.1, raw_bytes=10**9)}, 9)
    for second in (9, LOG_EVERY_S - 1):
        assert not watch.judge([learnt], second)[0].mismatch
    assert len(caplog.messages) == 1
    watch.judge([learnt], LOG_EVERY_S)
    assert caplog.messages[1].startswith(f"version {learnt[:12]} fits again the text records that it encodes: ")


def test_the_configuration():
    assert FitConfig() == FitConfig(larger_up_to=1.5, min_records=200, min_bytes=65536, half_life_s=3600)
    for wrong in ({"larger_up_to": 1.25}, {"min_records": 0}, {"min_bytes": 0}, {"half_life_s": 0}, {"factor": 2}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            FitConfig(**wrong)


# --- a service ----------------------------------------------------------------------------------------------------


def test_a_service_tells(service):
    """Of text as nothing that its version learnt from, by the admin API, and nothing of what it says."""
    rng = random.Random(6)
    words = ["".join(rng.choices("bcdfghjklmnpqrstvwxz", k=9)) for _ in range(40_000)]
    texts = [SECRET + " ".join(words[at : at + 40]) for at in range(0, len(words), 40)]
    for at in range(0, len(texts), 50):
        status, _ = service.json("/v1/encode", {"records": [{"payload": text} for text in texts[at : at + 50]]})
        assert status == 200
    for _ in range(PATIENCE_S):
        answer = service.client.get("/v1/admin/recent")
        raised = [one for one in answer.json()["fits"] if one["mismatch"]]
        if raised:
            break
        time.sleep(1)
    (found,) = raised
    assert (found["kind"], found["verdict"]) == ("text", "does not fit")
    assert found["bits_per_byte"] > 1.5 * found["expected_bits_per_byte"] > 0
    assert "train one on newer records" in found["advice"]
    assert SECRET not in answer.text
