"""Kinds of sources by name, and those that users write: `package.module:Class`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from cluster.errors import RecordsError
from cluster.sources.base import Source, SourceOptions

Reader: TypeAlias = Callable[[str, SourceOptions], Source]
"""Makes a source from a location, as it was given, and options."""


def load_reader(name: str) -> Reader:
    """The class or function `package.module:Name`, looked for in the working folder too. Raises RecordsError."""
    module_name, _, attributes = name.partition(":")
    if not module_name or not attributes:
        raise RecordsError(f"reader {name!r} is none of this package, nor of the form package.module:Class")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # Ray's workers get this path too
    try:
        found: Any = importlib.import_module(module_name)
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise RecordsError(f"reader {name!r}: {error}") from error
    if not callable(found):
        raise RecordsError(f"reader {name!r} is {type(found).__name__}, not a class")
    reader: Reader = found
    return reader


def checked(source: object, name: str) -> Source:
    """What a reader made, if it can serve as a source. Raises RecordsError."""
    if not isinstance(source, Source):
        raise RecordsError(f"reader {name!r} makes a {type(source).__name__}, which lacks `plan` or `read`")
    if type(source).__repr__ is object.__repr__:
        raise RecordsError(
            f"reader {name!r}: {type(source).__name__} needs a __repr__ that is the same on every run, or a stopped "
            "migration could not go on; a frozen dataclass has one"
        )
    return source
