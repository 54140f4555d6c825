"""Coding writes nothing to disk: no cache that could be cut off, filled up, or read as code."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CODE = """
import os, sys

def refuse(event, args):
    writes = event == "open" and (
        (isinstance(args[1], str) and set(args[1]) & set("wxa+"))
        or (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    )
    if writes or event in ("os.mkdir", "os.rename", "os.link", "os.symlink"):
        raise OSError(28, "No space left on device", args[0])
    if event == "pickle.find_class":
        raise RuntimeError("unpickled")

sys.dont_write_bytecode = True
sys.addaudithook(refuse)
import nbmf
values = ["Remember the window seat. " * 20, [{"role": "user", "content": "x" * 50}], {"a": [1.5, None]}, bytes(90)]
for effort in ("auto", "fast", "max"):
    for value in values:
        assert nbmf.decode(nbmf.encode(value, effort=effort)) == value
assert {nbmf.inspect(nbmf.encode(value)).coder for value in values} & {"neural", "counts"}
print("coded")
"""


@pytest.mark.parametrize("kind", ["none", "read-only", "missing", "a file"])
def test_without_a_place_to_write(tmp_path, kind):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "TMP", "HOME", "NBMF"))}
    environment["PYTHONPATH"] = str(ROOT)
    place = tmp_path / "home"
    if kind == "read-only":
        place.mkdir(mode=0o500)
    if kind == "a file":
        place.write_text("")
    if kind != "none":
        environment |= {"HOME": str(place), "TMPDIR": str(place), "XDG_CACHE_HOME": str(place)}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, cwd="/", capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "coded\n"), done.stderr
    assert not [*tmp_path.glob("home/*")]
