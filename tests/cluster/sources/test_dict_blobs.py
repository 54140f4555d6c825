"""Dict blobs of nbmf in sources of JSON: decoded with the registry's versions, or named by their error."""

import base64
import json
import sqlite3
from contextlib import closing

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic
from items import good, read, reasons
from old_stores import KEY, put

from cluster.sources import Record, open_source
from nbmf import compat, stub

WORDS = synthetic.records(1, seed=4)[0]
PAYLOADS = [WORDS, "text", {"value": [1], "__meta__": {"at": 2}}, None, {"a": -0.0}]


@pytest.fixture
def blobs(small_version):
    """(the registry's location, payloads of which all but the second are dict blobs)."""
    registry, codec = small_version
    wrapped = [compat.encode(payload, "lossless", codec=codec) for payload in PAYLOADS]
    return registry.location, [wrapped[0], PAYLOADS[1], *wrapped[2:]]


def json_lines(path, values):
    path.write_text("".join(json.dumps({"payload": value}) + "\n" for value in values))


def parquet(path, values):
    pq.write_table(pa.table({"payload": [json.dumps(value) for value in values]}), path)


def sqlite(path, values):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (payload TEXT)")
        texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
        connection.executemany("INSERT INTO t VALUES (?)", [(text,) for text in texts])


def legacy(path, values):
    for number, value in enumerate(values):
        put(path, f"{number}", "note", value, KEY if number % 2 else None, meta=None)


@pytest.mark.parametrize(
    ("write", "name", "options"),
    [
        (json_lines, "a.jsonl", {"payload_field": "payload"}),
        (parquet, "a.parquet", {"parse_json": True}),
        (sqlite, "a.db", {}),
        (legacy, "store", {"key": KEY}),
    ],
)
def test_they_are_decoded_in_order(write, name, options, blobs, tmp_path):
    registry, values = blobs
    write(tmp_path / name, values)
    found = good(read(open_source(tmp_path / name, registry=registry, **options)))
    payloads = [json.loads(r.payload) if r.payload == '"text"' else r.payload for r in found]
    assert payloads == [WORDS, "text", [1], None, {"a": -0.0}]
    assert [r.meta or {} for r in found] == [{}, {}, {"__meta__": {"at": 2}}, {}, {}]


def test_what_cannot_be_decoded_is_named_by_its_error(blobs, tmp_path):
    registry, values = blobs
    sound = values[0]
    newer = {**sound, "meta": {**sound["meta"], "encoder_version": "nbmf-9"}}
    blob = compat.unwrap(sound)
    damaged = compat.wrap(blob[:-1] + bytes([blob[-1] ^ 1]))
    no_code = {**sound, "code": "no base85"}
    path = tmp_path / "a.jsonl"
    json_lines(path, [sound, newer, damaged, sound, no_code, "text"])
    found = read(open_source(path, payload_field="payload", registry=registry))
    assert [item.payload for item in found if isinstance(item, Record)] == [WORDS, WORDS, "text"]
    assert reasons(found) == [None, "unsupported_format", "checksum_mismatch", None, "corrupt_blob", None]
    elsewhere = read(open_source(path, payload_field="payload", registry=str(tmp_path / "empty")))
    assert reasons(elsewhere)[0] == "unknown_codec"


def test_the_command_decodes_them(nbmf_command, blobs, tmp_path):
    registry, (ours, *_) = blobs
    theirs, preview = stub.encode(WORDS, "lossless"), stub.encode("  a  preview")
    for held, shown in ((ours, WORDS), (theirs, WORDS), (preview, "a preview")):
        path = tmp_path / "held.json"
        path.write_text(json.dumps(held, indent=1))
        result = nbmf_command("decode", path, "--registry", registry)
        assert result.code == 0, result.err
        assert result.out.decode() == shown
        assert ("preview that" in result.err) == (shown is not WORDS)
    lines = [ours, {"blob": theirs}, {"blob": base64.b64encode(compat.unwrap(ours)).decode()}, {"blob": {}}, preview]
    path = tmp_path / "held.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = nbmf_command("decode", path, "--registry", registry)
    assert result.code == 3
    rows = [json.loads(line) for line in result.out.splitlines()]
    assert [row.get("dict_blob", row.get("error")) for row in rows] == [
        "nbmf-2",
        "stub",
        None,
        "bad_request",
        "stub_preview",
    ]
    assert [row.get("payload") for row in rows] == [WORDS, WORDS, WORDS, None, "a preview"]


def test_the_command_takes_other_json_for_no_blob(nbmf_command, tmp_path):
    for text in ("{", '{"a": 1}'):
        (tmp_path / "a.json").write_text(text)
        assert "not_a_blob" in nbmf_command("decode", tmp_path / "a.json").err
