"""Which bytes of a record are ids, numbers and times, and what they cost."""

import json

import pytest
from typer.testing import CliRunner

from bench.cli import bench
from bench.contents.run import AGAIN, CONTENTS, OTHERS, contents_of

EXAMPLES = {
    "UUIDs": b"506f78a4-e098-11e5-ad9f-000f53306ae1",
    "hexadecimal ids": b"8ce82b2e9ed820ba",
    "times": b"2020-07-20T19:37:30",
    "IPv4 addresses": b"10.104.31.138",
    "numbers of 10 digits and more": b"1543334696955699",
    "numbers of 4 to 9 digits": b"13457723",
    "numbers of 1 to 3 digits": b"612",
    "decimal fractions": b"3.1416",
    "ids of letters and digits": b"pRz4aB93kLmQ0xYw",
}


@pytest.mark.parametrize("name", [content.name for content in CONTENTS])
def test_each_is_found(name):
    example = EXAMPLES[name]
    text = b'{"x":"' + example + b'","y":"' + example + b'"}'
    found = contents_of(text)
    assert found == [
        *[OTHERS] * 6,
        *[name] * len(example),
        *[OTHERS] * 7,
        *[AGAIN] * len(example),
        *[OTHERS] * 2,
    ]


def test_words_and_parts_of_words_are_none():
    text = "the deadbeef defaced facade, v2 of ipv4: us-east-1a, 日本語, camelCaseNames"
    assert set(contents_of(text.encode())) == {OTHERS}


def test_the_command(tmp_path, small_version):
    """Sets add up to all; what comes again in its record is told apart."""
    records = [{"id": f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}", "name": "the same"} for number in range(1, 21)]
    data = tmp_path / "records.jsonl"
    lines = [{"set": "ab"[at % 2], "payload": {**record, "parent": record["id"]}} for at, record in enumerate(records)]
    data.write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "out.json"
    fields = ["--payload-field", "payload", "--set-field", "set"]
    command = ["contents", "--data", data, *fields, *small_version.options, "--json", out]
    result = CliRunner().invoke(bench, [*map(str, command)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    rows = {(row["set"], row["content"]): row for row in json.loads(out.read_text())["rows"]}
    assert [*rows] == [(of, what) for of in ("all", "a", "b") for what in ("hexadecimal ids", AGAIN, OTHERS)]
    assert rows["all", "hexadecimal ids"]["characters"] == rows["all", AGAIN]["characters"] == 16 * 20
    for what in ("hexadecimal ids", AGAIN, OTHERS):
        assert rows["all", what]["bits"] == pytest.approx(rows["a", what]["bits"] + rows["b", what]["bits"])
    assert min(row["bits"] for row in rows.values()) > 0
    assert "hexadecimal ids" in result.output


def test_a_version_without_network_is_refused(tmp_path):
    (tmp_path / "records.jsonl").write_text(json.dumps({"payload": "a record"}) + "\n")
    command = ["contents", "--data", str(tmp_path / "records.jsonl"), "--registry", str(tmp_path), "--codec", "none"]
    result = CliRunner().invoke(bench, command)
    assert result.exit_code != 0
    assert "has no learned part" in str(result.exception)
