"""Arrow types: each has one form in JSON, of every digit, slice and null; what has none is refused by column."""

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cluster.errors import RecordsError
from cluster.sources.arrow_values import converter, could_be_payload, value_bytes

DAY_MS = 86_400_000


def whole(values, type_):
    """An array of a time's type from its whole numbers."""
    return pa.array(values, pa.int32() if type_.bit_width == 32 else pa.int64()).view(type_)


def extension(type_, values):
    return pa.ExtensionArray.from_storage(type_, pa.array(values, type_.storage_type))


PAIRS = [("a", 1)], None, [("b", 2), ("b", None)], []
CASES = {
    "null": (pa.nulls(2), [None, None], [0, 0]),
    "bool": (pa.array([True, None, False]), [True, None, False], [1, 0, 1]),
    "int64": (pa.array([2**53 + 1, None, -(2**63)]), [2**53 + 1, None, -(2**63)], [8, 0, 8]),
    "uint64": (pa.array([2**64 - 1], pa.uint64()), [2**64 - 1], [8]),
    "float16": (pa.array(np.array([1.5, -0.0], np.float16)), [1.5, -0.0], [2, 2]),
    "float32": (pa.array([0.1, None], pa.float32()), [float(np.float32(0.1)), None], [4, 0]),
    "infinite": (pa.array([float("nan"), float("-inf")]), [float("nan"), float("-inf")], [8, 8]),
    "string": (pa.array(["é", None, ""]), ["é", None, ""], [2, 0, 0]),
    "large_string": (pa.array(["é", None], pa.large_string()), ["é", None], [2, 0]),
    "string_view": (pa.array(["é", None], pa.string_view()), ["é", None], [2, 0]),
    "binary": (pa.array([b"\xff", None]), [b"\xff", None], [1, 0]),
    "binary_view": (pa.array([b"\xff", None], pa.binary_view()), [b"\xff", None], [1, 0]),
    "fixed_size_binary": (pa.array([b"ab", None], pa.binary(2)), [b"ab", None], [2, 0]),
    "decimal": (
        pa.array([Decimal("1.10"), None, Decimal("-0.000000000001"), Decimal(0)], pa.decimal128(30, 12)),
        ["1.100000000000", None, "-0.000000000001", "0.000000000000"],
        [16, 0, 16, 16],
    ),
    "decimal of tens": (pa.array([Decimal("1.2E+3")], pa.decimal256(5, -2)), ["1200"], [32]),
    "small decimal": (pa.array([Decimal("1.10")], pa.decimal32(5, 2)), ["1.10"], [4]),
    "date32": (
        whole([0, None, 19_758, -719_528, -719_529, 2_932_897], pa.date32()),
        ["1970-01-01", None, "2024-02-05", "0000-01-01", "-0001-12-31", "+10000-01-01"],
        [4, 0, 4, 4, 4, 4],
    ),
    "date64": (whole([DAY_MS, 1], pa.date64()), ["1970-01-02", "1970-01-01T00:00:00.001"], [8, 8]),
    "time32": (whole([25_505, None, 86_400], pa.time32("s")), ["07:05:05", None, "24:00:00"], [4, 0, 4]),
    "time64": (whole([1, -1], pa.time64("ns")), ["00:00:00.000000001", "-00:00:00.000000001"], [8, 8]),
    "timestamp": (
        whole([1_738_307_100_123_456, None, -1], pa.timestamp("us")),
        ["2025-01-31T07:05:00.123456", None, "1969-12-31T23:59:59.999999"],
        [8, 0, 8],
    ),
    "timestamp in UTC": (whole([1], pa.timestamp("ns", "UTC")), ["1970-01-01T00:00:00.000000001Z"], [8]),
    "timestamp of a zone": (
        whole([1500], pa.timestamp("ms", "Europe/Berlin")),
        ["1970-01-01T00:00:01.500Z[Europe/Berlin]"],
        [8],
    ),
    "timestamp far away": (whole([253_402_300_800], pa.timestamp("s")), ["+10000-01-01T00:00:00"], [8]),
    "duration": (whole([90_500, None, -7], pa.duration("ms")), ["PT90.500S", None, "-PT0.007S"], [8, 0, 8]),
    "long duration": (whole([2**62], pa.duration("s")), [f"PT{2**62}S"], [8]),
    "interval": (
        pa.array([pa.MonthDayNano([1, -2, 3]), None]),
        [{"months": 1, "days": -2, "nanoseconds": 3}, None],
        [16, 0],
    ),
    "list": (pa.array([[1, None], None, []], pa.list_(pa.int32())), [[1, None], None, []], [4, 0, 0]),
    "large_list": (pa.array([["a"], None], pa.large_list(pa.string())), [["a"], None], [1, 0]),
    "list_view": (
        pa.array([[1.5], None, [2.5, 3.5]], pa.list_view(pa.float64())),
        [[1.5], None, [2.5, 3.5]],
        [8, 0, 16],
    ),
    "large_list_view": (pa.array([[b"x"]], pa.large_list_view(pa.binary())), [[{"base64": "eA=="}]], [1]),
    "fixed_size_list": (
        pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32(), 2)),
        [[1.0, 2.0], None, [3.0, 4.0]],
        [8, 0, 8],
    ),
    "struct": (
        pa.array([{"b": 1, "a": b"\x00"}, None, {"b": None, "a": None}]),
        [{"b": 1, "a": {"base64": "AA=="}}, None, {"b": None, "a": None}],
        [9, 0, 0],
    ),
    "map": (
        pa.array(PAIRS, pa.map_(pa.string(), pa.int64())),
        [{"a": 1}, None, [["b", 2], ["b", None]], {}],
        [9, 0, 10, 0],
    ),
    "map of other keys": (pa.array([[(1, "x")], []], pa.map_(pa.int8(), pa.string())), [[[1, "x"]], []], [2, 0]),
    "dictionary": (pa.array(["a", None, "bc", "a"]).dictionary_encode(), ["a", None, "bc", "a"], [1, 0, 2, 1]),
    "run ends": (pc.run_end_encode(pa.array(["x", "x", None])), ["x", "x", None], [1, 1, 0]),
    "uuid": (extension(pa.uuid(), [bytes(range(16)), None]), ["00010203-0405-0607-0809-0a0b0c0d0e0f", None], [16, 0]),
    "json": (extension(pa.json_(), ['{"a": 1}', None]), ['{"a": 1}', None], [8, 0]),
    "bool8": (extension(pa.bool8(), [0, 7, None]), [False, True, None], [1, 1, 0]),
    "tensor": (extension(pa.fixed_shape_tensor(pa.int8(), [2]), [[1, 2]]), [[1, 2]], [2]),
    "deep": (
        pa.array(
            [[{"m": [("k", 1_738_281_600)]}], [None]],
            pa.list_(pa.struct([("m", pa.map_(pa.string(), pa.timestamp("s")))])),
        ),
        [[{"m": {"k": "2025-01-31T00:00:00"}}], [None]],
        [9, 0],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_type_has_its_form(name):
    array, values, sizes = CASES[name]
    convert = converter(array.type, "c")
    assert [(type(v), repr(v)) for v in convert(array)] == [(type(v), repr(v)) for v in values]
    assert value_bytes(array).tolist() == sizes


@pytest.mark.parametrize("name", CASES)
def test_slices_are_the_values_of_their_rows(name):
    array, values, sizes = CASES[name]
    convert = converter(array.type, "c")
    for start in range(len(array) + 1):
        for end in range(start, len(array) + 1):
            part = array.slice(start, end - start)
            assert repr(convert(part)) == repr(values[start:end])
            assert value_bytes(part).tolist() == sizes[start:end]


def test_dates_are_those_of_python():
    days = list(range(-719_162, 2_932_897, 1009))
    found = converter(pa.date32(), "c")(pa.array(days, pa.int32()).view(pa.date32()))
    assert found == [(datetime.date(1970, 1, 1) + datetime.timedelta(day)).isoformat() for day in days]


def test_bytes_inside_a_row_are_base64():
    array = pa.array([b"\xff\x00", None])
    assert converter(array.type, "c", inside=True)(array) == [{"base64": "/wA="}, None]
    encoded = array.dictionary_encode()
    assert converter(encoded.type, "c", inside=True)(encoded) == [{"base64": "/wA="}, None]


@pytest.mark.parametrize(
    "type_",
    [
        pa.sparse_union([pa.field("a", pa.int8())]),
        pa.list_(pa.dense_union([pa.field("a", pa.int8())])),
        pa.struct([("x", pa.struct([pa.field("a", pa.int8()), pa.field("a", pa.string())]))]),
        pa.map_(pa.string(), pa.sparse_union([pa.field("a", pa.int8())])),
    ],
)
def test_what_has_no_form_is_refused_by_column(type_):
    with pytest.raises(RecordsError, match="column 'chat'"):
        converter(type_, "chat")


def test_what_could_be_a_payload():
    yes = [
        pa.string(),
        pa.binary(3),
        pa.list_(pa.int8()),
        pa.map_(pa.string(), pa.int8()),
        pa.string_view(),
        pa.json_(),
    ]
    yes += [pa.struct([("a", pa.int8())]), pa.dictionary(pa.int8(), pa.string()), pa.list_(pa.float32(), 3)]
    no = [pa.int64(), pa.float16(), pa.bool_(), pa.date32(), pa.timestamp("us"), pa.decimal128(5, 2), pa.null()]
    no += [pa.dictionary(pa.int8(), pa.int64()), pa.duration("s"), pa.time64("us"), pa.bool8()]
    assert [type_ for type_ in yes if not could_be_payload(type_)] == []
    assert [type_ for type_ in no if could_be_payload(type_)] == []
