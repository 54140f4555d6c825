"""Records round-trip whatever they hold, and every way of encoding gives the same stream."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nbmf import engine
from nbmf.neural import codec as codec_module
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


ENGINES = [("cpu", 1), ("cpu", 3), ("auto", 1), ("torch", 1)]
WINDOWS_BYTES = 600
"""PyTorch decodes token by token, each as long as many of the core: of so many bytes are some windows."""


@pytest.fixture(params=[*ENGINES, pytest.param(("torch", 1, "long"), marks=pytest.mark.slow)], ids=str)
def any_engine(request, monkeypatch):
    """An engine; a function: as much of records as it codes in a second or so."""
    name, threads, *long = request.param
    monkeypatch.setattr(engine, "_engine", engine.Engine(name, threads))
    return lambda records: records if name != "torch" or long else [(d[:WINDOWS_BYTES], kind) for d, kind in records]


def test_batches_give_the_same_streams(codec: NeuralCodec, records: list[tuple[bytes, str]], any_engine) -> None:
    chosen = any_engine([*records[::15], *AWKWARD])
    streams = codec.encode_batch(chosen)
    assert streams == [codec.encode(data, kind) for data, kind in chosen]
    given = [(stream, len(data), kind) for stream, (data, kind) in zip(streams, chosen, strict=True)]
    assert codec.decode_batch(given) == [data for data, _ in chosen]


def test_a_damaged_stream_of_a_batch_is_told_and_the_others_come_back(codec: NeuralCodec, records, any_engine) -> None:
    """A record of one byte more or less than its stream's can't end there, unless a token fits by chance."""
    chosen = any_engine(records[:40:2])
    given = [(codec.encode(data, kind), len(data), kind) for data, kind in chosen]
    for index in range(0, len(given), 4):
        stream, size, kind = given[index]
        given[index] = (stream, size - 1, kind)
    decoded = codec.decode_batch(given)
    assert [data for index, data in enumerate(decoded) if index % 4] == [
        data for index, (data, _) in enumerate(chosen) if index % 4
    ]
    assert None in decoded[::4]
    assert all(data is None or len(data) == len(chosen[4 * i][0]) - 1 for i, data in enumerate(decoded[::4]))


def test_a_gpu_encodes_large_batches_and_decodes_what_it_is_told_to(codec, records, monkeypatch) -> None:
    """As on a machine with a GPU, whose part PyTorch takes here on the processor."""
    by_torch = []

    class Watched:
        def __init__(self, batches):
            self._batches = batches

        def encode(self, given):
            by_torch.append(("encode", len(given)))
            return self._batches.encode(given)

        def decode(self, given):
            by_torch.append(("decode", len(given)))
            return self._batches.decode(given)

    monkeypatch.setitem(codec.__dict__, "_torch_batches", Watched(codec._torch_batches))
    monkeypatch.setattr(codec_module, "gpu_is_there", lambda: True)
    small = [(b"one of many", "text")] * codec_module.GPU_BATCH
    for name in ("auto", "torch", "cpu"):
        monkeypatch.setattr(engine, "_engine", engine.Engine(name))
        for part in (small, small[1:]):
            streams = codec.encode_batch(part)
            assert codec.decode_batch([(s, len(data), kind) for s, (data, kind) in zip(streams, part, strict=True)])
    many, fewer = len(small), len(small) - 1
    assert by_torch == [("encode", many), *((call, n) for n in (many, fewer) for call in ("encode", "decode"))]


def test_empty_batches(codec: NeuralCodec) -> None:
    assert codec.encode_batch([]) == codec.decode_batch([]) == []
    assert codec.decode_batch([(b"", 0, "text")] * 3) == [b""] * 3


def test_threads_share_a_codec(codec: NeuralCodec, records: list[tuple[bytes, str]]) -> None:
    """Each has work space of its own."""
    chosen = records[::7]
    expected = [codec.encode(*record) for record in chosen]

    def code(_: int) -> bool:
        streams = [codec.encode(*record) for record in chosen]
        back = [codec.decode(s, len(data), kind) for s, (data, kind) in zip(streams, chosen, strict=True)]
        return streams == expected and back == [data for data, _ in chosen]

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(code, range(8)))


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
