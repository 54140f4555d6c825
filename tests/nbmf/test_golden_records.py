"""Golden records of a version: written when it is trained, decoded before it codes; a difference stops the coding."""

import base64
import json
import random

import pytest
from helpers import dictionary, fields, record

from nbmf import Codec, builtin, golden, manifest
from nbmf.coders import ALONE, CountsAloneCoder, NeuralAloneCoder, NeuralCoder, SegmentsCoder, WindowsCoder
from nbmf.engine import configure
from nbmf.errors import DamagedCodec, InexactMachine
from nbmf.payload import to_canonical

FOLDERS = [folder for folder in sorted(builtin.FOLDER.iterdir()) if folder.is_dir()]


def version_with(content):
    """A codec of a version with a dictionary, and this file of golden records."""
    files = {"zstd.dict": dictionary(1)}
    of = manifest.Manifest.of(fields("golden", ("text", "messages", "json")) | {"golden": golden.FILE, "files": {}})
    return Codec("ab" * 32, of, files | {golden.FILE: content})


@pytest.fixture(scope="module")
def written():
    return golden.write(version_with(b"").learned)


def altered(written, number):
    """With another canonical text than the coder's body decodes to."""
    held = json.loads(written)
    one = next(r for r in held["records"] if number in r["bodies"])
    canonical = bytearray(base64.b64decode(one["canonical"]))
    canonical[5] ^= 1
    one["canonical"] = base64.b64encode(bytes(canonical)).decode()
    return json.dumps(held).encode()


def test_what_was_written_is_decoded(written):
    codec = version_with(written)
    codec.warm_up()
    value = record(random.Random(1))
    assert codec.decode(codec.encode(value)) == value
    assert all(r["bodies"] for r in json.loads(written)["records"])


def test_a_machine_that_decodes_otherwise_codes_nothing(written):
    codec = version_with(altered(written, "2"))
    with pytest.raises(InexactMachine, match="golden record"):
        codec.warm_up()
    for _ in range(2):  # asked again, as the first answer was no
        with pytest.raises(InexactMachine):
            codec.encode(record(random.Random(1)))
    assert codec.decode(codec.encode(b"\x00" * 40)) == b"\x00" * 40  # without a learned part


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"records": [{}]}', b'{"records": [1]}', b"\xff"])
def test_a_file_of_something_else(content):
    with pytest.raises(DamagedCodec, match="golden"):
        version_with(content).warm_up()


def test_a_file_that_is_not_listed(tmp_path):
    of = fields("no file") | {"golden": golden.FILE}
    version_id = manifest.write_version(tmp_path, of, {"zstd.dict": dictionary(1)})
    with pytest.raises(DamagedCodec, match=golden.FILE):
        manifest.read_version(tmp_path / version_id)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name[:8])
@pytest.mark.parametrize("engine", ["cpu", pytest.param("torch", marks=pytest.mark.slow)])
def test_built_in_versions_decode_theirs(folder, engine, monkeypatch):
    monkeypatch.setattr("nbmf.engine._engine", None)
    configure(engine)
    codec = builtin.load(folder)
    codec.warm_up()
    numbers = {coder.number for coder in codec.learned} - {2, WindowsCoder.number}  # whose windows are by the others
    assert numbers in ({NeuralCoder.number, SegmentsCoder.number}, {4, 5, 6, 14, 15})
    assert codec.coders.exact >= numbers
    for one in json.loads((folder / golden.FILE).read_bytes())["records"]:
        assert {int(number) for number in one["bodies"]} | {*ALONE} == numbers | {*ALONE}


def test_each_coder_is_asked_once(monkeypatch):
    """On a GPU, where a token is a step of its own, it takes seconds."""
    asked = []
    monkeypatch.setattr(golden, "check", lambda _content, coders, _version: asked.extend(c.number for c in coders))
    codec = builtin.load.__wrapped__(builtin.FOLDER / (builtin.FOLDER / "DEFAULT").read_text().strip())
    codec.warm_up()
    assert sorted(asked) == sorted(coder.number for coder in codec.learned)


def test_the_network_is_not_asked_where_it_is_not_used():
    codec = builtin.load.__wrapped__(builtin.default_folder() or FOLDERS[-1])
    kind, canonical = to_canonical("Remember the milk, and to call the bank about the card on Friday morning.")
    codec.encode_canonical(kind, canonical, effort="fast")
    assert not codec.coders.exact & {NeuralCoder.number, NeuralAloneCoder.number}
    assert CountsAloneCoder.number in codec.coders.exact
