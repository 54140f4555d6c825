"""NeuralCodec: bytes of one record to a stream and back."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nbmf.neural.adaptation import Constants, new_memory
from nbmf.neural.compiled import NOTHING, make_network, new_scratch, no_network
from nbmf.neural.config import RECORD_TYPES, NeuralConfig
from nbmf.neural.constants import load_constants
from nbmf.neural.counts import Counts, new_contexts, no_counts
from nbmf.neural.counts_file import load_counts
from nbmf.neural.prediction import Prediction, Predictor
from nbmf.neural.record_loop import decode_record, encode_frequencies, encode_record
from nbmf.neural.tokenizer import NeuralTokenizer
from nbmf.neural.weights import IntegerWeights

if TYPE_CHECKING:
    from nbmf.neural.torch_engine import TorchEngine

BATCH_POSITIONS = 2048  # rows of frequencies held at once by encode_batch: 4 bytes x vocabulary each


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
        self._network = network
        self._predictor = Predictor(
            make_network(*network) if network else no_network(),
            counts or no_counts(),
            constants.network_share_OCC,
        )
        self._constants = constants
        self._token_lengths_V = np.array([*map(len, tokenizer.bytes_of_id)], dtype=np.int32)

    @classmethod
    def from_files(
        cls, tokenizer: bytes, constants: bytes, model: bytes | None = None, counts: bytes | None = None
    ) -> "NeuralCodec":
        """From the contents of a codec version's files. Raises ValueError if they are none of ours."""
        return cls(
            NeuralTokenizer.from_json(tokenizer.decode()),
            load_constants(constants),
            IntegerWeights.load(model) if model else None,
            load_counts(counts) if counts else None,
        )

    def _start(self) -> Prediction:
        vocab_size = self.tokenizer.vocab_size
        return Prediction(
            new_scratch(self.config),
            new_contexts(),
            *(np.zeros(vocab_size, dtype=np.int32) for _ in range(3)),
        )

    def _type_id(self, record_type: str) -> int:
        return self.tokenizer.vocab_size + RECORD_TYPES.index(record_type)

    def encode(self, data: bytes, record_type: str = "other") -> bytes:
        """One record, with the compiled engine; needs no PyTorch."""
        tokens_T = np.array(self.tokenizer.encode(data), dtype=np.int32)
        memory = new_memory(len(tokens_T), self.tokenizer.vocab_size, self._constants)
        stream = encode_record(
            self._predictor, self._start(), self._constants, memory, self._type_id(record_type), tokens_T
        )
        return stream.tobytes()

    def encode_batch(self, records: Sequence[tuple[bytes, str]]) -> list[bytes]:
        """Many records, the network with the PyTorch engine; the same streams as `encode`."""
        if self._network is None:
            return [self.encode(*record) for record in records]
        from nbmf.neural.torch_engine import TorchEngine

        engine = TorchEngine(*self._network)
        tokens = [np.array(self.tokenizer.encode(data), dtype=np.int32) for data, _ in records]
        streams: list[bytes] = [b""] * len(records)
        order = sorted(range(len(records)), key=lambda index: len(tokens[index]))
        group: list[int] = []
        for index in order:
            if group and (len(group) + 1) * (len(tokens[index]) + 1) > BATCH_POSITIONS:
                self._encode_group(engine, records, tokens, group, streams)
                group = []
            group.append(index)
        if group:
            self._encode_group(engine, records, tokens, group, streams)
        return streams

    def _encode_group(
        self,
        engine: "TorchEngine",
        records: Sequence[tuple[bytes, str]],
        tokens: Sequence[NDArray[np.int32]],
        group: Sequence[int],
        streams: list[bytes],
    ) -> None:
        type_ids = [self._type_id(records[index][1]) for index in group]
        inputs = [
            np.concatenate(([type_id], tokens[index][:-1])) for index, type_id in zip(group, type_ids, strict=True)
        ]
        for index, type_id, network_TV in zip(group, type_ids, engine.frequencies(inputs), strict=True):
            streams[index] = self.encode_predicted(network_TV, type_id, tokens[index])

    def encode_predicted(self, network_TV: NDArray[np.int32], type_id: int, tokens_T: NDArray[np.int32]) -> bytes:
        """One record's stream from frequencies that any engine gave for it."""
        memory = new_memory(len(tokens_T), self.tokenizer.vocab_size, self._constants)
        return encode_frequencies(
            network_TV, self._predictor, self._start(), self._constants, memory, type_id, tokens_T
        ).tobytes()

    def decode(self, stream: bytes, n_bytes: int, record_type: str = "other") -> bytes:
        """The record; ValueError when the stream can't be one of `n_bytes` bytes.

        Time and memory are bounded by `n_bytes`. A damaged stream may decode to other bytes:
        the blob's checksum tells.
        """
        tokens_T = np.zeros(n_bytes, dtype=np.int32)
        count = decode_record(
            self._predictor,
            self._start(),
            self._constants,
            new_memory(n_bytes, self.tokenizer.vocab_size, self._constants),
            self._type_id(record_type),
            np.frombuffer(stream, dtype=np.uint8),
            self._token_lengths_V,
            n_bytes,
            tokens_T,
        )
        if count < 0:
            raise ValueError(f"the stream does not end at {n_bytes} bytes")
        return self.tokenizer.decode(tokens_T[:count].tolist())
