"""Names, ids and dates that stand for others: which are found, what takes their place, and what stays."""

import random
import re

import pytest

from nbmf.payload import to_canonical
from train_app.augment.chance import Chance
from train_app.augment.found_values import days_in, id_of, ids_in, is_rare_word, may_be_name, moved
from train_app.augment.substitution import substituted
from train_app.augment.values import AllValues, Values
from train_app.samples.sample import Sample, digest_of

FIRST = ["Amara", "Birgit", "Chen", "Dmitri", "Esi", "Farid", "Greta", "Hiro"]
LAST = ["Okafor", "Sand", "Wu", "Orlov", "Mensah", "Nasser", "Lund", "Tanaka"]
NAMES = [f"{first} {last}" for first in FIRST for last in LAST]


def ticket(rng, number):
    name, owner = rng.sample(NAMES, 2)
    call = f"{rng.getrandbits(64):016x}"
    day = rng.randrange(1, 28)
    return {
        "id": f"call_{call}",
        "account": rng.randrange(10**8, 10**9),
        "kind": rng.choice(["open", "closed"]),
        "customer": {"name": name},
        "owner": owner,
        "created": f"2024-03-{day:02}T10:20:30Z",
        "updated": f"2024-03-{day + 1:02}T11:00:00Z",
        "text": f"{name} wrote to {owner} about call_{call} on 2024-03-{day:02}, number {number}.",
        "count": rng.randrange(900),
    }


def sample_of(record, group="tickets"):
    kind, canonical = to_canonical(record)
    return Sample(kind, canonical, digest_of(kind, canonical), group)


@pytest.fixture(scope="module")
def records():
    rng = random.Random(4)
    return [ticket(rng, number) for number in range(60)]


@pytest.fixture(scope="module")
def values(records):
    return AllValues(map(sample_of, records))


def test_what_is_found(records, values):
    found = values.of("tickets")
    assert set(found.names) == {".id", ".customer.name", ".owner"}
    assert set(found.names[".owner"]) <= set(NAMES)
    assert {"digits 9", "hex 16 lower"} <= set(found.ids)
    assert set(found.ids["digits 9"]) == {str(one["account"]) for one in records}
    assert set(found.days) == {one[key][:10] for one in records for key in ("created", "updated")}


def test_names_and_days_are_those_of_the_class(values):
    other = values.of("something else")
    assert (other.names, other.days) == ({}, [])
    assert other.ids == values.of("tickets").ids


def test_the_order_of_records_does_not_matter(records):
    """Nor that there are more of them than values are kept."""
    many = [ticket(random.Random(n), n) for n in range(900)]
    shuffled = random.Random(0).sample(many, len(many))
    one, other = (AllValues(map(sample_of, some)).of("tickets") for some in (many, shuffled))
    assert one == other
    assert len(one.ids["digits 9"]) == 256


@pytest.mark.parametrize("seed", range(20))
def test_a_record_stays_whole(records, values, seed):
    """Equal values stay equal, in text too; days as far apart; numbers, kinds and words as they are."""
    record = records[seed]
    found = substituted(record, Chance(seed), values.of("tickets"))
    name, owner, call = found["customer"]["name"], found["owner"], found["id"]
    assert name in NAMES
    assert owner in NAMES
    assert name != owner
    assert {name, owner} & {record["customer"]["name"], record["owner"]} == set()
    assert re.fullmatch("call_[0-9a-f]{16}", call)
    assert call != record["id"]
    day = found["created"][:10]
    assert found["created"] == f"{day}T10:20:30Z"
    assert found["updated"] == f"{moved(day, 1)}T11:00:00Z"
    assert found["text"] == f"{name} wrote to {owner} about {call} on {day}, number {seed}."
    assert type(found["account"]) is int
    assert len(str(found["account"])) == 9
    assert found["account"] != record["account"]
    assert (found["kind"], found["count"]) == (record["kind"], record["count"])
    assert list(found) == list(record)


def test_text_alone(values):
    text = "On 2024-03-05 the call 0123456789abcdef ended, and 2024-03-07 was a Thursday."
    found = substituted(text, Chance(1), values.of("tickets"))
    first, second = days_in(found)
    assert moved(first, 2) == second
    assert first != "2024-03-05"
    ((shape, call),) = ids_in(found)
    assert (shape, call != "0123456789abcdef") == ("hex 16 lower", True)
    assert re.sub(r"2024-\d\d-\d\d|[0-9a-f]{16}", "", found) == re.sub(r"2024-\d\d-\d\d|[0-9a-f]{16}", "", text)


@pytest.mark.parametrize("record", ["no such thing", {"kind": "open", "count": 3, "price": 1234567.5}, [], 5, True])
def test_there_is_nothing_to_replace(values, record):
    assert substituted(record, Chance(1), values.of("tickets")) is None


def test_too_few_values_say_nothing(records):
    few = AllValues(map(sample_of, records[:3])).of("tickets")
    assert few == Values()
    assert substituted(records[0], Chance(1), few) is None


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("9b2f1c44-0d6e-4a0b-8a51-7b3f0c2d1e9f", ["uuid lower"]),
        ("https://x.y/users/1234567/posts", ["digits 7"]),
        ("call_aB3dE6gH9jK2mN5p", ["letters and digits 16 lower upper"]),
        ("0xDEADBEEF01", ["hex 10 upper"]),
        ("DEADBEEF01", ["hex 10 upper"]),
        ("3.14159265 and 1234567.5 and 0,123456", []),
        ("Python3 sha256sum interesting words", []),
        ("2024-03-05", []),
    ],
)
def test_ids(text, shapes):
    assert [shape for shape, _ in ids_in(text)] == shapes


def test_numbers_that_are_ids():
    assert id_of(123456) == ("digits 6", "123456")
    assert id_of(99999) is id_of(-123456) is id_of(10**40) is None


@pytest.mark.parametrize("text", ["Amara Okafor", "anna_92", "a@b.org", "owner/repo", "Zürich", "5th Avenue"])
def test_names(text):
    assert may_be_name(text)


@pytest.mark.parametrize(
    "text",
    ["", "12345", "https://a.b/c", "A sentence that has many words", "It ends.", "2024-03-05", "a\nb", "{x}", "x" * 60],
)
def test_what_is_no_name(text):
    assert not may_be_name(text)


def test_words_are_not_replaced_inside_text():
    assert [is_rare_word(one) for one in ("test", "May", "Amara", "anna_92")] == [False, False, True, True]


@pytest.mark.parametrize(("day", "by", "later"), [("2024-02-28", 2, "2024-03-01"), ("2099-12-31", 1, None)])
def test_days_that_are_moved(day, by, later):
    assert moved(day, by) == later


def test_days_that_there_are_not():
    assert [*days_in("2024-02-30 2024-13-01 1800-01-01 12024-01-01 2024-01-010 2023-02-28T10:00")] == ["2023-02-28"]
