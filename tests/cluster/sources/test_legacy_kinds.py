"""Legacy stores beyond plain records: encrypted files, cold artefacts, content-addressed files, wrapped payloads."""

import base64
import hashlib
import json
import os
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from items import good, read, reasons

from cluster.errors import RecordsError
from cluster.sources import BadRecord, Record, open_source
from nbmf import stub
from nbmf.encryption import StoreKey
from nbmf.store.record_file import DamagedRecordFile, parse

KEY = StoreKey.from_secret("the right one")
OTHER = StoreKey.from_secret("another")


@pytest.fixture
def old(tmp_path):
    """A function: puts a file, by its path in a legacy store; content that is not bytes as JSON."""
    root = tmp_path / "old"
    root.mkdir()

    def put(name, content):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else to_json(content))
        return path

    put.root = root
    return put


def to_json(value):
    return json.dumps(value).encode()


def cold(value, **others):
    return {"blob": base64.b64encode(zlib.compress(to_json(value))).decode(), **others}


def named(content):
    return hashlib.sha256(content).hexdigest()


def test_encrypted_records(old):
    plain = {"payload": ["words"], "meta": {"n": 1}, "cls": "note"}
    old("records/a__note.json", KEY.encrypt(to_json(plain)))
    old("records/b__note.json", OTHER.encrypt(to_json(plain)))
    old("records/c__note.json", plain)
    found = read(open_source(old.root, key=KEY))
    assert reasons(found) == [None, "wrong_key", None]
    assert [(r.key, r.payload, r.meta, r.encrypted) for r in (found[0], found[2])] == [
        ("a", ["words"], {"n": 1}, True),
        ("c", ["words"], {"n": 1}, False),
    ]
    assert found[1].key == "b"
    without = read(open_source(old.root))
    assert reasons(without) == ["encrypted", "encrypted", None]
    assert "--key-file" in without[0].detail
    assert "NBMF_STORE_KEY" in without[0].detail


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (KEY.encrypt(b"{"), "not_json"),
        (KEY.encrypt(b"\xff"), "not_utf8"),
        (KEY.encrypt(b"[]"), "no_payload"),
        (KEY.encrypt(b'{"payload": 1, "cls": 2}'), "bad_class"),
        (KEY.encrypt(to_json({"payload": stub.encode("x", "lossless") | {"code": "00"}})), "damaged_stub_blob"),
        ({"__encrypted__": {"alg": "AESGCM", "nonce": "AA==", "ciphertext": "AA=="}}, "damaged_envelope"),
        ({"__encrypted__": None}, "damaged_envelope"),
        (KEY.encrypt(b'{"payload": 1}') | {"payload": 2}, "damaged_envelope"),
    ],
)
def test_damage_in_encrypted_records(old, content, reason):
    old("records/a__note.json", content)
    (found,) = read(open_source(old.root, key=KEY))
    assert (found.reason, found.key) == (reason, "a")


def test_another_key_is_another_source_and_none_is_shown(old):
    old("records/a__note.json", {"payload": 1})
    shown = {repr(open_source(old.root, key=key)) for key in (None, KEY, OTHER)}
    assert len(shown) == 3
    assert not any(KEY.key.hex() in one or repr(KEY.key) in one or "right" in one for one in shown)


def test_cold_artefacts(old):
    for number in (10, 9, 100):
        old(f"a_{number}.json", cold({"n": number}))
    old("a_0.json", cold([1], tag="x"))
    old("a_1.json", KEY.encrypt(to_json(cold("outside"))))
    old("a_2.json", cold(KEY.encrypt(to_json("inside"))))
    old("a_3.json", cold(stub.encode({"old": True}, "lossless")))
    found = good(read(open_source(old.root, key=KEY)))
    assert [(r.key, r.payload, r.meta, r.encrypted) for r in found] == [
        ("cold/a_0", [1], {"tag": "x"}, False),
        ("cold/a_1", "outside", {}, True),
        ("cold/a_10", {"n": 10}, {}, False),
        ("cold/a_100", {"n": 100}, {}, False),
        ("cold/a_2", "inside", {}, True),
        ("cold/a_3", {"old": True}, {}, False),
        ("cold/a_9", {"n": 9}, {}, False),
    ]
    assert {r.record_class for r in found} == {"cold"}


def test_urlsafe_base64_in_cold_artefacts(old):
    content = zlib.compress(json.dumps("?>" * 99 + "ü~ÿ").encode(), 0)
    assert set(base64.b64encode(content).decode()) & set("+/")
    old("a_1.json", {"blob": base64.urlsafe_b64encode(content).decode()})
    assert good(read(open_source(old.root)))[0].payload == "?>" * 99 + "ü~ÿ"


WHOLE = cold("a whole one")["blob"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not_json"),
        ({}, "no_blob"),
        ([], "no_blob"),
        ({"blob": None}, "no_blob"),
        ({"blob": "not base64!"}, "damaged_blob"),
        ({"blob": "ü"}, "damaged_blob"),
        ({"blob": "AAAA"}, "damaged_blob"),
        ({"blob": WHOLE[:-8]}, "damaged_blob"),
        ({"blob": base64.b64encode(base64.b64decode(WHOLE) + b"more").decode()}, "damaged_blob"),
        ({"blob": ""}, "damaged_blob"),
        ({"blob": base64.b64encode(zlib.compress(b"{")).decode()}, "not_json"),
        ({"blob": base64.b64encode(zlib.compress(b"\xff")).decode()}, "not_utf8"),
        (cold(OTHER.encrypt(b"1")), "wrong_key"),
        (OTHER.encrypt(b"1"), "wrong_key"),
    ],
)
def test_damaged_cold_artefacts(old, content, reason):
    old("a_1.json", content)
    (found,) = read(open_source(old.root, key=KEY))
    assert (found.reason, found.key) == (reason, "cold/a_1")


def test_a_bomb_is_a_dead_letter(old):
    old("a_1.json", {"blob": base64.b64encode(zlib.compress(b'"' + b"x" * 2**22 + b'"')).decode()})
    old("a_2.json", cold("x" * 9998))
    old("a_3.json", cold("x" * 9999))
    found = read(open_source(old.root, max_record_bytes=10_000))
    assert reasons(found) == ["too_large", None, "too_large"]
    assert "max_record_bytes" in found[0].detail


def test_content_addressed_files(old):
    plain, spaced = b'{"b": 1, "a": [2]}', b'{ "b":1,"a":\n[2] }'
    signed = stub.signature({"b": 1, "a": [2]})
    sealed = to_json(KEY.encrypt(plain))
    old(named(plain), plain)
    old(f"cas/{named(spaced)}.json", spaced)
    old(f"cas/{signed}", plain)
    old(f"locked/{named(plain)}", sealed)
    old(f"locked/{named(sealed)}", sealed)
    found = good(read(open_source(old.root, key=KEY)))
    assert {r.key: (r.payload, r.encrypted) for r in found} == {
        f"content/{named(plain)}": ({"b": 1, "a": [2]}, False),
        f"content/cas/{named(spaced)}": ({"b": 1, "a": [2]}, False),
        f"content/cas/{signed}": ({"b": 1, "a": [2]}, False),
        f"content/locked/{named(plain)}": ({"b": 1, "a": [2]}, True),
        f"content/locked/{named(sealed)}": ({"b": 1, "a": [2]}, True),
    }
    assert {r.record_class for r in found} == {"content"}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (named(b"1"), b"2", "hash_mismatch"),
        (named(b"1"), b"", "hash_mismatch"),
        (named(b"1"), b"\xff", "hash_mismatch"),
        (named(b"{"), b"{", "not_json"),
        (named(b"\xff"), b"\xff", "not_utf8"),
        (named(b"1"), to_json(KEY.encrypt(b"2")), "hash_mismatch"),
        (named(b"1"), to_json(OTHER.encrypt(b"1")), "wrong_key"),
        (named(b"["), to_json(KEY.encrypt(b"[")), "not_json"),
        (named(b"1"), b"[" * 3000 + b"]" * 3000, "hash_mismatch"),
    ],
)
def test_content_that_is_not_what_its_name_says(old, name, content, reason):
    old(f"cas/{name}", content)
    (found,) = read(open_source(old.root, key=KEY))
    assert (found.reason, found.key) == (reason, f"content/cas/{name}")
    if name == named(b"1") and b"__encrypted__" in content:
        assert reasons(read(open_source(old.root))) == ["encrypted"]


def test_all_kinds_in_one_run_have_keys_of_their_own(old):
    content = to_json("the same")
    old("records/cold_a_1__cold.json", {"payload": "record", "cls": "cold"})
    old("records/a_1__note.json", {"payload": "record", "cls": "note"})
    old(f"records/{named(content)}__content.json", {"payload": "record", "cls": "content"})
    old("a_1.json", cold("cold"))
    old(named(content), content)
    old(f"cas/{named(content)}", content)
    old("other/notes.txt", b"x")
    source = open_source(old.root)
    found = good(read(source))
    assert len({r.key for r in found}) == len(found) == 6
    assert len(source.plan()) == 4
    assert read(source) == read(open_source(old.root))


@pytest.mark.parametrize("name", ["a_1.json", "f" * 64, "cas/" + "f" * 64])
def test_a_store_is_known_by_any_of_them(old, name):
    old(name, b"{}")
    assert type(open_source(old.root)).__name__ == "LegacyStore"


def test_a_folder_of_two_kinds_is_asked_about(old):
    old("a_1.json", cold(1))
    old("memory.jsonl", b"2\n")
    with pytest.raises(RecordsError, match=r"both JSON Lines and legacy files; .* --reader"):
        open_source(old.root)
    assert [r.payload for r in good(read(open_source(old.root, reader="legacy")))] == [1]
    assert [r.payload for r in good(read(open_source(old.root, reader="jsonl")))] == [2]


def test_wrapped_payloads(old):
    wrapped = {"value": [1], "__meta__": {"from": "x"}}
    signed = stub.encode(wrapped, "lossless")
    preview = stub.encode("the beginning", "semantic")
    cases = {
        "a": ({"payload": wrapped, "meta": {"n": 1}}, [1], {"n": 1, "__meta__": {"from": "x"}}),
        "b": ({"payload": wrapped}, [1], {"__meta__": {"from": "x"}}),
        "c": ({"payload": signed, "meta": None}, [1], {"__meta__": {"from": "x"}}),
        "d": ({"payload": {"value": signed, "__meta__": 0}}, wrapped, {"__meta__": 0}),
        "e": ({"payload": {"value": preview, "__meta__": 0}}, preview, {"__meta__": 0}),
        "f": ({"payload": wrapped | {"more": 1}, "meta": {}}, wrapped | {"more": 1}, {}),
        "g": ({"payload": wrapped, "meta": {"__meta__": 7}}, wrapped, {"__meta__": 7}),
        "h": ({"payload": wrapped, "meta": "text"}, wrapped, "text"),
        "i": ({"payload": {"value": 1}}, {"value": 1}, None),
        "j": ({"payload": {"__meta__": 1}}, {"__meta__": 1}, None),
    }
    for key, (content, _, _) in cases.items():
        old(f"records/{key}__note.json", content | {"cls": "note"})
    found = good(read(open_source(old.root)))
    assert {r.key: (r.payload, r.meta) for r in found} == {k: (p, m) for k, (_, p, m) in cases.items()}
    assert [r.key for r in found if r.preview] == ["e"]


def test_fields_that_the_layout_has_not_are_kept(old):
    old("records/a__n.json", {"payload": 1, "cls": "n", "meta": {"m": 1}, "created": 5})
    old("records/b__n.json", {"payload": 1, "cls": "n", "created": 5})
    old("records/c__n.json", {"payload": 1, "cls": "n", "meta": ["m"], "created": 5})
    assert [r.meta for r in good(read(open_source(old.root)))] == [
        {"m": 1, "__fields__": {"created": 5}},
        {"__fields__": {"created": 5}},
        {"meta": ["m"], "__fields__": {"created": 5}},
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["payload", "meta", "cls", "blob", "__encrypted__", "value", "__meta__", "sig", "code"])
HOSTILE = st.binary(max_size=60) | st.builds(to_json, st.dictionaries(FIELDS, JSON, max_size=4) | JSON)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(HOSTILE, min_size=3, max_size=3), st.booleans(), st.booleans())
def test_nothing_that_a_file_holds_raises(old, contents, sealed, with_key):
    record, artefact, addressed = (to_json(KEY.encrypt(c)) if sealed else c for c in contents)
    old("records/a__note.json", record)
    old("a_1.json", artefact)
    old("cas/" + "e" * 64, addressed)
    found = read(open_source(old.root, key=KEY if with_key else None))
    assert len(found) == 3
    assert all(isinstance(item, Record | BadRecord) for item in found)
    assert all(item.encrypted is sealed for item in found if isinstance(item, Record))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(JSON, JSON)
def test_cold_artefacts_and_wrappers_give_their_values_back(old, value, meta):
    old("a_1.json", cold({"value": value, "__meta__": meta}))
    (found,) = read(open_source(old.root))
    assert json.dumps([found.payload, found.meta]) == json.dumps([value, {"__meta__": meta}])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_named(old):
    old("a_1.json", cold(1))
    old("cas/x", b"").parent.chmod(0)
    with pytest.raises(RecordsError, match="cas"):
        open_source(old.root).plan()


SECRET = "hidden-diagnosis"
TWICE = f'{{"{SECRET}": 1, "{SECRET}": 2}}'


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("records/a__note.json", KEY.encrypt(f'{{"payload": {TWICE}}}'.encode()), "duplicate_key"),
        ("records/a__note.json", KEY.encrypt(f'{{"{SECRET}": {{"a": 1, "a": 2}}}}'.encode()), "duplicate_key"),
        ("records/a__note.json", KEY.encrypt(to_json({"payload": {"meta": {"fidelity": "lossless"}, "sig": "", "code":
            zlib.compress(TWICE.encode()).hex()}})), "damaged_stub_blob"),
        ("a_1.json", cold(KEY.encrypt(TWICE.encode())), "duplicate_key"),
        (named(TWICE.encode()), KEY.encrypt(TWICE.encode()), "duplicate_key"),
    ],
)  # fmt: skip
def test_nothing_of_an_encrypted_record_is_told(old, name, content, reason):
    old(name, content)
    (found,) = read(open_source(old.root, key=KEY))
    assert found.reason == reason
    assert SECRET not in repr(found)
    assert "inside an encrypted record" in found.detail
    if name.startswith("records/") and reason == "duplicate_key":
        with pytest.raises(DamagedRecordFile) as raised:
            parse("a__note.json", (old.root / name).read_bytes(), KEY)
        assert SECRET not in str(raised.value)
        assert raised.value.__cause__ is None
