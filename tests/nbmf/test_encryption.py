"""Encryption at rest: the legacy envelope and key derivation, and what damage and other keys become."""

import base64
import hashlib
import json
import os
import pickle
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from nbmf import encryption
from nbmf.encryption import OVERHEAD_BYTES, StoreKey, is_envelope, load_key
from nbmf.errors import BadSecret, DamagedEnvelope, EncryptionError, WrongKey

KEY = StoreKey.from_secret("correct horse battery staple")
OTHER = StoreKey.from_secret("correct horse battery stable")
RAW = bytes(range(32))


@pytest.mark.parametrize(
    ("secret", "material"),
    [
        (base64.urlsafe_b64encode(RAW).decode(), RAW),
        (base64.urlsafe_b64encode(RAW).decode().rstrip("="), RAW),
        (f"\n {base64.urlsafe_b64encode(RAW).decode()} \r\n", RAW),
        ("-_-_", b"\xfb\xff\xbf"),  # urlsafe, where standard base64 would drop all of it
        ("+/+/", b"\xfb\xff\xbf"),  # and the standard alphabet is read too
        ("pass word", base64.b64decode("password")),  # lenient: what is not base64 is dropped
        ("deadbeef", base64.b64decode("deadbeef")),  # hex digits are base64 first
        ("ab-cd", base64.b64decode("abcd")),  # five characters are no base64, four without the dash are
        ("ab cdef", b"\xab\xcd\xef"),  # six characters and one `=` are no base64
        ("abcde", b"abcde"),
        ("ü", "ü".encode()),
        ("!!!!", b""),
    ],
)
def test_keys_are_those_of_legacy_stores(secret, material):
    assert StoreKey.from_secret(secret).key == hashlib.sha256(material).digest()


def test_an_envelope_written_by_other_code_is_read():
    nonce = bytes(range(12))
    ciphertext = AESGCM(hashlib.sha256(b"abcde").digest()).encrypt(nonce, b'{"payload": 1}', None)
    fields = {
        "alg": "AESGCM",
        "nonce": base64.urlsafe_b64encode(nonce).decode(),
        "ciphertext": base64.urlsafe_b64encode(ciphertext).decode(),
    }
    key = StoreKey.from_secret("abcde")
    assert key.decrypt({"__encrypted__": fields}) == b'{"payload": 1}'
    unpadded = {name: text.rstrip("=") for name, text in fields.items()}
    assert key.decrypt({"__encrypted__": unpadded}) == b'{"payload": 1}'
    assert key.open(nonce + ciphertext) == b'{"payload": 1}'


@given(st.binary(), st.none() | st.binary())
def test_round_trip(data, context):
    envelope = KEY.encrypt(data, context=context)
    assert is_envelope(json.loads(json.dumps(envelope)))
    assert KEY.decrypt(json.loads(json.dumps(envelope))) == data
    sealed = KEY.seal(data, context=context)
    assert KEY.open(sealed) == data
    assert len(sealed) == len(data) + OVERHEAD_BYTES
    for attempt in (lambda: OTHER.open(sealed), lambda: OTHER.decrypt(envelope)):
        with pytest.raises(WrongKey):
            attempt()


def test_nonces():
    assert KEY.seal(b"x") != KEY.seal(b"x")
    assert KEY.seal(b"x", context=b"k") == KEY.seal(b"x", context=b"k")
    sealed = [
        KEY.seal(data, context=context) for data, context in [(b"x", b"k"), (b"x", b"j"), (b"kx", b""), (b"y", b"k")]
    ]
    sealed.append(OTHER.seal(b"x", context=b"k"))
    assert len({one[:12] for one in sealed}) == len(sealed)


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_one_altered_byte_is_noticed(at, change):
    sealed = bytearray(KEY.seal(b"the record"))
    sealed[at % len(sealed)] ^= change
    with pytest.raises(WrongKey):
        KEY.open(bytes(sealed))


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=4)


@given(st.fixed_dictionaries({}, optional={"alg": st.just("AESGCM") | JSON, "nonce": JSON, "ciphertext": JSON}) | JSON)
def test_nothing_in_an_envelope_raises_anything_else(fields):
    with pytest.raises((DamagedEnvelope, WrongKey)):
        KEY.decrypt({"__encrypted__": fields})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"alg": "AESCBC"}, "alg"),
        ({"nonce": "AAAA"}, "nonce of 3 bytes"),
        ({"nonce": None}, "nonce is not base64: it is NoneType"),
        ({"nonce": "Ä" * 16}, "nonce is not base64"),
        ({"ciphertext": "AAAA"}, "ciphertext of 3"),
        ({"ciphertext": "A"}, "ciphertext is not base64"),
        ({"ciphertext": "AA=A"}, "ciphertext is not base64"),
    ],
)
def test_damage_is_named(change, problem):
    envelope = KEY.encrypt(b"secret words")
    envelope["__encrypted__"] |= change
    with pytest.raises(DamagedEnvelope, match=problem):
        KEY.decrypt(envelope)


@pytest.mark.parametrize("value", [None, [], "x", {}, {"__encrypted__": {}, "payload": 1}])
def test_what_is_no_envelope(value):
    assert not is_envelope(value)
    with pytest.raises(DamagedEnvelope):
        KEY.decrypt(value)


def test_a_short_sealed_value():
    with pytest.raises(DamagedEnvelope):
        KEY.open(b"x" * (OVERHEAD_BYTES - 1))


def test_nothing_is_written_with_a_key_that_anyone_can_make():
    nothing = StoreKey.from_secret("!!!!")
    with pytest.raises(BadSecret, match="anyone"):
        nothing.seal(b"x")
    held = AESGCM(nothing.key).encrypt(RAW[:12], b"x", None)
    assert nothing.open(RAW[:12] + held) == b"x"


def test_the_key_is_never_shown():
    secret = "c2VjcmV0IHdvcmRz"
    key = StoreKey.from_secret(secret)
    for shown in (repr(key), str(key), f"{[key]}"):
        assert key.fingerprint in shown
        for hidden in (secret, key.key.hex(), repr(key.key), base64.b64decode(secret).decode()):
            assert hidden not in shown
    assert key.fingerprint not in hashlib.sha256(key.key).hexdigest()
    assert repr(key) == repr(StoreKey.from_secret(secret)) != repr(KEY)
    assert pickle.loads(pickle.dumps(key)) == key


def test_the_secret_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("NBMF_STORE_KEY", raising=False)
    assert load_key() is None
    monkeypatch.setenv("NBMF_STORE_KEY", " \n")
    assert load_key() is None
    monkeypatch.setenv("NBMF_STORE_KEY", "correct horse battery staple")
    assert load_key() == KEY
    (tmp_path / "key").write_bytes(b"\xef\xbb\xbfcorrect horse battery stable\r\n")
    assert load_key(tmp_path / "key") == OTHER


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe", b"x" * 70_000, None])
def test_a_file_without_a_secret(tmp_path, content):
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadSecret) as caught:
        load_key(path)
    assert content is None or "xxx" not in str(caught.value)


def test_a_secret_with_surrogates_in_the_environment(monkeypatch):
    monkeypatch.setitem(os.environ, "NBMF_STORE_KEY", "\udcff")
    with pytest.raises(BadSecret):
        load_key()


def test_a_key_of_another_length():
    with pytest.raises(EncryptionError, match="32"):
        StoreKey(b"short")


def test_the_library_is_imported_when_it_is_needed():
    code = f"import sys, {encryption.__name__}; sys.exit('cryptography' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
