"""Without the libraries of an extra: what needs none of them works, what does says which to install."""

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import nbmf
from nbmf import errors, extras

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"

BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocker())
"""

ALL = {name.split(".")[0] for name in extras._EXTRA}
WITHOUT_CLUSTER = {name for name, extra in extras._EXTRA.items() if extra in ("cluster", "train", "bench")} - {
    "google.protobuf"
}

USES = {
    "client": "from nbmf.client import Client",
    "encryption": "from nbmf.encryption import StoreKey as K; K.from_secret('c2VjcmV0IHNlY3JldA').encrypt(b'x')",
    "store": "import nbmf.store; nbmf.store.open('s3://bucket/store')",
}


def _run(code, blocked=ALL):
    script = BLOCKER.format(blocked=blocked) + code
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


def _main(*arguments):
    return f"sys.argv = ['nbmf', *{arguments!r}]; from cluster.cli.entry import main; main()"


def test_the_codec_needs_no_extra():
    code = "import nbmf; r = {'a': ['hello ' * 9]}; b = nbmf.encode(r); assert nbmf.decode(b) == r; nbmf.inspect(b)"
    run = _run(code)
    assert run.returncode == 0, run.stderr


def test_an_array_without_numpy():
    blob = nbmf.encode(np.arange(50, dtype=np.float32))
    says = "print(nbmf.inspect(b).kind, nbmf.inspect(b).payload_bytes); nbmf.decode(b)"
    run = _run(
        f"import nbmf; b = bytes.fromhex({blob.hex()!r})\ntry: {says}\nexcept nbmf.errors.MissingLibrary as e: print(e)"
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("array 201\n")
    assert "pip install 'nbmf[array]'" in run.stdout


def test_local_client_and_records_of_files_need_none(tmp_path):
    code = (
        "from nbmf.client import LocalClient, RetryPolicy; c = LocalClient(); assert c.decode(c.encode('x')) == 'x'\n"
        "import nbmf.store\n"
        f"try: nbmf.store.open({str(tmp_path / 'none')!r})\n"
        "except nbmf.store.opening.StoreError as error: print(error)"
    )
    run = _run(code)
    assert run.returncode == 0, run.stderr
    assert "is no store" in run.stdout


@pytest.mark.parametrize("extra", USES)
def test_what_needs_one_names_it(extra):
    run = _run(f"import nbmf\ntry: {USES[extra]}\nexcept nbmf.errors.MissingExtra as error: print(error)")
    assert run.returncode == 0, run.stderr
    assert f"pip install 'nbmf[{extra}]'" in run.stdout


@pytest.mark.parametrize("arguments", [(), ("--help",), ("encode", "x")])
def test_the_command_without_its_libraries(arguments):
    run = _run(_main(*arguments))
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("nbmf: missing_extra: this command needs ")
    assert "pip install 'nbmf[cli]'" in run.stderr
    assert "Traceback" not in run.stderr


def test_the_command_without_a_cluster(tmp_path):
    (tmp_path / "a.txt").write_text("hello " * 50)
    blob = tmp_path / "a.nbmf"
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n' * 400)
    for arguments in [
        ("--help",),
        ("migrate", str(tmp_path / "a.jsonl"), str(tmp_path / "new")),  # there is too little for a cluster
        ("encode", str(tmp_path / "a.txt"), "-o", str(blob)),
        ("decode", str(blob)),
    ]:
        run = _run(_main(*arguments), WITHOUT_CLUSTER)
        assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("hello ")


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("migrate", "{0}/a.jsonl", "{0}/new", "--address", "auto"), "cluster"),
        (("train", "-r", "{0}/a.jsonl", "-o", "{0}/new"), "train"),
    ],
)
def test_a_command_without_its_extra(arguments, extra, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n' * 400)
    run = _run(_main(*(argument.format(tmp_path) for argument in arguments)), WITHOUT_CLUSTER)
    assert run.returncode in (1, 2)
    assert f"pip install 'nbmf[{extra}]'" in " ".join(run.stderr.split())
    assert "Traceback" not in run.stderr


def test_a_fault_is_no_missing_extra():
    assert extras.explained(ImportError("x", name="nbmf.nothing"), "it") is None
    assert extras.explained(ImportError("x"), "it") is None
    found = extras.explained(ImportError("x", name="google.protobuf.message"), "it")
    assert isinstance(found, errors.MissingExtra)
    assert "nbmf[cluster]" in str(found)


def test_the_extras_are_those_of_pyproject():
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    assert set(extras._EXTRA.values()) < set(project["optional-dependencies"])
    names = [requirement.split(">")[0] for requirement in project["dependencies"]]
    assert names == ["zstandard"]
