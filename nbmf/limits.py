"""How large things may be: what is coded, and what is read of a version from elsewhere (docs/format.md says more)."""

from __future__ import annotations

import os

DEFAULT_MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
"""Largest payload, in canonical bytes, that is encoded or decoded unless the caller says otherwise."""

MAX_MANIFEST_BYTES = 16 * 1024 * 1024

VERSION_VARIABLE = "NBMF_MAX_VERSION_BYTES"
_VERSION_BYTES = 4 * 1024**3

LEARNED_VARIABLE = "NBMF_MAX_LEARNED_BYTES"
_LEARNED_BYTES = 4 * 1024**2


def max_version_bytes() -> int:
    """All files of a version together; they are read into memory. NBMF_MAX_VERSION_BYTES, else 4 GiB."""
    return _whole(VERSION_VARIABLE, _VERSION_BYTES)


def max_learned_bytes() -> int:
    """A record that a learned coder decodes as a whole, whatever the version says: a few bytes may stand for it, and
    take some 250 bytes of memory and 10 µs for each. NBMF_MAX_LEARNED_BYTES, else 4 MiB."""
    return _whole(LEARNED_VARIABLE, _LEARNED_BYTES)


def _whole(variable: str, otherwise: int) -> int:
    """Raises ValueError for a value that is no number."""
    text = os.environ.get(variable) or str(otherwise)
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ValueError(f"{variable} is a number of bytes, not {text[:80]!r}")
    return int(text)
