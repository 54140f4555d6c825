"""Names in a data set's folder are written once, in nbmf/store/layout.py."""

import ast
from pathlib import Path

import pytest

from nbmf.store import layout

ROOT = Path(layout.__file__).parents[2]
NAMES = {value for name, value in vars(layout).items() if name.isupper()}


@pytest.mark.parametrize("folder", ["nbmf", "cluster", "migrate_job", "serve_app", "train_app", "bench"])
def test_no_other_file_spells_one(folder):
    spelled = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.value!r}"
        for path in (ROOT / folder).rglob("*.py")
        if path != Path(layout.__file__)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in NAMES
    ]
    assert [one for one in spelled if not one.endswith("'.parquet'")] == []  # of any Parquet file
    assert len(NAMES) >= 8
