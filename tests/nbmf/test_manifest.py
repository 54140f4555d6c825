"""Version folders: ids by content, every byte verified."""

import hashlib
import json
import shutil

import pytest
from helpers import dictionary, fields, write_version

from nbmf import Codec, manifest
from nbmf.errors import CodecError, DamagedCodec, UnsupportedFormat
from nbmf.payload import Kind


@pytest.fixture
def folder(tmp_path, version_folder):
    """A copy, to damage."""
    return shutil.copytree(version_folder, tmp_path / version_folder.name)


def _rewrite(folder, **changes):
    """A folder of another name whose manifest was changed by someone who may: only its content is checked."""
    path = folder / manifest.MANIFEST
    held = json.loads(path.read_bytes())
    held.update(changes)
    path.write_text(json.dumps(held))
    return folder.rename(folder.parent / "unnamed")


def test_the_id_is_the_hash_of_the_manifest_that_holds_the_other_hashes(folder):
    content = (folder / manifest.MANIFEST).read_bytes()
    version_id, read, files = manifest.read_version(folder)
    assert version_id == folder.name == hashlib.sha256(content).hexdigest()
    assert read.files["zstd.dict"].sha256 == hashlib.sha256(dictionary()).hexdigest()
    assert files == {"zstd.dict": dictionary()}
    assert manifest.dictionaries(read, files) == dict.fromkeys(Kind, dictionary())


def test_equal_content_gives_equal_ids_and_any_difference_another(tmp_path):
    first = write_version(tmp_path)
    assert write_version(tmp_path) == write_version(tmp_path / "elsewhere" / "deeper") == first
    others = {
        write_version(tmp_path, name="other"),
        write_version(tmp_path, seed=2),
        write_version(tmp_path, data={"records": 5}),
        write_version(tmp_path, measured={"ratio": 2.5}),
    }
    assert len(others | {first}) == 5
    assert sorted(p.name for p in tmp_path.iterdir() if manifest.is_id(p.name)) == sorted(others | {first})
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_a_folder_may_have_any_name_that_is_not_an_id(folder):
    moved = folder.rename(folder.parent / "stable")
    assert manifest.read_version(moved)[0] == folder.name


def test_reference_0000_is_never_given(tmp_path, monkeypatch):
    real = hashlib.sha256
    salts = []

    class Fake:
        def __init__(self, content):
            self.content = content

        def hexdigest(self):
            if b'"salt"' not in self.content:
                return real(self.content).hexdigest()
            salts.append(json.loads(self.content)["salt"])
            return ("0000" if len(salts) < 3 else "0001") + real(self.content).hexdigest()[4:]

    monkeypatch.setattr(manifest.hashlib, "sha256", Fake)
    assert write_version(tmp_path).startswith("0001")
    assert salts == [0, 1, 2]


@pytest.mark.parametrize("name", [manifest.MANIFEST, "zstd.dict"])
@pytest.mark.parametrize("how", ["flip", "truncate", "extend", "empty", "missing", "folder", "swap"])
def test_any_change_to_any_file_is_noticed(folder, name, how):
    path = folder / name
    content = path.read_bytes()
    path.unlink()
    match how:
        case "flip":
            path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
        case "truncate":
            path.write_bytes(content[:-1])
        case "extend":
            path.write_bytes(content + b"\n")
        case "empty":
            path.write_bytes(b"")
        case "folder":
            path.mkdir()
        case "swap":
            path.write_bytes(content[1:2] + content[:1] + content[2:])
    with pytest.raises(DamagedCodec, match=r"manifest\.json" if name == manifest.MANIFEST else r"zstd\.dict"):
        Codec.load(folder)


def test_an_extra_file_is_not_part_of_the_version(folder):
    (folder / "notes.txt").write_text("not read")
    assert manifest.read_version(folder)[2].keys() == {"zstd.dict"}


def test_what_is_no_version(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(DamagedCodec, match="not a codec version"):
            Codec.load(path)


@pytest.mark.parametrize(
    "content", ["", "[]", "5", "null", "{}", "{", '{"name": 5}', "\xff", "[" * 100_000, '"minimum_reader"']
)
def test_what_is_no_manifest(tmp_path, content):
    (tmp_path / manifest.MANIFEST).write_bytes(content.encode("latin-1"))
    with pytest.raises(DamagedCodec, match="is not a manifest"):
        Codec.load(tmp_path)


def test_a_version_for_newer_readers(folder):
    """Also where the rest of its manifest is of a form this reader does not know."""
    newer = _rewrite(folder, minimum_reader=manifest.READER + 1, files=["changed"], name=None)
    with pytest.raises(UnsupportedFormat, match="needs a reader of version formats up to 4; this nbmf has 3"):
        Codec.load(newer)


def test_unknown_keys_of_a_newer_writer_are_no_hindrance(folder):
    wider = _rewrite(folder, format=manifest.READER + 1, tokens={"count": 5})
    assert manifest.read_version(wider)[1].name == "test"


@pytest.mark.parametrize(
    "name", ["../zstd.dict", "/etc/passwd", "a/b", "..", ".", "", ".hidden", "a\\b", "a\nb", "x" * 101, "é"]
)
def test_file_names_stay_inside_the_folder(folder, name):
    (folder.parent / "zstd.dict").write_bytes(dictionary())
    entry = json.loads((folder / manifest.MANIFEST).read_bytes())["files"]["zstd.dict"]
    crafted = _rewrite(folder, files={name: entry}, dictionaries={"text": name})
    with pytest.raises(DamagedCodec, match="cannot be the name"):
        Codec.load(crafted)
    with pytest.raises(ValueError, match="cannot be the name"):
        manifest.write_version(folder.parent, fields(), {name: b"x"})


def test_the_manifest_cannot_list_itself(tmp_path):
    with pytest.raises(ValueError, match="cannot be the name"):
        manifest.write_version(tmp_path, fields(), {manifest.MANIFEST: b"x"})
    assert list(tmp_path.iterdir()) == []


def test_dictionaries_must_be_listed(folder):
    crafted = _rewrite(folder, dictionaries={"text": "absent.dict"})
    with pytest.raises(DamagedCodec, match=r"does not list: \['absent.dict'\]"):
        Codec.load(crafted)


def test_a_version_whose_dictionary_is_none(tmp_path):
    version_id = manifest.write_version(tmp_path, fields(), {"zstd.dict": dictionary()[:50]})
    with pytest.raises(CodecError, match="not a zstd dictionary"):
        Codec.load(tmp_path / version_id)


@pytest.mark.parametrize("text", ["a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n", ""])
def test_what_is_no_id(text):
    assert not manifest.is_id(text)
    assert manifest.is_id("0123456789abcdef" * 4)
