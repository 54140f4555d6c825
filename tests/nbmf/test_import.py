"""`import nbmf` is light: what it does not need is not loaded."""

import subprocess
import sys

import pytest

HEAVY = ["torch", "ray", "numpy", "pydantic", "pyarrow", "hypothesis", "typer", "rich", "httpx", "asyncio"]


def _loaded_after(code):
    script = f"{code}\nimport sys\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return run.stdout.split()


@pytest.mark.parametrize(
    "code",
    [
        "import nbmf",
        "import nbmf; assert nbmf.decode(nbmf.encode('hello ' * 50)) == 'hello ' * 50",
        "import nbmf; assert nbmf.decode(nbmf.encode([{'role': 'user', 'content': 'x' * 99}]))[0]['role'] == 'user'",
        "import nbmf; assert nbmf.decode(nbmf.encode(b'ab' * 99)) == b'ab' * 99; nbmf.inspect(nbmf.encode(b'x'))",
        "from nbmf import compat; assert compat.decode(compat.encode({'a': [1.5] * 9})) == {'a': [1.5] * 9}",
    ],
)
def test_nothing_heavy_is_loaded(code):
    assert _loaded_after(code) == []


def test_the_check_can_fail():
    assert "numpy" in _loaded_after("import nbmf, numpy; nbmf.encode(numpy.zeros(3))")
