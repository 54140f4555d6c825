"""A registry on a full disk: what is there stays, a rollback needs no space, errors name what they are about."""

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dictionary_versions import publish

from cluster import local_documents
from cluster.errors import RegistryError
from cluster.registry import Registry

ON_A_SMALL_DISK = """
import sys
from pathlib import Path
sys.path[:0] = {paths!r}
from test_registry_full_disk import fill, roll_back
roll_back(Path({disk!r}), fill)
"""


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "registry")


@pytest.fixture
def full(monkeypatch):
    """Files may be written over, but none may grow."""

    def write(file, content):
        at = os.lseek(file, 0, os.SEEK_CUR)
        if at + len(content) > os.fstat(file).st_size:
            os.write(file, content[:3])  # a part, as a disk does that runs full
            raise OSError(errno.ENOSPC, "No space left on device")
        os.write(file, content)

    def fill():
        monkeypatch.setattr(local_documents, "_write", write)
        monkeypatch.setattr(Registry, "_write", lambda *_: write(os.open(os.devnull, os.O_WRONLY), b"x"))

    return fill


def fill(disk):
    with (disk / "filling").open("ab", 0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 512):
            pass


def roll_back(root, fill):
    """A candidate is taken from its channel twice, each time on a full disk."""
    registry = Registry(root / "registry")
    first = publish(registry, "a", 1, 1024)
    second = publish(registry, "b", 2, 1024)
    registry.assign("candidate", second)
    registry.append_to_document("history.jsonl", b"1\n")
    fill(root)
    registry.assign("candidate", None)
    registry.append_to_document("history.jsonl", b"2\n")
    assert registry.channels().candidate is None
    assert registry.channels().stable == first
    assert [one.version for one in registry.channels().history] == [first, second, None]
    assert registry.read_document("history.jsonl") == b"1\n2\n"
    with pytest.raises(RegistryError, match=r"versions/[0-9a-f]{64} cannot be written.*[Nn]o space left"):
        publish(registry, "c", 3, 1024)
    assert registry.list_ids() == sorted((first, second))
    assert len([*Path(registry.location, "versions").iterdir()]) == 2
    assert not [*Path(registry.location).glob("*.new")]


def test_a_rollback_needs_no_space(tmp_path, full):
    roll_back(tmp_path, lambda _: full())


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_a_rollback_on_a_small_filesystem(tmp_path):
    here = Path(__file__)
    paths = [str(here.parent), str(here.parents[1] / "support"), str(here.parents[2])]
    script = ON_A_SMALL_DISK.format(paths=paths, disk=str(tmp_path))
    mount = f'mount -t tmpfs -o size=128k tmpfs {tmp_path} || exit 77; exec "$0" -c "$1"'
    done = subprocess.run(["unshare", "-rm", "sh", "-c", mount, sys.executable, script], capture_output=True, text=True)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no filesystem can be mounted here: {done.stderr}")
    assert done.returncode == 0, done.stderr


def test_without_a_spare_the_error_names_the_document(registry, full):
    publish(registry, "a", 1, 1024)
    Path(registry.location, "channels.json.spare").unlink()
    before = registry.channels()
    full()
    with pytest.raises(RegistryError, match=r"channels\.json cannot be written, and is as it was: .*No space left"):
        registry.assign("candidate", registry.list_ids()[0])
    with pytest.raises(RegistryError, match=r"other\.jsonl cannot be written"):
        registry.append_to_document("other.jsonl", b"x" * 10)
    assert registry.channels() == before
    assert not [*Path(registry.location).glob("*.new")]
    assert registry.read_document("other.jsonl") == b""


def test_a_spare_grows_with_its_document(registry):
    for size in (10, 100_000, 20):
        registry.write_document("one.json", b"x" * size)
        spare = Path(registry.location, "one.json.spare").stat()
        assert spare.st_size >= size
        assert registry.read_document("one.json") == b"x" * size
