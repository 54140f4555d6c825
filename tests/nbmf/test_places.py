"""Nothing that reads as a URI is taken for a path on this machine."""

from pathlib import Path

import pytest

import nbmf
from nbmf import Codec, catalog, store
from nbmf.encryption import load_key
from nbmf.errors import NotALocalPath
from nbmf.places import is_uri, local_path

URIS = [
    "s3://bucket/new",
    "gs://b/x",
    "hdfs://host:8020/x",
    "abfs://c@a.net/x",
    "https://host/x",
    "dbfs:/x",
    "file://h/x",
]
COLLAPSED = [str(Path(uri)) for uri in URIS]
PATHS = ["a", "/a/b", "./s3:x", "a:b", "notes:2026.jsonl", "C:/x", "c:\\x", "~/x", "a/s3:/b", "-", "s3", "", "é:/x"]


@pytest.mark.parametrize("place", [*URIS, *COLLAPSED, "://x"])
def test_uris(place):
    assert is_uri(place)
    assert is_uri(Path(place))
    for given in (place, Path(place)):
        with pytest.raises(NotALocalPath, match="reads as a URI"):
            local_path(given)


@pytest.mark.parametrize("place", PATHS)
def test_paths(place):
    assert not is_uri(place)
    assert local_path(place) == Path(place)


def test_files_as_uris():
    assert local_path("file:///a/b%20c") == Path("/a/b c")
    with pytest.raises(NotALocalPath):
        local_path(Path("file:///a"))  # no longer to be told from a host of that name


def test_what_may_be_a_secret_is_not_shown():
    with pytest.raises(NotALocalPath) as caught:
        local_path("s3://name:secret@bucket/x?token=secret")
    assert "secret" not in str(caught.value)
    assert "s3://bucket/x" in str(caught.value)


@pytest.mark.parametrize("place", ["s3://bucket/x", Path("s3://bucket/x")])
def test_everything_that_takes_a_path(place, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nbmf.store.folder._FIRST_PAUSE_S", 0.01)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nothing answers there
    for take in (Codec.load, load_key):
        with pytest.raises(NotALocalPath):
            take(place)
    with pytest.raises(nbmf.NbmfError):
        store.open(place)
    assert list(tmp_path.iterdir()) == []


def test_folders_in_the_environment(monkeypatch):
    monkeypatch.setenv(catalog.PATH_VARIABLE, "/a:s3://bucket/versions")
    with pytest.raises(NotALocalPath, match="NBMF_CODEC_PATH"):
        catalog.default_catalog.__wrapped__()
