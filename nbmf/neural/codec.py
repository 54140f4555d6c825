"""NeuralCodec: bytes of records to streams and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from nbmf import _core
from nbmf.engine import engine
from nbmf.errors import DamagedCodec
from nbmf.neural.config import RECORD_TYPES, NeuralConfig
from nbmf.neural.constants import Constants, load_constants
from nbmf.neural.core import make_model, make_network
from nbmf.neural.counts_file import load_counts
from nbmf.neural.tokenizer import NeuralTokenizer
from nbmf.neural.vocabulary import Vocabulary
from nbmf.neural.weights import IntegerWeights

if TYPE_CHECKING:
    from nbmf.neural.torch_engine import TorchEngine

SIDE_BY_SIDE = _core.AT_ONCE
"""Records decoded at once."""

GPU_BATCH = 64
"""Records that make a batch worth a GPU's while."""

_GROUP_SPREAD = 16  # a group's longest record over its shortest: work space is made for the longest
_SLOT_TOKENS = 1 << 19  # of all slots together: bounds the memory of a group of long records

R = TypeVar("R")


class Stream(NamedTuple):
    """Of a record. `n_bytes` is its length, or the most that it may be where the stream or its end tells."""

    data: bytes
    n_bytes: int
    record_type: str
    sizing: int = _core.SIZE_TOLD


class TokensDiffer(Exception):
    """The vocabulary makes tokens of a record that do not spell it, or none: it cannot be coded with them."""


class NeuralCodec:
    """A vocabulary, adaptation constants, and what predicts: a trained network, static counts, or both.

    The stream does not hold the type of the record, and its length only where it is to: the blob around it does.
    Raises ValueError if the parts do not fit together.
    """

    def __init__(
        self,
        tokenizer: NeuralTokenizer,
        constants: Constants,
        network: tuple[IntegerWeights, NeuralConfig] | None = None,
        counts: _core.Counts | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.config = network[1] if network else None
        self.vocabulary = _vocabulary(tokenizer, self.config, counts)
        self._network = network
        self.counts = counts
        self.constants = constants
        made = make_network(*network) if network else None
        self.model = make_model(tokenizer.bytes_of_id, constants, made, counts, self.vocabulary)

    @classmethod
    def from_files(
        cls, tokenizer: bytes, constants: bytes, model: bytes | None = None, counts: bytes | None = None
    ) -> NeuralCodec:
        """From the contents of a codec version's files. Raises ValueError if they are none of ours."""
        return cls(
            NeuralTokenizer.from_json(tokenizer.decode()),
            load_constants(constants),
            IntegerWeights.load(model) if model is not None else None,
            load_counts(counts) if counts is not None else None,
        )

    def type_id(self, record_type: str) -> int:
        return self.tokenizer.vocab_size + RECORD_TYPES.index(record_type)

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
        tokens = [tokens_T for tokens_T, _ in records]
        type_ids = [self.type_id(record_type) for _, record_type in records]
        types = [*zip(type_ids, sizings or [_core.SIZE_TOLD] * len(records), strict=True)]
        with _sound_version():
            if self._by_torch(len(records)):
                from nbmf.neural.torch_batches import encode_by_torch

                return encode_by_torch(self, types, tokens)
            return _in_groups(
                lambda group: [self.model.encode(tokens[index], *types[index]) for index in group],
                [*map(len, tokens)],
            )

    def decode(self, stream: bytes, n_bytes: int, record_type: str = "other") -> bytes:
        """The record; ValueError when the stream can't be one of `n_bytes` bytes.

        Time and memory are bounded by `n_bytes`. A damaged stream may decode to other bytes:
        the blob's checksum tells.
        """
        (data,) = self._decode_group([Stream(stream, n_bytes, record_type)])
        if data is None:
            raise ValueError(f"the stream does not end at {n_bytes} bytes")
        return data

    def decode_batch(self, of_records: Sequence[Stream | tuple[bytes, int, str]]) -> list[bytes | None]:
        """Many streams by the engine of `nbmf.engine`; None for one that can't be a record of its length.

        Raises DamagedCodec if the version's numbers code nothing.
        """
        streams = [Stream(*stream) for stream in of_records]
        with _sound_version():
            if self._by_torch(len(streams)):
                from nbmf.neural.torch_batches import decode_by_torch

                return decode_by_torch(self, streams)
            return _in_groups(
                lambda group: self._decode_group([streams[index] for index in group]),
                [stream.n_bytes for stream in streams],
            )

    def _decode_group(self, streams: Sequence[Stream]) -> list[bytes | None]:
        longest = max(stream.n_bytes for stream in streams)
        side_by_side = min(SIDE_BY_SIDE, max(1, _SLOT_TOKENS // max(longest, 1)))
        return self.model.decode(self.with_type_ids(streams), side_by_side)

    def with_type_ids(self, streams: Sequence[Stream]) -> list[tuple[bytes, int, int, int]]:
        """As the core takes them."""
        return [(one.data, one.n_bytes, self.type_id(one.record_type), one.sizing) for one in streams]

    def _by_torch(self, records: int) -> bool:
        if self._network is None or records < 2 or engine().name == "cpu":
            return False
        return engine().name == "torch" or (records >= GPU_BATCH and gpu_is_there())

    @cached_property
    def torch_engine(self) -> TorchEngine:
        """The network in PyTorch, on a GPU if there is one."""
        from nbmf.neural.torch_engine import TorchEngine

        if self._network is None:
            raise ValueError("the version has no network")
        return TorchEngine(*self._network, device="cuda" if gpu_is_there() else "cpu")


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


def _in_groups(work: Callable[[list[int]], list[R]], sizes: list[int]) -> list[R]:
    """What `work` gives for groups of indices of records of like size, shared among the engine's threads; in order."""
    if not sizes:
        return []
    groups: list[list[int]] = []
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        if not groups or sizes[index] * _GROUP_SPREAD < sizes[groups[-1][0]]:
            groups.append([])
        groups[-1].append(index)
    threads = engine().threads
    hands = [group[hand::threads] for group in groups for hand in range(threads) if group[hand::threads]]
    if threads == 1 or len(hands) == 1:
        done = [work(hand) for hand in hands]
    else:
        from concurrent.futures import ThreadPoolExecutor  # with logging, which a process of one record does not need

        with ThreadPoolExecutor(threads) as pool:
            done = [*pool.map(work, hands)]
    results: dict[int, R] = {}
    for hand, parts in zip(hands, done, strict=True):
        results.update(zip(hand, parts, strict=True))
    return [results[index] for index in range(len(sizes))]
