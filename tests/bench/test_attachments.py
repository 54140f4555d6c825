"""`nbmf bench attachments`: what the page says of base64 and embeddings, measured."""

import json


def test_the_command(nbmf_command, tmp_path):
    result = nbmf_command("bench", "attachments", "--codec", "none", "--json", tmp_path / "out.json")
    assert result.code == 0, result.err
    rows = json.loads((tmp_path / "out.json").read_text())
    assert len(rows) == 12
    for row in rows:
        ours = row["nbmf auto"]
        assert ours == row["nbmf none"] <= row["zlib-9"]
        assert ours < row["binary"] * 1.02 + 100
        assert row["coders"].startswith("spans, ")
        assert all(part in result.out.decode() for part in (row["record"], f"{ours:,}"))
