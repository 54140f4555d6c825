"""Which blobs are decoded and compared with their source before they count."""

from __future__ import annotations

from hashlib import blake2b

ALL = 1.0
_PREFIX = "sample:"


def parse_verify(text: str) -> float:
    """The share of records that `all` or `sample:P` names. Raises ValueError."""
    if text == "all":
        return ALL
    try:
        share = float(text.removeprefix(_PREFIX)) if text.startswith(_PREFIX) else -1
    except ValueError:
        share = -1
    if not 0 < share <= 1:
        raise ValueError(f"{text!r} is neither `all` nor `sample:P` with 0 < P <= 1, as in sample:0.05")
    return share


def is_chosen(key: str, record_class: str, share: float) -> bool:
    """Whether this record is among them: decided by a hash, so that every run decides alike."""
    if share >= ALL:
        return True
    digest = blake2b(f"{key}\0{record_class}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64
