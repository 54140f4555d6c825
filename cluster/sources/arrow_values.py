"""Values of Arrow columns as JSON has them: every type has one form, stated in docs/migration.md, or is refused.

Nothing is lost, and no form depends on the machine's time zone, locale or the version of a library.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cluster.errors import RecordsError

Convert: TypeAlias = Callable[[pa.Array], list[Any]]
"""The values of an array of the type that it was made for, None for nulls. Raises for what is damaged."""

_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_DAY_S = 86_400
_DAY_MS = 1000 * _DAY_S
_types = pa.types


def base64_form(value: bytes) -> dict[str, str]:
    """Bytes inside a JSON value."""
    return {"base64": base64.b64encode(value).decode()}


def converter(type_: pa.DataType, column: str, *, inside: bool = False) -> Convert:
    """For a column of that type; `inside` a payload there are no bytes. Raises RecordsError, naming the column."""
    simple = _simple(type_, inside)
    if simple is not None:
        return simple
    if isinstance(type_, pa.BaseExtensionType):
        stored = converter(type_.storage_type, column, inside=inside)
        return lambda array: stored(array.storage)
    if _types.is_dictionary(type_):
        decoded = converter(type_.value_type, column, inside=inside)
        return lambda array: decoded(array.dictionary_decode())
    if _types.is_run_end_encoded(type_):
        decoded = converter(type_.value_type, column, inside=inside)
        return lambda array: decoded(pc.run_end_decode(array))
    if _is_list(type_):
        return _lists(converter(type_.value_type, column, inside=True))
    if _types.is_map(type_):
        keys, items = (converter(one, column, inside=True) for one in (type_.key_type, type_.item_type))
        of_keys = type_.key_type.value_type if _types.is_dictionary(type_.key_type) else type_.key_type
        return _maps(keys, items, _is_text(of_keys))
    if _types.is_struct(type_):
        names = [field.name for field in type_]
        if len(set(names)) < len(names):
            raise RecordsError(f"column {column!r}: a struct has two fields of one name, which no object has ({type_})")
        return _structs(names, [converter(field.type, column, inside=True) for field in type_])
    raise RecordsError(f"column {column!r} is of type {type_}, which has no form in JSON")


def value_bytes(array: pa.Array) -> NDArray[np.int64]:
    """Of each value: the bytes of its text, bytes and numbers as Arrow holds them, without offsets; 0 for null."""
    type_ = array.type
    if isinstance(type_, pa.BaseExtensionType):
        return value_bytes(array.storage)
    if _types.is_dictionary(type_):
        return value_bytes(array.dictionary_decode())
    if _types.is_run_end_encoded(type_):
        return value_bytes(pc.run_end_decode(array))
    if _types.is_null(type_):
        return np.zeros(len(array), np.int64)
    if _is_text(type_) or _is_bytes(type_):
        return _numbers(pc.binary_length(_without_views(array)))
    if _is_list(type_):
        return _sums(value_bytes(array.flatten()), _numbers(pc.list_value_length(array)))
    if _types.is_map(type_):
        offsets = array.offsets.to_numpy()
        first, length = offsets[0], offsets[-1] - offsets[0]
        inner = value_bytes(array.keys.slice(first, length)) + value_bytes(array.items.slice(first, length))
        return np.where(_valid(array), _sums(inner, np.diff(offsets)), 0)
    if _types.is_struct(type_):
        total = np.zeros(len(array), np.int64)
        for child in array.flatten():
            total += value_bytes(child)
        return total
    return np.where(_valid(array), (type_.bit_width + 7) // 8, 0).astype(np.int64)


def could_be_payload(type_: pa.DataType) -> bool:
    """Whether values of the type are text, bytes or nested."""
    if isinstance(type_, pa.BaseExtensionType):
        return could_be_payload(type_.storage_type)
    if _types.is_dictionary(type_) or _types.is_run_end_encoded(type_):
        return could_be_payload(type_.value_type)
    return _is_text(type_) or _is_bytes(type_) or _types.is_nested(type_)


def _simple(type_: pa.DataType, inside: bool) -> Convert | None:
    """For types without others in them, but dictionaries."""
    if isinstance(type_, pa.UuidType):
        return lambda array: _each(array.storage.to_pylist(), lambda value: str(UUID(bytes=value)))
    if isinstance(type_, pa.Bool8Type):
        return lambda array: _each(array.storage.to_pylist(), bool)
    if _types.is_integer(type_) or _types.is_floating(type_):
        return _plain
    if _types.is_null(type_) or _types.is_boolean(type_) or _is_text(type_):
        return lambda array: list(array.to_pylist())
    if _is_bytes(type_):
        return lambda array: _each(array.to_pylist(), base64_form) if inside else list(array.to_pylist())
    if _types.is_decimal(type_):
        return lambda array: _each(array.to_pylist(), _decimal)
    if _types.is_interval(type_):
        return lambda array: _each(array.to_pylist(), _interval)
    if _types.is_date32(type_):
        return lambda array: _each(_integers(array, pa.int32()), _date)
    if _types.is_date64(type_):
        return lambda array: _each(_integers(array, pa.int64()), _date_of_ms)
    if _types.is_time(type_):
        storage, time_digits = (pa.int32() if type_.bit_width == 32 else pa.int64()), _DIGITS[type_.unit]
        return lambda array: _each(_integers(array, storage), lambda value: _signed("", value, _clock, time_digits))
    if _types.is_timestamp(type_):
        digits, zone = _DIGITS[type_.unit], _zone(type_.tz)
        return lambda array: _each(_integers(array, pa.int64()), lambda value: _instant(value, digits) + zone)
    if _types.is_duration(type_):
        unit_digits = _DIGITS[type_.unit]
        return lambda array: _each(
            _integers(array, pa.int64()), lambda value: _signed("PT", value, _seconds, unit_digits) + "S"
        )
    return None


def _lists(inner: Convert) -> Convert:
    def convert(array: pa.Array) -> list[Any]:
        values, at, found = inner(array.flatten()), 0, []
        for length in pc.list_value_length(array).to_pylist():
            found.append(None if length is None else values[at : at + length])
            at += length or 0
        return found

    return convert


def _maps(convert_keys: Convert, convert_items: Convert, text_keys: bool) -> Convert:
    def convert(array: pa.Array) -> list[Any]:
        offsets = array.offsets.to_pylist()
        first, length = offsets[0], offsets[-1] - offsets[0]
        keys = convert_keys(array.keys.slice(first, length))
        items = convert_items(array.items.slice(first, length))
        found: list[Any] = []
        for valid, begin, end in zip(array.is_valid().to_pylist(), offsets[:-1], offsets[1:], strict=True):
            pairs = list(zip(keys[begin - first : end - first], items[begin - first : end - first], strict=True))
            as_object = dict(pairs) if text_keys else {}
            whole = text_keys and len(as_object) == len(pairs)
            found.append(None if not valid else as_object if whole else [list(pair) for pair in pairs])
        return found

    return convert


def _structs(names: list[str], inner: list[Convert]) -> Convert:
    def convert(array: pa.Array) -> list[Any]:
        fields = [one(child) for one, child in zip(inner, array.flatten(), strict=True)]
        rows = zip(*fields, strict=True) if fields else iter([()] * len(array))
        found = [dict(zip(names, row, strict=True)) for row in rows]
        if not array.null_count:
            return found
        return [row if valid else None for row, valid in zip(found, array.is_valid().to_pylist(), strict=True)]

    return convert


def _plain(array: pa.Array) -> list[Any]:
    """Numbers, many at once where none is null."""
    return list(array.to_pylist()) if array.null_count else list(array.to_numpy(zero_copy_only=False).tolist())


def _integers(array: pa.Array, storage: pa.DataType) -> list[int | None]:
    return _plain(array.view(storage))


def _each(values: list[Any], form: Callable[[Any], Any]) -> list[Any]:
    return [None if value is None else form(value) for value in values]


def _decimal(value: Decimal) -> str:
    return format(value, "f")


def _interval(value: Any) -> dict[str, int]:
    return {"months": value.months, "days": value.days, "nanoseconds": value.nanoseconds}


def _date_of_ms(value: int) -> str:
    return _instant(value, _DIGITS["ms"]) if value % _DAY_MS else _date(value // _DAY_MS)


def _instant(value: int, digits: int) -> str:
    days, rest = divmod(value, _DAY_S * 10**digits)
    return f"{_date(days)}T{_signed('', rest, _clock, digits)}"


def _signed(mark: str, value: int, form: Callable[[int], str], digits: int) -> str:
    """Sign, mark, whole seconds in a form, and that many digits behind the point."""
    seconds, fraction = divmod(abs(value), 10**digits)
    behind = f".{fraction:0{digits}d}" if digits else ""
    return f"{'-' if value < 0 else ''}{mark}{form(seconds)}{behind}"


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _seconds(seconds: int) -> str:
    return str(seconds)


def _date(days: int) -> str:
    """Of days since 1970, in the Gregorian calendar however far back: Python's own dates have the years 1 to 9999."""
    era, day = divmod(days + 719_468, 146_097)  # eras of 400 years, which begin on 1 March
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5 - 1
    month += 3 if month < 10 else -9
    year += 400 * era + (month <= 2)
    return f"{year:04d}-{month:02d}-{day:02d}" if 0 <= year <= 9999 else f"{year:+05d}-{month:02d}-{day:02d}"


def _zone(name: str | None) -> str:
    return "" if name is None else "Z" if name == "UTC" else f"Z[{name}]"


def _numbers(array: pa.Array) -> NDArray[np.int64]:
    return np.asarray(array.fill_null(0), dtype=np.int64)


def _valid(array: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(array.is_valid(), dtype=np.bool_)


def _sums(sizes: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of runs of these lengths."""
    until: NDArray[np.int64] = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    ends = np.cumsum(lengths)
    found: NDArray[np.int64] = until[ends] - until[ends - lengths]
    return found


def _without_views(array: pa.Array) -> pa.Array:
    if _types.is_string_view(array.type) or _types.is_binary_view(array.type):
        return array.cast(pa.large_binary())
    return array


def _is_text(type_: pa.DataType) -> bool:
    return bool(_types.is_string(type_) or _types.is_large_string(type_) or _types.is_string_view(type_))


def _is_bytes(type_: pa.DataType) -> bool:
    checks = (_types.is_binary, _types.is_large_binary, _types.is_binary_view, _types.is_fixed_size_binary)
    return any(check(type_) for check in checks)


def _is_list(type_: pa.DataType) -> bool:
    checks = (_types.is_list, _types.is_large_list, _types.is_fixed_size_list, _types.is_list_view)
    return any(check(type_) for check in (*checks, _types.is_large_list_view))
