"""NeuralCodec: bytes of records to streams and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nbmf import _core
from nbmf.engine import engine
from nbmf.errors import DamagedCodec
from nbmf.neural.batches import Batches, CoreBatches, CoreStream, Tokens
from nbmf.neural.config import NeuralConfig
from nbmf.neural.constants import Constants, load_constants
from nbmf.neural.core import make_model, make_network
from nbmf.neural.counts_file import load_counts
from nbmf.neural.primer import PrimerRecord, load_primer
from nbmf.neural.record_types import type_id
from nbmf.neural.tokenizer import NeuralTokenizer
from nbmf.neural.vocabulary import Vocabulary
from nbmf.neural.weights import IntegerWeights

if TYPE_CHECKING:
    from nbmf.neural.torch_batches import TorchBatches
    from nbmf.neural.torch_engine import TorchEngine

GPU_BATCH = 64
"""Records that make a batch worth a GPU's while to encode."""


class Stream(NamedTuple):
    """Of a record. `n_bytes` is its length, or the most that it may be where the stream or its end tells; `before_T` as
    in NeuralCodec.encode_behind."""

    data: bytes
    n_bytes: int
    record_type: str
    sizing: int = _core.SIZE_TOLD
    before_T: memoryview | None = None


class TokensDiffer(Exception):
    """The vocabulary makes tokens of a record that do not spell it, or none: it cannot be coded with them."""


class NeuralCodec:
    """A vocabulary, adaptation constants, and what predicts: a trained network, static counts, or both; and records
    that all are coded behind.

    The stream does not hold the type of the record, and its length only where it is to: the blob around it does.
    Raises ValueError if the parts do not fit together.
    """

    def __init__(
        self,
        tokenizer: NeuralTokenizer,
        constants: Constants,
        network: tuple[IntegerWeights, NeuralConfig] | None = None,
        counts: _core.Counts | None = None,
        primer: Sequence[PrimerRecord] = (),
    ) -> None:
        self.tokenizer = tokenizer
        self.config = network[1] if network else None
        self.vocabulary = _vocabulary(tokenizer, self.config, counts)
        self.network = network
        self.counts = counts
        self.constants = constants
        made = make_network(*network) if network else None
        before = [(tokens_T, self.type_id(record_type)) for record_type, tokens_T in primer]
        self.model = make_model(tokenizer.bytes_of_id, constants, made, counts, self.vocabulary, before)
        self._core_batches = CoreBatches(self.model)

    @classmethod
    def from_files(
        cls,
        tokenizer: bytes,
        constants: bytes,
        model: bytes | None = None,
        counts: bytes | None = None,
        primer: bytes | None = None,
    ) -> NeuralCodec:
        """From the contents of a codec version's files. Raises ValueError if they are none of ours."""
        return cls(
            NeuralTokenizer.from_json(tokenizer.decode()),
            load_constants(constants),
            IntegerWeights.load(model) if model is not None else None,
            load_counts(counts) if counts is not None else None,
            load_primer(primer) if primer is not None else (),
        )

    def type_id(self, record_type: str) -> int:
        return type_id(self.tokenizer.vocab_size, record_type)

    def tokens(self, data: bytes) -> memoryview:
        """Of a record's bytes, int32. Raises TokensDiffer if the record is not what they spell."""
        tokens_T = self.tokenizer.encode(data)
        if self.tokenizer.decode(tokens_T) != data:
            raise TokensDiffer("the tokens spell another record")
        return tokens_T

    def n_bytes(self, tokens_T: memoryview) -> int:
        """How many bytes the tokens stand for."""
        return self.tokenizer.core.n_bytes(tokens_T)

    def encode(self, data: bytes, record_type: str = "other") -> bytes:
        """The stream of one record."""
        return self.model.encode(self.tokens(data), self.type_id(record_type))

    def encode_batch(self, records: Sequence[tuple[bytes, str]]) -> list[bytes]:
        """Many records (bytes, type), by the engine of `nbmf.engine`; the same streams as `encode`."""
        return self.encode_tokens([(self.tokens(data), record_type) for data, record_type in records])

    def encode_tokens(
        self, records: Sequence[tuple[memoryview, str]], sizings: Sequence[int] | None = None
    ) -> list[bytes]:
        """The same of records whose tokens are known. `sizings`: how each stream tells where its record ends.

        Raises DamagedCodec if the version's numbers code nothing, or for a record that a stream cannot tell the size
        of (_core.Model.encode).
        """
        told = sizings or [_core.SIZE_TOLD] * len(records)
        given = [
            Tokens(tokens_T, self.type_id(record_type), sizing)
            for (tokens_T, record_type), sizing in zip(records, told, strict=True)
        ]
        with _sound_version():
            on_gpu = engine().name == "auto" and len(records) >= GPU_BATCH and gpu_is_there()
            return self._batches(len(records), by_torch=on_gpu).encode(given)

    def encode_behind(self, before_T: memoryview, tokens_T: memoryview, record_type: str) -> bytes:
        """The stream of tokens by counts that have learnt from others before, as if the record began with those.

        Raises ValueError where the codec has a network, and DamagedCodec if the version's numbers code nothing.
        """
        if self.network is not None:
            raise ValueError("a network does not go on behind other tokens")
        with _sound_version():
            (stream,) = self._core_batches.encode(
                [Tokens(tokens_T, self.type_id(record_type), _core.SIZE_TOLD, before_T)]
            )
        return stream

    def decode(self, stream: bytes, n_bytes: int, record_type: str = "other") -> bytes:
        """The record; ValueError when the stream can't be one of `n_bytes` bytes.

        Time and memory are bounded by `n_bytes`. A damaged stream may decode to other bytes:
        the blob's checksum tells.
        """
        (data,) = self._core_batches.decode(self.with_type_ids([Stream(stream, n_bytes, record_type)]))
        if data is None:
            raise ValueError(f"the stream does not end at {n_bytes} bytes")
        return data

    def decode_batch(self, of_records: Sequence[Stream | tuple[bytes, int, str]]) -> list[bytes | None]:
        """Many streams by the engine of `nbmf.engine`; None for one that can't be a record of its length.

        Raises DamagedCodec if the version's numbers code nothing.
        """
        streams = self.with_type_ids([Stream(*stream) for stream in of_records])
        with _sound_version():
            return self._batches(len(streams)).decode(streams)  # a token a step, which a GPU is slow at

    def decode_tokens(self, of_records: Sequence[Stream]) -> list[memoryview | None]:
        """The int32 tokens that spell the records of streams, by the core whatever the engine; else as
        `decode_batch`."""
        with _sound_version():
            decoded = self._core_batches.decode(self.with_type_ids(of_records), as_tokens=True)
        return [None if tokens is None else memoryview(tokens).cast("i") for tokens in decoded]

    def with_type_ids(self, streams: Sequence[Stream]) -> list[CoreStream]:
        """As the core takes them."""
        return [
            CoreStream(one.data, one.n_bytes, self.type_id(one.record_type), one.sizing, one.before_T)
            for one in streams
        ]

    def _batches(self, records: int, *, by_torch: bool = False) -> Batches:
        """The engine for a batch of so many; `by_torch` where none is named."""
        if self.network is None or records < 2:
            return self._core_batches
        return self._torch_batches if by_torch or engine().name == "torch" else self._core_batches

    @cached_property
    def _torch_batches(self) -> TorchBatches:
        from nbmf.neural.torch_batches import TorchBatches

        return TorchBatches(self.model, self.torch_engine)

    @cached_property
    def torch_engine(self) -> TorchEngine:
        """The network in PyTorch, on a GPU if there is one."""
        from nbmf.neural.torch_engine import TorchEngine

        if self.network is None:
            raise ValueError("the version has no network")
        return TorchEngine(*self.network, device="cuda" if gpu_is_there() else "cpu")


@contextmanager
def _sound_version() -> Iterator[None]:
    """What the core refuses in work that was checked before is the version's fault."""
    try:
        yield
    except ValueError as error:
        raise DamagedCodec(f"a version that cannot code: {error}") from error


def _vocabulary(tokenizer: NeuralTokenizer, config: NeuralConfig | None, counts: _core.Counts | None) -> Vocabulary:
    """What all parts agree on. Raises ValueError."""
    parts = [part for part in (config, counts) if part]
    sizes = {(part.vocab_size, part.n_clusters, part.cluster_size) for part in parts}
    if len(sizes) != 1 or {part.vocab_size for part in parts} != {tokenizer.vocab_size}:
        raise ValueError(
            f"a vocabulary of {tokenizer.vocab_size} tokens, and predictions for (tokens, clusters, their size) of "
            f"{sorted(sizes)}"
        )
    return Vocabulary(*sizes.pop())


@cache
def gpu_is_there() -> bool:
    """Whether PyTorch can use an NVIDIA GPU; PyTorch is not loaded where the machine has none."""
    if not Path("/dev/nvidiactl").exists() or find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()
