"""Records in batches, without Ray: batches are bounded, and the fault of one record is no other's."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import synthetic

from cluster.sources import BadRecord, Record
from migrate_job.coding import records as coding
from migrate_job.plan.options import Options
from migrate_job.plan.plan import Plan
from nbmf import Codec, builtin, inspect, json_text
from nbmf.batches import bounded
from nbmf.effort import EffortSetting
from nbmf.errors import CorruptBlob, PayloadTooLarge
from nbmf.fidelity_policy import FidelityPolicy
from nbmf.payload import to_canonical
from nbmf.store.folder import LocalFolder
from nbmf.vectors import Aim
from nbmf.vectors.aim import DEFAULT_AIM
from nbmf.vectors.compare import cosines


class RecordingCodec(Codec):
    """Notes the payloads of each batch; a payload "break …" makes every batch raise that holds it."""

    def __init__(self):
        super().__init__()
        self.encoded, self.decoded, self.options = [], [], []

    def encode_measured(self, values, fidelity="lossless", **options):
        values = list(values)
        self.encoded.append(values)
        self.options.append(options)
        if "break encode" in values:
            raise IndexError("out of range")
        if "break with a code" in values:
            raise PayloadTooLarge("too large")
        return super().encode_measured(values, fidelity, **options)

    def decode_batch(self, blobs, **options):
        values = super().decode_batch(blobs, **options)
        self.decoded.append(values)
        if "break decode" in values:
            raise IndexError("out of range")
        return [CorruptBlob("altered") if value == "corrupt" else value for value in values]


@pytest.fixture
def codec():
    return RecordingCodec()


def plan(**options):
    return Plan(None, (), LocalFolder(Path("new")), "unused", "none", Options(**options))


def record(payload, key="k"):
    return Record(key, "note", {"n": 1}, payload, "place", 7)


def outcomes(items, codec, **options):
    return list(coding.migrate_records(items, codec, plan(**options)))


def test_rows_are_equal_payloads_in_the_order_of_the_records(codec):
    payloads = synthetic.records(40, seed=92)
    rows = outcomes([record(p, str(n)) for n, p in enumerate(payloads)], codec)
    assert [row["key"] for row in rows] == [str(n) for n in range(40)]
    assert [to_canonical(Codec().decode(row["blob"])) for row in rows] == list(map(to_canonical, payloads))
    assert [row["payload_bytes"] for row in rows] == [len(to_canonical(p)[1]) for p in payloads]
    assert {(row["class"], row["meta"], row["preview"], row["source_bytes"]) for row in rows} == {
        ("note", '{"n":1}', False, 7)
    }
    assert len(codec.encoded) == len(codec.decoded) == 1


def test_batches_are_of_at_most_so_many_records(codec):
    rows = outcomes([record(n) for n in range(600)], codec)
    assert len(rows) == 600
    assert [len(batch) for batch in codec.encoded] == [256, 256, 88]


def test_batches_are_of_at_most_so_many_bytes(codec, monkeypatch):
    monkeypatch.setattr(coding, "bounded", partial(bounded, max_bytes=100))
    sizes = [40, 40, 20, 1, 300, 99, 1]
    rows = outcomes([record("x" * size) for size in sizes], codec)
    assert [row["payload_bytes"] for row in rows] == sizes
    assert [[len(text) for text in batch] for batch in codec.encoded] == [[40, 40, 20], [1], [300], [99, 1]]


def test_bad_records_keep_their_places(codec):
    bad = BadRecord("place", "not_json", "cut off")
    items = [bad, record("a"), record(object()), record("corrupt"), record("b"), record("c", "\ud800"), bad]
    first, a, unsupported, corrupt, b, bad_key, last = outcomes(items, codec)
    assert first is last is bad
    assert (Codec().decode(a["blob"]), Codec().decode(b["blob"])) == ("a", "b")
    reasons = [letter.reason for letter in (unsupported, corrupt, bad_key)]
    assert reasons == ["unsupported_payload", "corrupt_blob", "bad_key"]
    assert (corrupt.key, corrupt.place, corrupt.source_bytes) == ("k", "place", 7)
    assert codec.encoded == [["a", "corrupt", "b"]]


@pytest.mark.parametrize(
    ("payload", "reason", "detail"),
    [
        ("break encode", "internal_error", "IndexError: out of range"),
        ("break decode", "internal_error", "IndexError: out of range"),
        ("break with a code", "payload_too_large", "too large"),
    ],
)
def test_a_record_that_breaks_the_batch_is_alone_in_failing(codec, payload, reason, detail):
    a, letter, b = outcomes([record("a"), record(payload, "the bad one"), record("b")], codec)
    assert (Codec().decode(a["blob"]), Codec().decode(b["blob"])) == ("a", "b")
    assert (letter.reason, letter.detail, letter.key) == (reason, detail, "the bad one")
    assert codec.encoded == [["a", payload, "b"], ["a"], [payload], ["b"]]


def test_effort_and_budget_are_the_plans(codec):
    outcomes([record("a")], codec)
    outcomes([record("a")], codec, effort=EffortSetting("fast", 7.0))
    assert codec.options == [
        {"effort": "auto", "latency_budget_ms": 100.0, "aim": DEFAULT_AIM},
        {"effort": "fast", "latency_budget_ms": 7.0, "aim": DEFAULT_AIM},
    ]


def test_effort_reaches_the_network():
    codec = Codec.load(builtin.FOLDER / (builtin.FOLDER / "DEFAULT").read_text().strip())
    items = [record("Remember that Anna prefers the window seat, and the invoice of March.")]
    coders = [
        inspect(outcomes(items, codec, effort=effort)[0]["blob"]).coder
        for effort in (EffortSetting(), EffortSetting("max"), EffortSetting("fast"), EffortSetting("auto", 1e-6))
    ]
    assert coders[:3] == ["neural", "neural", "counts"]
    assert coders[3] not in ("neural", "counts")


def test_each_class_is_coded_with_its_fidelity(codec):
    told = []

    class Noting(RecordingCodec):
        def encode_measured(self, values, fidelity="lossless", **options):
            told.append((list(values), fidelity))
            return super().encode_measured(values, fidelity, **options)

    classes = ["a", "b", "c", "b", "a"]
    items = [Record(f"k{n}", name, {}, f"text {n}", "place", 7) for n, name in enumerate(classes)]
    rows = outcomes(items, Noting(), fidelity=FidelityPolicy(classes={"b": "semantic"}))
    assert told == [(["text 0", "text 2", "text 4"], "lossless"), (["text 1", "text 3"], "semantic")]
    assert [Codec().decode(row["blob"]) for row in rows] == [f"text {n}" for n in range(5)]


EMBEDDING = [((n * 7919) % 997 - 498) / 4000 for n in range(128)]


def test_vectors_of_a_class_with_semantic_fidelity(codec):
    """What decodes to other vectors counts; what decodes to anything else does not."""
    payload = {"id": 7, "embedding": EMBEDDING}
    items = [Record(f"k{n}", name, {}, payload, "place", 7) for n, name in enumerate("ab")]
    kept, near = outcomes(items, Codec(), fidelity=FidelityPolicy(classes={"b": "semantic"}))
    assert Codec().decode(kept["blob"]) == payload
    assert len(near["blob"]) < 0.4 * len(kept["blob"])
    (cosine,) = cosines(payload, Codec().decode(near["blob"]))
    assert cosine >= 0.98
    assert near["verified"]
    assert near["changed"].cosine_min == pytest.approx(cosine)
    assert (near["changed"].vectors, near["changed"].lossless_bytes) == (1, len(kept["blob"]))
    assert kept["changed"] is None

    (nearer,) = outcomes(
        items[1:], Codec(), fidelity=FidelityPolicy(classes={"b": "semantic"}), aim=Aim(least_cosine=cosine + 0.001)
    )
    (again,) = cosines(payload, Codec().decode(nearer["blob"]))
    assert again > cosine + 0.001
    assert nearer["verified"]

    class Changing(RecordingCodec):
        def __init__(self, change):
            super().__init__()
            self.change = change

        def decode_batch(self, blobs, **options):
            return [{**decoded, **self.change} for decoded in super().decode_batch(blobs, **options)]

    for change in ({"id": 8}, {"embedding": EMBEDDING[::-1]}, {"more": 1}):
        (outcome,) = outcomes(items[1:], Changing(change), fidelity=FidelityPolicy(classes={"b": "semantic"}))
        assert outcome.reason == "verification_failed"


def test_each_step_is_allowed_its_time_before_it_begins(codec, monkeypatch):
    monkeypatch.setattr(coding, "BYTES_PER_TIMEOUT", 100)
    steps = []

    def items():
        for size in (10, 90):
            steps.append("read")
            yield record("x" * size)

    plan_ = plan(record_timeout_s=5)
    list(coding.migrate_records(items(), codec, plan_, steps.append))
    assert steps == [5, "read", 5, "read", 5, 10]


def test_a_record_for_which_memory_does_not_suffice_ends_it(codec, monkeypatch):
    def encode_measured(values, *args, **options):
        if "large" in values:
            raise MemoryError
        return Codec().encode_measured(values, *args, **options)

    monkeypatch.setattr(codec, "encode_measured", encode_measured)
    with pytest.raises(MemoryError):
        outcomes([record("a"), record("large")], codec)


def test_numbers_of_json_text_are_compared_and_kept_as_written(codec):
    text = '{"a":[1.50,1e400,-0],"digits":0.1234567890123456789012345}'
    item = Record("k", "note", json_text.loads(text), json_text.loads(text), "place", 7)
    (row,) = outcomes([item], codec)
    assert row["verified"]
    assert row["meta"] == text
    assert to_canonical(codec.decode(row["blob"]))[1].decode() == text


def test_meta_with_surrogates_is_unicode_all_the_same(codec):
    (row,) = outcomes([Record("k", "note", {"a": "\ud800 é"}, "x", "place", 7)], codec)
    assert row["meta"] == '{"a":"\\ud800 é"}'
    assert row["meta"].encode()
    (bad,) = outcomes([Record("k", "note", {"a": object()}, "x", "place", 7)], codec)
    assert (type(bad), bad.reason) == (BadRecord, "bad_meta")


_SECRET = "hidden-diagnosis"


def test_nothing_is_told_of_an_encrypted_record_that_cannot_be_coded():
    record = Record("k", "note", {_SECRET: "\ud800"}, {_SECRET: {1: 2}}, "place", 10, encrypted=True)
    for one, is_told in ((record, False), (replace(record, encrypted=False), True)):
        bad = coding._checked(one)
        assert bad.reason == "unsupported_payload"
        assert (_SECRET in bad.detail) is is_told
