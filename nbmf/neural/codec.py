"""NeuralCodec: bytes of records to streams and back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from nbmf.engine import engine
from nbmf.neural.adaptation import Constants, new_memories
from nbmf.neural.config import RECORD_TYPES, NeuralConfig
from nbmf.neural.constants import load_constants
from nbmf.neural.counts import CONTEXTS, Counts, no_counts
from nbmf.neural.counts_file import load_counts
from nbmf.neural.network import AT_ONCE, NOTHING, make_network, new_cache, new_scratch, no_network
from nbmf.neural.prediction import Predictor
from nbmf.neural.record_loop import Blobs, Work, decode_records, encode_predicted, encode_record, new_slots
from nbmf.neural.tokenizer import NeuralTokenizer
from nbmf.neural.weights import IntegerWeights

if TYPE_CHECKING:
    from nbmf.neural.torch_engine import TorchEngine

SIDE_BY_SIDE = 16
"""Records decoded at once."""

GPU_BATCH = 64
"""Records that make a batch worth a GPU's while."""

_KEPT_TOKENS = 256, 4096  # smallest and largest work space that a thread keeps: 2 MB at most, of each of two kinds
_GROUP_SPREAD = 16  # a group's longest record over its shortest: work space is made for the longest
_SLOT_TOKENS = 1 << 19  # of all slots together: bounds the memory of a group of long records

R = TypeVar("R")
Stream = tuple[bytes, int, str]
"""Of a record: the stream, the record's length in bytes, its type."""


class NeuralCodec:
    """A vocabulary, adaptation constants, and what predicts: a trained network, static counts, or both.

    The stream holds neither the length nor the type of the record: the blob around it does.
    Raises ValueError if the parts do not fit together.
    """

    def __init__(
        self,
        tokenizer: NeuralTokenizer,
        constants: Constants,
        network: tuple[IntegerWeights, NeuralConfig] | None = None,
        counts: Counts | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.config = network[1] if network else NOTHING
        vocab_size = tokenizer.vocab_size
        sizes = {self.config.vocab_size} if network else set()
        sizes |= {len(counts.unigram_V)} if counts else set()
        if sizes != {vocab_size}:
            raise ValueError(f"a vocabulary of {vocab_size} tokens, and predictions for {sorted(sizes)}")
        self.token_lengths_V = np.array([*map(len, tokenizer.bytes_of_id)], dtype=np.int32)
        if not self.token_lengths_V.all():
            raise ValueError("a vocabulary with tokens of no bytes: a damaged stream could be decoded without end")
        self._network = network
        self.predictor = Predictor(
            make_network(*network) if network else no_network(),
            counts or no_counts(),
            constants.network_share_OCC,
        )
        self.constants = constants
        self._kept = threading.local()

    @classmethod
    def from_files(
        cls, tokenizer: bytes, constants: bytes, model: bytes | None = None, counts: bytes | None = None
    ) -> NeuralCodec:
        """From the contents of a codec version's files. Raises ValueError if they are none of ours."""
        return cls(
            NeuralTokenizer.from_json(tokenizer.decode()),
            load_constants(constants),
            IntegerWeights.load(model) if model else None,
            load_counts(counts) if counts else None,
        )

    def work(self, n: int, slots: int = 1, at_once: int = 1, *, network: bool = True) -> Work:
        """Work space for `slots` records of at most `n` tokens, `at_once` of a record in one step of the network."""
        config, vocab_size = self.config if network else NOTHING, self.tokenizer.vocab_size
        cache = new_cache(config, slots, at_once)
        return Work(
            cache,
            new_scratch(config, cache, max(slots, at_once)),
            new_memories(slots, n, vocab_size),
            np.full((slots, CONTEXTS), -1, dtype=np.int64),
            *(np.zeros(vocab_size, dtype=np.int32) for _ in range(3)),
        )

    def _kept_work(self, n: int, at_once: int) -> Work:
        """Work space for one record, kept for the thread's next: making it takes longer than coding a small record."""
        size = _KEPT_TOKENS[0]
        while size < n:
            size *= 4
        if size > _KEPT_TOKENS[1]:
            return self.work(n, 1, at_once)
        kept = self._kept.__dict__
        key = f"{at_once} {size}"
        if key not in kept:
            kept[key] = self.work(size, 1, at_once)
        work: Work = kept[key]
        return work

    def _type_id(self, record_type: str) -> int:
        return self.tokenizer.vocab_size + RECORD_TYPES.index(record_type)

    def tokens(self, data: bytes) -> NDArray[np.int32]:
        """Of a record's bytes."""
        return np.array(self.tokenizer.encode(data), dtype=np.int32)

    def n_bytes(self, tokens_T: NDArray[np.int32]) -> int:
        """How many bytes the tokens stand for."""
        return int(self.token_lengths_V[tokens_T].sum())

    def encode(self, data: bytes, record_type: str = "other") -> bytes:
        """The stream of one record."""
        return self._encode(self._type_id(record_type), self.tokens(data))

    def _encode(self, type_id: int, tokens_T: NDArray[np.int32]) -> bytes:
        work = self._kept_work(len(tokens_T), AT_ONCE)
        return encode_record(self.predictor, self.constants, work, type_id, tokens_T).tobytes()

    def encode_batch(self, records: Sequence[tuple[bytes, str]]) -> list[bytes]:
        """Many records (bytes, type), by the engine of `nbmf.engine`; the same streams as `encode`."""
        return self.encode_tokens([(self.tokens(data), record_type) for data, record_type in records])

    def encode_tokens(self, records: Sequence[tuple[NDArray[np.int32], str]]) -> list[bytes]:
        """The same of records whose tokens are known."""
        tokens = [tokens_T for tokens_T, _ in records]
        type_ids = [self._type_id(record_type) for _, record_type in records]
        if self._by_torch(len(records)):
            from nbmf.neural.torch_batches import encode_by_torch

            return encode_by_torch(self, type_ids, tokens)
        return _in_groups(
            lambda group: [self._encode(type_ids[index], tokens[index]) for index in group], [*map(len, tokens)]
        )

    def encode_predicted(self, network_TV: NDArray[np.int32], type_id: int, tokens_T: NDArray[np.int32]) -> bytes:
        """One record's stream from frequencies that any engine gave for it."""
        work = self.work(len(tokens_T))
        return encode_predicted(self.predictor, self.constants, work, network_TV, type_id, tokens_T).tobytes()

    def decode(self, stream: bytes, n_bytes: int, record_type: str = "other") -> bytes:
        """The record; ValueError when the stream can't be one of `n_bytes` bytes.

        Time and memory are bounded by `n_bytes`. A damaged stream may decode to other bytes:
        the blob's checksum tells.
        """
        (data,) = self._decode_group([(stream, n_bytes, record_type)])
        if data is None:
            raise ValueError(f"the stream does not end at {n_bytes} bytes")
        return data

    def decode_batch(self, streams: Sequence[Stream]) -> list[bytes | None]:
        """Many streams by the engine of `nbmf.engine`; None for one that can't be a record of its length."""
        if self._by_torch(len(streams)):
            from nbmf.neural.torch_batches import decode_by_torch

            return decode_by_torch(self, streams)
        return _in_groups(
            lambda group: self._decode_group([streams[index] for index in group]),
            [n_bytes for _, n_bytes, _ in streams],
        )

    def _decode_group(self, streams: Sequence[Stream]) -> list[bytes | None]:
        blobs = self.blobs(streams)
        if len(blobs.n_bytes_N):
            longest = int(blobs.n_bytes_N.max())
            count = min(len(blobs.n_bytes_N), SIDE_BY_SIDE, max(1, _SLOT_TOKENS // longest))
            work = self.work(longest, count) if count > 1 else self._kept_work(longest, 1)
            decode_records(self.predictor, self.constants, work, new_slots(count), blobs, self.token_lengths_V)
        return self.decoded(streams, blobs)

    def blobs(self, streams: Sequence[Stream]) -> Blobs:
        """Those of records that are not empty, in order, for the compiled loop."""
        whole = [stream for stream in streams if stream[1] > 0]
        n_bytes_N = np.array([n_bytes for _, n_bytes, _ in whole], dtype=np.int64)
        return Blobs(
            stream_X=np.frombuffer(b"".join(data for data, _, _ in whole), dtype=np.uint8).copy(),
            stream_begin_N=np.cumsum([0, *(len(data) for data, _, _ in whole)], dtype=np.int64),
            type_N=np.array([self._type_id(record_type) for _, _, record_type in whole], dtype=np.int64),
            n_bytes_N=n_bytes_N,
            token_begin_N=np.cumsum([0, *n_bytes_N[:-1]], dtype=np.int64),
            tokens_X=np.zeros(n_bytes_N.sum(), dtype=np.int32),
            count_N=np.zeros(len(whole), dtype=np.int64),
        )

    def decoded(self, streams: Sequence[Stream], blobs: Blobs) -> list[bytes | None]:
        """The bytes of each stream, once `blobs` holds their tokens."""
        parts = iter(zip(blobs.token_begin_N.tolist(), blobs.count_N.tolist(), strict=False))
        results: list[bytes | None] = []
        for _, n_bytes, _ in streams:
            begin, count = next(parts) if n_bytes > 0 else (0, 0)
            tokens = blobs.tokens_X[begin : begin + max(count, 0)].tolist()
            results.append(self.tokenizer.decode(tokens) if count >= 0 else None)
        return results

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
    if threads == 1:
        done = [work(hand) for hand in hands]
    else:
        with ThreadPoolExecutor(threads) as pool:
            done = [*pool.map(work, hands)]
    results: dict[int, R] = {}
    for hand, parts in zip(hands, done, strict=True):
        results.update(zip(hand, parts, strict=True))
    return [results[index] for index in range(len(sizes))]
