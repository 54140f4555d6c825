"""`nbmf bench start`: fresh processes, until they have coded a record, and their memory."""

import json

import pytest

from bench.records import NotEqual
from bench.speed import start
from nbmf import Codec
from nbmf.codec import WITHOUT_VERSION


@pytest.fixture
def one_process(monkeypatch):
    monkeypatch.setattr(start, "REPEATS", 1)


@pytest.mark.usefixtures("one_process")
def test_the_command(nbmf_command, tmp_path):
    result = nbmf_command("bench", "start", "--codec", "none", "--effort", "fast", "--json", tmp_path / "report.json")
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert [row["operation"] for row in report["rows"]] == ["encode", "decode"]
    assert (report["codec"], report["records"]) == (None, 1)
    for row in report["rows"]:
        ms = row["ms"]
        assert tuple(ms) == start.PHASES
        assert all(ms[phase] > 0 for phase in ("python", "import", "first", "second"))
        assert ms["ready"] >= sum(ms[phase] for phase in ("python", "import", "load", "first")) - 0.1
        assert row["coder"] == "deflate"
        assert row["peak_mb"] > 5
    assert b"a fresh process, ms" in result.out


def job_for(blob):
    job = {"version": None, "operation": "decode", "effort": "fast", "record": start.RECORD}
    return job | {"blob": blob.hex()}


def test_a_process_that_decodes_something_else():
    with pytest.raises(NotEqual, match="effort fast: decode gave something else"):
        start._measure(job_for(WITHOUT_VERSION.encode("another record")))


def test_a_process_that_fails():
    with pytest.raises(start.ProcessFailed, match=r"to decode ended with exit code 1: nbmf.errors.NotABlob"):
        start._measure(job_for(b"\xff no blob"))


def test_the_folder_of_a_version(small_version):
    from cluster.registry import Registry

    registry = Registry(small_version.registry)
    folder = start.folder_of(registry, small_version.id)
    assert Codec.load(folder).id == small_version.id
    assert start.folder_of(registry, "none") is None


def test_an_unknown_version(error_of, tmp_path):
    message = error_of("bench", "start", "--registry", tmp_path, "--codec", "123abc")
    assert message.startswith("nbmf: version_not_found:")
