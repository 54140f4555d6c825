"""`import nbmf` is light: what it does not need is not loaded."""

import subprocess
import sys

import pytest

HEAVY = ["torch", "ray", "numpy", "pydantic", "pyarrow", "hypothesis", "typer", "rich", "httpx", "asyncio"]


def _loaded_after(code):
    script = f"{code}\nimport sys\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return run.stdout.split()


LADDER = "import nbmf; codec = nbmf.Codec(); "


@pytest.mark.parametrize(
    "code",
    [
        "import nbmf",
        LADDER + "assert nbmf.decode(codec.encode('hello ' * 50)) == 'hello ' * 50",
        LADDER + "assert nbmf.decode(codec.encode([{'role': 'user', 'content': 'x' * 99}]))[0]['role'] == 'user'",
        LADDER + "assert nbmf.decode(codec.encode(b'ab' * 99)) == b'ab' * 99; nbmf.inspect(codec.encode(b'x'))",
    ],
)
def test_nothing_heavy_is_loaded(code):
    assert _loaded_after(code) == []


def test_the_network_needs_no_torch():
    code = "import nbmf; assert nbmf.decode(nbmf.encode('hello ' * 50)) == 'hello ' * 50"
    assert set(_loaded_after(code)) <= {"numpy", "pydantic"}


def test_the_check_can_fail():
    assert "numpy" in _loaded_after("import nbmf, numpy; nbmf.encode(numpy.zeros(3))")
