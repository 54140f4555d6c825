"""Changes of bytes and numbers."""

import random

NUMBERS = (0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 500, 501, 1023, 4095, 4096, 65535, 65536,
           1 << 20, (1 << 20) + 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 48, (1 << 56) - 1, -1, -2)  # fmt: skip


def number(rng: random.Random) -> int:
    return rng.choice(NUMBERS) if rng.random() < 0.7 else rng.randrange(1 << rng.randrange(1, 40))


def octets(data: bytes, rng: random.Random, other: bytes = b"") -> bytes:
    """With one to four changes: bytes, bits, stretches that go, come, move or are of `other`."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(changed) + 1)
        length = rng.choice((1, 1, 2, 4, 8, 32))
        match rng.randrange(7):
            case 0:
                changed[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                if at < len(changed):
                    changed[at] ^= 1 << rng.randrange(8)
            case 2:
                del changed[at : at + length]
            case 3:
                changed[at:at] = rng.randbytes(length)
            case 4:
                begin = rng.randrange(len(changed) + 1)
                changed[at:at] = changed[begin : begin + length]
            case 5:
                begin = rng.randrange(len(other) + 1)
                changed[at : at + length] = other[begin : begin + length]
            case 6:
                changed[at : at + length] = number(rng).to_bytes(9, "little", signed=True)[:length]
    return bytes(changed)
