"""The iterative JSON writer and parser agree with the standard library's wherever that works."""

import json

import pytest
from helpers import json_values, nested, same, values_of_text
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nbmf import json_text


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
