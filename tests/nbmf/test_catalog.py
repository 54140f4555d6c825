"""How decoders find the version that a blob names."""

import hashlib
import json
import random
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import dictionary, fields, record, same, write_version

import nbmf
from nbmf import Codec, manifest
from nbmf.catalog import Catalog
from nbmf.decoding import parse_bounded
from nbmf.errors import ChecksumMismatch, CorruptBlob, DamagedCodec, UnknownCodec, UnsupportedFormat
from nbmf.payload import from_canonical

VALUE = record(random.Random(3))


def _decode(catalog, blob):
    parsed = parse_bounded(blob, 2**20)
    return from_canonical(parsed.kind, catalog.decode_canonical(parsed))


def _id_of(name, seed):
    """The id that write_version would give, without the writing."""
    content = dictionary(seed)
    entry = {"zstd.dict": {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}}
    text = json.dumps(manifest.Manifest.of(fields(name) | {"files": entry}).to_dict(), indent=1)
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Two version folders, of different dictionaries, whose ids begin with the same two bytes; and a third."""
    seen = {}
    for n in range(5_000):
        seed = n % 2 + 1
        reference = _id_of(f"v{n}", seed)[:4]
        if seen.get(reference, (0, seed))[1] != seed:
            break
        seen[reference] = (n, seed)
    else:
        pytest.fail("no pair found")
    parent = tmp_path_factory.mktemp("twins")
    ids = [write_version(parent, name=f"v{m}", seed=s) for m, s in (seen[reference], (n, seed))]
    assert ids[0] != ids[1]
    assert ids[0][:4] == ids[1][:4] == reference
    return [parent / i for i in ids]


def _codec(folder):
    return Codec(*manifest.read_version(folder))


def test_two_versions_of_one_reference_both_decode(twins, tmp_path, fresh_default_catalog):
    codecs = [_codec(folder) for folder in twins]
    values = [record(random.Random(i)) for i in range(30)]
    added = Catalog()
    for one in codecs:
        added.add(one)
    for catalog in (added, Catalog([twins[0].parent])):
        for one in codecs:
            for value in values:
                blob = one.encode(value)
                assert nbmf.inspect(blob).codec == one.id[:4]
                assert same(_decode(catalog, blob), value)
    # A codec handed to decode is tried first, not alone.
    fresh_default_catalog(twins[0].parent)
    for value in values:
        assert same(nbmf.decode(codecs[0].encode(value), codec=codecs[1]), value)


def test_the_other_twin_alone_is_no_way_to_decode(twins):
    first, second = map(_codec, twins)
    for seed in range(30):
        with pytest.raises(CorruptBlob):
            second.decode(first.encode(record(random.Random(seed))))


def test_same_dictionary_another_id(tmp_path):
    """The checksum is seeded with the whole id: what decodes to the right bytes with the wrong version is refused."""
    one, other = (_codec(tmp_path / write_version(tmp_path, name=name)) for name in ("a", "b"))
    blob = one.encode(VALUE)
    other.id, other.coders.seed = one.id[:4] + other.id[4:], one.coders.seed[:2] + other.coders.seed[2:]
    assert other.reference == one.reference
    with pytest.raises(ChecksumMismatch):
        other.decode(blob)


def test_folders_are_read_only_when_a_blob_names_a_version(twins, tmp_path, version_folder):
    shutil.copytree(version_folder, tmp_path / version_folder.name)
    catalog = Catalog([tmp_path])
    (tmp_path / version_folder.name / "zstd.dict").write_bytes(b"damaged")
    with pytest.raises(UnknownCodec):
        _decode(catalog, _codec(twins[0]).encode(VALUE))
    with pytest.raises(DamagedCodec):
        _decode(catalog, _codec(version_folder).encode(VALUE))


def test_unknown_codec_says_what_and_where(codec, tmp_path):
    blob = codec.encode(VALUE)
    catalog = Catalog([tmp_path, tmp_path / "absent"])
    with pytest.raises(UnknownCodec) as raised:
        _decode(catalog, blob)
    assert raised.value.reference == codec.id[:4]
    for words in (codec.id[:4], "loaded versions (none)", str(tmp_path), str(tmp_path / "absent"), "NBMF_CODEC_PATH"):
        assert words in str(raised.value)
    other = write_version(tmp_path / "others", name="other")
    catalog.add(_codec(tmp_path / "others" / other))
    assert f"loaded versions ({other[:12]})" in catalog.places()
    assert "nowhere" in str(UnknownCodec("abcd", []))


def test_a_codec_without_a_version_needs_no_adding():
    catalog = Catalog()
    catalog.add(Codec())
    assert catalog.places()[0] == "loaded versions (none)"


def test_the_path_variable(codec, version_folder, tmp_path, fresh_default_catalog):
    blob = codec.encode(VALUE)
    with pytest.raises(UnknownCodec):
        nbmf.decode(blob)
    fresh_default_catalog(tmp_path, version_folder.parent)
    assert same(nbmf.decode(blob), VALUE)


def test_a_corrupt_blob_of_a_known_version_is_corrupt(codec, version_folder):
    blob = bytearray(codec.encode(VALUE))
    blob[-1] ^= 1
    with pytest.raises(ChecksumMismatch):
        _decode(Catalog([version_folder.parent]), bytes(blob))


def test_what_is_damaged_in_one_folder_is_found_in_the_next(codec, version_folder, tmp_path):
    blob = codec.encode(VALUE)
    copy = shutil.copytree(version_folder, tmp_path / "damaged" / version_folder.name)
    (copy / "zstd.dict").unlink()
    stray = tmp_path / "stray"
    stray.mkdir()
    (stray / version_folder.name).write_text("a file named as a version")
    with pytest.raises(UnknownCodec):
        _decode(Catalog([stray]), blob)
    with pytest.raises(DamagedCodec, match="missing"):
        _decode(Catalog([stray, tmp_path / "damaged"]), blob)
    assert same(_decode(Catalog([stray, tmp_path / "damaged", version_folder.parent]), blob), VALUE)


def test_a_twin_that_cannot_be_loaded_does_not_hide_the_other(twins, tmp_path):
    first, second = sorted(twins)
    shutil.copytree(first, tmp_path / first.name)
    shutil.copytree(second, tmp_path / second.name)
    blob = _codec(second).encode(VALUE)
    (tmp_path / first.name / manifest.MANIFEST).write_text("{}")
    assert same(_decode(Catalog([tmp_path]), blob), VALUE)
    with pytest.raises(DamagedCodec):
        _decode(Catalog([tmp_path]), _codec(first).encode(VALUE))


def test_a_version_for_newer_readers_does_not_hide_another(twins, tmp_path, monkeypatch):
    first, second = sorted(twins)
    blob = _codec(second).encode(VALUE)
    catalog = Catalog([first.parent])
    load = catalog._load

    def newer(version_id):
        if version_id == first.name:
            raise UnsupportedFormat("newer")
        return load(version_id)

    monkeypatch.setattr(catalog, "_load", newer)
    assert same(_decode(catalog, blob), VALUE)
    with pytest.raises(UnsupportedFormat):
        _decode(catalog, _codec(first).encode(VALUE))


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """A folder of six versions of different references, and a blob of each."""
    parent = tmp_path_factory.mktemp("several")
    ids = [write_version(parent, name=f"several-{n}", seed=n) for n in range(6)]
    blobs = {version_id: _codec(parent / version_id).encode(VALUE) for version_id in ids}
    assert len({nbmf.inspect(blob).codec for blob in blobs.values()}) == 6
    return parent, blobs


def test_only_the_versions_used_last_stay_in_memory(several, monkeypatch):
    parent, blobs = several
    catalog = Catalog([parent], max_loaded=2)
    loads = []
    load = catalog._load
    monkeypatch.setattr(catalog, "_load", lambda version_id: loads.append(version_id) or load(version_id))
    first, second, third, *_ = blobs
    for version_id in (first, second, first, third, first, second):
        assert same(_decode(catalog, blobs[version_id]), VALUE)
        assert len(catalog.loaded_ids) <= 2
    assert loads == [first, second, third, second]
    assert catalog.loaded_ids == [first, second]


def test_added_versions_stay_until_they_are_released(several):
    parent, blobs = several
    first, second, *others = blobs
    catalog = Catalog([parent], max_loaded=1)
    for version_id in (first, second):
        catalog.add(_codec(parent / version_id))
    for version_id in others:
        assert same(_decode(catalog, blobs[version_id]), VALUE)
        assert catalog.loaded_ids == [first, second, version_id]
    catalog.release(first)
    assert catalog.loaded_ids == [second, others[-1]]
    catalog.release("0" * 64)
    assert same(_decode(catalog, blobs[first]), VALUE)
    assert catalog.loaded_ids == [second, first]


def test_threads_that_need_more_versions_than_stay(several):
    parent, blobs = several
    catalog = Catalog([parent], max_loaded=2)
    order = list(blobs.values()) * 20
    random.Random(5).shuffle(order)
    with ThreadPoolExecutor(4) as threads:
        assert all(same(value, VALUE) for value in threads.map(lambda blob: _decode(catalog, blob), order))
    assert len(catalog.loaded_ids) <= 2
