"""Sources on filesystems that pyarrow.fs knows: the same records as from this machine, changes and failures noticed."""

import dataclasses
import io
import pickle

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
import synthetic
from items import good, read, reasons
from pyarrow.fs import FileType, LocalFileSystem, SubTreeFileSystem

import nbmf
from cluster.errors import RecordsError
from cluster.sources import SourceChanged, SourceUnavailable, check_unchanged, open_source
from cluster.sources.storage import LOCAL, locate

RECORDS = synthetic.records(40, seed=3)


@pytest.fixture
def bucket(tmp_path):
    """A filesystem that is not this machine's as far as sources know, and its folder."""
    folder = tmp_path / "bucket"
    (folder / "team").mkdir(parents=True)
    return SubTreeFileSystem(str(folder), LocalFileSystem()), folder


def fill(folder):
    """One of each kind; returns their names."""
    synthetic.write_jsonl(folder / "memory.jsonl", RECORDS)
    texts = [r for r in RECORDS if type(r) is str]
    pq.write_table(pa.table({"payload": texts}), folder / "memory.parquet", row_group_size=5)
    (folder / "set").mkdir(exist_ok=True)
    rows = {"key": ["a", "b"], "class": ["c", "d"], "meta": ["1", "2"], "preview": [False, True]}
    table = pa.table({**rows, "blob": [nbmf.encode("x"), nbmf.encode({"y": 1})]})
    pq.write_table(table, folder / "set" / "part-000000.parquet")
    return ["memory.jsonl", "memory.parquet", "set"]


def plain(items):
    """Without the places, which tell the filesystem."""
    return [dataclasses.replace(item, place="") for item in items]


def test_the_same_records_everywhere(bucket):
    filesystem, folder = bucket
    for name in fill(folder / "team"):
        local = read(open_source(folder / "team" / name))
        assert len(good(local)) >= 2
        assert read(open_source(f"file://{folder}/team/{name}")) == local
        elsewhere = open_source(f"team/{name}", filesystem=filesystem)
        assert plain(read(elsewhere)) == plain(local)
        assert elsewhere.plan() == open_source(f"team/{name}", filesystem=filesystem).plan()
        assert repr(elsewhere) != repr(open_source(folder / "team" / name))


def test_sources_and_shards_are_pickled(bucket):
    filesystem, folder = bucket
    for name in fill(folder / "team"):
        source = open_source(f"team/{name}/", filesystem=filesystem)
        again, shards = pickle.loads(pickle.dumps((source, source.plan())))
        assert [item for shard in shards for item in again.read(shard)] == read(source)
        for shard in shards:
            check_unchanged(shard)


def test_a_filesystem_in_memory():
    from pyarrow._fs import _MockFileSystem

    memory = _MockFileSystem()
    memory.create_dir("team")
    with memory.open_output_stream("team/a.jsonl") as file:
        file.write(b'"one"\n\n"two"')
    source = open_source("team", filesystem=memory)
    found = good(read(source))
    assert [(r.key, r.payload, r.place) for r in found] == [
        ("a.jsonl:1", "one", "team/a.jsonl:1"),
        ("a.jsonl:3", "two", "team/a.jsonl:3"),
    ]
    (shard,) = source.plan()
    with memory.open_append_stream("team/a.jsonl") as file:
        file.write(b"\n3")
    with pytest.raises(SourceChanged, match=r"team/a\.jsonl changed .*12 bytes then, 14 now"):
        check_unchanged(shard)


@pytest.mark.parametrize("name", ["memory.jsonl", "memory.parquet", "set"])
def test_files_that_change_or_go_away_elsewhere(bucket, name):
    filesystem, folder = bucket
    fill(folder / "team")
    source = open_source(f"team/{name}", filesystem=filesystem)
    shard = source.plan()[0]
    check_unchanged(shard)
    path = folder / shard.path
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(SourceChanged, match="bytes then"):
        check_unchanged(shard)
    path.unlink()
    with pytest.raises(SourceChanged, match="gone"):
        check_unchanged(shard)
    with pytest.raises(SourceChanged, match="cannot be opened"):
        list(source.read(shard))


@pytest.mark.parametrize("name", ["memory.jsonl", "memory.parquet", "set"])
def test_files_that_go_away_on_this_machine(tmp_path, name):
    fill(tmp_path)
    source = open_source(tmp_path / name)
    shard = source.plan()[0]
    (tmp_path / shard.path).unlink()
    with pytest.raises(SourceChanged, match=r"changed after .* cannot be opened: No such file"):
        list(source.read(shard))


class Failing(pafs.FileSystemHandler):
    """Files that are there but cannot be read after some bytes, as where a network fails."""

    def __init__(self, content, after):
        self.content, self.after = content, after

    def get_type_name(self):
        return "failing"

    def normalize_path(self, path):
        return path

    def get_file_info(self, paths):
        return [pafs.FileInfo(path, FileType.File, mtime=1.0, size=len(self.content)) for path in paths]

    def open_input_file(self, path):
        handler = self

        class Raw(io.BytesIO):
            def read(self, size=-1):
                if self.tell() + max(size, 0) > handler.after:
                    raise OSError("the network is gone")
                return super().read(size)

        return pa.PythonFile(Raw(self.content), mode="r")

    open_input_stream = open_input_file
    get_file_info_selector = create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = None
    delete_file = move = copy_file = open_output_stream = open_append_stream = None


@pytest.mark.parametrize("name", ["memory.jsonl", "memory.parquet", "set/part-000000.parquet"])
def test_a_network_that_fails_is_no_damage(tmp_path, name):
    fill(tmp_path)
    content = (tmp_path / name).read_bytes()
    handler = Failing(content, 1 << 60)
    source = open_source(f"x/{name}", filesystem=pafs.PyFileSystem(handler))
    shard = source.plan()[0]
    assert len(list(source.read(shard))) >= 2
    handler.after = 0
    with pytest.raises(SourceUnavailable, match="the network is gone"):
        list(source.read(shard))
    with pytest.raises(SourceUnavailable):
        source.plan()


def test_locations():
    assert locate("/a/b") == (LOCAL, "/a/b")
    assert locate("file:///a/b%20c") == (LOCAL, "/a/b c")
    storage, path = locate("s3://name:secret@bucket/some/folder/?region=eu-central-1&endpoint_override=localhost:9")
    assert path == "bucket/some/folder"
    assert storage.show(path) == "s3://bucket/some/folder"
    assert "secret" not in repr(storage)
    assert pickle.loads(pickle.dumps(storage)) == storage
    assert storage != locate("gs://anonymous@bucket/x")[0]


@pytest.mark.parametrize("uri", ["nothing://me:secret@host/x?also=secret", "s3://me:secret@/x", "://x"])
def test_locations_that_are_none(uri):
    with pytest.raises(RecordsError) as caught:
        open_source(uri)
    assert "secret" not in str(caught.value)


def test_what_is_not_there(bucket):
    filesystem, folder = bucket
    with pytest.raises(RecordsError, match="team/no does not exist"):
        open_source("team/no", filesystem=filesystem)
    with pytest.raises(RecordsError, match="no records known here"):
        open_source("team", filesystem=filesystem)
    (folder / "team" / "records").mkdir()
    with pytest.raises(RecordsError, match="local filesystems"):
        open_source("team", filesystem=filesystem, reader="sqlite")


def test_damage_elsewhere_is_still_damage(bucket):
    filesystem, folder = bucket
    fill(folder / "team")
    source = open_source("team/memory.parquet", filesystem=filesystem)
    shards = source.plan()
    content = (folder / "team" / "memory.parquet").read_bytes()
    (folder / "team" / "memory.parquet").write_bytes(content[:40])
    assert reasons([i for shard in shards for i in source.read(shard)]) == ["damaged_file"] * len(shards)
