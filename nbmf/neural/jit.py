"""Compilation with numba, cached by the content of this whole package.

numba's own cache knows the file of a function only, not those of the functions it calls: after a
change in one file the compiled code of another would stay as it was, and write or read other
streams. So the cache folder's name holds a digest of all files here.

Nothing that could change a rounding is switched on: no fastmath, no contraction, no parallel loops.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.options import DefaultOptions

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """The function, compiled when first called, without the GIL; from the cache where that can be written."""
    return _compile(function, counted=True)


def uncounted(function: F) -> F:
    """As `compiled`, for inner functions that allocate nothing: numba counts no references to arrays in them.

    Counting is a locked addition for every view and every field of a tuple, and took half the time of the loops over
    a few dozen numbers. A function that returns an array, or a tuple of arrays, and its callers must all be
    uncounted, or none: the reference would be given back once too often, or never.
    """
    return _compile(function, counted=False)


def inlined(function: F) -> F:
    """As `uncounted`, copied into its callers: passing a tuple of fifty arrays takes longer than a small function."""
    return _compile(function, counted=False, forceinline=True)


def _compile(function: F, *, counted: bool, **options: Any) -> F:
    # said in both cases: a function for which nothing is said gets it from whichever calls it first
    options |= {"error_model": "numpy", "nogil": True, "no_cfunc_wrapper": True}
    if hasattr(DefaultOptions, "_nrt"):
        options["_nrt"] = counted
    njit: Any = numba.njit
    folder = _cache_folder()
    if folder is None:
        return cast(F, njit(**options)(function))
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = folder  # numba looks at it when a function is decorated
    try:
        return cast(F, njit(cache=True, **options)(function))
    finally:
        config.CACHE_DIR = before


@cache
def _cache_folder() -> str | None:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    base = os.environ.get("NUMBA_CACHE_DIR") or Path("~/.cache/nbmf/numba").expanduser()
    folder = Path(base) / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return str(folder) if os.access(folder, os.W_OK) else None
