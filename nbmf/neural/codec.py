"""NeuralCodec: bytes of one record to a stream and back."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nbmf.neural.adaptation import Constants, new_memory
from nbmf.neural.compiled import make_network, new_scratch
from nbmf.neural.config import NeuralConfig
from nbmf.neural.constants import load_constants
from nbmf.neural.record_loop import decode_record, encode_frequencies, encode_record
from nbmf.neural.tokenizer import NeuralTokenizer
from nbmf.neural.weights import IntegerWeights

if TYPE_CHECKING:
    from nbmf.neural.torch_engine import TorchEngine

BATCH_POSITIONS = 2048  # rows of frequencies held at once by encode_batch: 4 bytes x vocabulary each


class NeuralCodec:
    """One trained network with its vocabulary and adaptation constants.

    The stream holds neither the length nor the type of the record: the blob around it does.
    """

    def __init__(
        self,
        weights: IntegerWeights,
        config: NeuralConfig,
        tokenizer: NeuralTokenizer,
        constants: Constants,
    ) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self._weights = weights
        self._network = make_network(weights, config)
        self._constants = constants
        self._token_lengths_V = np.array([*map(len, tokenizer.bytes_of_id)], dtype=np.int32)

    @classmethod
    def from_files(cls, model: bytes, tokenizer: bytes, constants: bytes) -> "NeuralCodec":
        """From the contents of a codec version's files. Raises ValueError if they are none of ours."""
        weights, config = IntegerWeights.load(model)
        return cls(weights, config, NeuralTokenizer.from_json(tokenizer.decode()), load_constants(constants))

    def encode(self, data: bytes, record_type: str = "other") -> bytes:
        """One record, with the compiled engine; needs no PyTorch."""
        tokens_T = np.array(self.tokenizer.encode(data), dtype=np.int32)
        memory = new_memory(len(tokens_T), self.config.vocab_size, self._constants)
        stream = encode_record(
            self._network,
            new_scratch(self.config),
            self._constants,
            memory,
            self.config.type_id(record_type),
            tokens_T,
        )
        return stream.tobytes()

    def encode_batch(self, records: Sequence[tuple[bytes, str]]) -> list[bytes]:
        """Many records, with the PyTorch engine; the same streams as `encode`."""
        from nbmf.neural.torch_engine import TorchEngine

        engine = TorchEngine(self._weights, self.config)
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
        tokens: Sequence[np.ndarray],
        group: Sequence[int],
        streams: list[bytes],
    ) -> None:
        inputs = [np.concatenate(([self.config.type_id(records[index][1])], tokens[index][:-1])) for index in group]
        for index, network_TV in zip(group, engine.frequencies(inputs), strict=True):
            memory = new_memory(len(tokens[index]), self.config.vocab_size, self._constants)
            stream = encode_frequencies(network_TV, self._constants, memory, tokens[index])
            streams[index] = stream.tobytes()

    def decode(self, stream: bytes, n_bytes: int, record_type: str = "other") -> bytes:
        """The record; ValueError when the stream can't be one of `n_bytes` bytes.

        Time and memory are bounded by `n_bytes`. A damaged stream may decode to other bytes:
        the blob's checksum tells.
        """
        tokens_T = np.zeros(n_bytes, dtype=np.int32)
        count = decode_record(
            self._network,
            new_scratch(self.config),
            self._constants,
            new_memory(n_bytes, self.config.vocab_size, self._constants),
            self.config.type_id(record_type),
            np.frombuffer(stream, dtype=np.uint8),
            self._token_lengths_V,
            n_bytes,
            tokens_T,
        )
        if count < 0:
            raise ValueError(f"the stream does not end at {n_bytes} bytes")
        return self.tokenizer.decode(tokens_T[:count].tolist())
