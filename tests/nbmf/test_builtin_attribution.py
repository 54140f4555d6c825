"""Every class of records that a version in the package learnt from is in its attribution, with source and licence."""

import pytest

from nbmf import builtin
from nbmf.manifest import is_id, read_version
from train_app.attribution import is_allowed, parse

FOLDERS = {path.name: path for path in sorted(builtin.FOLDER.iterdir()) if is_id(path.name)}


@pytest.fixture(params=FOLDERS.values(), ids=[name[:12] for name in FOLDERS])
def version(request):
    """(id, classes or None, sources)"""
    version_id, manifest, files = read_version(request.param)
    return version_id, manifest.data.get("classes"), list(parse(files["attribution.md"].decode()))


def test_every_class_has_a_source(version):
    _, classes, sources = version
    assert classes, "trained without --class-field?"
    assert set(classes) <= {name for source in sources for name in source.sets}


def test_every_licence_is_one_that_may_be_learnt_from(version):
    for source in version[2]:
        assert is_allowed(source.licence), (source.name, source.licence)
        assert source.copyright
        assert source.commit
        if "CC BY" in source.licence:
            assert "https://creativecommons.org/licenses/by/" in source.licence


def test_the_page_is_the_default_versions(repository):
    # by its file, as tests have no default version
    default = FOLDERS[(builtin.FOLDER / "DEFAULT").read_text().strip()]
    assert (repository / "docs" / "attribution.md").read_bytes() == (default / "attribution.md").read_bytes()
