"""Encodings of JSON files: those with a byte order mark are read, others refused once, by name, with a remedy."""

import codecs
import json
import random

import pytest
from items import good, read, reasons
from packed import FORMATS

from cluster.errors import RecordsError
from cluster.sources import open_source

MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}
MARKED = pytest.mark.parametrize("encoding", list(MARKS))
RECORDS = [{"name": "Zoë", "text": "中文 \u2028 \U0001f600 ă„"}, "ਊ", 1, ["\r\n"]]
"""Among them characters of which a byte is that of a line end or quotation mark in UTF-16."""


@pytest.fixture
def file(tmp_path):
    """A function: the source that a file with the given bytes is."""

    def write(content, name="a.jsonl", **options):
        (tmp_path / name).write_bytes(content)
        return open_source(tmp_path / name, **options)

    return write


def lines(records, end="\n"):
    return "".join(json.dumps(record, ensure_ascii=False) + end for record in records)


@MARKED
@pytest.mark.parametrize("suffix", ["", *FORMATS])
def test_a_mark_tells_the_encoding(file, encoding, suffix):
    content = MARKS[encoding] + lines(RECORDS, "\r\n").encode(encoding)
    found = good(read(file(FORMATS[suffix](content) if suffix else content, f"a.jsonl{suffix}")))
    assert [item.payload for item in found] == RECORDS
    assert [item.key for item in found] == [f"a.jsonl{suffix}:{n}" for n in (1, 2, 3, 4)]


@MARKED
def test_documents_too(file, encoding):
    content = MARKS[encoding] + json.dumps(RECORDS, ensure_ascii=False, indent=1).encode(encoding)
    assert [item.payload for item in good(read(file(content, "a.json")))] == RECORDS


def test_records_alone_of_a_file_that_is_decoded(file):
    source = file(codecs.BOM_UTF16_LE + lines(RECORDS).encode("utf-16-le"))
    (shard,) = source.plan()
    assert [item for _, one in source.split(shard) for item in source.read(one)] == read(source)


def test_a_bad_line_of_a_file_with_a_mark_is_that_lines_alone(file):
    content = codecs.BOM_UTF16_LE + '"a"\n"'.encode("utf-16-le") + b"\x00\xd8" + '"\n"b"\n'.encode("utf-16-le")
    assert reasons(read(file(content))) == [None, "not_utf8", None]


def test_a_file_that_ends_within_a_character(file):
    found = read(file(codecs.BOM_UTF16_LE + '"a"\n"b"\n'.encode("utf-16-le") + b"\x22"))
    assert reasons(found) == [None, None, "damaged_file"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("records", [[1], RECORDS, [{"text": "中文 の 文"}] * 50], ids=["one", "some", "foreign"])
def test_without_a_mark_the_file_is_refused_by_name(file, encoding, suffix, records):
    content = lines(records).encode(encoding)
    source = file(FORMATS[suffix](content) if suffix else content, f"a.jsonl{suffix}")
    with pytest.raises(RecordsError, match=rf"a\.jsonl.*{encoding.upper()}.*iconv -f {encoding.upper()} -t UTF-8"):
        source.plan()


GERMAN = [{"n": n, "text": "Grüße aus Köln, schöne Äpfel"} for n in range(40)]


@pytest.mark.parametrize(
    ("encoding", "text", "named"),
    [
        ("latin-1", "Grüße aus Köln, schöne Äpfel", "Windows-1252"),
        ("cp1252", "il a coûté 5 € à la fête", "Windows-1252"),
        ("gb18030", "我们今天去公园散步天气很好", "GB18030"),
        ("shift_jis", "今日は公園を散歩しました", "GB18030"),
        ("cp1251", "Сегодня мы гуляли в парке", "GB18030"),
    ],
)
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_file_in_another_encoding_is_one_refusal(file, encoding, text, named, name):
    records = [{"n": n, "text": text} for n in range(40)]
    content = json.dumps(records, ensure_ascii=False) if name == "a.json" else lines(records)
    with pytest.raises(RecordsError, match=rf"{name}: it is not UTF-8 \(40 of its 40 lines.*{named}.*iconv"):
        file(content.encode(encoding), name).plan()


def test_few_lines_in_another_encoding_among_many_are_one_refusal_too(file):
    source = file(b'{"text": "hello"}\n' * 10_000 + '"Köln"\n'.encode("latin-1") * 21)
    with pytest.raises(RecordsError, match="Windows-1252"):
        source.plan()


def test_single_bad_lines_of_a_file_in_utf8_are_dead_letters(file):
    good_line = '{"text": "Grüße"}\n'.encode()
    content = good_line * 30 + b'{"text": "Gr\xfc\xdfe"}\n' * 20 + b"1\n"
    assert reasons(read(file(content))) == [None] * 30 + ["not_utf8"] * 20 + [None]
    assert reasons(read(file(b"1\n" + b'"\xfc"\n' * 2 + b"2\n"))) == [None, "not_utf8", "not_utf8", None]


def test_a_line_that_is_looked_at_in_part_may_end_within_a_character(file):
    text = "ü" * 200_000
    assert [item.payload for item in good(read(file(lines([text, "x" + text]).encode())))] == [text, "x" + text]


def test_separators_within_strings_are_no_line_ends(file):
    records = [f"a{character}b" for character in "\u2028\u2029\x85\x0b\x0c\x1c"]
    content = "\n".join(json.dumps(record, ensure_ascii=ord(record[1]) < 32) for record in records)
    assert [item.payload for item in good(read(file(content.encode())))] == records


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_lines_that_end_in_carriage_returns_alone(file, encoding):
    mark = MARKS[encoding] if encoding != "utf-8" else b""
    found = good(read(file(mark + lines(RECORDS, "\r").encode(encoding))))
    assert [item.payload for item in found] == RECORDS
    assert [item.key for item in found] == [f"a.jsonl:{n}" for n in (1, 2, 3, 4)]


def test_random_bytes_are_no_records_and_no_fault_of_the_reader(file):
    """Whatever a file holds, it is refused as a whole, or gives bad records."""
    for seed in range(60):
        rng = random.Random(seed)
        content = rng.choice([b"", *MARKS.values(), b"\x1f\x8b", b"BZh9", b"\x28\xb5\x2f\xfd"]) + rng.randbytes(300)
        for name in ("a.jsonl", "a.json", "a.jsonl.gz"):
            try:
                found = read(file(content, name))
            except RecordsError:
                continue
            assert all(reason for reason, item in zip(reasons(found), found, strict=True) if item.place)
