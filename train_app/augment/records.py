"""Records as augmentations take them: text, or a JSON value that is not deep; and what is at which place in one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from nbmf import json_text
from nbmf.payload import Kind
from train_app.samples.sample import Sample

MAX_DEPTH = 64
"""Of JSON; what is deeper stays as it is."""

_NAME = re.compile(r"(?!.*\d{4})[A-Za-z_$@][\w.$@-]{0,63}")
_ANY_KEY = "*"


def record_of(sample: Sample) -> Any:
    """The text or JSON value of a sample; None of bytes, arrays, deep JSON, and what is no JSON without its spans."""
    if sample.kind not in (Kind.TEXT, Kind.MESSAGES, Kind.JSON):
        return None
    try:
        text = sample.canonical.decode("utf-8", "surrogatepass")
        return text if sample.kind is Kind.TEXT else loads(text)
    except ValueError:
        return None


def loads(text: str) -> Any:
    """The value of JSON text. Raises ValueError where it is none, or too deep."""
    value = json_text.loads(text, unique_keys=False)
    level = [value]
    for _ in range(MAX_DEPTH):
        if not (level := [one for inner in level for one in _inside(inner) if type(one) in (dict, list)]):
            return value
    raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if type(value) is dict else value if type(value) is list else ()


def leaves(record: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of all that is neither object nor list. Items of a list have one path, and so have keys that are no
    names, as ids: they are data."""
    if type(record) is dict:
        for key, value in record.items():
            yield from leaves(value, f"{path}.{key if _NAME.fullmatch(key) else _ANY_KEY}")
    elif type(record) is list:
        for value in record:
            yield from leaves(value, f"{path}[]")
    else:
        yield path, record


def with_leaves(record: Any, change: Callable[[str, Any], Any], path: str = "") -> Any:
    """The record with `change(path, value)` in place of each; paths as of `leaves`."""
    if type(record) is dict:
        return {
            key: with_leaves(value, change, f"{path}.{key if _NAME.fullmatch(key) else _ANY_KEY}")
            for key, value in record.items()
        }
    if type(record) is list:
        return [with_leaves(value, change, f"{path}[]") for value in record]
    return change(path, record)


def with_strings(record: Any, change: Callable[[str], str]) -> Any:
    """The record with `change(text)` in place of each string, of text alone too; keys stay."""
    return with_leaves(record, lambda _, leaf: change(leaf) if type(leaf) is str else leaf)
