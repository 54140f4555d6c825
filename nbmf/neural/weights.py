"""The integer network as arrays, and its file (safetensors).

Shape suffixes: V vocabulary, I input ids (V + extra), D d_model, F d_feed_forward, H heads,
K d_head, M d_memory, L layers, A of them with attention, C with convolution, S symbols of the first step of the softmax
(V if there is no second), P rotary period.

Every `*_scale` is float32 and holds the factor from an exact int32 accumulator to the units of
what is computed from it; nothing else in the file is a float.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from nbmf.neural import tensors
from nbmf.neural.config import NeuralConfig
from nbmf.neural.shapes import check_arrays

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Int8: TypeAlias = NDArray[np.int8]
    Int16: TypeAlias = NDArray[np.int16]
    Int32: TypeAlias = NDArray[np.int32]
    Float32: TypeAlias = NDArray[np.float32]
    Float64: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class IntegerWeights:
    """Matrices are [layers,] out, in; scales go with the rows of what they scale.

    As `load` gives them, arrays are memoryviews, which is all that the core needs; `numpy` makes NumPy's of them.
    """

    embedding_ID: Int8
    embedding_scale_I: Float32
    bigram_RM: Int8
    trigram_RM: Int8
    memory_in_DM: Int8  # [D, 2M]: bigram columns first
    memory_in_scale_D: Float32
    query_key_value_LED: Int8  # [A, 3D, D]
    query_key_value_scale_LE: Float32
    attention_out_LDD: Int8  # [A, D, D]
    attention_out_scale_LD: Float32
    expand_LFD: Int8
    expand_scale_LF: Float32
    contract_LDF: Int8
    contract_scale_LD: Float32
    head_VD: Int8  # [S, D]
    head_scale_V: Float32
    norm_factor_N: Float64  # [2L + 1]: int8 steps in one root-mean-square, times sqrt(D)
    attention_index_scale_LH: Float32  # [A, H] score difference -> index of attention_exp
    attention_value_scale_LH: Float32  # [A, H] weighted value sum / weight sum -> int8
    attention_exp: Int32  # decreasing, starts at ATTENTION_PEAK
    frequency_exp: Int32  # decreasing, starts at FREQUENCY_PEAK, ends with 1
    rotary_cos_P: Int16  # cos(2 pi i / P) * ROTARY_ONE
    rotary_turns_K: Int32  # [K/2] whole turns in P positions
    convolution_CDT: Int8 | None = None  # [C, D, TAPS * D]: of now, one dilation ago, two
    convolution_scale_CD: Float32 | None = None
    convolution_out_CDD: Int8 | None = None
    convolution_out_scale_CD: Float32 | None = None
    norm_step_ND: Float32 | None = None  # [2L + 1, D]: a factor of each channel, beside norm_factor_N; none: 1
    member_VD: Int8 | None = None  # [V - singles, D]: second step, cluster after cluster
    member_scale_V: Float32 | None = None
    hash_id_I: Int32 | None = None  # what stands for each input id where n-grams are hashed; none: the id

    def save(self, path: Path, config: NeuralConfig) -> None:
        import numpy as np
        from safetensors.numpy import save_file

        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        # safetensors writes the memory as it lies, whatever the order of its dimensions
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items() if array is not None}
        save_file(arrays, str(path), metadata={"config": json.dumps(config.to_dict())})

    def numpy(self) -> IntegerWeights:
        """The same, where they stand."""
        import numpy as np

        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        made: dict[str, Any] = {name: np.asarray(array) for name, array in arrays.items() if array is not None}
        return IntegerWeights(**made)

    @classmethod
    def load(cls, data: bytes) -> tuple[IntegerWeights, NeuralConfig]:
        """From the content of a safetensors file. Raises ValueError if it is none of ours."""
        arrays, metadata = tensors.views(data)
        try:
            config = NeuralConfig(**json.loads(metadata["config"]))
            check_arrays(arrays, config)
            return cls(**{name: arrays[name] for name in arrays.keys() & _NAMES}), config  # type: ignore[arg-type]
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"not a network of integers: {error!r}") from error


_NAMES = {field.name for field in fields(IntegerWeights)}
ROTARY_ONE = 1 << 14
ATTENTION_STEPS_PER_NAT = 64
FREQUENCY_STEPS_PER_NAT = 128


def exp_table(peak: int, steps_per_nat: float, last: int) -> Int32:
    """round(peak * exp(-i / steps_per_nat)), from peak down to the first entry equal to `last`."""
    import numpy as np

    length = int(np.ceil(np.log(peak / max(last, 0.5)) * steps_per_nat)) + 2 * steps_per_nat
    table = np.rint(peak * np.exp(-np.arange(length) / steps_per_nat)).astype(np.int32)
    table = np.maximum(table, last)
    shortest: Int32 = table[: int(np.argmax(table == last)) + 1]
    return shortest
