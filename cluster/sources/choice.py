"""Which column of a source is the payload. One rule for Parquet and SQLite; what is not clear is asked.

1. `--payload-field NAME`: that column. `--payload row`: the row as an object, without the columns of key and class.
2. Else the column `payload`.
3. Else the only column that could be it: text, bytes or nested values. Numbers, times and flags, primary keys,
   generated columns and those named as key or class could not.
4. Else RecordsError, which names the columns. So too where that only one is named like a key and others are there.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from cluster.errors import RecordsError
from cluster.sources.walk import NotRead

OTHER_COLUMNS = "other_columns"
_USUAL = "payload"
_SHOWN_TYPE = 60
_LIKE_A_KEY = re.compile(
    r"(?i:(.*[_\-. ])?(id|ids|key|uuid|guid|uid|pk|oid|hash|sha256))|.*[a-z](Id|ID|Key|Uuid|UUID)", re.S
)


class Whole(enum.Enum):
    """What is the payload if no field of it alone is."""

    ROW = "row"


PayloadField: TypeAlias = str | Whole | None
"""A field's name; the whole row; or None, which leaves it to the rule above."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as people know it. `could_be` says whether its type and part could be a payload's."""

    name: str
    type: str
    could_be: bool

    def __str__(self) -> str:
        if not self.type:
            return self.name
        return f"{self.name}: {self.type if len(self.type) <= _SHOWN_TYPE else self.type[: _SHOWN_TYPE - 1] + '…'}"


def shown_columns(columns: Iterable[Column]) -> str:
    """Names and types in a message."""
    return ", ".join(map(str, columns)) or "none"


def payload_columns(
    columns: Sequence[Column], payload: PayloadField, apart: tuple[str | None, ...], has: str
) -> tuple[str, ...]:
    """The payload's columns: one, or for a row all but those `apart`, which are key and class.

    Raises RecordsError, which begins with `has`: whose columns these are, as in `a.parquet has`.
    """
    names = [column.name for column in columns]
    for name in (payload, *apart):
        if isinstance(name, str) and name not in names:
            raise RecordsError(f"no column {name!r}; {has} {shown_columns(columns)}")
    if payload is Whole.ROW:
        chosen = tuple(name for name in names if name not in apart)
        if not chosen:
            raise RecordsError(f"no column is left for the payload; {has} {shown_columns(columns)}")
    elif payload is not None:
        chosen = (payload,)
    else:
        chosen = (_USUAL if _USUAL in names else _only(columns, apart, has),)
    for name in (*chosen, *apart):
        if name is not None and (times := names.count(name)) > 1:
            raise RecordsError(f"the column {name!r} is there {times} times; {has} {shown_columns(columns)}")
    return chosen


def columns_left(
    place: str, columns: Sequence[Column], payload: tuple[str, ...], apart: tuple[str | None, ...]
) -> Iterator[NotRead]:
    """The columns that no record has anything of, if there are such."""
    left = [column for column in columns if column.name not in (*payload, *apart)]
    if left:
        yield NotRead(place, OTHER_COLUMNS, f"columns that --payload row would keep: {shown_columns(left)}")


def _only(columns: Sequence[Column], apart: tuple[str | None, ...], has: str) -> str:
    rest = [column for column in columns if column.name not in apart]
    could_be = list(dict.fromkeys(column.name for column in rest if column.could_be))
    if len(could_be) == 1 and (len(rest) == 1 or not _LIKE_A_KEY.fullmatch(could_be[0])):
        return could_be[0]
    raise RecordsError(
        "which column is the payload? Name it with --payload-field, or take the whole row, as an object, with "
        f"--payload row; {has} {shown_columns(columns)}"
    )


def payload_of(field: str | None, whole: str | None) -> PayloadField:
    """What `--payload-field` and `--payload` say together. Raises RecordsError."""
    if whole is None:
        return field
    if whole != Whole.ROW.value:
        raise RecordsError(f"--payload is `row` or left out, not {whole!r}; a field is named with --payload-field")
    if field is not None:
        raise RecordsError("--payload row takes the whole row, --payload-field one field of it: give one of the two")
    return Whole.ROW
