"""Docstrings as records."""

import json

from bench.docstrings import records

MODULE = '''
class A:
    """What an A is good for, in some words."""

    def f(self, x: int = 1) -> None:
        """What it does, in words enough to count."""

def g():
    """short"""

def h():
    """What it does, in words enough to count."""
'''


def test_each_docstring_once(tmp_path):
    (tmp_path / "pack" / "tests").mkdir(parents=True)
    for name in ("m.py", "tests/n.py"):
        (tmp_path / "pack" / name).write_text(MODULE)
    (tmp_path / "pack" / "old.py").write_text("print 'no Python 3'")
    found = [json.loads(record) for record in records(tmp_path)]
    assert [(one["module"], one["name"], one["kind"]) for one in found] == [
        ("pack.m", "A", "class"),
        ("pack.m", "A.f", "function"),
    ]
    assert found[1]["signature"] == "self, x: int=1"
