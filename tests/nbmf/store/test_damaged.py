"""Stores that are damaged: errors of the tree that name the file, and sound records beside it are read."""

import json
import random
import sqlite3

import pytest
from helpers import record
from parts import row, write_parts

from nbmf import compat, store
from nbmf.encryption import StoreKey
from nbmf.errors import NbmfError, UnknownCodec
from nbmf.payload import to_canonical
from nbmf.store.errors import StoreError, StoreWarning
from nbmf.store.rows import RECORD_COLUMNS
from nbmf.store.sqlite import APPLICATION_ID, FORMAT, TABLES

KEY = StoreKey.from_secret("the secret of the tests")


@pytest.fixture
def parts(tmp_path):
    return write_parts(tmp_path / "new", [row("a", 1)], [row("b", 2)])


def everything(opened):
    yield lambda: opened.get("b")
    yield lambda: list(opened)
    yield lambda: list(opened.keys())
    yield opened.statistics


@pytest.mark.filterwarnings("ignore:.*found by a scan")
@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("content", [b"", b"PAR1", b"no Parquet, but long enough for a footer"])
def test_a_damaged_part(parts, content, index):
    (parts / "part-000001.parquet").write_bytes(content)
    if not index:
        (parts / "_index.arrow").unlink()
    with store.open(parts) as opened:
        for call in (*everything(opened), *([] if index else [opened.__len__])):
            with pytest.raises(StoreError, match=r"part-000001\.parquet"):
                call()


def test_a_damaged_page(parts):
    path = parts / "part-000001.parquet"
    content = bytearray(path.read_bytes())
    content[4:60] = bytes(56)
    path.write_bytes(content)
    with store.open(parts) as opened:
        assert opened.get("a").payload() == 1
        for call in list(everything(opened))[:3]:
            with pytest.raises(StoreError, match=r"part-000001\.parquet"):
                call()


@pytest.mark.parametrize("meta", ["{", "[" * 100_000])
def test_damaged_meta(tmp_path, meta):
    folder = write_parts(tmp_path / "new", [row("a", 1) | {"meta": meta}])
    with store.open(folder) as opened, pytest.raises(StoreError, match="'a' of class 'note'"):
        opened.get("a")
    sealed = row("a", 1) | {"encrypted": True, "blob": KEY.seal(b"\xff\0blob"), "meta": "null"}
    with pytest.raises(StoreError, match="'a' of class 'note'"):
        store.rows.to_record(sealed, KEY)


def test_deep_meta_is_read_however_deep_the_caller_is(tmp_path):
    """It was written by a worker with room on its stack."""
    meta = []
    for _ in range(600):
        meta = [meta]
    folder = write_parts(tmp_path / "new", [row("a", 1, meta=meta)])

    def at_depth(depth):
        return at_depth(depth - 1) if depth else opened.get("a").meta

    with store.open(folder) as opened:
        assert json.dumps(at_depth(500)) == json.dumps(meta)


@pytest.fixture
def sqlite_file(tmp_path):
    path = tmp_path / "new.sqlite"
    with sqlite3.connect(path) as connection:
        for table in TABLES:
            connection.execute(table)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        one = row("b", "x" * 100)
        names = (*RECORD_COLUMNS, "source_bytes", "payload_bytes")
        marks = ", ".join("?" * len(names))
        for _ in range(200):
            connection.execute(f"INSERT INTO records({', '.join(names)}) VALUES ({marks})", [one[n] for n in names])
        connection.execute("INSERT INTO shards VALUES (0, 1, '{}')")
    connection.close()
    return path


def test_a_damaged_sqlite_file(sqlite_file):
    content = bytearray(sqlite_file.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    sqlite_file.write_bytes(content)
    with store.open(sqlite_file) as opened:
        for call in (*everything(opened), lambda: len(opened), lambda: "b" in opened):
            with pytest.raises(StoreError, match=r"new\.sqlite"):
                call()


def test_text_that_is_not_utf8_in_a_sqlite_file(sqlite_file):
    with sqlite3.connect(sqlite_file) as connection:
        connection.execute("UPDATE records SET key = CAST(x'ff' AS TEXT)")
    connection.close()
    with store.open(sqlite_file) as opened:
        for call in (lambda: list(opened), lambda: list(opened.keys())):
            with pytest.raises(StoreError, match=r"new\.sqlite"):
                call()


def test_a_folder_that_is_no_store(tmp_path):
    """As that of a mount that is not there: it is not a store without records."""
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(StoreError, match="no store"):
        store.open(tmp_path)
    with pytest.raises(StoreError, match="no store"):
        store.open(tmp_path.as_uri())


# --- record files -------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path):
    (tmp_path / "records").mkdir()
    for key in ("a", "b", "c", "d"):
        payload = compat.encode({"of": key}, "lossless")
        if key == "b":
            payload["code"] = "no hex"
        if key == "c":
            payload["meta"]["encoder_version"] = "nbmf-99"
        (tmp_path / "records" / f"{key}__note.json").write_text(json.dumps({"payload": payload}))
    return tmp_path


def test_a_damaged_blob_in_a_record_file_hides_no_other(files):
    with store.open(files) as opened:
        with pytest.warns(StoreWarning, match=r"left out: .*[bc]__note\.json"):
            assert [record.key for record in opened] == ["a", "d"]
        with pytest.warns(StoreWarning, match=r"left out: .*[bc]__note\.json"):
            assert opened.statistics().records == 2
        with pytest.raises(NbmfError):
            opened.get("b")


def test_a_folder_among_record_files_hides_no_other(files):
    (files / "records" / "folder__note.json").mkdir()
    for damaged in "bc":
        (files / "records" / f"{damaged}__note.json").unlink()
    with store.open(files) as opened, pytest.warns(StoreWarning, match=r"left out: .*folder__note\.json"):
        assert [record.key for record in opened] == ["a", "d"]


@pytest.mark.parametrize("key", ["nul\0", "long" * 100, "\ud800"])
def test_a_key_that_no_file_can_have_is_not_there(files, key):
    with store.open(files) as opened:
        assert opened.get_all(key, "note") == opened.get_all(key) == []
        assert (key, "note") not in opened


def test_statistics_need_no_codec_version(tmp_path, codec, fresh_default_catalog):
    held = record(random.Random(1))
    payload = compat.encode(held, "lossless", codec=codec)
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a__note.json").write_text(json.dumps({"payload": payload}))
    with store.open(tmp_path) as opened:
        with pytest.raises(UnknownCodec):
            opened.get("a").payload()
        assert opened.statistics().payload_bytes == len(to_canonical(held)[1])
