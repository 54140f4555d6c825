"""`nbmf bench dicts`: sizes are those of what a store holds."""

import json

import synthetic

from nbmf import compat


def test_the_command(nbmf_command, tmp_path):
    payloads = [{"id": n, "text": "a record of the test, some words long " * (1 + n % 3)} for n in range(6)]
    payloads.append("\ud800")
    data = synthetic.write_jsonl(tmp_path / "data.jsonl", [{"payload": payload} for payload in payloads])
    output = tmp_path / "out.json"
    result = nbmf_command(
        "bench", "dicts", "--data", data, "--payload-field", "payload", "--every", 2, "--json", output
    )
    assert result.code == 0, result.err
    report = json.loads(output.read_text())
    assert report["left_out"] == 1
    ours = report["forms"]["nbmf-2"]
    assert ours["records"] == 3
    taken = payloads[:6:2]
    sizes = [[len(json.dumps({"payload": value}, separators=(",", ":"))) for value in values]
             for values in (taken, [compat.encode(payload) for payload in taken])]  # fmt: skip
    assert [ours["raw_bytes"], ours["coded_bytes"]] == [sum(size) for size in sizes]
    assert report["forms"]["the stub's dict"]["coded_bytes"] > ours["coded_bytes"]
    assert b"1 records that JSON or the stub cannot hold" in result.out
