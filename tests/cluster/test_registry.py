"""The registry on local and other filesystems: what is published is found again, whole, and nothing in use is lost."""

import contextlib
import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pyarrow.fs as pafs
import pytest
import registries
import synthetic
import zstandard

from cluster import local_documents
from cluster.errors import RegistryError, VersionInUse, VersionNotFound
from cluster.registry import Registry, default_location
from nbmf.errors import DamagedCodec, UnknownCodec
from nbmf.payload import to_canonical


def _dictionary():
    samples = [to_canonical(record)[1] for record in synthetic.records(300, seed=9)]
    return zstandard.train_dictionary(2048, samples).as_bytes()


DICTIONARY = _dictionary()
RECORD = synthetic.records(1, seed=77)[0]


def publish(registry, name="a"):
    manifest = {
        "name": name,
        "created_at": "2026-01-01T00:00:00+00:00",
        "architecture": "zstd-dictionary",
        "dictionaries": {"text": "zstd.dict", "json": "zstd.dict"},
    }
    return registries.publish(registry, manifest, {"zstd.dict": DICTIONARY})


def _local(folder):
    return Registry(folder / "registry")


def _file_uri(folder):
    return Registry(f"file://{folder}/registry")


def _sub_tree(folder):
    """A filesystem that is not local as far as pyarrow is concerned, as a bucket would be."""
    (folder / "bucket").mkdir()
    registry = Registry(folder / "bucket")
    registry._fs = pafs.SubTreeFileSystem(str(folder / "bucket"), pafs.LocalFileSystem())
    registry._root = "team/registry"
    return registry


@pytest.fixture(params=[_local, _file_uri, _sub_tree], ids=["local", "file-uri", "not-local"])
def registry(request, tmp_path):
    return request.param(tmp_path)


@pytest.fixture
def local(tmp_path):
    return _local(tmp_path)


@pytest.fixture
def remote(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return _sub_tree(tmp_path)


def _version_folder(registry, version_id):
    root = Path(registry._fs.base_path) / registry._root if hasattr(registry._fs, "base_path") else registry._root
    return Path(root) / "versions" / version_id


def test_an_empty_registry_has_nothing(registry):
    assert registry.list_ids() == []
    assert registry.channels().model_dump() == {"stable": None, "candidate": None, "history": []}
    for name in (None, "stable", "candidate", "ab", ""):
        with pytest.raises(VersionNotFound):
            registry.resolve(name)


def test_a_published_version_is_listed_loaded_and_decodes(registry):
    version_id = publish(registry)
    assert registry.list_ids() == [version_id]
    assert registry.manifest(version_id).name == "a"
    codec = registry.load(version_id)
    assert codec.id == version_id
    blob = codec.encode("Amara moved the piano lesson because of the rain.")
    assert codec.encode("x" * 3) != blob
    assert registry.catalog().decode_canonical(_parsed(blob)) == b"Amara moved the piano lesson because of the rain."


def _parsed(blob):
    from nbmf.decoding import parse_bounded

    return parse_bounded(blob, 1 << 20)


def test_publishing_the_same_content_again_changes_nothing(registry):
    first = publish(registry)
    before = registry.channels()
    assert publish(registry) == first
    assert registry.list_ids() == [first]
    assert registry.channels() == before


def test_a_published_version_is_on_no_channel(registry):
    """Whether it is better than what is in use, only who published it knows."""
    manifest = {"name": "alone", "created_at": "2026-01-01T00:00:00+00:00", "architecture": "none"}
    version_id = registry.publish(manifest, {"file": b"content"})
    assert registry.list_ids() == [version_id]
    assert registry.channels().model_dump() == {"stable": None, "candidate": None, "history": []}
    assert registry.resolve() == "builtin"
    registry.delete(version_id)


def test_names_resolve_to_full_ids(registry):
    first, second = publish(registry, "a"), publish(registry, "b")
    registry.assign("candidate", second)
    assert registry.resolve() == registry.resolve("stable") == first
    assert registry.resolve("candidate") == registry.resolve(second) == registry.resolve(second[:10]) == second
    assert registry.load("candidate").id == second
    assert registry.load().id == first
    with pytest.raises(VersionNotFound, match="no version begins with 'zz'"):
        registry.resolve("zz")


def test_a_start_that_fits_two_versions_is_refused(local):
    ids = [publish(local, str(number)) for number in range(17)]
    starts = [i[0] for i in ids]
    shared = next(s for s in starts if starts.count(s) > 1)  # 17 ids, 16 digits
    with pytest.raises(VersionNotFound, match=f"{starts.count(shared)} versions begin with '{shared}'"):
        local.resolve(shared)


def test_history_is_appended_to(registry):
    first, second = publish(registry, "a"), publish(registry, "b")
    registry.assign("candidate", second)
    registry.assign("stable", second)
    registry.assign("candidate", None)
    channels = registry.channels()
    assert (channels.stable, channels.candidate) == (second, None)
    expected = [("stable", first), ("candidate", second), ("stable", second), ("candidate", None)]
    assert [(t.channel, t.version) for t in channels.history] == expected
    assert all(t.at for t in channels.history)


def test_a_channel_takes_only_versions_that_are_there(registry):
    first = publish(registry)
    with pytest.raises(VersionNotFound):
        registry.assign("stable", "ab" * 32)
    assert registry.channels().stable == first


@pytest.mark.parametrize("channel", ["stable", "candidate"])
def test_a_version_that_is_or_was_on_a_channel_is_not_deleted(registry, channel):
    first, second, third = (publish(registry, name) for name in "abc")
    registry.assign(channel, second)
    with pytest.raises(VersionInUse):
        registry.delete(second)
    registry.assign(channel, third)
    for used in (first, second, third):
        with pytest.raises(VersionInUse, match=used[:12]):
            registry.delete(used)
    assert registry.list_ids() == sorted([first, second, third])
    assert registry.load(second).id == second


def test_a_version_that_was_never_on_a_channel_is_deleted(registry):
    first, second = publish(registry, "a"), publish(registry, "b")
    blob = registry.load(second).encode(RECORD)
    registry.delete(second)
    assert registry.list_ids() == [first]
    assert not _version_folder(registry, second).exists()
    for gone in (second, "ab" * 32):
        with pytest.raises(VersionNotFound):
            registry.delete(gone)
    with pytest.raises(VersionNotFound):
        registry.fetch(second)
    with pytest.raises(UnknownCodec, match="registry"):
        registry.catalog().decode_canonical(_parsed(blob))


def test_a_half_written_version_is_not_there(registry):
    first, second = publish(registry, "a"), publish(registry, "b")
    (_version_folder(registry, second) / "manifest.json").unlink()
    assert registry.list_ids() == [first]
    with pytest.raises(VersionNotFound):
        registry.resolve(second)
    assert publish(registry, "b") == second
    assert registry.load(second).id == second


def test_channels_are_replaced_whole_or_not_at_all(local, monkeypatch):
    first, second = publish(local, "a"), publish(local, "b")
    write = local_documents._write

    def cut_off(file, content):
        write(file, content[: len(content) // 2])
        raise OSError("broken disk")

    with monkeypatch.context() as patch:
        patch.setattr(local_documents, "_write", cut_off)
        with pytest.raises(RegistryError, match=r"channels\.json cannot be written, and is as it was: broken disk"):
            local.assign("stable", second)
    assert local.channels().stable == first
    assert len(local.channels().history) == 1
    assert not [*Path(local.location).glob("*.new")]
    local.assign("stable", second)
    assert local.channels().stable == second


def test_a_reader_never_sees_unfinished_channels(local, monkeypatch):
    """Before the new file has its name, readers get the old one."""
    first, second = publish(local, "a"), publish(local, "b")
    write, seen = local_documents._write, []

    def look(file, content):
        seen.append(Registry(local.location).channels().stable)
        write(file, content)
        seen.append(Registry(local.location).channels().stable)

    monkeypatch.setattr(local_documents, "_write", look)
    local.assign("stable", second)
    assert seen == [first, first]


def test_changes_at_once_wait_for_one_another(local, monkeypatch):
    """The second begins while the first is about to write; both are in the history, each over the other's."""
    first, second = publish(local, "a"), publish(local, "b")
    write = local_documents._write
    others = []

    def meanwhile(file, content):
        monkeypatch.setattr(local_documents, "_write", write)
        other = threading.Thread(target=Registry(local.location).assign, args=("candidate", second))
        other.start()
        other.join(0.3)  # without a lock it is done by now
        others.append(other)
        write(file, content)

    monkeypatch.setattr(local_documents, "_write", meanwhile)
    local.assign("stable", second)
    for other in others:
        other.join()
    channels = local.channels()
    assert (channels.stable, channels.candidate) == (second, second)
    assert [t.version for t in channels.history] == [first, second, second]


ASSIGN = """
import sys
from cluster.registry import Registry
location, channel, version, times = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(times)):
    Registry(location).assign(channel, version)
"""


def test_two_processes_lose_nothing_of_each_other(local, repository):
    version_id = publish(local)
    start = [sys.executable, "-c", ASSIGN, local.location]
    commands = [[*start, channel, version_id, "40"] for channel in ("stable", "candidate")]
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(command, cwd=repository, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            for command in commands
        ]
        for process in processes:
            assert process.stdout.readline() == b"ready\n"
        for process in processes:
            process.stdin.write(b"\n")
            process.stdin.flush()
    assert [process.returncode for process in processes] == [0, 0]
    counts = Counter(t.channel for t in local.channels().history)
    assert counts == {"stable": 41, "candidate": 40}


def test_a_change_that_another_overwrote_is_told(remote, monkeypatch):
    """Where nothing can be locked. What is in the registry is the other's."""
    version_id = publish(remote)
    theirs = remote.channels()

    class Overwritten:
        def __getattr__(self, name):
            return getattr(filesystem, name)

        def move(self, source, target):
            filesystem.move(source, target)
            registry_of_another._write(target, theirs.model_dump_json().encode())

    filesystem, registry_of_another = remote._fs, Registry(remote.location)
    registry_of_another._fs = filesystem
    monkeypatch.setattr(remote, "_fs", Overwritten())
    with pytest.raises(RegistryError, match="another process"):
        remote.assign("candidate", version_id)
    assert remote.channels() == theirs


def test_damaged_versions_are_between_whole_ones(registry):
    names = {"between a", "between b", "between c"}  # of no other test: the download cache may hold theirs
    ids = sorted(publish(registry, name) for name in names)
    (_version_folder(registry, ids[1]) / "zstd.dict").write_bytes(b"altered")
    found = list(registry.manifests())
    assert [version_id for version_id, _ in found] == ids
    assert isinstance(found[1][1], DamagedCodec)
    assert {found[0][1].name, found[2][1].name} < names


def test_a_version_that_cannot_be_read_is_listed_as_damaged(local, monkeypatch):
    version_id = publish(local)

    def no_permission(self, version_id):
        raise PermissionError(13, "Permission denied", "manifest.json")

    monkeypatch.setattr(Registry, "fetch", no_permission)
    ((found, error),) = local.manifests()
    assert (found, type(error)) == (version_id, DamagedCodec)
    assert "Permission denied" in str(error)


def test_channels_that_cannot_be_read_are_named(local):
    publish(local)
    (Path(local.location) / "channels.json").write_text('{"stable": 3')
    with pytest.raises(RegistryError, match=r"channels\.json"):
        local.channels()


def _alter(path):
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def _cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def _rename(path):
    fields = json.loads(path.read_text()) | {"name": "another"}
    path.write_text(json.dumps(fields))


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("zstd.dict", _alter),
        ("zstd.dict", _cut),
        ("zstd.dict", Path.unlink),
        ("manifest.json", _cut),
        ("manifest.json", _rename),
    ],
)
def test_a_damaged_version_is_refused(registry, monkeypatch, tmp_path, file, damage):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    version_id = publish(registry)
    blob = registry.load(version_id).encode(RECORD)
    registry = registry if registry.is_local else _again(registry, tmp_path / "other-cache")
    damage(_version_folder(registry, version_id) / file)
    with pytest.raises(DamagedCodec):
        registry.load(version_id)
    with pytest.raises(DamagedCodec):
        registry.catalog().decode_canonical(_parsed(blob))


def _again(registry, cache):
    """The same place, seen by a machine that has downloaded nothing yet."""
    fresh = Registry(registry.location)
    fresh._fs, fresh._root, fresh._cache = registry._fs, registry._root, cache
    return fresh


def test_versions_of_another_filesystem_are_copied_to_the_cache_once(remote, tmp_path, monkeypatch):
    assert not remote.is_local
    version_id = publish(remote)
    folder = remote.fetch(version_id)
    assert folder == tmp_path / "home" / ".cache" / "nbmf" / "versions" / version_id
    assert synthetic.snapshot(folder) == synthetic.snapshot(_version_folder(remote, version_id))
    assert [p.name for p in folder.parent.iterdir()] == [version_id]
    reads = []
    monkeypatch.setattr(Registry, "_read", lambda _self, path: reads.append(path))
    assert remote.fetch(version_id) == folder
    assert reads == []


def test_a_damaged_download_is_not_cached(remote, tmp_path):
    version_id = publish(remote)
    whole = (_version_folder(remote, version_id) / "zstd.dict").read_bytes()
    _alter(_version_folder(remote, version_id) / "zstd.dict")
    with pytest.raises(DamagedCodec):
        remote.fetch(version_id)
    assert list((tmp_path / "home" / ".cache" / "nbmf" / "versions").iterdir()) == []
    (_version_folder(remote, version_id) / "zstd.dict").write_bytes(whole)
    assert remote.load(version_id).id == version_id


def test_a_version_published_by_another_process_is_found(local):
    catalog = Registry(local.location).catalog()
    version_id = publish(local)
    blob = local.load(version_id).encode(RECORD)
    assert catalog.decode_canonical(_parsed(blob)) == to_canonical(RECORD)[1]


def test_where_a_registry_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Registry("here").location == str(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Registry("~/there").location == str(tmp_path / "home" / "there")
    assert Registry().location == str(tmp_path / "home" / ".nbmf" / "registry")
    monkeypatch.setenv("NBMF_REGISTRY", str(tmp_path / "elsewhere"))
    assert default_location() == Registry().location == str(tmp_path / "elsewhere")


def test_an_unknown_place_is_a_registry_error():
    with pytest.raises(RegistryError, match="nowhere"):
        Registry("nowhere://bucket/registry")
