"""The vector spaces that a codec version has learnt: each a file that LatentCompressor.to_safetensors wrote."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

from nbmf import _core
from nbmf.errors import CorruptBlob, DamagedCodec
from nbmf.neural.tensors import views
from nbmf.vectors import coding
from nbmf.vectors.aim import Aim

FILE_FORMAT = "nbmf latent compressor 1"
ARRAYS = ("forward_LD", "mean_D", "level_L", "step_offset")
"""Of such a file: nbmf.vectors.fitting.Transform."""


class Near(NamedTuple):
    """What a vector may be changed to: its numbers, the body that decodes to them, the space's number, and the cosine
    with what it was."""

    decoded: bytes
    body: bytes
    space: int
    cosine: float


class Spaces:
    """Spaces by their numbers; each is read when it is first needed. Pickled as what it was made from.

    `dims`: of each, as the version says; `files`: contents.
    """

    def __init__(self, dims: Sequence[int], files: Sequence[bytes]) -> None:
        self._dims, self._files = (*dims,), (*files,)
        self._made: dict[int, _core.VectorSpace] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Spaces], tuple[tuple[int, ...], tuple[bytes, ...]]]:
        return type(self), (self._dims, self._files)

    def nearest(self, numbers: bytes, dims: int, kind: str, aim: Aim, flags: int | None = None) -> Near | None:
        """By the space of so many dims that takes the least; None if none keeps the aim. Raises DamagedCodec."""
        best: Near | None = None
        for number, found in enumerate(self._dims):
            if found == dims:
                (body,), decoded, (cosine,) = coding.encode(self._space(number), numbers, 1, kind, aim, flags)
                if body is not None and (best is None or len(body) < len(best.body)):
                    best = Near(bytes(decoded), body, number, cosine)
        return best

    def decode(self, number: int, body: bytes, kind: str, dims: int) -> bytes:
        """The numbers of a body. Raises CorruptBlob, DamagedCodec."""
        if number >= len(self._dims) or self._dims[number] != dims:
            raise CorruptBlob(f"a vector of {dims} numbers in space {number}, which the version does not have")
        decoded, (good,) = coding.decode(self._space(number), [body], dims, kind)
        if not good:
            raise CorruptBlob("a damaged vector")
        return bytes(decoded)

    def __len__(self) -> int:
        return len(self._dims)

    def dims_of(self, number: int) -> int:
        """Of a space."""
        return self._dims[number]

    def _space(self, number: int) -> _core.VectorSpace:
        with self._lock:
            if number not in self._made:
                try:
                    self._made[number] = _read(self._files[number], self._dims[number])
                except ValueError as error:
                    raise DamagedCodec(f"the version's file of vector space {number} is none: {error}") from error
            return self._made[number]


def _read(data: bytes, dims: int) -> _core.VectorSpace:
    arrays, metadata = views(data)
    if metadata.get("format") != FILE_FORMAT or metadata.get("quantization") != "int8":
        raise ValueError("not the file of a latent compressor with quantization int8")
    if missing := set(ARRAYS).difference(arrays):
        raise ValueError(f"no {', '.join(sorted(missing))}")
    if arrays["mean_D"].nbytes != 4 * dims:
        raise ValueError(f"a space of {arrays['mean_D'].nbytes // 4} dims, where the manifest says {dims}")
    return _core.VectorSpace(dims, {name: arrays[name] for name in ARRAYS})
