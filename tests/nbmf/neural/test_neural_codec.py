"""Records round-trip whatever they hold, and every way of encoding gives the same stream."""

import contextlib

import numpy as np
import pytest

from nbmf.neural.codec import NeuralCodec

AWKWARD = [
    (b"", "text"),
    (b"\x00", "other"),
    (bytes(range(256)) * 3, "other"),
    (b"\xff\xfe\xed\xa0\x80 abc \xc3", "other"),
    ("日本語のテキスト🎉".encode() * 5, "text"),
    (b"a" * 5000, "text"),
    (b"abcab" * 700, "structured"),
    (b'[{"role":"user","content":"' * 40, "conversation"),
    (np.random.default_rng(0).integers(0, 256, 3000).astype(np.uint8).tobytes(), "other"),
]


def test_round_trip(codec: NeuralCodec, records: list[tuple[bytes, str]]) -> None:
    for data, kind in [*records[::3], *AWKWARD]:
        stream = codec.encode(data, kind)
        assert codec.decode(stream, len(data), kind) == data


def test_batches_give_the_same_streams(codec: NeuralCodec, records: list[tuple[bytes, str]]) -> None:
    chosen = [*records[::5], *AWKWARD]
    streams = codec.encode_batch(chosen)
    assert streams == [codec.encode(data, kind) for data, kind in chosen]


def test_adaptation_learns_repetition(codec: NeuralCodec) -> None:
    once = np.random.default_rng(1).integers(32, 127, 200).astype(np.uint8).tobytes()
    single, double = (len(codec.encode(once * times, "text")) for times in (1, 2))
    assert double < 1.25 * single


def test_damaged_streams_end(codec: NeuralCodec, records: list[tuple[bytes, str]]) -> None:
    """Other bytes or a ValueError; never a hang, a crash or more than the declared length."""
    data, kind = records[0]
    stream = codec.encode(data, kind)
    generator = np.random.default_rng(2)
    for _ in range(40):
        damaged = bytearray(stream)
        damaged[generator.integers(len(stream))] ^= 1 << int(generator.integers(8))
        with contextlib.suppress(ValueError):
            assert len(codec.decode(bytes(damaged), len(data), kind)) == len(data)
    for wrong in (b"", stream[: len(stream) // 2], b"\xff" * 100):
        with contextlib.suppress(ValueError):
            assert len(codec.decode(wrong, len(data), kind)) == len(data)


@pytest.mark.parametrize("data", [b"caf\xc3\xa9 \xff\xff x", b"\x80", "ä".encode()[:1] * 7])
def test_tokenizer_takes_any_bytes(codec: NeuralCodec, data: bytes) -> None:
    assert codec.tokenizer.decode(codec.tokenizer.encode(data)) == data
