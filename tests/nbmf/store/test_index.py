"""The key index: complete, the same bytes whatever the memory, and never believed when it is not sound."""

import random
import subprocess
import sys
import warnings

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parts import row, write_parts

import nbmf
from nbmf import store
from nbmf.store import index, index_build
from nbmf.store.errors import IndexUnusable, RecordNotFound, StoreWarning
from nbmf.store.folder import LocalFolder
from nbmf.store.index import Index, bits_for
from nbmf.store.layout import INDEX
from nbmf.store.parts import list_parts, write_part

RECORDS = 100_000
keys = st.text(st.characters(codec="utf-8"), max_size=8)


def parts_of(folder):
    from pyarrow.fs import LocalFileSystem

    return list_parts(LocalFileSystem(), str(folder))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A hundred thousand records in fifty parts, every key of every class some times."""
    folder = tmp_path_factory.mktemp("many")
    blob = nbmf.encode("text")
    fixed = {"meta": "null", "blob": blob, "preview": False, "encrypted": False, "source_bytes": 1, "payload_bytes": 4}
    for part in range(50):
        write_part(
            LocalFolder(folder),
            f"part-{part:06}.parquet",
            [{"key": f"agent/{n}", "class": "abc"[n % 3]} | fixed for n in range(part, RECORDS, 50)],
        )
    index_build.ensure_index(LocalFolder(folder))
    return folder


def test_each_of_many_records_is_found(many):
    with store.open(many) as opened:
        assert len(opened) == RECORDS
        for number in random.Random(1).sample(range(RECORDS), 500):
            found = opened.get(f"agent/{number}")
            assert (found.key, found.record_class) == (f"agent/{number}", "abc"[number % 3])
            assert f"agent/{number}." not in opened
        assert opened.statistics().records == RECORDS


def test_little_is_read_for_a_record(many, monkeypatch):
    """One batch of the index, one row group of one part."""
    batches, groups = [], []
    columns, read = Index._columns, pq.ParquetFile.read_row_group
    monkeypatch.setattr(Index, "_columns", lambda self, number: batches.append(number) or columns(self, number))
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda self, number, **how: groups.append(number) or read(self, number, **how)
    )
    with store.open(many) as opened:
        assert opened.get("agent/77777").key == "agent/77777"
        assert (len(batches), len(groups)) == (1, 1)
        sizes = [len(columns(opened._index, number)[0]) for number in range(1 << opened._index.bits)]
        assert sum(sizes) == RECORDS
        assert max(sizes) < 2 * index.BATCH_ENTRIES


@pytest.mark.parametrize("entries", [index.BATCH_ENTRIES, 3 * index.BATCH_ENTRIES, 1 << 20])
def test_the_same_bytes_whatever_fits_into_memory(many, monkeypatch, entries):
    before = (many / INDEX).read_bytes()
    for name in ("FEWEST_ENTRIES", "MOST_ENTRIES"):
        monkeypatch.setattr(index_build, name, entries)
    index_build.build_index(many)
    assert (many / INDEX).read_bytes() == before
    assert not (many / index_build.SPILL).exists()


def test_pandas_stays_out(many, clean_environment):
    """It is there with Ray, and would take 40 MB of each process that reads a record."""
    done = (
        "import sys; from nbmf import store; from nbmf.store.index_build import build_index; build_index(sys.argv[1]); "
    )
    done += "print(store.open(sys.argv[1]).get('agent/7').key, 'pandas' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", done, many], env=clean_environment, capture_output=True, text=True)
    assert ran.stdout.split() == ["agent/7", "False"], ran.stderr


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.lists(st.tuples(keys, st.sampled_from("ab")), max_size=12), max_size=5), absent=keys)
def test_it_finds_what_is_there_and_nothing_else(tmp_path_factory, parts, absent):
    folder = tmp_path_factory.mktemp("index")
    held = {}
    for part in parts:
        for name in sorted(part):
            held.setdefault(name, []).append(len(held))
    numbers = {name: iter(values) for name, values in held.items()}
    write_parts(folder, *([row(key, next(numbers[key, of]), of) for key, of in sorted(part)] for part in parts))
    Index.open(parts_of(folder)).verify()
    with store.open(folder) as opened:
        for (key, record_class), values in held.items():
            assert [r.payload() for r in opened.get_all(key, record_class)] == values
            assert opened.classes_of(key) == sorted({of for k, of in held if k == key})
        assert (absent in opened) == any(absent == key for key, _ in held)


def test_keys_of_one_hash_are_told_apart(tmp_path, monkeypatch):
    for module in (index, index_build):
        monkeypatch.setattr(module, "key_hash", lambda _: 7)
    folder = write_parts(tmp_path / "new", [row(f"k{n}", n) for n in range(20)], [row(f"l{n}", n) for n in range(20)])
    with store.open(folder) as opened:
        assert [opened.get(f"{letter}{n}").payload() for n in range(20) for letter in "kl"] == [
            n for n in range(20) for _ in "kl"
        ]
        assert "m0" not in opened


@pytest.mark.parametrize(
    ("records", "bits"), [(0, 0), (1, 0), (4096, 0), (4097, 1), (8193, 2), (10**6, 8), (10**9, 18)]
)
def test_batches_stay_small(records, bits):
    assert bits_for(records) == bits
    assert records / 2**bits <= index.BATCH_ENTRIES


# --- not sound ----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    return write_parts(tmp_path / "new", [row(f"k{n}", n) for n in range(300)], [row(f"l{n}", n) for n in range(300)])


def look_for_all(folder):
    """Every record of the fixture is found, and no other, whatever it takes; the warnings."""
    with warnings.catch_warnings(record=True) as told, store.open(folder) as opened:
        warnings.simplefilter("always")
        for letter in "kl":
            for number in (0, 17, 299):
                assert opened.get(f"{letter}{number}").payload() == number
        with pytest.raises(RecordNotFound):
            opened.get("k300")
    assert all(issubclass(one.category, StoreWarning) for one in told)
    return [str(one.message) for one in told]


def test_a_flipped_bit_anywhere_never_hides_a_record(folder):
    whole = (folder / INDEX).read_bytes()
    noticed = 0
    for place in range(0, len(whole), 97):
        (folder / INDEX).write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        noticed += bool(look_for_all(folder))
    assert noticed > 50
    (folder / INDEX).write_bytes(whole)
    assert look_for_all(folder) == []


@pytest.mark.parametrize("length", [0, 1, 100, -1, -200])
def test_an_index_that_was_cut_off(folder, length):
    (folder / INDEX).write_bytes((folder / INDEX).read_bytes()[:length])
    (message,) = look_for_all(folder)
    assert "is damaged" in message
    assert "nbmf.store.build_index" in message


def test_an_index_of_other_parts(folder):
    write_part(LocalFolder(folder), "part-000002.parquet", [row("m", "new")])
    with store.open(folder) as opened, pytest.warns(StoreWarning, match="is of other files"):
        assert opened.get("m").payload() == "new"


def test_an_index_that_names_rows_that_are_not_there(folder, tmp_path, monkeypatch):
    """As of a part that was replaced by one of the same size: what is there is found all the same."""
    write_parts(tmp_path / "other", [row(f"k{n}", n) for n in range(700)], [row(f"l{n}", n) for n in range(300)])
    monkeypatch.setattr(index_build, "list_parts", lambda *_: parts_of(tmp_path / "other"))
    index_build.build_index(folder)
    digest = parts_of(tmp_path / "other").digest
    monkeypatch.setattr(store.parquet, "list_parts", lambda *a: list_parts(*a).__class__(
        a[0], a[1], list_parts(*a).names, digest))  # fmt: skip
    with store.open(folder) as opened, pytest.warns(StoreWarning, match="names row"):
        assert "k699" not in opened


@pytest.mark.parametrize("damage", ["gone", "cut", "bit", "stale"])
def test_ensure_index_makes_it_anew_only_when_it_has_to(folder, damage):
    whole = (folder / INDEX).read_bytes()
    before = (folder / INDEX).stat()
    index_build.ensure_index(LocalFolder(folder))
    assert (folder / INDEX).stat().st_ino == before.st_ino
    if damage == "gone":
        (folder / INDEX).unlink()
    elif damage == "stale":
        write_part(LocalFolder(folder), "part-000002.parquet", [row("m", "new")])
    else:
        (folder / INDEX).write_bytes(whole[:-9] if damage == "cut" else whole[:600] + b"\xff" + whole[601:])
    (folder / f"{INDEX}.tmp.77").write_bytes(b"half")
    (folder / index_build.SPILL).mkdir()
    (folder / index_build.SPILL / "0").write_bytes(b"left over")
    index_build.ensure_index(LocalFolder(folder))
    assert look_for_all(folder) == []
    assert ((folder / INDEX).read_bytes() == whole) == (damage != "stale")
    assert sorted(p.name for p in folder.iterdir() if p.name.startswith("_")) == [INDEX]


def test_no_folder_for_it(tmp_path):
    with pytest.raises(IndexUnusable, match="is not there"):
        Index.open(parts_of(tmp_path))
