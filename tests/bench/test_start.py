"""`nbmf bench start`: fresh processes, with compiled code and without."""

import json

import pytest

from bench import start
from bench.records import NotEqual
from nbmf import Codec
from nbmf.codec import WITHOUT_VERSION

KINDS = [("encode", "empty"), ("encode", "filled"), ("decode", "empty"), ("decode", "filled")]


@pytest.fixture
def one_process(monkeypatch):
    monkeypatch.setattr(start, "REPEATS", 1)


@pytest.mark.usefixtures("one_process")
def test_the_command(nbmf_command, tmp_path):
    """Without a version there is nothing to compile, so it is quick."""
    result = nbmf_command("bench", "start", "--codec", "none", "--effort", "fast", "--json", tmp_path / "report.json")
    assert result.code == 0, result.err
    report = json.loads((tmp_path / "report.json").read_text())
    assert [(row["operation"], row["cache"]) for row in report["rows"]] == KINDS
    assert (report["codec"], report["records"]) == (None, 1)
    for row in report["rows"]:
        ms = row["ms"]
        assert tuple(ms) == start.PHASES
        assert all(ms[phase] > 0 for phase in ("python", "import", "first", "second"))
        assert ms["ready"] >= sum(ms[phase] for phase in ("python", "import", "load", "first")) - 0.1
        assert row["coder"] == "deflate"
    assert b"a fresh process, ms" in result.out


@pytest.mark.usefixtures("one_process")
def test_each_cache_is_empty_first_and_then_kept(monkeypatch, small_version):
    seen, done = [], []

    def planted(job, cache):
        seen.append((job["effort"], job["operation"], cache, sorted(cache.iterdir())))
        (cache / "compiled").touch()
        return dict.fromkeys(start.PHASES, 1.0)

    monkeypatch.setattr(start, "_measure", planted)
    folder = small_version.registry / "versions" / small_version.id
    report = start.run(folder, ("max", "fast"), lambda: done.append(1))
    assert len(done) == start.steps(("max", "fast")) == 8
    assert [(effort, operation, len(held)) for effort, operation, _, held in seen] == [
        (effort, operation, held) for effort in ("max", "fast") for operation in ("encode", "decode") for held in (0, 1)
    ]
    assert len({cache for *_, cache, _ in seen}) == 4
    assert {row["coder"] for row in report["rows"]} == {"counts"}
    assert report["codec"] == small_version.id


def job_for(blob):
    job = {"version": None, "operation": "decode", "effort": "fast", "record": start.RECORD}
    return job | {"blob": blob.hex()}


def test_a_process_that_decodes_something_else(tmp_path):
    with pytest.raises(NotEqual, match="effort fast: decode gave something else"):
        start._measure(job_for(WITHOUT_VERSION.encode("another record")), tmp_path)


def test_a_process_that_fails(tmp_path):
    with pytest.raises(start.ProcessFailed, match=r"to decode ended with exit code 1: nbmf.errors.NotABlob"):
        start._measure(job_for(b"\xff no blob"), tmp_path)


def test_the_folder_of_a_version(small_version):
    from cluster.registry import Registry

    registry = Registry(small_version.registry)
    folder = start.folder_of(registry, small_version.id)
    assert Codec.load(folder).id == small_version.id
    assert start.folder_of(registry, "none") is None


def test_an_unknown_version(error_of, tmp_path):
    message = error_of("bench", "start", "--registry", tmp_path, "--codec", "123abc")
    assert message.startswith("nbmf: version_not_found:")
