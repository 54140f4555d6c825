"""Altered copies, told to people."""

from __future__ import annotations

from collections.abc import Mapping


def copies_told(counts: Mapping[str, int]) -> str:
    """How many there are, by augmentation."""
    each = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    total = sum(counts.values())
    return f"{total:,} altered {'copy' if total == 1 else 'copies'}" + (f" ({each})" if each else "")
