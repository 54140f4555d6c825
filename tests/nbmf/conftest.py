"""Shared by the tests of nbmf: a codec version, and `helpers` on the path (import-mode=importlib adds nothing)."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import helpers


@pytest.fixture(scope="session")
def version_folder(tmp_path_factory):
    """A version folder whose dictionary is trained on records that helpers.records writes."""
    parent = tmp_path_factory.mktemp("versions")
    return parent / helpers.write_version(parent)


@pytest.fixture(scope="session")
def codec(version_folder):
    """That version, loaded, but unknown to the process's default catalogue."""
    from nbmf import Codec
    from nbmf.manifest import read_version

    return Codec(*read_version(version_folder))


@pytest.fixture
def fresh_default_catalog(monkeypatch):
    """A default catalogue that no other test has filled. Yields a function that sets NBMF_CODEC_PATH."""
    from nbmf.catalog import PATH_VARIABLE, default_catalog

    def search(*folders):
        monkeypatch.setenv(PATH_VARIABLE, ":".join(map(str, folders)))
        default_catalog.cache_clear()

    search()
    yield search
    default_catalog.cache_clear()
