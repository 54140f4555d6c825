"""Real records that every Python installation has: documentation, conversations about it, structured metadata.

Nothing is imported or run: sources are parsed, package metadata is read.
"""

from __future__ import annotations

import ast
import itertools
import random
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from nbmf.payload import Payload

_MIN_TEXT, _MAX_TEXT = 100, 8000
_LISTING_FILES = 12


def installation_records(limit: int, seed: int = 0) -> list[Payload]:
    """Up to `limit` records, up to a third each of text, conversations and JSON, in an order that `seed` fixes.

    No piece of documentation is in two records, so records kept back are unseen indeed.
    """
    documented = [d for path in _library_sources() for d in _documented(path)]
    rng = random.Random(seed)
    rng.shuffle(documented)
    unique = list({d["doc"]: d for d in documented}.values())
    groups: list[list[Payload]] = [
        [d["doc"] for d in unique[0::3] if len(d["doc"]) >= _MIN_TEXT],
        list(_conversations(unique[1::3])),
        [*_packages(), *_signatures(unique[2::3])],
    ]
    chosen: list[Payload] = []
    for group in groups:
        rng.shuffle(group)
        chosen += group[: limit // len(groups)]
    rng.shuffle(chosen)
    return chosen


def _library_sources() -> list[Path]:
    root = Path(sysconfig.get_path("stdlib"))
    skipped = {"test", "tests", "idlelib", "lib2to3", "site-packages", "__pycache__"}
    return sorted(p for p in root.rglob("*.py") if not skipped & set(p.relative_to(root).parts))


def _documented(path: Path) -> Iterator[dict[str, Any]]:
    """Functions and classes of a module that have a docstring."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in _statements(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            doc = ast.get_docstring(node)
            if doc:
                yield {
                    "module": path.stem,
                    "name": node.name,
                    "line": node.lineno,
                    "kind": type(node).__name__,
                    "arguments": [] if isinstance(node, ast.ClassDef) else [a.arg for a in node.args.args],
                    "doc": doc[:_MAX_TEXT],
                }


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """In the order of `ast.walk`, without the expressions in them, which are most of what it goes through."""
    level: list[ast.AST] = [tree]
    for node in level:
        yield node
        for name in ("body", "handlers", "orelse", "finalbody", "cases"):
            level += getattr(node, name, ())


def _conversations(documented: list[dict[str, Any]]) -> Iterator[Payload]:
    """Someone asks about one or two names, an assistant answers with the documentation."""
    remaining = iter(documented)
    for count, first in enumerate(remaining):
        turns: list[dict[str, Any]] = [{"role": "system", "content": "You answer questions about Python's library."}]
        for d in (first, *itertools.islice(remaining, count % 2)):
            turns.append({"role": "user", "content": f"What does {d['name']} in {d['module']} do?"})
            turns.append({"role": "assistant", "content": d["doc"][:1500]})
        yield turns


def _packages() -> Iterator[Payload]:
    """Metadata and file listings of the installed packages."""
    # One that is found in two places, as a package under development may be, counts once.
    for distribution in {found.name: found for found in metadata.distributions()}.values():
        about = distribution.metadata
        yield {
            "type": "package",
            "name": about["Name"],
            "version": distribution.version,
            "summary": about["Summary"],
            "classifiers": about.get_all("Classifier") or [],
            "requires": (distribution.requires or [])[:40],
        }
        files = distribution.files or []
        for at in range(0, len(files), _LISTING_FILES):
            entries = [
                {"path": str(f), "bytes": f.size, "sha256": f.hash.value if f.hash else None}
                for f in files[at : at + _LISTING_FILES]
            ]
            yield {"type": "listing", "package": about["Name"], "offset": at, "files": entries}


def _signatures(documented: list[dict[str, Any]]) -> Iterator[Payload]:
    """Functions as the tool descriptions that agents are given."""
    for d in documented:
        yield {
            "type": "function",
            "function": {
                "name": f"{d['module']}.{d['name']}",
                "description": d["doc"].partition("\n")[0],
                "parameters": {
                    "type": "object",
                    "properties": {name: {"type": "string"} for name in d["arguments"] if name != "self"},
                    "required": [name for name in d["arguments"] if name != "self"][:2],
                },
            },
            "source": {"line": d["line"], "kind": d["kind"]},
        }
