"""The iterative JSON writer and parser agree with the standard library's wherever that works."""

import json
import sys

import pytest
from helpers import json_values, nested, same, values_of_text
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbmf import json_integer, json_text


def _compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@settings(max_examples=300)
@given(json_values)
def test_the_iterative_writer_writes_the_same(value):
    assert "".join(json_text._pieces(value)) == _compact(value) == json_text.dumps(value)


@settings(max_examples=300)
@given(json_values, st.sampled_from([None, 1, "\t", " \r\n"]))
def test_the_iterative_parser_reads_the_same(value, indent):
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    assert same(json_text._parse(text), value)
    assert same(json_text._parse(f" \n{text}\t\r"), value)


@given(values_of_text)
def test_numbers_as_written_go_both_ways(value):
    text = json_text.dumps(value)
    for parse in (json_text.loads, json_text._parse):
        assert same(parse(text), value)


@settings(max_examples=1500)
@given(st.text('[]{}":,01.eE+-truefalsnNaIity \\u\n\x0b', max_size=12))
@example("")
@example("-")
@example("01")
@example("1.")
@example(".5")
@example("1e")
@example("-Infinity")
@example("+1")
@example('"\\ud83d\\ude00"')
@example('"\\x"')
@example('"\t"')
@example("[1,]")
@example("{,}")
@example('{"a":1,}')
@example('{"a":1 "b":2}')
@example('{"a":1,"a":2}')
@example("[1}")
@example("1 2")
@example("nul")
@example("-0")
@example("1E400")
def test_the_iterative_parser_accepts_what_the_standard_library_does(text):
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(json.JSONDecodeError):
            json_text._parse(text)
    else:
        found = json_text._parse(text)
        assert same(json_text.loads(text, unique_keys=False), found)
        if not json_text._holds_json_number(found):
            assert same(found, expected)


@given(st.recursive(st.just("1"), lambda inner: st.lists(inner, max_size=3).map(lambda v: f"[{','.join(v)}]")))
def test_cut_text_is_refused(text):
    for end in range(len(text)):
        if text.startswith("["):
            with pytest.raises(json.JSONDecodeError):
                json_text._parse(text[:end])


def test_where_the_standard_library_gives_up():
    deep = nested(5_000, "mixed")
    with pytest.raises(RecursionError):
        json.dumps(deep)
    long = 10**5_000 + 3
    with pytest.raises(ValueError, match="4300"):
        json.dumps(long)
    for value in (deep, long, [deep, {"k": long, "l": -long}]):
        assert same(json_text.loads(json_text.dumps(value)), value)


def test_integers_have_a_longest():
    longest = "9" * json_text.MAX_INTEGER_DIGITS
    assert json_text.dumps(json_text.loads(longest)) == longest
    assert json_text.dumps(json_text.loads(f"-{longest}")) == f"-{longest}"
    for text in ("1" * (json_text.MAX_INTEGER_DIGITS + 2), "-" + "1" * (json_text.MAX_INTEGER_DIGITS + 2)):
        with pytest.raises(json.JSONDecodeError, match="more than 100000 digits"):
            json_text.loads(text)


@settings(max_examples=300)
@given(st.text('[]{}":,ab1', max_size=30))
@example('{"a":1,"a":1}')
@example('[{"a":{"b":1,"a":[],"b":2}}]')
@example('{"a":{"a":1}}')
def test_keys_that_are_there_twice(text):
    """Refused by both parsers where they are asked to, and by neither otherwise."""
    try:
        expected = json.loads(text)
    except ValueError:
        return
    twice = False

    def look(pairs):
        nonlocal twice
        twice = twice or len(dict(pairs)) < len(pairs)
        return dict(pairs)

    json.loads(text, object_pairs_hook=look)
    for parse in (json_text.loads, json_text._parse):
        assert parse(text, unique_keys=False) == expected
        if twice:
            with pytest.raises(json_text.DuplicateKey, match="more than once"):
                parse(text, unique_keys=True)
        else:
            assert parse(text, unique_keys=True) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a":1,"a":2}', "the object at $ has the key 'a' more than once"),
        ('{"x":[0,{"b c":[],"y":{"k":1,"l":{"k":2},"k":3}}]}', "the object at $.x[1].y has the key 'k' more than once"),
        ('[{"a":{"b":{}}},[{"":1,"":1}]]', "the object at $[1][0] has the key '' more than once"),
        ('{"a b":{"k":1,"k":1}}', """the object at $["a b"] has the key 'k' more than once"""),
        ("[" * 30 + '{"k":1,"k":1}' + "]" * 30, "the object at $" + "[0]" * 20 + "… has the key"),
    ],
)
def test_a_key_that_is_there_twice_is_named_with_its_path(text, told):
    with pytest.raises(json_text.DuplicateKey) as raised:
        json_text.loads(text)
    assert str(raised.value).startswith(told)


def test_the_key_of_an_object_beside_it_is_none_of_its_own():
    text = '{"a":{"k":1},"b":[{"k":1},{"k":1}],"k":1}'
    assert json_text.loads(text) == json_text._parse(text) == json.loads(text)


def _of_the_library(text):
    return json.JSONDecoder(parse_float=json_text.read_float, parse_int=json_text._Numbers(text, len(text)).read)


@settings(max_examples=300)
@given(values_of_text)
def test_what_is_left_to_the_library_inside_deep_values_is_the_same(value):
    value = [{"before": 1, "value": value}, value, 10**5_000, nested(20, "mixed"), value]
    text = "".join(json_text._pieces(value))
    assert "".join(json_text._pieces(value, by_c=True)) == text
    assert same(json_text._parse(text, decoder=_of_the_library(text)), value)


@settings(max_examples=500)
@given(st.text('[]{}":,ab1\\ \n', max_size=20))
@example("[[1}]")
@example('[{"a":"]"}]')
@example('["\\"",[1]]')
def test_the_library_inside_accepts_what_it_does_alone(text):
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(json.JSONDecodeError):
            json_text._parse(text, decoder=_of_the_library(text))
    else:
        assert same(json_text._parse(text, decoder=_of_the_library(text)), expected)


def test_a_long_integer_sends_nothing_to_the_slow_parser(monkeypatch):
    value = [{"a": index} for index in range(1000)] + [10**5_000]
    text = "".join(json_text._pieces(value))
    monkeypatch.setattr(json_text, "_parse", None)
    assert json_text.loads(text) == value
    assert json_text.loads(text[:-1] + ",-0]")[:-1] == value


def test_a_key_that_is_there_twice_in_a_large_text_is_not_searched_for(monkeypatch):
    monkeypatch.setattr(json_text, "_parse", None)
    text = json.dumps({"x": "y" * json_text._SOUGHT_CHARACTERS})[:-1] + ',"k":1,"k":2}'
    with pytest.raises(json_text.DuplicateKey, match="an object has the key 'k' more than once"):
        json_text.loads(text)


@pytest.mark.parametrize("shape", ["flat", "deep"])
def test_plain_values_are_written_by_the_library(monkeypatch, shape):
    plain = [{"a": [index, "x"], "b": None} for index in range(5_000)]
    other = 10**5_000 if shape == "flat" else nested(3_000, "mixed")
    expected = "".join(json_text._pieces([*plain, other, *plain]))
    by_hand = []
    scalar_text = json_text._scalar_text
    monkeypatch.setattr(json_text, "_scalar_text", lambda value: by_hand.append(value) or scalar_text(value))
    assert json_text.dumps([*plain, other, *plain]) == expected
    assert len(by_hand) < 5_000


@pytest.mark.parametrize("limit", [0, 640, 4_300, 100_000])
def test_how_long_integers_python_converts_is_of_no_matter(limit, monkeypatch):
    before = sys.get_int_max_str_digits()
    converted = []
    from_text = json_integer.from_text
    monkeypatch.setattr(json_integer, "from_text", lambda text: converted.append(text) or from_text(text))
    try:
        sys.set_int_max_str_digits(limit)
        longest = "9" * json_integer.MAX_DIGITS
        text = f'[1,-22,{longest},-{longest},"3",{"7" * 641}]'
        value = json_text.loads(text)
        assert json_text.dumps(value) == text
        assert value[2] == -value[3] == 10**json_integer.MAX_DIGITS - 1
        with pytest.raises(json.JSONDecodeError, match="more than 100000 digits"):
            json_text.loads(f"[{longest}0]")
        assert longest in converted
    finally:
        sys.set_int_max_str_digits(before)


@given(st.integers(), st.integers(0, 20_000), st.integers(0, 20_000))
def test_integers_are_converted_exactly(small, tens, twos):
    before = sys.get_int_max_str_digits()
    try:
        sys.set_int_max_str_digits(0)
        for value in (10**tens + small, small - 10**tens, (1 << twos) + small, (1 << twos) * 10**tens):
            assert json_integer.to_text(value) == str(value)
            assert json_integer.from_text(str(value)) == value
            assert len(str(abs(value))) in (json_integer.most_digits(value), json_integer.most_digits(value) - 1)
    finally:
        sys.set_int_max_str_digits(before)


def test_more_values_than_asked_for_are_refused_before_they_are_made():
    assert json_text.values_within(100) == 1 << 20
    assert json_text.values_within(1 << 30) == 1 << 27
    for text, values in (("[]", 1), ("[1,2]", 2), ('{"a":[{}],"b,[":"\\",["}', 4), ('",,,[[["', 0), ("1", 0)):
        assert json_text.loads(text, max_values=values) == json.loads(text)
        if values:
            with pytest.raises(json_text.TooManyValues, match=f"more than {values - 1} values"):
                json_text.loads(text, max_values=values - 1)
    many = f"[{','.join(['9' * 5_000] * 10)}]"
    assert len(json_text.loads(many, max_values=50_000)) == 10
    with pytest.raises(json_text.TooManyValues, match="more than 49999 digits"):
        json_text.loads(many, max_values=49_999)
