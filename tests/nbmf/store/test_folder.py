"""Folders of data sets, on a filesystem and an object store: files whole or not at all, whatever the network does."""

import pytest

from nbmf import store
from nbmf.errors import NotALocalPath
from nbmf.store import conditional_writes
from nbmf.store import folder as folders
from nbmf.store.errors import StoreError
from nbmf.store.folder import LocalFolder, RemoteFolder, folder_at


@pytest.fixture
def without_obstore(monkeypatch):
    conditional_writes._store.cache_clear()
    monkeypatch.setattr(conditional_writes, "find_spec", lambda _: None)
    yield
    conditional_writes._store.cache_clear()


@pytest.fixture(params=["local", "remote", "remote without obstore"])
def folder(request, tmp_path):
    if request.param == "local":
        return LocalFolder(tmp_path)
    if request.param == "remote without obstore":
        request.getfixturevalue("without_obstore")
    return RemoteFolder(request.getfixturevalue("bucket").uri(f"tests/{tmp_path.name}"))


def test_files_are_written_and_read(folder):
    assert folder.read("part") is None
    assert (list(folder.files("_done")), list(folder.entries())) == ([], [])
    folder.make("_done")
    folder.write("_done/1.json", lambda path: path.write_bytes(b"one"))
    folder.write("part", lambda path: path.write_bytes(b"first"))
    folder.write("part", lambda path: path.write_bytes(b"second, longer"))
    assert folder.read("part") == b"second, longer"
    assert folder.read("_done/1.json") == b"one"
    assert list(folder.files("_done")) == ["1.json"]
    assert sorted(folder.entries()) == ["_done", "part"]


def test_a_file_is_made_once(folder):
    assert folder.create("plan", b"mine")
    assert not folder.create("plan", b"theirs")
    assert folder.read("plan") == b"mine"


def test_names_and_secrets_are_those_of_the_uri(bucket):
    """Both libraries write to the same object, whatever is escaped in the URI."""
    uri = bucket.uri("a%20folder/%C3%BC%2Bx").replace("key:secret", "k%2Fy:se%2Fcr%2Bt%40")
    folder = RemoteFolder(uri)
    assert folder.create("plan", b"mine")
    assert folder.read("plan") == b"mine"
    folder.write("other", lambda path: path.write_bytes(b"o"))
    assert conditional_writes.read_object(uri, "other")[0] == b"o"
    signed = [path for _, path, _ in bucket.front.requests[-4:]]
    assert all(path.startswith("/memory-stores/a%20folder/%C3%BC%2Bx/") for path in signed), signed


@pytest.mark.parametrize("has_boto3", [True, False])
def test_credentials_that_only_awss_tools_know(monkeypatch, tmp_path, has_boto3):
    """Of a profile: by boto3; without it nothing is written on condition, but everything is written."""
    (tmp_path / "credentials").write_text("[default]\naws_access_key_id = of-a-file\naws_secret_access_key = x\n")
    for name in conditional_writes._CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    found = conditional_writes.find_spec
    without = () if has_boto3 else ("boto3",)
    monkeypatch.setattr(conditional_writes, "find_spec", lambda name: None if name in without else found(name))
    uri = f"s3://bucket/{has_boto3}?region=us-east-1"
    assert conditional_writes.has_conditions(uri) is has_boto3
    if has_boto3:
        assert conditional_writes._store(uri).credential_provider().get("access_key_id") == "of-a-file"
    assert conditional_writes.has_conditions(uri.replace("//", "//key:secret@"))


def test_what_cannot_be_filled_is_not_there(folder):
    def fill(path):
        path.write_bytes(b"half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        folder.write("part", fill)
    assert list(folder.entries()) == []


def test_scratch_is_gone_afterwards(folder):
    with folder.scratch("_index.spill") as made:
        (made / "0").write_bytes(b"x")
    assert not made.exists()
    assert list(folder.entries()) == []


@pytest.mark.parametrize("size_bytes", [0, 1000, 12_000_000])
def test_a_server_that_fails_now_and_then(bucket, size_bytes):
    """Slow, 503, connections that are cut before and after the server acts, in the middle of an upload in parts."""
    folder = RemoteFolder(bucket.uri(f"faults/{size_bytes}"))
    content = bytes(range(256)) * (size_bytes // 256)
    bucket.front.share, before = 0.35, len(bucket.front.happened)
    for number in range(6):
        folder.write(f"part-{number}", lambda path, number=number: path.write_bytes(content + bytes(number)))
    assert [folder.read(f"part-{number}") for number in range(6)] == [content + bytes(n) for n in range(6)]
    assert sorted(folder.entries()) == [f"part-{number}" for number in range(6)]
    assert len(bucket.front.happened) > before + 3


def test_a_server_that_is_away(bucket, monkeypatch):
    monkeypatch.setattr(folders, "_TRIES", 1)
    folder = RemoteFolder(bucket.uri("away"))
    folder.write("part", lambda path: path.write_bytes(b"old"))
    bucket.front.share, bucket.front.faults = 1.0, ("busy",)
    with pytest.raises(OSError, match=r"SLOW_DOWN|SlowDown"):
        folder.write("part", lambda path: path.write_bytes(b"new"))
    bucket.front.share = 0.0
    assert folder.read("part") == b"old"


def test_one_request_for_a_small_file_and_one_to_look_at_it(bucket):
    folder = RemoteFolder(bucket.uri("few"))
    bucket.front.requests.clear()
    folder.write("part", lambda path: path.write_bytes(b"small"))
    assert [method for method, _, _ in bucket.front.requests] == ["PUT", "HEAD"]


def test_credentials_are_not_shown(bucket):
    folder = RemoteFolder(bucket.uri("a/b"))
    assert str(folder) == "s3://memory-stores/a/b"
    assert "secret" not in repr(folder)
    with pytest.raises(StoreError) as caught:
        RemoteFolder("nothing://key:secret@bucket/x")
    assert "secret" not in str(caught.value)


def test_which_places_are_remote(tmp_path):
    assert folder_at(tmp_path) == folder_at(f"file://{tmp_path}") == LocalFolder(tmp_path)
    with pytest.raises(NotALocalPath):
        folder_at("s3:/bucket/x")  # what pathlib makes of a URI


def test_a_store_that_is_not_there(bucket):
    with pytest.raises(StoreError, match="is no store"):
        store.open(bucket.uri("nothing/here"))
