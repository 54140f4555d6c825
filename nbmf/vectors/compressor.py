"""Vectors of one space, compressed by a transform that is fitted to it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from nbmf import _core
from nbmf.errors import CorruptBlob
from nbmf.neural.tensors import views
from nbmf.vectors import coding
from nbmf.vectors.aim import LEAST_DIMS, TYPES, Aim, Similarity, type_and_flags
from nbmf.vectors.fitting import Transform, directions, fit
from nbmf.vectors.spaces import FILE_FORMAT

if TYPE_CHECKING:
    import numpy.typing as npt

    Vectors = npt.NDArray[np.floating[Any]]

Quantization = Literal["int8", "fp16"]

MOST_FITTED_DIMS = 8_192
MOST_FILE_BYTES = 256 << 20
_STEPS_TO_FIT = 10
"""Latents a training vector has at most: fewer vectors fit their own noise."""


class LatentCompressor:
    """Compresses vectors like those that it was fitted on: transform, quantise, entropy-code.

        compressor = LatentCompressor(384).fit(training)  # [N, 384]
        bodies = compressor.encode(vectors)               # a bytes each
        compressor.decode(bodies)                         # [V, 384], the same bits on every machine

    `latent_dim`: principal components that are kept (all, if None; fewer lose what the others hold). `quantization`:
    "int8" codes each latent in as many bits as it is worth; "fp16" writes each as a float16, which is fast and large.
    `cosine`: what `fit` aims at in the mean of vectors that it did not see; `aim.least_cosine` is the floor of each.
    """

    def __init__(
        self,
        input_dim: int,
        latent_dim: int | None = None,
        quantization: Quantization = "int8",
        *,
        cosine: float = 0.9955,
        aim: Aim | None = None,
    ) -> None:
        latents = input_dim if latent_dim is None else latent_dim
        if not LEAST_DIMS <= input_dim <= MOST_FITTED_DIMS:
            raise ValueError(f"input_dim is {LEAST_DIMS} to {MOST_FITTED_DIMS}, not {input_dim}")
        if not 1 <= latents <= input_dim:
            raise ValueError(f"latent_dim is 1 to input_dim ({input_dim}), not {latents}")
        if quantization not in get_args(Quantization):
            raise ValueError(f"quantization is one of {', '.join(get_args(Quantization))}, not {quantization!r}")
        if not 0 < cosine < 1:
            raise ValueError(f"cosine is above 0 and below 1, not {cosine!r}")
        self.input_dim, self.latent_dim, self.quantization = input_dim, latents, quantization
        self.cosine = cosine
        self.aim = aim or Aim()
        self._transform: Transform | None = None
        self._space: _core.VectorSpace | None = None

    def fit(self, vectors: Vectors, seed: int = 0) -> LatentCompressor:
        """Learns the transform from vectors [N, input_dim], at least as many as `latent_dim`; returns itself.

        Those of zeros, or with NaN or infinity, are left out. Raises ValueError.
        """
        x_ND = directions(vectors)
        if x_ND.ndim != 2 or x_ND.shape[1] != self.input_dim:
            raise ValueError(f"vectors of {self.input_dim} numbers are expected, not of shape {np.shape(vectors)}")
        if len(x_ND) < max(self.latent_dim, _STEPS_TO_FIT):
            raise ValueError(
                f"{len(x_ND)} vectors with a direction are too few for {self.latent_dim} latents: "
                f"give {max(self.latent_dim, _STEPS_TO_FIT)} or more, or a smaller latent_dim"
            )
        self._set(fit(x_ND, self.latent_dim, seed, self._mean_cosine, self.cosine))
        return self

    def encode(self, vectors: Vectors) -> list[bytes]:
        """A body for each vector of [V, input_dim] of float16, float32 or float64.

        Of those that it cannot keep above the floor, as of zeros, or with NaN or infinity, the numbers as they are.
        Raises ValueError.
        """
        return self._encode(vectors)[0]

    def decode(self, bodies: Sequence[bytes]) -> Vectors:
        """The vectors [V, input_dim], of the type that they had.

        There is no checksum: what is damaged may decode to another vector. Blobs (nbmf.encode) have one.
        Raises CorruptBlob; ValueError for bodies of several types.
        """
        if not bodies:
            return np.zeros((0, self.input_dim), dtype=np.float32)
        kinds = {_type_of(body) for body in bodies}
        if len(kinds) > 1:
            raise ValueError(f"vectors of several types ({', '.join(sorted(kinds))}): decode each apart")
        (kind,) = kinds
        coded = [index for index, body in enumerate(bodies) if body[0] != _WHOLE]
        result = np.zeros((len(bodies), self.input_dim), dtype=np.dtype(kind).newbyteorder("<"))
        decoded, good = coding.decode(
            self._ready(), [bodies[index] for index in coded], self.input_dim, kind, self._plain
        )
        if not all(good):
            raise CorruptBlob(f"vector {coded[good.index(False)]} is damaged, or of another compressor")
        result[coded] = np.frombuffer(decoded, dtype=result.dtype).reshape(-1, self.input_dim)
        for index in set(range(len(bodies))).difference(coded):
            if len(bodies[index]) != 2 + result[index].nbytes:
                raise CorruptBlob(f"vector {index} is damaged, or of another compressor")
            result[index] = np.frombuffer(bodies[index], dtype=result.dtype, offset=2)
        return result.astype(kind)

    def similarity(self, vectors: Vectors) -> Similarity:
        """Cosines of vectors with what they are decoded to."""
        bodies, cosine_V = self._encode(vectors)
        whole = sum(body[0] == _WHOLE for body in bodies)
        return Similarity(len(bodies), whole, float(cosine_V.mean()), float(cosine_V.min()))

    def to_safetensors(self) -> bytes:
        """The fitted compressor as a file."""
        transform = self._fitted()
        header: dict[str, Any] = {
            "__metadata__": {
                "format": FILE_FORMAT,
                "quantization": self.quantization,
                "cosine": repr(self.cosine),
                "least_cosine": repr(self.aim.least_cosine),
                "step": str(self.aim.step),
                "rate_weight": repr(self.aim.rate_weight),
            }
        }
        data = b""
        for name in Transform.__slots__:
            array = getattr(transform, name)
            octets = array.astype(array.dtype.newbyteorder("<")).tobytes()
            dtype = f"I{8 * array.itemsize}"
            header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [len(data), len(data) + len(octets)]}
            data += octets
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text + data

    @classmethod
    def from_safetensors(cls, data: bytes) -> LatentCompressor:
        """The compressor that `to_safetensors` wrote. Raises ValueError for anything else."""
        if len(data) > MOST_FILE_BYTES:
            raise ValueError(f"a compressor of {len(data)} bytes: {MOST_FILE_BYTES} at most")
        found, metadata = views(data)
        arrays: dict[str, Any] = {name: np.asarray(array) for name, array in found.items()}
        if metadata.get("format") != FILE_FORMAT or set(arrays) != set(Transform.__slots__):
            raise ValueError("not the file of a latent compressor")
        forward = arrays["forward_LD"]
        expected = {"forward_LD": np.int16, "mean_D": np.int32, "level_L": np.int32, "step_offset": np.int32}
        if forward.ndim != 2 or any(arrays[name].dtype != dtype for name, dtype in expected.items()):
            raise ValueError("a latent compressor with arrays of other types or shapes")
        latents, dims = forward.shape
        try:
            aim = Aim(float(metadata["least_cosine"]), int(metadata["step"]), float(metadata["rate_weight"]))
            quantization: Any = metadata["quantization"]
            made = cls(dims, latents, quantization, cosine=float(metadata["cosine"]), aim=aim)
        except (KeyError, TypeError) as error:
            raise ValueError(f"a latent compressor without {error}") from error
        made._set(Transform(**arrays))
        return made

    @property
    def _plain(self) -> bool:
        return self.quantization == "fp16"

    def _set(self, transform: Transform) -> None:
        self._space = transform.space()
        self._transform = transform

    def _fitted(self) -> Transform:
        if self._transform is None:
            raise ValueError("the compressor is not fitted: call fit, or load one with from_safetensors")
        return self._transform

    def _ready(self) -> _core.VectorSpace:
        self._fitted()
        assert self._space is not None  # noqa: S101 - they are set together
        return self._space

    def _mean_cosine(self, transform: Transform, x_ND: npt.NDArray[np.float64]) -> float:
        numbers = x_ND.astype("<f4").tobytes()
        any_cosine = replace(self.aim, least_cosine=1e-9)
        _, _, cosines = coding.encode(transform.space(), numbers, len(x_ND), "float32", any_cosine)
        return float(np.mean(cosines))

    def _encode(self, vectors: Vectors) -> tuple[list[bytes], npt.NDArray[np.float64]]:
        vectors = np.asarray(vectors)
        kind = vectors.dtype.name
        if vectors.ndim != 2 or vectors.shape[1] != self.input_dim or kind not in coding.ITEM_BYTES:
            raise ValueError(
                f"float vectors of {self.input_dim} numbers are expected, not {kind} of shape {vectors.shape}"
            )
        little = vectors.astype(vectors.dtype.newbyteorder("<"), copy=False)
        numbers = np.ascontiguousarray(little).tobytes()
        made, _, cosines = coding.encode(self._ready(), numbers, len(vectors), kind, self.aim, plain=self._plain)
        size = len(numbers) // max(len(vectors), 1)
        bodies = [
            bytes([_WHOLE, TYPES.index(kind)]) + numbers[index * size :][:size] if body is None else body
            for index, body in enumerate(made)
        ]
        return bodies, np.frombuffer(cosines)


_WHOLE = 0xFF
"""First byte of a body that holds the numbers as they are; the core writes it for none, as it never has flags here."""


def _type_of(body: bytes) -> str:
    if len(body) > 1 and body[0] == _WHOLE:
        return TYPES[body[1] & 3]
    return type_and_flags(body)[0]
