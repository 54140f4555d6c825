"""Which keys go first while something new is brought in: told by a hash, so that a key stays where it is while shares
grow."""

from __future__ import annotations

from hashlib import blake2b


def fraction(name: str, key: bytes) -> float:
    """Where a key falls in [0, 1); elsewhere for each name (of 64 bytes at most), so that not always the same go first.

    Whatever share `p` percent is wanted, the keys below `p / 100` are among those of every larger one.
    """
    digest = blake2b(key, digest_size=8, key=name.encode()).digest()
    # 53 bits, which a float holds exactly: 64 could round up to 1.
    return (int.from_bytes(digest, "big") >> 11) / 2**53
