"""Data sets of nbmf: every record as it was, blobs decoded, previews kept, damage named."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from items import good, read, reasons

import nbmf
from cluster.errors import RecordsError
from cluster.sources import BadRecord, DataSet, ParquetFiles, Record, open_source
from nbmf import stub
from nbmf.encryption import StoreKey

KEY = StoreKey.from_secret("the right one")
WORDS = synthetic.records(1, seed=4)[0]


@pytest.fixture
def part(tmp_path):
    """A function: writes rows to a part of a data set, returns its folder."""

    def write(rows, number=0, types=None, **options):
        defaults = {"key": "k", "class": "note", "meta": "null", "blob": nbmf.encode("x"), "preview": False}
        names = list(dict.fromkeys([*defaults, *(name for row in rows for name in row)]))
        columns = {name: [{**defaults, **row}.get(name) for row in rows] for name in names}
        arrays = {name: pa.array(values, (types or {}).get(name)) for name, values in columns.items()}
        folder = tmp_path / "set"
        folder.mkdir(exist_ok=True)
        pq.write_table(pa.table(arrays), folder / f"part-{number:06}.parquet", **options)
        return folder

    return write


def test_records_are_what_they_were(part, small_version):
    registry, codec = small_version
    payloads = [WORDS, {"value": 1, "__meta__": 2}, stub.encode("x", "lossless"), b"\x00", None, [1.5, -0.0]]
    rows = [
        {"key": f"k/{n}", "class": f"c{n % 2}", "meta": json.dumps({"n": n}), "blob": codec.encode(payload)}
        for n, payload in enumerate(payloads)
    ]
    part(rows[:3], 0, row_group_size=2)
    source = open_source(part(rows[3:], 1), registry=registry.location)
    assert type(source) is DataSet
    assert len(source.plan()) == 3
    found = good(read(source))
    assert [r.payload for r in found] == payloads
    assert [(r.key, r.record_class, r.meta) for r in found] == [(f"k/{n}", f"c{n % 2}", {"n": n}) for n in range(6)]
    assert [r.source_bytes for r in found] == [len(row["blob"]) for row in rows]
    assert len({r.place for r in found}) == 6
    assert not any(r.preview or r.encrypted for r in found)


def test_previews_stay_previews(part):
    preview = stub.encode("the beginning", "semantic")
    (found,) = good(read(open_source(part([{"blob": nbmf.encode(preview), "preview": True}]))))
    assert (found.payload, found.preview) == (preview, True)


def test_records_that_are_encrypted_at_rest(part):
    sealed = KEY.seal(b'{"m": 1}\0' + nbmf.encode("hidden"))
    other = StoreKey.from_secret("another").seal(b"null\0" + nbmf.encode("x"))
    rows = [{"blob": sealed, "encrypted": True}, {"blob": other, "encrypted": True}, {"encrypted": False}]
    rows += [{"blob": KEY.seal(b"no blob"), "encrypted": True}, {"blob": b"short", "encrypted": True}]
    rows += [{"blob": KEY.seal(b"\xff\0" + nbmf.encode("x")), "encrypted": True}]
    folder = part(rows)
    found = read(open_source(folder, key=KEY))
    assert reasons(found) == [None, "wrong_key", None, "damaged_envelope", "damaged_envelope", "bad_meta"]
    assert [(r.payload, r.meta, r.encrypted) for r in (found[0], found[2])] == [
        ("hidden", {"m": 1}, True),
        ("x", None, False),
    ]
    assert reasons(read(open_source(folder))) == ["encrypted", "encrypted", None, *["encrypted"] * 3]


def test_what_cannot_be_decoded_is_named_by_its_error(part, small_version, tmp_path):
    registry, codec = small_version
    blob = codec.encode(WORDS)
    assert nbmf.inspect(blob).codec == codec.reference.hex()
    rows = [
        {"blob": blob},
        {"blob": blob[:-1] + bytes([blob[-1] ^ 1])},
        {"blob": blob[:5]},
        {"blob": b""},
        {"blob": b"text"},
        {"blob": b"\xb0" + blob[1:]},
        {"blob": codec.encode("y" * 2000)},
        {"meta": "{"},
        {"blob": nbmf.encode("after")},
    ]
    folder = part([{"key": f"k{n}", **row} for n, row in enumerate(rows)])
    found = read(open_source(folder, registry=registry.location, max_record_bytes=1000))
    assert reasons(found) == [
        None,
        "checksum_mismatch",
        "corrupt_blob",
        "corrupt_blob",
        "not_a_blob",
        "unsupported_format",
        "output_too_large",
        "bad_meta",
        None,
    ]
    assert [item.key for item in found] == [f"k{n}" for n in range(9)]
    elsewhere = read(open_source(folder, registry=str(tmp_path / "empty")))
    assert reasons(elsewhere)[0] == "unknown_codec"
    assert "empty" in elsewhere[0].detail


def test_a_fault_of_the_decoder_is_one_records_only(part, monkeypatch):
    from nbmf.catalog import Catalog

    decode = Catalog.decode_canonical_batch

    def failing(self, frames, **options):
        if any(frame.payload_bytes == 3 for frame in frames):
            raise ZeroDivisionError("a fault")
        return decode(self, frames, **options)

    monkeypatch.setattr(Catalog, "decode_canonical_batch", failing)
    found = read(open_source(part([{"blob": nbmf.encode(text)} for text in ("one or", "two", "more of")])))
    assert reasons(found) == [None, "internal_error", None]
    assert "ZeroDivisionError: a fault" in found[1].detail


@pytest.mark.parametrize(
    ("row", "types"),
    [
        ({"key": None}, {"key": pa.string()}),
        ({"key": 3}, None),
        ({"class": None}, {"class": pa.string()}),
        ({"meta": None}, {"meta": pa.string()}),
        ({"blob": None}, {"blob": pa.binary()}),
        ({"blob": "text"}, None),
        ({"preview": None}, {"preview": pa.bool_()}),
        ({"preview": 1}, None),
        ({"meta": b"{}"}, None),
    ],
)
def test_rows_of_other_types(part, row, types):
    (found,) = read(open_source(part([row], types=types)))
    assert found.reason == "damaged_row"


def test_text_that_is_not_utf8(part):
    raw = pa.array([b"fine", b"\xff\xfe"], pa.binary())
    folder = part([{}, {}])
    table = pq.read_table(folder / "part-000000.parquet")
    text = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    pq.write_table(table.set_column(0, "key", text), folder / "part-000000.parquet")
    assert reasons(read(open_source(folder))) == [None, "not_utf8"]


def test_a_migration_that_was_not_finished_is_refused(part):
    folder = part([{}])
    (folder / "_plan.json").write_text("{}")
    with pytest.raises(RecordsError, match="not finished"):
        open_source(folder).plan()
    (folder / "report.json").write_text("{}")
    assert len(read(open_source(folder))) == 1


def test_which_folders_are_data_sets(part, table):
    folder = part([{}])
    assert type(open_source(folder / "part-000000.parquet")) is DataSet
    assert type(open_source(folder / "part-000000.parquet", reader="parquet", payload_field="blob")) is ParquetFiles
    assert type(open_source(table("part-1.parquet", payload=["x"]))) is ParquetFiles
    with pytest.raises(RecordsError, match="has no column blob, class, key, meta, preview"):
        open_source(table("part-1.parquet", payload=["x"]), reader="dataset").plan()
    table("set/other.parquet", payload=["x"])
    with pytest.raises(RecordsError, match="both data set and Parquet"):
        open_source(folder)


def test_a_registry_is_no_part_of_the_plan_but_its_key_is(part):
    folder = part([{}])
    one, other = open_source(folder, registry="/a"), open_source(folder, registry="/b")
    assert repr(one) == repr(other) != repr(open_source(folder, registry="/a", key=KEY))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.lists(st.fixed_dictionaries({"meta": st.text(max_size=8), "blob": st.binary(max_size=20)}), min_size=1))
def test_nothing_that_a_row_holds_raises(part, rows):
    found = read(open_source(part(rows)))
    assert len(found) == len(rows)
    assert all(isinstance(item, Record | BadRecord) for item in found)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.data())
def test_nothing_that_a_damaged_file_holds_raises(part, data):
    folder = part([{"key": f"k{n}", "blob": nbmf.encode(text)} for n, text in enumerate(synthetic.records(20))])
    path = folder / "part-000000.parquet"
    source = open_source(folder)
    shards = source.plan()
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=20))
        content[at : at + len(piece)] = piece
    path.write_bytes(content)
    assert all(isinstance(item, Record | BadRecord) for shard in shards for item in source.read(shard))
