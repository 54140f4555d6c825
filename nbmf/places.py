"""Places that users name: a path on this machine, or a URI, which is never taken for one."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nbmf.errors import NotALocalPath

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/|:/")
"""Two letters at least before the colon: one alone is a Windows drive. One slash: a Path keeps no second one."""


def is_uri(place: str | Path) -> bool:
    """Whether a place reads as a URI, or as the path that pathlib makes of one (`s3:/bucket`)."""
    return _URI.match(str(place)) is not None or "://" in str(place)


def local_path(place: str | Path) -> Path:
    """The path on this machine that a place is; `file:///…` is one too. Raises NotALocalPath for any other URI."""
    text = str(place)
    if not is_uri(text):
        return Path(place)
    if text.startswith("file:///"):
        parts = urlsplit(text)
        if not parts.query and not parts.fragment:
            return Path(unquote(parts.path))
    raise NotALocalPath(
        f"{shown(text)} reads as a URI, and this takes a path on this machine: copy it here, or mount it; "
        "a file or folder that is really called so is named by its absolute path"
    )


def shown(uri: str) -> str:
    """A URI without what may be credentials."""
    scheme, colon, rest = uri.partition(":")
    slashes = "//" if rest.startswith("//") else ""
    host, slash, path = rest.removeprefix(slashes).partition("?")[0].partition("/")
    return f"{scheme}{colon}{slashes}{host.rpartition('@')[2]}{slash}{path}"
