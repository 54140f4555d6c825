"""The engine that codes batches, as a setting of the process."""

import pytest

from nbmf import engine
from nbmf.engine import Engine, EngineMissing


@pytest.fixture(autouse=True)
def unset(monkeypatch):
    monkeypatch.setattr(engine, "_engine", None)


def test_the_engine_that_was_configured():
    engine.configure("cpu", 2)
    assert engine.engine() == Engine("cpu", 2)


@pytest.mark.parametrize(
    ("name", "threads", "named"), [("gpu", 1, "'gpu'"), ("cpu", 0, "from 1 to 1024"), ("cpu", 10**9, "from 1 to 1024")]
)
def test_what_is_no_engine(name, threads, named):
    with pytest.raises(ValueError, match=named):
        engine.configure(name, threads)


def test_torch_without_pytorch(monkeypatch):
    monkeypatch.setattr(engine, "find_spec", lambda _: None)
    with pytest.raises(EngineMissing, match=r"pip install 'nbmf\[train\]'"):
        engine.configure("torch")
    engine.configure("auto")
    assert engine.engine().name == "auto"


@pytest.mark.parametrize(("threads", "name"), [("", ""), ("1", "auto")])
def test_an_empty_variable_is_none(monkeypatch, threads, name):
    monkeypatch.setenv("NBMF_THREADS", threads)
    monkeypatch.setenv("NBMF_ENGINE", name)
    engine._from_environment.cache_clear()
    assert engine.engine() == Engine("auto", 1)
    engine._from_environment.cache_clear()


@pytest.mark.parametrize("threads", ["two", "-1", "0", "1.5", "9" * 5_000, "100000"])
def test_a_variable_of_something_else(monkeypatch, threads):
    monkeypatch.setenv("NBMF_THREADS", threads)
    engine._from_environment.cache_clear()
    with pytest.raises(ValueError, match="threads"):
        engine.engine()
