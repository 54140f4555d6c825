"""JSON text for values of any depth and any number: exact both ways.

The standard library's C encoder and decoder do the work. They recurse, and convert integers of any length in quadratic
time, or refuse them. So long integers are converted by nbmf.json_integer, and where nesting is deep an iterative
writer and parser of the same grammar take over, which leave to C what is shallow inside.
Numbers that Python would write otherwise are read as JsonNumber, and written as they were.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from nbmf import json_integer
from nbmf.json_number import JsonNumber, read_float, read_integer
from nbmf.json_path import path_text

MAX_INTEGER_DIGITS = json_integer.MAX_DIGITS

MAX_DEPTH = 10_000
"""Deepest nesting of lists and dicts: an open list costs many times the byte that opens it."""

_LEAST_MAX_VALUES = 1 << 20
_BYTES_A_VALUE = 8
_QUICK_DIGITS = 4_300  # that Python converts by itself: its default since 3.11
_QUICK_BITS = 1_700  # that it converts however it is set

_SHOWN_LEVELS = 20
_SOUGHT_CHARACTERS = 1 << 20  # of a text in which the path of a key that is there twice is looked for

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

_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_SEPARATOR = re.compile(rf"{_STRING}|([\[{{,])", re.DOTALL)
_SHALLOW_LEVELS = 8
_PLAIN_AT_ONCE = 1_000
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def _containers(levels: int) -> str:
    """A pattern of what can only be JSON lists and objects of so many levels. It never goes back in the text."""
    inner = rf"|{_containers(levels - 1)}" if levels > 1 else ""
    return rf"[\[{{](?:[^\[\]{{}}\"]++|{_STRING}{inner})*+[\]}}]"


_SHALLOW = re.compile(_containers(_SHALLOW_LEVELS), re.DOTALL)


class TooManyValues(ValueError):
    """More values than the caller takes: each takes many times the memory of the bytes that it is written in."""


def values_within(max_bytes: int) -> int:
    """How many values JSON may hold where its text may have `max_bytes`: one for 8 bytes, or 1,048,576.

    Digits of integers of more than 4,300 digits are bounded by the same number.
    """
    return max(_LEAST_MAX_VALUES, max_bytes // _BYTES_A_VALUE)


DEFAULT_MAX_VALUES = values_within(64 * 1024 * 1024)
"""Of the largest payload that is encoded or decoded unless the caller says otherwise."""


def dumps(value: Any) -> str:
    """`value` as compact JSON text, keys in their order, nothing escaped that need not be.

    The value must have passed `payload.check_json_value`.
    """
    if not _holds_json_number(value):
        try:
            return _ENCODE(value)
        except (RecursionError, ValueError):
            pass
    return "".join(_pieces(value, by_c=True))


class DuplicateKey(ValueError):
    """An object has a key twice, so that one of its values would be lost."""


def loads(
    text: str, max_depth: int = MAX_DEPTH, *, unique_keys: bool = True, max_values: int = DEFAULT_MAX_VALUES
) -> Any:
    """The value that `text` writes. Raises ValueError: json.JSONDecodeError if it is not JSON, or deeper; TooManyValues
    before memory is taken for them.

    Where an object has a key twice DuplicateKey, which names the key and the object's path, is raised;
    without `unique_keys` the last value counts.
    """
    check_values(text, max_values)
    try:
        return _by_c(text, max_depth, unique_keys, max_values)
    except DuplicateKey:
        if len(text) > _SOUGHT_CHARACTERS:
            raise
        return _parse(text, max_depth, unique_keys)  # where it is, only this parser knows


def _by_c(text: str, max_depth: int, unique_keys: bool, max_digits: int) -> Any:
    """As `loads`, as far as the standard library goes. DuplicateKey names no path."""
    pairs_hook = _unique if unique_keys else None
    read_all = partial(
        json.JSONDecoder,
        object_pairs_hook=pairs_hook,
        parse_float=read_float,
        parse_int=_Numbers(text, max_digits).read,
    )
    try:
        if "-0" not in text and _refuses_long_integers():
            try:
                return json.loads(text, object_pairs_hook=pairs_hook, parse_float=read_float)
            except (json.JSONDecodeError, DuplicateKey):
                raise
            except ValueError:
                pass
        return read_all().decode(text)
    except RecursionError:
        return _parse(text, max_depth, unique_keys, read_all())


def _refuses_long_integers() -> bool:
    """Whether this process converts no integer of more digits than are quick."""
    return 0 < sys.get_int_max_str_digits() <= _QUICK_DIGITS


def check_values(text: str, max_values: int) -> None:
    """Raises TooManyValues if there are more of `,`, `[` and `{` outside strings: at least as many as values."""
    if text.count(",") + text.count("[") + text.count("{") <= max_values:  # those in strings too
        return
    found = 0
    for separator in _SEPARATOR.finditer(text):
        found += separator.lastindex is not None
        if found > max_values:
            raise TooManyValues(f"JSON of more than {max_values} values")


class _Numbers:
    """Integers of one text."""

    def __init__(self, text: str, max_digits: int) -> None:
        self._text = text
        self._max_digits = self._left = max_digits

    def read(self, whole: str) -> int | JsonNumber:
        """Raises json.JSONDecodeError if one is too long, TooManyValues if all together are."""
        if len(whole) <= _QUICK_DIGITS:
            return read_integer(whole)
        digits = len(whole) - whole.startswith("-")
        if digits > MAX_INTEGER_DIGITS:
            at = self._text.find(whole)
            raise json.JSONDecodeError(f"integer of more than {MAX_INTEGER_DIGITS} digits", self._text, at)
        self._left -= digits
        if self._left < 0:
            raise TooManyValues(f"JSON with long integers of more than {self._max_digits} digits together")
        return read_integer(whole)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        [(twice, _)] = Counter(key for key, _ in pairs).most_common(1)
        raise DuplicateKey(f"an object has the key {twice[:100]!r} more than once")
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


def _scalar_text(value: Any) -> str:
    if type(value) is int:
        return json_integer.to_text(value)
    if type(value) is JsonNumber:
        return value.text
    return _ENCODE(value)


def _is_plain(root: Any) -> bool:
    """Whether the C encoder writes a value: shallow, without long integers and JsonNumbers."""
    waiting = [root]
    for _ in range(_SHALLOW_LEVELS):
        inner: list[Any] = []
        for value in waiting:
            of = type(value)
            if of is dict:
                inner += value.values()
            elif of is list:
                inner += value
            elif of is JsonNumber or (of is int and value.bit_length() > _QUICK_BITS):
                return False
        if not inner:
            return True
        waiting = inner
    return False


def _pieces(root: Any, by_c: bool = False) -> Iterator[str]:
    """Iterative writer, in parts. With `by_c` it leaves to C what is plain inside."""
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
        plain: list[Any] = []  # those before this item that are not written yet
        for item in items:
            value = item[1] if close == "}" else item
            if by_c and len(plain) < _PLAIN_AT_ONCE and _is_plain(value):
                plain.append(item)
                continue
            if plain:
                yield separator + _inside(plain, close)
                separator, plain = ",", []
            stack[-1] = (items, close, ",")
            yield separator
            if close == "}":
                yield _ENCODE(item[0]) + ":"
            if type(value) in (dict, list):
                yield open_container(value)
                break
            yield _scalar_text(value)
            separator = ","
        else:
            if plain:
                yield separator + _inside(plain, close)
            stack.pop()
            yield close


def _inside(items: list[Any], close: str) -> str:
    """Items of a list or dict, without the brackets."""
    return _ENCODE(dict(items) if close == "}" else items)[1:-1]


def _scalar(text: str, at: int, numbers: _Numbers) -> tuple[Any, int]:
    if text[at : at + 1] == '"':
        string, end = scanstring(text, at + 1, True)
        return string, end
    number = _NUMBER.match(text, at)
    if number:
        whole, fraction, exponent = number.groups()
        if fraction or exponent:
            return read_float(number.group()), number.end()
        return numbers.read(whole), number.end()
    literal = _LITERAL.match(text, at)
    if literal:
        return _LITERALS[literal.group()], literal.end()
    raise json.JSONDecodeError("Expecting value", text, at)


def _parse(
    text: str, max_depth: int = MAX_DEPTH, unique_keys: bool = False, decoder: json.JSONDecoder | None = None
) -> Any:
    """Iterative parser: each open container waits on a stack with the key it will be stored under.

    What can only be shallow is left to `decoder`.
    """
    numbers = _Numbers(text, len(text))

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
        if decoder and len(containers) + _SHALLOW_LEVELS <= max_depth and _SHALLOW.match(text, at):
            try:
                value, at = decoder.scan_once(text, at)  # type: ignore[attr-defined]
            except StopIteration as error:
                raise json.JSONDecodeError("Expecting value", text, error.value) from None
        elif opening == "{":
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
            value, at = _scalar(text, at, numbers)
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
