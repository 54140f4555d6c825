"""JSON text laid out otherwise, and lines indented by another unit: in text, and in strings of a record."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import reduce
from itertools import pairwise
from math import gcd
from typing import Any, NamedTuple

from train_app.augment.chance import Chance
from train_app.augment.records import leaves, loads, with_strings

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"|[\[\]{},:]|[^\s\[\]{},:"]++', re.DOTALL)
_MARGIN = re.compile(r"^[ \t]+(?=[^ \t\r\n])", re.MULTILINE)
_FEWEST_LINES = 3
"""That are indented, so that a unit can be told."""
_UNITS = ("  ", "    ", "\t")
_UNITS_FOUND = {2, 4, 8}


class _Layout(NamedTuple):
    """What stands behind a comma and a colon, and the unit of lines of their own; without one all is on a line."""

    comma: str
    colon: str
    unit: str | None = None


_LAYOUTS = (_Layout(",", ":"), _Layout(", ", ": "), *(_Layout(",", ": ", unit) for unit in _UNITS))


def reindented(record: Any, chance: Chance) -> Any:
    """The record with its JSON texts in another layout, or if it has none with lines by another unit; None where there
    are neither."""
    texts = [leaf for _, leaf in leaves(record) if type(leaf) is str]
    for changes in ([_to_layout(one) for one in _LAYOUTS], [_to_unit(unit) for unit in _UNITS]):
        for change in chance.shuffled(changes):
            if any(change(text) != text for text in texts):
                return with_strings(record, change)
    return None


def _to_layout(layout: _Layout) -> Callable[[str], str]:
    return lambda text: laid_out(text, layout.comma, layout.colon, layout.unit) if _is_json(text) else text


def _to_unit(unit: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        before = "" if _is_json(text) else unit_of(text)
        return _MARGIN.sub(lambda margin: unit * (len(margin.group()) // len(before)), text) if before else text

    return change


def unit_of(text: str) -> str:
    """What lines are indented by: tabs, or 2, 4 or 8 spaces; empty where few are, or by neither."""
    margins = _MARGIN.findall(text)
    if len(margins) < _FEWEST_LINES:
        return ""
    if all(set(margin) == {"\t"} for margin in margins):
        return "\t"
    width = reduce(gcd, map(len, margins))
    return " " * width if width in _UNITS_FOUND and not any("\t" in margin for margin in margins) else ""


def _is_json(text: str) -> bool:
    """Whether it is JSON text of an object or list that is not empty."""
    stripped = text.strip()
    if stripped[:1] + stripped[-1:] not in ("{}", "[]"):
        return False
    try:
        return bool(loads(stripped))
    except ValueError:
        return False


def laid_out(text: str, comma: str, colon: str, unit: str | None) -> str:
    """JSON text with other white space between its tokens, which stay as they are written."""
    begin = len(text) - len(text.lstrip())
    end = len(text.rstrip())
    return text[:begin] + "".join(_pieces(_TOKEN.findall(text[begin:end]), comma, colon, unit)) + text[end:]


def _pieces(tokens: list[str], comma: str, colon: str, unit: str | None) -> Iterator[str]:
    depth = 0
    for before, here in pairwise(["", *tokens]):
        closes, empty = here in "]}", before + here in ("[]", "{}")
        depth -= closes
        if unit is not None and (before in ("[", "{", ",") or closes) and not empty:
            yield "\n" + unit * depth
        yield comma if here == "," else colon if here == ":" else here
        depth += here in "[{"
