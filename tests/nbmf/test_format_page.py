"""docs/format.md says what is so: its examples and tables are read from the page."""

import json
import re
import string
import zlib
from pathlib import Path

import pytest
from helpers import same

import nbmf
from nbmf import compat, frame
from nbmf.coders import NAMES
from nbmf.payload import Kind

PAGE = (Path(__file__).parent.parent.parent / "docs" / "format.md").read_text(encoding="utf-8")


def _block(name):
    (found,) = re.findall(rf"```{name}\n(.*?)```", PAGE, re.DOTALL)
    return [[part.strip() for part in line.rsplit(" | ", line.count(" | "))] for line in found.splitlines()]


@pytest.mark.parametrize(("text", "kind", "blob"), _block("examples"))
def test_the_examples(text, kind, blob):
    held = bytes.fromhex(blob)
    assert same(nbmf.decode(held), json.loads(text))
    assert nbmf.inspect(held).kind == kind


def test_the_example_taken_apart():
    parts = [bytes.fromhex(written) for written, _ in _block("parts")]
    _, _, example = _block("examples")[1]
    assert b"".join(parts) == bytes.fromhex(example)
    head, body, checksum = b"".join(parts[:3]), parts[3], parts[4]
    parsed = frame.parse(b"".join(parts))
    assert (parsed.head, parsed.body, parsed.checksum) == (head, body, checksum)
    canonical = json.dumps(nbmf.decode(b"".join(parts)), separators=(",", ":")).encode()
    assert len(canonical) == parsed.payload_bytes == 64
    assert zlib.crc32(head + canonical).to_bytes(4, "little") == checksum


def test_the_example_in_two_frames():
    full, compact = (frame.parse(bytes.fromhex(example)) for _, _, example in _block("examples")[1:])
    assert [(f.kind, f.coder, f.body, f.payload_bytes) for f in (full, compact)] == [(Kind.JSON, 1, full.body, 64)] * 2
    assert (len(full.head), full.checksum[3:], len(compact.head), len(compact.checksum)) == (3, b"\x49", 2, 3)


def test_the_table_of_first_bytes():
    rows = re.findall(r"^\| `(B\d)` \| short frame \| (\w+)[^|]*\| (?:`(\d\d)`|none) \|$", PAGE, re.MULTILINE)
    table = {int(first, 16): (Kind[kind.upper()], bytes.fromhex(elided)) for first, kind, elided in rows}
    assert table == frame._SHORT_FRAMES


def test_the_table_of_compact_frames():
    rows = re.findall(r"^\| (\w+) \| `(\w\w)` \| `(\w\w)` \| `(\w\w)` \| (?:`(\w\w)`)? ?\|$", PAGE, re.MULTILINE)
    numbers = {name: number for number, name in NAMES.items()} | {
        "neural": 4,
        "counts": 5,
        "neural_alone": 14,
        "counts_alone": 15,
    }
    table = {int(first, 16): (Kind(k), numbers[n]) for n, *firsts in rows for k, first in enumerate(firsts) if first}
    assert table == frame._COMPACT_FRAMES | frame._ALONE_FRAMES


def test_the_table_of_kinds_and_coders():
    rows = re.findall(r"^\| (\w*) \| (\d?)[^|]*\| \| (\w+) \| (\d+)[^|]*\| (\S+) \|", PAGE, re.MULTILINE)
    assert {kind: int(number) for kind, number, *_ in rows if kind not in ("", "reserved")} == {
        k.label: int(k) for k in Kind
    }
    coders = {int(number): (name, "yes" in needs) for _, _, name, number, needs in rows if name != "reserved"}
    assert {n: coders[n][0] for n in (0, 1, 2, 3)} == {n: NAMES[n] for n in (0, 1, 2, 3)}
    assert {n for n, (_, needs) in coders.items() if needs} == frame.CODERS_WITH_REFERENCE & coders.keys()


def test_the_dict_blob():
    """Base85 as the page has it, digit by digit."""
    (text,) = re.findall(r"^`(\{\"meta\".*\})`$", PAGE, re.MULTILINE)
    found = json.loads(text)
    assert compat.encode("ok") == found
    assert compat.decode(found) == "ok"
    digits = string.digits + string.ascii_uppercase + string.ascii_lowercase + "!#$%&()*+-;<=>?@^_`{|}~"  # of RFC 1924
    for size in (*range(1, 10), len(compat.unwrap(found))):
        blob = nbmf.encode(bytes(range(250, 250 - size, -1)))
        written = ""
        for at in range(0, len(blob), 4):
            left = blob[at : at + 4]
            number = int.from_bytes(left.ljust(4, b"\0"), "big")
            written += "".join(digits[number // 85**place % 85] for place in (4, 3, 2, 1, 0))[: len(left) + 1]
        assert compat.wrap(blob)["code"] == written
