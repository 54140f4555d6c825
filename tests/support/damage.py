"""What every coder promises about blobs that were damaged."""

import random

import pytest

from nbmf import errors


def check_damage(codec, payload, blob, flips=25):
    """Flipped bits give a typed error or the right payload, truncation an error; how many flips were found out."""
    rng = random.Random(len(blob))
    found = 0
    for _ in range(flips):
        damaged = bytearray(blob)
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        try:
            assert codec.decode(bytes(damaged)) == payload
        except errors.NbmfError:
            found += 1
    for cut in (0, 1, len(blob) // 2, len(blob) - 1):
        with pytest.raises(errors.BlobError):
            codec.decode(blob[:cut])
    return found
