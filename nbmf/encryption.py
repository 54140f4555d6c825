"""Encryption at rest: AES-256-GCM with a 12-byte nonce and no associated data, as legacy stores have it.

What is encrypted is `nonce || ciphertext || 16-byte tag`, or as JSON the legacy envelope
`{"__encrypted__": {"alg": "AESGCM", "nonce", "ciphertext"}}`, both in urlsafe base64, the tag at the
ciphertext's end. The secret is in the environment variable NBMF_STORE_KEY or in a file; never on a command line.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeGuard

from nbmf.errors import BadSecret, DamagedEnvelope, WrongKey
from nbmf.extras import require
from nbmf.places import local_path

KEY_VARIABLE = "NBMF_STORE_KEY"
KEY_REMEDY = f"give its key: --key-file, or the environment variable {KEY_VARIABLE}"
_NOT_TOLD = "the fault is inside an encrypted record: what it says of the content is not told here"
ENVELOPE: Final = "__encrypted__"
OVERHEAD_BYTES = 28
"""What `seal` adds: nonce and tag."""

_ALGORITHM: Final = "AESGCM"
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_OF_NOTHING = hashlib.sha256(b"").digest()
_MAX_SECRET_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class StoreKey:
    """A 256-bit key. Its repr tells it from others, but not what it is."""

    key: bytes = field(repr=False)
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        if len(self.key) != 32:
            raise BadSecret(f"a key has 32 bytes, not {len(self.key)}")
        found = hashlib.sha256(b"nbmf key fingerprint\0" + self.key).hexdigest()[:8]
        object.__setattr__(self, "fingerprint", found)

    @classmethod
    def from_secret(cls, secret: str) -> StoreKey:
        """The key that legacy stores derive from a secret: SHA-256 of the bytes it stands for.

        Those are what Python's lenient urlsafe base64 makes of it, stripped and padded with `=`; failing that
        standard base64, hex, or the UTF-8 text. Raises BadSecret.
        """
        stripped = secret.strip()
        if not stripped:
            raise BadSecret("the secret is empty")
        return cls(hashlib.sha256(_secret_bytes(stripped)).digest())

    def seal(self, data: bytes, *, context: bytes | None = None) -> bytes:
        """`data`, encrypted. With a `context`, as a record's key, the same data gives the same bytes for it again.

        Raises BadSecret if the key was made of a secret that stands for no bytes.
        """
        nonce, ciphertext = self._encrypt(data, context)
        return nonce + ciphertext

    def open(self, sealed: bytes) -> bytes:
        """What `seal` was given. Raises WrongKey, DamagedEnvelope."""
        return self._decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:])

    def encrypt(self, data: bytes, *, context: bytes | None = None) -> dict[str, Any]:
        """`data` in the legacy envelope; otherwise as `seal`."""
        nonce, ciphertext = self._encrypt(data, context)
        return {ENVELOPE: {"alg": _ALGORITHM, "nonce": _to_base64(nonce), "ciphertext": _to_base64(ciphertext)}}

    def decrypt(self, envelope: object) -> bytes:
        """What an envelope holds. Raises WrongKey, DamagedEnvelope."""
        if not is_envelope(envelope):
            raise DamagedEnvelope(f"not an object with {ENVELOPE!r} alone")
        fields = envelope[ENVELOPE]
        if type(fields) is not dict:
            raise DamagedEnvelope(f"{ENVELOPE!r} is {type(fields).__name__}, not an object")
        if fields.get("alg") != _ALGORITHM:
            raise DamagedEnvelope(f"alg is not {_ALGORITHM!r}")
        return self._decrypt(_from_base64(fields, "nonce"), _from_base64(fields, "ciphertext"))

    def _encrypt(self, data: bytes, context: bytes | None) -> tuple[bytes, bytes]:
        require("encryption at rest", "cryptography")
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if self.key == _KEY_OF_NOTHING:
            raise BadSecret("the secret has no base64 character, so anyone can make its key; choose another to write")
        nonce = os.urandom(_NONCE_BYTES) if context is None else self._nonce(data, context)
        return nonce, AESGCM(self.key).encrypt(nonce, data, None)

    def _decrypt(self, nonce: bytes, ciphertext: bytes) -> bytes:
        require("encryption at rest", "cryptography")
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if len(nonce) != _NONCE_BYTES or len(ciphertext) < _TAG_BYTES:
            raise DamagedEnvelope(f"a nonce of {len(nonce)} bytes and a ciphertext of {len(ciphertext)}")
        try:
            return AESGCM(self.key).decrypt(nonce, ciphertext, None)
        except InvalidTag:
            raise WrongKey("encrypted with another key than this one, or altered since") from None

    def _nonce(self, data: bytes, context: bytes) -> bytes:
        """A pseudo-random function of both: a nonce comes twice only with the same data, or as seldom as by chance."""
        subkey = hmac.digest(self.key, b"nbmf nonce", "sha256")
        content = len(context).to_bytes(8, "big") + context + data
        return hmac.digest(subkey, content, "sha256")[:_NONCE_BYTES]


def load_key(key_file: Path | None = None) -> StoreKey | None:
    """The key whose secret is in the file, else in NBMF_STORE_KEY; None without either. Raises BadSecret."""
    if key_file is None:
        secret = os.environ.get(KEY_VARIABLE, "")
        return StoreKey.from_secret(secret) if secret.strip() else None
    key_file = local_path(key_file)
    try:
        with key_file.open("rb") as file:
            content = file.read(_MAX_SECRET_BYTES + 1)
        if len(content) > _MAX_SECRET_BYTES:
            raise BadSecret(f"{key_file}: more than {_MAX_SECRET_BYTES} bytes are no secret")
        return StoreKey.from_secret(content.decode("utf-8-sig"))
    except OSError as error:
        raise BadSecret(f"{key_file}: {error.strerror or error}") from error
    except UnicodeDecodeError:
        raise BadSecret(f"{key_file}: not UTF-8 text") from None


def told(fault: object, encrypted: bool) -> str:
    """What a log or a dead letter says of a fault in a record's content: no word of it where that is encrypted."""
    return _NOT_TOLD if encrypted else str(fault)


def is_envelope(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a JSON value is the legacy envelope, whole or damaged."""
    return type(value) is dict and value.keys() == {ENVELOPE}


def _secret_bytes(stripped: str) -> bytes:
    padded = stripped + "=" * (-len(stripped) % 4)
    for decode, text in ((base64.urlsafe_b64decode, padded), (base64.b64decode, padded), (bytes.fromhex, stripped)):
        try:
            return decode(text)
        except ValueError:
            continue
    try:
        return stripped.encode()
    except UnicodeEncodeError:
        raise BadSecret("the secret is not Unicode text") from None


def _to_base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def _from_base64(fields: dict[str, Any], name: str) -> bytes:
    text = fields.get(name)
    try:
        if type(text) is not str:
            raise ValueError(f"it is {type(text).__name__}, not text")
        plain = text.rstrip("=").replace("-", "+").replace("_", "/")
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except ValueError as error:
        raise DamagedEnvelope(f"{name} is not base64: {error}") from None
