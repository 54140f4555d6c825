"""Where in a JSON value something is, for messages."""

from __future__ import annotations

import json


def path_text(path: list[str | int], most: int | None = None) -> str:
    """`$.a[3]["b c"]` for ["a", 3, "b c"]; with `most`, of a longer path no more than so many keys."""
    parts = ["$"]
    for key in path[:most]:
        if isinstance(key, int):
            parts.append(f"[{key}]")
        elif key.isidentifier():
            parts.append(f".{key}")
        else:
            parts.append(f"[{json.dumps(key)}]")
    return "".join(parts) + ("…" if len(parts) <= len(path) else "")
