"""The wheel of this machine's kind, as `make wheels` builds it, in an environment with nothing but what it brings."""

import os
import platform
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = """
import sys
import nbmf
from nbmf import _core
record = [{"role": "user", "content": "Remember to call Anna on Friday about the invoice."}]
blob = nbmf.encode(record)
assert nbmf.decode(blob) == record
info = nbmf.inspect(blob)
print(len(blob), info.coder, *_core.paths())
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(sys.platform != "linux", reason="of Linux wheels"),
    pytest.mark.skipif(find_spec("ziglang") is None, reason="no cross-compiler: pip install ziglang"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    subprocess.run([sys.executable, ROOT / "wheels.py", f"linux-{platform.machine()}", "--out", folder], check=True)
    (made,) = folder.glob("*.whl")
    return made


def test_what_is_in_it(wheel):
    assert wheel.name.endswith(f"-cp311-abi3-manylinux_2_17_{platform.machine()}.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"nbmf/_core.abi3.so", "nbmf/_core.pyi", "nbmf/py.typed", "nbmf/builtin_versions/DEFAULT"} <= set(names)
    assert any(name.endswith("/model.safetensors") for name in names)
    assert not any(name.startswith(("nbmf/_core/", "tests/", "build/")) for name in names)


def test_a_record_in_an_empty_environment(wheel, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], env=environment, check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel]
    subprocess.run(install, env=environment, check=True)
    run = subprocess.run([python, "-I", "-c", CODE], capture_output=True, text=True, env=environment, check=True)
    size, coder, *paths = run.stdout.split()
    assert int(size) < 40
    assert coder == "neural"
    assert paths[-1] == "plain"
    # Pip has made the command; what it needs has not been asked for.
    command = subprocess.run([tmp_path / "venv/bin/nbmf", "--help"], capture_output=True, text=True, env=environment)
    assert command.returncode == 2
    assert "pip install 'nbmf[cli]'" in command.stderr
    assert "Traceback" not in command.stderr
