"""Legacy stores as stores: before, after and in the middle of a migration in place."""

import json

import pytest

import nbmf
from nbmf import compat, store, stub
from nbmf.encryption import KEY_VARIABLE, StoreKey
from nbmf.errors import CorruptBlob, DamagedStubBlob, UnsupportedFormat
from nbmf.store.errors import AmbiguousKey, KeyRequired, RecordNotFound, StoreError, StoreWarning
from nbmf.store.record_file import DamagedRecordFile, file_name, parse

KEY = StoreKey.from_secret("the secret of the tests")


def put(root, key, record_class, payload, *, encrypt=None, **fields):
    (root / "records").mkdir(exist_ok=True)
    content = {"payload": payload, "meta": {"of": key}, "cls": record_class} | fields
    content = content if encrypt is None else encrypt.encrypt(json.dumps(content).encode())
    path = root / "records" / file_name(key, record_class)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def root(tmp_path):
    put(tmp_path, "plain", "note", {"n": -0.0})
    put(tmp_path, "stub", "note", stub.encode(["a", 1], "lossless"))
    put(tmp_path, "preview", "note", stub.encode("the beginning", "semantic"))
    put(tmp_path, "new", "note", compat.encode({"new": True}, "lossless"))
    put(tmp_path, "a/b", "tool__call", "with separators")
    put(tmp_path, "secret", "note", "words", encrypt=KEY)
    put(tmp_path, "secret", "chat", compat.encode("new words", "lossless"), encrypt=KEY)
    return tmp_path


def test_both_forms_are_read(root):
    with store.open(root, key=KEY) as opened:
        read = {(r.key, r.record_class): r.payload() for r in opened}
        assert read == {
            ("plain", "note"): {"n": -0.0},
            ("stub", "note"): ["a", 1],
            ("preview", "note"): stub.encode("the beginning", "semantic"),
            ("new", "note"): {"new": True},
            ("a_b", "tool__call"): "with separators",
            ("secret", "note"): "words",
            ("secret", "chat"): "new words",
        }
        assert {name: opened.get(*name).payload() for name in opened.keys()} == read  # noqa: SIM118 - no dict
        assert len(opened) == 7
        assert opened.get("new").meta == {"of": "new"}
        assert opened.get("new").blob == nbmf.encode({"new": True})
        assert opened.get("plain").blob == b""
        assert opened.get("preview").preview


def test_keys_as_the_application_writes_them(root):
    with store.open(root, key=KEY) as opened:
        assert opened.get("a/b", "tool__call").payload() == opened.get("a/b").payload() == "with separators"
        assert "a/b" in opened
        assert ("secret", "chat") in opened
        for key, record_class in (("a", None), ("a/b__tool", "call"), ("new", "chat"), ("../records/new", "note")):
            with pytest.raises(RecordNotFound):
                opened.get(key, record_class)
        with pytest.raises(AmbiguousKey, match="'chat', 'note'"):
            opened.get("secret")
        with pytest.raises(StoreError):
            opened.get("nul\0", "note")


def test_counts(root):
    with store.open(root, key=KEY) as opened:
        found = opened.statistics()
    assert (found.records, found.previews, found.encrypted, found.unmigrated) == (7, 1, 2, 5)
    assert found.classes["note"].records == 5


def test_without_the_key(root, monkeypatch):
    with store.open(root) as opened:
        assert opened.get("plain", "note").payload() == {"n": -0.0}
        with pytest.raises(KeyRequired, match="secret__note"):
            opened.get("secret", "note")
    monkeypatch.setenv(KEY_VARIABLE, "the secret of the tests")
    with store.open(root) as opened:
        assert opened.get("secret", "note").payload() == "words"
    with store.open(root, key=StoreKey.from_secret("another")) as opened:
        with pytest.raises(DamagedRecordFile) as raised:
            opened.get("secret", "note")
        assert raised.value.reason == "wrong_key"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"{", "not_json"), (b"\xff\xff", "not_utf8"), (b"[1]", "no_payload"), (b'{"payload": 1, "cls": 2}', "bad_class")],
)
def test_a_damaged_file_is_named(root, content, reason):
    path = root / "records" / "bad__note.json"
    path.write_bytes(content)
    with store.open(root, key=KEY) as opened:
        with pytest.raises(DamagedRecordFile, match=r"bad__note\.json") as raised:
            opened.get("bad", "note")
        assert raised.value.reason == reason
        with pytest.raises(DamagedRecordFile):
            opened.get("bad")
        assert opened.get("new").payload() == {"new": True}


def test_a_damaged_file_hides_no_other(root):
    (root / "records" / "plain__x__note.json").write_bytes(b"{")
    (root / "records" / "plain__y__note.json").write_text('{"__encrypted__": {}}')
    with store.open(root, key=KEY) as opened:
        assert opened.get("plain").payload() == {"n": -0.0}
        with pytest.warns(StoreWarning, match=r"left out: .*plain__[xy]__note\.json"):
            assert len(list(opened)) == 7
        with pytest.warns(StoreWarning, match="left out"):
            assert opened.statistics().records == 7
        assert len(opened) == 9
    with store.open(root) as opened:
        assert opened.get("plain").payload() == {"n": -0.0}


def test_damaged_payloads(root):
    whole = stub.encode(["a", 1], "lossless")
    put(root, "stub", "note", whole | {"code": whole["code"][:-2]})
    put(root, "new", "note", compat.encode(1, "lossless") | {"code": "xyz"})
    newer = compat.encode(1, "lossless")
    newer["meta"]["encoder_version"] = "nbmf-99"
    put(root, "newer", "note", newer)
    with store.open(root, key=KEY) as opened:
        with pytest.raises(DamagedStubBlob):
            opened.get("stub").payload()
        with pytest.raises(CorruptBlob):
            opened.get("new")
        with pytest.raises(UnsupportedFormat):
            opened.get("newer")


# --- one file -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encrypt", [None, KEY])
@pytest.mark.parametrize(
    "held", ["text", {"\ud800": "\udfff ü", "n": 10**400, "f": 1e-7}, None, [], stub.encode([1], "lossless")]
)
def test_a_new_file_holds_all_that_the_old_one_did(tmp_path, held, encrypt):
    path = put(tmp_path, "k", "note", held, encrypt=encrypt, meta={"m": [1.5, None]}, extra=["kept"])
    old = parse(path.name, path.read_bytes(), encrypt)
    payload = old.to_record().payload()
    blob = nbmf.encode(payload)
    content = old.to_migrated(blob, encrypt)
    new = parse(path.name, content, encrypt)
    assert new.is_migrated
    assert not old.is_migrated
    assert new.to_record().payload() == payload
    assert compat.decode(new.payload) == payload
    assert new.payload == compat.encode(payload, "lossless")
    assert {k: v for k, v in new.fields.items() if k != "payload"} == {
        k: v for k, v in old.fields.items() if k != "payload"
    }
    assert list(new.fields) == list(old.fields)
    assert new.encrypted == (encrypt is not None)
    assert old.to_migrated(blob, encrypt) == content


def test_an_encrypted_file_is_not_written_without_its_key(tmp_path):
    path = put(tmp_path, "k", "note", "words", encrypt=KEY)
    with pytest.raises(KeyRequired, match="'k'"):
        parse(path.name, path.read_bytes(), KEY).to_migrated(nbmf.encode("words"), None)
