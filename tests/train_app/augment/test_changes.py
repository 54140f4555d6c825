"""Each augmentation alone: what it changes, what it leaves, and where it does not apply."""

import json
import random
import textwrap

import pytest
import synthetic
from hypothesis import given
from hypothesis import strategies as st

from nbmf import json_text
from train_app.augment.chance import Chance
from train_app.augment.indent import reindented, unit_of
from train_app.augment.key_names import respelled, spelled, words_of
from train_app.augment.key_order import reordered
from train_app.augment.roles import renamed
from train_app.augment.turns import window

SEEDS = range(30)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=5),
    max_leaves=20,
)


def outcomes(change, record):
    """All that the seeds give, without those that give nothing."""
    found = [change(record, Chance(seed)) for seed in SEEDS]
    return [one for one in found if one is not None]


# --- order of keys ------------------------------------------------------------------------------------------------


def key_orders(value):
    if type(value) is dict:
        yield tuple(value)
    for one in value.values() if type(value) is dict else value if type(value) is list else ():
        yield from key_orders(one)


@given(VALUES)
def test_key_order_changes_nothing_else(value):
    for found in (reordered(value, Chance(seed)) for seed in range(5)):
        assert found is None or (found == value and [*key_orders(found)] != [*key_orders(value)])


def test_objects_of_the_same_keys_have_the_same_order():
    row = {"id": 1, "name": "a", "city": "b", "zip": "c"}
    for found in outcomes(reordered, {"table": "t", "rows": [row, dict(row), dict(reversed(row.items()))]}):
        assert len({tuple(one) for one in found["rows"]}) == 1
    assert len({tuple(found) for found in outcomes(reordered, row)}) > 10


@pytest.mark.parametrize("record", ["text", 7, [1, 2], {"one": [1]}, [{"a": 1}, {"b": 2}]])
def test_there_is_no_other_order(record):
    assert outcomes(reordered, record) == []


# --- spelling of keys ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("user_name", ("user", "name")),
        ("userName", ("user", "name")),
        ("UserName", ("user", "name")),
        ("user-name", ("user", "name")),
        ("Content-Type", ("content", "type")),
        ("AWS_REGION", ("aws", "region")),
        ("userID", ("user", "id")),
        ("HTMLParser", ("html", "parser")),
        ("sha256Sum", ("sha256", "sum")),
        ("name", ("name",)),
        ("_id", ()),
        ("a.b", ()),
        ("a_b-c", ()),
        ("2024-01-02", ()),
        ("größe", ()),
        ("", ()),
    ],
)
def test_words_of_names(name, words):
    assert words_of(name) == words


@given(st.lists(st.from_regex(r"[a-z]{2,6}", fullmatch=True), min_size=1, max_size=4).map(tuple))
def test_each_spelling_has_the_same_words(words):
    for style in ("snake", "camel", "kebab", "pascal"):
        assert words_of(spelled(words, style)) == words


def test_all_keys_of_a_record_are_spelled_alike():
    record = {"user_id": 1, "name": {"first_name": "a", "_x": 2}, "required": ["user_id", "name", "other_id"]}
    assert {json.dumps(one) for one in outcomes(respelled, record)} == {
        json.dumps(one)
        for one in (
            {"userId": 1, "name": {"firstName": "a", "_x": 2}, "required": ["userId", "name", "other_id"]},
            {"user-id": 1, "name": {"first-name": "a", "_x": 2}, "required": ["user-id", "name", "other_id"]},
            {"UserId": 1, "Name": {"FirstName": "a", "_x": 2}, "Required": ["UserId", "name", "other_id"]},
        )
    }


@pytest.mark.parametrize(
    "record",
    ["user_name", {"name": 1, "id": 2}, {"_id": 1, "__v": 2}, [{"user": 1}]],
)
def test_there_is_no_other_spelling(record):
    assert outcomes(respelled, record) == []


def test_keys_that_would_be_the_same_stay():
    record = {"user_name": 1, "user-name": 2}
    assert outcomes(respelled, record) == []


def test_messages_stay_messages():
    record = [{"role": "assistant", "content": None, "tool_calls": [{"call_id": "x"}]}]
    found = outcomes(respelled, record)
    assert {tuple(one[0]) for one in found} == {
        ("role", "content", "toolCalls"),
        ("role", "content", "tool-calls"),
    }


# --- layout -------------------------------------------------------------------------------------------------------


@given(VALUES.filter(lambda value: type(value) in (dict, list) and value))
def test_layouts_are_those_of_json(value):
    """Whichever it is in, it becomes one of the others, and says the same."""
    written = {
        json_text.dumps(value),
        json.dumps(value, ensure_ascii=False),
        *(json.dumps(value, ensure_ascii=False, indent=unit) for unit in (2, 4, "\t")),
    }
    for text in written:
        for found in (reindented({"arguments": text}, Chance(seed)) for seed in range(4)):
            assert found is None or found["arguments"] in written - {text}


def test_every_layout_comes():
    record = '{"a":[1,{"b":"x, {y}: \\"z\\""},[],{}],"c":1.50}'
    found = set(outcomes(reindented, record))
    assert len(found) == 4
    assert all(json_text.dumps(json_text.loads(one)) == record for one in found)  # 1.50 stays as it is written
    assert '{"a": [1, {"b": "x, {y}: \\"z\\""}, [], {}], "c": 1.50}' in found


CODE = textwrap.dedent("""\
    def f(x):
        if x:
            return [
                1,
            ]

        return 2
    """)


@pytest.mark.parametrize("unit", ["  ", "    ", "\t"])
def test_lines_are_indented_by_another_unit(unit):
    text = CODE.replace("    ", unit)
    assert unit_of(text) == unit
    others = {CODE.replace("    ", other) for other in ("  ", "    ", "\t")} - {text}
    assert set(outcomes(reindented, text)) == others
    found = outcomes(reindented, [{"role": "user", "content": text}, {"role": "user", "content": "no"}])
    assert {one[0]["content"] for one in found} == others


@pytest.mark.parametrize(
    "record",
    [
        "plain\ntext",
        "a\n    one line\nb",
        " x\n  y\n   z\n",
        "\tx\n    y\n\tz\n  w",
        {"a": ["x", "{}", "[]", "{broken"]},
        7,
    ],
)
def test_there_is_no_other_layout(record):
    assert outcomes(reindented, record) == []


# --- conversations ------------------------------------------------------------------------------------------------


def conversation(roles, key="role"):
    return [{key: role, "content": f"turn {n}"} for n, role in enumerate(roles)]


def test_both_roles_are_those_of_another_format():
    record = conversation(["system", "user", "assistant", "tool", "user", "assistant"])
    found = outcomes(renamed, record)
    assert {tuple(turn["role"] for turn in one) for one in found} == {
        ("system", asks, answers, "tool", asks, answers)
        for asks, answers in [("human", "gpt"), ("human", "ai"), ("user", "model"), ("human", "assistant")]
    }
    assert all([turn["content"] for turn in one] == [turn["content"] for turn in record] for one in found)
    assert len(found) == len(SEEDS)


def test_roles_in_objects_and_text():
    shared = {"id": 3, "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}
    assert {one["conversations"][1]["from"] for one in outcomes(renamed, shared)} == {"assistant", "ai", "model"}
    text = "User: User: what?\nreally\nAssistant: yes\nUser: no\nAssistant: so"
    found = set(outcomes(renamed, text))
    assert "Human: User: what?\nreally\nGpt: yes\nHuman: no\nGpt: so" in found
    assert len(found) == 4


@pytest.mark.parametrize(
    "record",
    [
        conversation(["anna", "ben", "anna"]),
        conversation(["user", "user"]),
        conversation(["user", "human", "assistant"]),
        {"a": conversation(["user", "assistant"]), "b": conversation(["user", "assistant"])},
        {"role": "user"},
        [{"role": 1}, {"role": 2}],
        "Title: x\nAuthor: y\nUser: z\nAssistant: w",
        "",
    ],
)
def test_there_are_no_roles_to_rename(record):
    assert outcomes(renamed, record) == []


@pytest.mark.parametrize("pick", range(5))
def test_windows_hold_whole_exchanges(pick):
    rng = random.Random(pick)
    record = next(turns for turns in (synthetic.conversation(rng) for _ in range(40)) if len(turns) > 5)
    found = outcomes(window, record)
    assert found
    for one in found:
        assert one[0] == record[0]  # the system prompt
        turns = one[1:]
        begin = record.index(turns[0])
        assert record[begin : begin + len(turns)] == turns
        assert len(turns) < len(record) - 1
        assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2)


def test_windows_of_tools_begin_with_who_asks():
    roles = ["user", "assistant", "tool", "assistant"] * 3
    for one in outcomes(window, {"model": "m", "messages": conversation(roles)}):
        assert one["model"] == "m"
        assert one["messages"][0]["role"] == "user"
        assert one["messages"][-1]["content"] in ("turn 3", "turn 7", "turn 11")


def test_windows_of_many_speakers_begin_anywhere():
    record = conversation(["anna", "ben", "cleo", "anna", "ben", "dora"])
    found = outcomes(window, record)
    assert {one[0]["role"] for one in found} >= {"anna", "ben", "cleo"}
    assert all(2 <= len(one) < 6 for one in found)


def test_windows_of_text():
    text = "<anna> hello\n<ben> hi\n  there\n<anna> so\n<ben> yes\n"
    assert set(outcomes(window, text)) == {"<anna> hello\n<ben> hi\n  there", "<anna> so\n<ben> yes"}


@pytest.mark.parametrize(
    "record", [conversation(["user", "assistant"]), conversation(["system", "user", "assistant"]), "a: b\nc: d", 1, {}]
)
def test_there_is_no_window(record):
    assert outcomes(window, record) == []
