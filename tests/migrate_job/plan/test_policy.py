"""--fidelity-policy: a fidelity for each class, checked when it is read; part of the plan."""

import json
import math

import pytest
import synthetic
from items import by_line

from cluster.errors import ConfigError
from migrate_job.plan.policy import load_policy
from nbmf import Codec, store
from nbmf.vectors.compare import cosines


def write(folder, text):
    (folder / "policy.yaml").write_text(text)
    return folder / "policy.yaml"


def test_a_policy(tmp_path):
    policy = load_policy(write(tmp_path, "default: semantic\nnote: lossless\n'tool call': semantic\n"))
    assert (policy.default, policy.classes) == ("semantic", {"note": "lossless", "tool call": "semantic"})
    assert load_policy(write(tmp_path, "")).default == "lossless"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("note: lossy", "note"),
        ("default: 1", "default"),
        ("- note", "keys"),
        ("note: [lossless]", "note"),
        (":\n{", "YAML"),
    ],
)
def test_what_is_no_policy(tmp_path, text, named):
    with pytest.raises(ConfigError, match=named):
        load_policy(write(tmp_path, text))


def test_the_codec_is_told(nbmf_command, error_of, tmp_path):
    records = [{"t": f"text {n}", "k": "abc"[n % 3]} for n in range(30)]
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", records)
    command = ("migrate", path, tmp_path / "new", "--payload-field", "t", "--class-field", "k", "--codec", "none")
    policy = write(tmp_path, "b: semantic\n")
    result = nbmf_command(*command, "--fidelity-policy", policy)
    assert result.code == 0, result.err
    stored = by_line(store.iterate(tmp_path / "new"))
    assert [record.payload() for record in stored] == [record["t"] for record in records]
    assert error_of(*command).startswith("nbmf: destination_error:")
    policy.write_text("b: semantic\nc: semantic\n")
    assert "--fidelity-policy" in error_of(*command, "--fidelity-policy", policy)
    policy.write_text("b: most\n")
    assert error_of(*command, "--fidelity-policy", policy).startswith("nbmf: config_error:")


def test_the_report_tells_what_was_changed(nbmf_command, error_of, tmp_path):
    vectors = [[math.sin(n * k) for n in range(1, 129)] for k in range(1, 13)]
    records = [{"t": {"v": vector, "n": k}, "k": "ab"[k % 2]} for k, vector in enumerate(vectors)]
    path = synthetic.write_jsonl(tmp_path / "a.jsonl", records)
    command = ("migrate", path, tmp_path / "new", "--payload-field", "t", "--class-field", "k", "--codec", "none")
    policy = write(tmp_path, "b: semantic\n")
    assert nbmf_command(*command, "--fidelity-policy", policy, "--least-cosine", "1").code == 2
    result = nbmf_command(*command, "--fidelity-policy", policy)
    assert result.code == 0, result.err
    assert "--least-cosine" in error_of(*command, "--fidelity-policy", policy, "--least-cosine", "0.99")
    stored = [record.payload() for record in by_line(store.iterate(tmp_path / "new"))]
    found = [cosines(record["t"], payload) for record, payload in zip(records, stored, strict=True)]
    assert [len(one) for one in found] == [0, 1] * 6
    every = [cosine for one in found for cosine in one]
    semantic = json.loads((tmp_path / "new" / "report.json").read_text())["semantic"]
    assert (semantic["records"], semantic["vectors"]) == (6, 6)
    assert semantic["cosine_mean"] == pytest.approx(sum(every) / 6)
    assert semantic["cosine_min"] == pytest.approx(min(every))
    lossless = [Codec().encode(record["t"]) for record in records[1::2]]
    assert semantic["lossless_bytes"] == sum(map(len, lossless)) > 2 * semantic["blob_bytes"]
    assert "vectors that it changed" in (tmp_path / "new" / "report.html").read_text()
