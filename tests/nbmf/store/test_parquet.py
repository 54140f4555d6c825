"""Parquet data sets as stores: records by key, what is there twice, encrypted ones, and stores of older versions."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parts import row, write_parts

from nbmf import store
from nbmf.encryption import KEY_VARIABLE, StoreKey
from nbmf.errors import WrongKey
from nbmf.store.errors import AmbiguousKey, KeyRequired, RecordNotFound, StoreError, StoreWarning
from nbmf.store.parts import ROW_GROUP_ROWS

KEY = StoreKey.from_secret("the secret of the tests")


@pytest.fixture
def folder(tmp_path):
    """Two parts; "twice" is in both, and in one of them twice; "b" has two classes."""
    first = [row("twice", 1), row("b", "note of b"), row("b", "chat of b", "chat"), row("twice", 2), row("", "empty")]
    second = [row("twice", 3), row("ä/ö", {"n": 1}, "", meta={"m": 1})]
    return write_parts(tmp_path / "new", first, second)


def test_one_record(folder):
    with store.open(folder) as opened:
        found = opened.get("ä/ö")
        assert (found.key, found.record_class, found.meta, found.payload()) == ("ä/ö", "", {"m": 1}, {"n": 1})
        assert opened.get("b", "chat").payload() == "chat of b"
        assert opened.get("").payload() == "empty"
        assert opened.get(*next(opened.keys())).payload() == "empty"


def test_a_key_and_class_that_is_there_more_than_once(folder):
    with store.open(folder) as opened:
        assert [r.payload() for r in opened.get_all("twice")] == [1, 2, 3]
        assert opened.get("twice").payload() == 3
        assert opened.get("twice", "note").payload() == 3
        assert [name.key for name in opened.keys()].count("twice") == 3  # noqa: SIM118 - no dict


def test_a_key_of_several_classes(folder):
    with store.open(folder) as opened, pytest.raises(AmbiguousKey, match="'chat', 'note' have the key 'b'"):
        opened.get("b")


@pytest.mark.parametrize(
    ("key", "record_class"), [("no", None), ("b", "no"), ("twice", ""), ("\ud800", None), ("B", None)]
)
def test_what_is_not_there(folder, key, record_class):
    with store.open(folder) as opened:
        with pytest.raises(RecordNotFound, match="no record") as raised:
            opened.get(key, record_class)
        assert isinstance(raised.value, KeyError)
        assert str(raised.value).startswith("no record")
        assert opened.get_all(key, record_class) == []
        assert (key if record_class is None else (key, record_class)) not in opened


def test_whether_it_is_there(folder):
    with store.open(folder) as opened:
        assert all(key in opened for key in ("b", ("b", "chat"), ""))
        assert all(key not in opened for key in (("b",), ("b", "chat", 1), 7, (7, "chat"), None, ("b", None)))


def test_counts(folder):
    with store.open(folder) as opened:
        rows = list(opened)
        found = opened.statistics()
        assert len(opened) == len(rows) == found.records == 7
        assert found.blob_bytes == sum(len(r.blob) for r in rows)
        assert {name: one.records for name, one in found.classes.items()} == {"note": 5, "chat": 1, "": 1}
        assert (found.source_bytes, found.previews, found.encrypted) == (70, 0, 0)
        assert found.ratio == found.payload_bytes / found.blob_bytes


def test_keys_are_sorted_within_a_part(folder):
    assert [r.key for r in store.iterate(folder)] == ["", "b", "b", "twice", "twice", "twice", "ä/ö"]


def test_one_record_is_read_with_few_around_it(tmp_path):
    rows = [row(f"k{n:05}", n) for n in range(ROW_GROUP_ROWS * 3 + 1)]
    folder = write_parts(tmp_path / "new", rows)
    with pq.ParquetFile(folder / "part-000000.parquet") as file:
        assert file.num_row_groups == 4
    with store.open(folder) as opened:
        for number in (0, ROW_GROUP_ROWS - 1, ROW_GROUP_ROWS, 3 * ROW_GROUP_ROWS):
            assert opened.get(f"k{number:05}").payload() == number


def test_more_parts_than_files_are_kept_open(tmp_path, monkeypatch):
    monkeypatch.setattr("nbmf.store.parquet._OPEN_FILES", 2)
    folder = write_parts(tmp_path / "new", *([row(f"k{n}", n)] for n in range(7)))
    with store.open(folder) as opened:
        for number in (*range(7), 0, 6, 3):
            assert opened.get(f"k{number}").payload() == number
        assert len(opened._files) == 2


def test_a_uri(folder):
    with store.open(folder.as_uri()) as opened:
        assert opened.get("b", "chat").payload() == "chat of b"


def test_without_an_index_records_are_found_by_a_scan(folder):
    (folder / "_index.arrow").unlink()
    with store.open(folder) as opened:
        assert len(opened) == 7
        with pytest.warns(StoreWarning, match=r"_index\.arrow is not there; .*nbmf migrate"):
            assert [r.payload() for r in opened.get_all("twice")] == [1, 2, 3]
        assert opened.get("ä/ö").payload() == {"n": 1}  # told once
        assert "no" not in opened


def test_no_store(tmp_path):
    (tmp_path / "file").write_text("text")
    for place in (tmp_path / "file", tmp_path / "none"):
        with pytest.raises(StoreError, match="is no store"):
            store.open(place)
    with pytest.raises(StoreError):
        store.open("nosuchscheme://x")


def test_an_empty_store(tmp_path):
    store.build_index(tmp_path)
    with store.open(tmp_path) as opened:
        assert (len(opened), list(opened), "k" in opened, opened.statistics().ratio) == (0, [], False, None)


# --- encrypted ----------------------------------------------------------------------------------------------------


@pytest.fixture
def sealed(tmp_path):
    secret, plain = row("s", "words in secret", meta={"from": "Anna"}, encrypted=True), row("p", "plain")
    return write_parts(tmp_path / "new", [secret, plain], key=KEY)


def test_encrypted_records_are_read_with_the_key(sealed, monkeypatch):
    with store.open(sealed, key=KEY) as opened:
        found = opened.get("s")
        assert (found.payload(), found.meta, found.encrypted) == ("words in secret", {"from": "Anna"}, True)
        assert not opened.get("p").encrypted
        assert opened.statistics().encrypted == 1
    monkeypatch.setenv(KEY_VARIABLE, "the secret of the tests")
    assert {r.key for r in store.iterate(sealed)} == {"p", "s"}


def test_nothing_of_them_is_in_the_files(sealed):
    content = b"".join(path.read_bytes() for path in sealed.iterdir())
    assert b"Anna" not in content
    assert row("s", "words in secret")["blob"] not in content
    assert row("p", "plain")["blob"] in content


def test_without_the_key_they_are_refused_and_others_are_not(sealed):
    with store.open(sealed) as opened:
        assert opened.get("p").payload() == "plain"
        assert ("s", "note") in opened
        assert len(opened) == 2
        with pytest.raises(KeyRequired, match=r"'s' .*NBMF_STORE_KEY"):
            opened.get("s")
        with pytest.raises(KeyRequired):
            list(opened)
    with store.open(sealed, key=StoreKey.from_secret("another")) as opened, pytest.raises(WrongKey, match="'s'"):
        opened.get("s")


def test_they_are_written_the_same_twice(sealed, tmp_path):
    again = write_parts(tmp_path / "again", [row("s", "words in secret", meta={"from": "Anna"}, encrypted=True),
                                             row("p", "plain")], key=KEY)  # fmt: skip
    assert (again / "part-000000.parquet").read_bytes() == (sealed / "part-000000.parquet").read_bytes()


def test_they_are_not_written_without_the_key(tmp_path):
    with pytest.raises(KeyRequired, match="'s'"):
        write_parts(tmp_path / "new", [row("s", 1, encrypted=True)])
    assert list((tmp_path / "new").iterdir()) == []


# --- of older versions --------------------------------------------------------------------------------------------


def test_parts_that_older_versions_wrote(tmp_path):
    """Not sorted, without `encrypted` and statistics; and a newer part beside it, of a run that went on."""
    rows = [row(f"k{n}", n) for n in (3, 1, 2)]
    write_parts(tmp_path / "new", [], [row("k0", 0)], index=False)
    columns = [field for field in store.schema() if field.name != "encrypted"]
    old = pa.Table.from_pylist([{k: v for k, v in r.items() if k != "encrypted"} for r in rows], pa.schema(columns))
    pq.write_table(old, tmp_path / "new" / "part-000000.parquet")
    store.build_index(tmp_path / "new")
    with store.open(tmp_path / "new") as opened:
        assert [r.key for r in opened] == ["k3", "k1", "k2", "k0"]
        assert [opened.get(f"k{n}").payload() for n in range(4)] == [0, 1, 2, 3]
        found = opened.statistics()
        assert (found.records, found.payload_bytes, found.classes["note"].records) == (4, 4, 4)
        assert json.dumps(found.to_dict())
