"""`import nbmf` is light: what it does not need is not loaded."""

import subprocess
import sys

import pytest

HEAVY = [
    "torch",
    "ray",
    "numpy",
    "tokenizers",
    "safetensors",
    "pydantic",
    "pyarrow",
    "hypothesis",
    "typer",
    "rich",
    "httpx",
    "asyncio",
]


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


RECORDS = [
    "'hello ' * 50",
    "b'hello ' * 50",
    "[{'role': 'user', 'content': 'hello ' * 50}]",
    "{'embedding': [index / 7 for index in range(64)], 'short': [index / 8 for index in range(64)]}",
    "{'image': 'data:image/png;base64,' + 'iVBORw0KGgoAAAANSUhEUgAA' * 40}",
    "{'history': ['what was said before, word for word'] * 300 + [str(index) for index in range(900)]}",
]


@pytest.mark.parametrize("record", RECORDS)
def test_the_learned_coders_load_nothing_heavy(record):
    each = "b = nbmf.encode(r, effort=effort); assert nbmf.decode(b) == r; nbmf.inspect(b)"
    assert _loaded_after(f"import nbmf; r = {record}\nfor effort in ('fast', 'auto', 'max'): {each}") == []


def test_the_check_can_fail():
    assert "numpy" in _loaded_after("import nbmf, numpy; nbmf.encode(numpy.zeros(3))")
