"""--fidelity-policy: a fidelity for each class, checked when it is read; part of the plan."""

import pytest
import synthetic
from items import by_line

from cluster.errors import ConfigError
from migrate_job.policy import load_policy
from nbmf import store


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


@pytest.mark.usefixtures("ray_session")
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
