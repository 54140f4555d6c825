"""Compressed JSON: the same records as without, in parts, damaged, cut off, and however far it inflates."""

import gzip
import json
import random
import tracemalloc

import pytest
import zstandard
from items import good, read, reasons
from packed import FORMATS

from cluster.sources import json_files, jsonl, open_source

PACKED = pytest.mark.parametrize("suffix", list(FORMATS))
LINES = [json.dumps({"n": number, "text": random.Random(number).randbytes(30).hex()}) for number in range(500)]
CONTENT = "".join(f"{line}\n" for line in LINES).encode()


def packed_file(folder, suffix, content, name="a.jsonl"):
    path = folder / f"{name}{suffix}"
    path.write_bytes(content)
    return path


@PACKED
def test_the_same_records_as_without(tmp_path, suffix):
    (tmp_path / "a.jsonl").write_bytes(CONTENT)
    path = packed_file(tmp_path, suffix, FORMATS[suffix](CONTENT))
    plain, packed = read(open_source(tmp_path / "a.jsonl")), read(open_source(path))
    assert [item.payload for item in good(packed)] == [item.payload for item in good(plain)]
    assert [item.source_bytes for item in packed] == [item.source_bytes for item in plain]
    assert [item.key for item in packed] == [f"a.jsonl{suffix}:{n}" for n in range(1, 501)]
    assert packed[7].place == f"{path}:8"


@PACKED
def test_several_streams_one_behind_the_other(tmp_path, suffix):
    pack = FORMATS[suffix]
    path = packed_file(tmp_path, suffix, b"".join(pack(part) for part in (CONTENT[:1000], b"", CONTENT[1000:])))
    assert [item.payload for item in good(read(open_source(path)))] == [json.loads(line) for line in LINES]


def test_frames_that_are_to_be_skipped_and_padding(tmp_path):
    skip = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"abcd"
    path = packed_file(tmp_path, ".zst", skip + FORMATS[".zst"](CONTENT) + skip)
    assert len(good(read(open_source(path)))) == 500
    path = packed_file(tmp_path, ".gz", gzip.compress(CONTENT) + bytes(1000))
    assert len(good(read(open_source(path)))) == 500


@PACKED
@pytest.mark.parametrize("order", ["forwards", "backwards", "each anew"])
def test_parts_are_the_same_however_they_are_read(tmp_path, monkeypatch, suffix, order):
    monkeypatch.setattr(jsonl, "_SHARD_LINES", 60)
    source = open_source(packed_file(tmp_path, suffix, FORMATS[suffix](CONTENT)))
    shards = source.plan()
    assert shards == source.plan()
    assert [shard.span[2] for shard in shards] == list(range(1, 501, 60))
    items = {}
    for shard in shards if order == "forwards" else shards[::-1]:
        if order == "each anew":
            json_files._streams.close()
        items |= {item.key: item.payload for item in good(list(source.read(shard)))}
    assert items == {f"a.jsonl{suffix}:{n}": json.loads(line) for n, line in enumerate(LINES, start=1)}


@PACKED
def test_what_is_cut_off_is_one_dead_letter(tmp_path, suffix):
    """What is before the cut is there, and no half of a line is taken for a record."""
    whole = FORMATS[suffix](CONTENT)
    for share in (0.3, 0.7, 0.999):
        path = packed_file(tmp_path, suffix, whole[: int(len(whole) * share)])
        *before, lost = read(open_source(path))
        assert [item.payload for item in good(before)] == [json.loads(line) for line in LINES[: len(before)]]
        assert (lost.reason, lost.key) == ("damaged_file", f"a.jsonl{suffix}:{len(before) + 1}")
        assert "cut off" in lost.detail


def test_a_number_that_is_cut_off_is_no_smaller_number(tmp_path):
    whole = FORMATS[".gz"](b"12345\n" * 20_000 + b"123456789")
    path = packed_file(tmp_path, ".gz", whole[:-9])
    found = read(open_source(path))
    assert {item.payload for item in found[:-1]} == {12345}
    assert found[-1].reason == "damaged_file"


@PACKED
def test_what_is_altered_is_not_taken(tmp_path, suffix):
    """No record comes that was not written: what is before the damage may be altered too."""
    whole = FORMATS[suffix](CONTENT)
    for at in range(12, len(whole), len(whole) // 40):
        damaged = bytearray(whole)
        damaged[at] ^= 0x55
        found = read(open_source(packed_file(tmp_path, suffix, bytes(damaged))))
        taken = [item.payload for item in found if item.__class__.__name__ == "Record"]
        assert all(json.dumps(payload) in LINES for payload in taken)
        if len(taken) < 500:
            assert reasons(found)[-1] == "damaged_file"


def test_streams_before_the_damaged_one_are_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "_SHARD_LINES", 50)
    second = bytearray(gzip.compress(CONTENT))
    second[-6] ^= 1  # its checksum
    found = read(open_source(packed_file(tmp_path, ".gz", gzip.compress(CONTENT) + bytes(second))))
    assert len(good(found[:-1])) == 500
    assert found[-1].key == "a.jsonl.gz:501"
    assert "damaged" in found[-1].detail


def test_what_follows_that_is_not_compressed(tmp_path):
    found = read(open_source(packed_file(tmp_path, ".gz", gzip.compress(CONTENT) + b'{"n": 500}\n')))
    assert len(good(found[:-1])) == 500
    assert (found[-1].reason, "other data" in found[-1].detail) == ("damaged_file", True)


def test_content_tells_and_not_the_name(tmp_path):
    """Downloads are unpacked on the way, and keep their names."""
    assert len(good(read(open_source(packed_file(tmp_path, ".gz", CONTENT))))) == 500
    assert len(good(read(open_source(packed_file(tmp_path, "", gzip.compress(CONTENT)))))) == 500
    assert len(good(read(open_source(packed_file(tmp_path, ".gz", FORMATS[".zst"](CONTENT)))))) == 500


@PACKED
def test_a_file_whose_first_bytes_are_damaged_is_one_dead_letter(tmp_path, suffix):
    content = FORMATS[suffix](CONTENT)
    (lost,) = read(open_source(packed_file(tmp_path, suffix, b"\x80\x81" + content[2:])))
    assert lost.reason == "damaged_file"
    assert "neither so nor like text" in lost.detail


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_line_that_inflates_without_end_takes_bounded_memory(tmp_path, suffix):
    content = b'"before"\n"' + bytes(64 * 2**20) + b'"\n"after"\n'
    packed = gzip.compress(content, 1) if suffix == ".gz" else zstandard.compress(content)
    del content
    source = open_source(packed_file(tmp_path, suffix, packed), max_record_bytes=100_000)
    tracemalloc.start()
    try:
        found = read(source)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reasons(found) == [None, "too_large", None]
    assert found[1].source_bytes == 64 * 2**20 + 3
    assert peak < 16 * 2**20
