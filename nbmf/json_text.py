"""JSON text for values of any depth and any number: exact both ways.

The standard library's C encoder and decoder do the work. They recurse, and refuse integers of more
than 4,300 digits, so where they give up an iterative writer and parser of the same grammar take over.
Numbers that Python would write otherwise are read as JsonNumber, and written as they were.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from nbmf.json_number import JsonNumber, read_float, read_integer
from nbmf.json_path import path_text

MAX_INTEGER_DIGITS = 100_000
"""Longest integer, in decimal digits: conversion is quadratic, so its cost must have a bound."""

MAX_DEPTH = 10_000
"""Deepest nesting of lists and dicts: an open list costs many times the byte that opens it."""

_SHOWN_LEVELS = 20

_WHITESPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_LITERALS = {
    "null": None,
    "true": True,
    "false": False,
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
}
_LITERAL = re.compile("|".join(_LITERALS))


def dumps(value: Any) -> str:
    """`value` as compact JSON text, keys in their order, nothing escaped that need not be.

    The value must have passed `payload.check_json_value`.
    """
    if not _holds_json_number(value):
        try:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"), check_circular=False)
        except (RecursionError, ValueError):
            pass
    return "".join(_pieces(value))


class DuplicateKey(ValueError):
    """An object has a key twice, so that one of its values would be lost."""


def loads(text: str, max_depth: int = MAX_DEPTH, *, unique_keys: bool = True) -> Any:
    """The value that `text` writes. Raises ValueError (json.JSONDecodeError) if it is not JSON, or deeper.

    Where an object has a key twice DuplicateKey, which names the key and the object's path, is raised;
    without `unique_keys` the last value counts.
    """
    pairs_hook = _unique if unique_keys else None
    read_whole = read_integer if "-0" in text else None
    try:
        return json.loads(text, object_pairs_hook=pairs_hook, parse_float=read_float, parse_int=read_whole)
    except json.JSONDecodeError:
        raise
    except (RecursionError, ValueError):  # a duplicate key too: where it is, only the other parser knows
        return _parse(text, max_depth, unique_keys)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise DuplicateKey
    return found


def _holds_json_number(root: Any) -> bool:
    waiting = [root]
    while waiting:
        value = waiting.pop()
        of = type(value)
        if of is dict:
            waiting += value.values()
        elif of is list:
            waiting += value
        elif of is JsonNumber:
            return True
    return False


def _integer_text(value: int) -> str:
    # Decimal is exact here and has no digit limit, unlike str(int).
    return str(Decimal(value))


def _scalar_text(value: Any) -> str:
    if type(value) is int:
        return _integer_text(value)
    if type(value) is JsonNumber:
        return value.text
    return json.dumps(value, ensure_ascii=False)


def _pieces(root: Any) -> Iterator[str]:
    stack: list[tuple[Iterator[Any], str, str]] = []

    def open_container(value: Any) -> str:
        if type(value) is dict:
            stack.append((iter(value.items()), "}", ""))
            return "{"
        stack.append((iter(value), "]", ""))
        return "["

    if type(root) not in (dict, list):
        yield _scalar_text(root)
        return
    yield open_container(root)
    while stack:
        items, close, separator = stack[-1]
        for item in items:
            stack[-1] = (items, close, ",")
            value = item
            yield separator
            if close == "}":
                key, value = item
                yield json.dumps(key, ensure_ascii=False) + ":"
            if type(value) in (dict, list):
                yield open_container(value)
                break
            yield _scalar_text(value)
            separator = ","
        else:
            stack.pop()
            yield close


def _scalar(text: str, at: int) -> tuple[Any, int]:
    if text[at : at + 1] == '"':
        string, end = scanstring(text, at + 1, True)
        return string, end
    number = _NUMBER.match(text, at)
    if number:
        whole, fraction, exponent = number.groups()
        if fraction or exponent:
            return read_float(number.group()), number.end()
        if whole == "-0":
            return read_integer(whole), number.end()
        if len(whole) > MAX_INTEGER_DIGITS + 1:
            raise json.JSONDecodeError(f"integer of more than {MAX_INTEGER_DIGITS} digits", text, at)
        return int(Decimal(whole)), number.end()
    literal = _LITERAL.match(text, at)
    if literal:
        return _LITERALS[literal.group()], literal.end()
    raise json.JSONDecodeError("Expecting value", text, at)


def _parse(text: str, max_depth: int = MAX_DEPTH, unique_keys: bool = False) -> Any:
    """Iterative parser: each open container waits on a stack with the key it will be stored under."""

    def skip(at: int) -> int:
        match = _WHITESPACE.match(text, at)
        return match.end() if match else at

    def read_key(at: int) -> tuple[str, int]:
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
        key, at = scanstring(text, at + 1, True)
        at = skip(at)
        if text[at : at + 1] != ":":
            raise json.JSONDecodeError("Expecting ':' delimiter", text, at)
        return key, skip(at + 1)

    def duplicate_key() -> DuplicateKey:
        """Of the last of the open dicts."""
        of_dicts = iter(keys)
        path = [next(of_dicts) if isinstance(one, dict) else len(one) for one in containers[:-1]]
        return DuplicateKey(
            f"the object at {path_text(path, _SHOWN_LEVELS)} has the key {keys[-1][:100]!r} more than once"
        )

    containers: list[dict[str, Any] | list[Any]] = []
    keys: list[str] = []  # of the innermost dict first to last, one for each open dict
    at = skip(0)
    while True:
        opening = text[at : at + 1]
        value: Any
        closed = True
        if opening in ("{", "[") and len(containers) >= max_depth:
            raise json.JSONDecodeError(f"nested deeper than {max_depth} levels", text, at)
        if opening == "{":
            value, at = {}, skip(at + 1)
            if text[at : at + 1] == "}":
                at += 1
            else:
                key, at = read_key(at)
                containers.append(value)
                keys.append(key)
                closed = False
        elif opening == "[":
            value, at = [], skip(at + 1)
            if text[at : at + 1] == "]":
                at += 1
            else:
                containers.append(value)
                closed = False
        else:
            value, at = _scalar(text, at)
        while closed:
            at = skip(at)
            if not containers:
                if at != len(text):
                    raise json.JSONDecodeError("Extra data", text, at)
                return value
            parent = containers[-1]
            mark = text[at : at + 1]
            if isinstance(parent, dict):
                if unique_keys and keys[-1] in parent:
                    raise duplicate_key()
                parent[keys.pop()] = value
                if mark == ",":
                    key, at = read_key(skip(at + 1))
                    keys.append(key)
                    closed = False
                elif mark == "}":
                    value, at = containers.pop(), at + 1
                else:
                    raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
            else:
                parent.append(value)
                if mark == ",":
                    at = skip(at + 1)
                    closed = False
                elif mark == "]":
                    value, at = containers.pop(), at + 1
                else:
                    raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
