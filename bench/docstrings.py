"""Records of a kind that anyone has: functions and classes of the Python packages installed, with their docstrings.

`python -m bench.docstrings OUT.parquet` writes a JSON object for each, in the column `data`: some 70,000 of 570 bytes
with the packages of constraints.txt.
"""

from __future__ import annotations

import ast
import json
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_SHORTEST, _LONGEST = 30, 4000


def records(folder: Path) -> Iterator[str]:
    """Of all modules below a folder but tests, in the order of their paths; each docstring once."""
    seen: set[str] = set()
    for path in sorted(folder.rglob("*.py")):
        module = path.relative_to(folder).with_suffix("")
        if "test" in str(module):
            continue
        try:
            with warnings.catch_warnings(action="ignore"):
                tree = ast.parse(path.read_text())
        except (SyntaxError, UnicodeDecodeError):
            continue
        for described, doc in _of(tree, ""):
            if _SHORTEST < len(doc) < _LONGEST and doc not in seen:
                seen.add(doc)
                yield json.dumps({"module": ".".join(module.parts), **described, "doc": doc})


def _of(parent: ast.AST, prefix: str) -> Iterator[tuple[dict[str, str | int], str]]:
    """(what there is, docstring) of what a module or class, or a function, defines."""
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}{node.name}"
            described: dict[str, str | int] = {
                "name": name,
                "kind": type(node).__name__.removesuffix("Def").lower(),
                **({} if isinstance(node, ast.ClassDef) else {"signature": ast.unparse(node.args)}),
                "line": node.lineno,
            }
            yield described, ast.get_docstring(node) or ""
            yield from _of(node, f"{name}.")


if __name__ == "__main__":
    found = list(records(Path(sysconfig.get_path("purelib"))))
    pq.write_table(pa.table({"data": found, "set": ["docstrings"] * len(found)}), sys.argv[1])
    print(f"{len(found):,} records, {sum(map(len, found)):,} bytes")
