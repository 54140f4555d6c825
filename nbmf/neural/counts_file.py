"""File of the counts: safetensors compressed with zstd, tokens as steps from the follower before."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import zstandard

from nbmf import _core
from nbmf.neural import tensors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nbmf.neural.counts import Counts

_LEVEL = 19
_MAX_BYTES = 1 << 30
_MAX_EXPANSION = 64  # of a file; real ones expand to two or three times their size
_LEAST_MAX_BYTES = 1 << 24
_PARAMETERS = ("discount_O", "spread_O", "spread_floor_O")
_CLUSTERS = "clusters"  # how many and how large, where there are any
_FORMATS = {
    "step_low_N": "B", "step_high_N": "B", "followers_C": "H", "code_N": "B",
    "count_of_code": "d", "vocab_size": "q", **dict.fromkeys(_PARAMETERS, "d"),
}  # fmt: skip


def save_counts(counts: Counts, level: int = _LEVEL) -> bytes:
    """The file's content; of another level than the default's to tell its size quickly, roughly."""
    from safetensors.numpy import save

    return zstandard.ZstdCompressor(level=level).compress(save(_arrays(counts)))


@lru_cache(maxsize=4)
def load_counts(data: bytes) -> _core.Counts:
    """From such a file, one object for one content: coders of a version share it. Raises ValueError if it is none."""
    return _core_counts(_read(data))


def read_counts(data: bytes) -> Counts:
    """The same as arrays. Raises ValueError."""
    import numpy as np

    from nbmf.neural.counts import Counts

    _core_counts(_read(data))
    arrays = {name: np.asarray(array) for name, array in _read(data).items()}
    step_N = arrays["step_low_N"].astype(np.int64) | arrays["step_high_N"].astype(np.int64) << 8
    names = ("code_N", "count_of_code", "followers_C", *_PARAMETERS)
    rest: dict[str, Any] = {name: arrays[name].copy() for name in names}
    rest |= {"vocab_size": int(arrays["vocab_size"][0]), **_clusters(arrays)}
    counts = Counts(token_N=step_N.astype(np.uint16), **rest)
    sums_N = np.cumsum(step_N)
    begins = _begins(counts)
    before_N = np.zeros(len(step_N), dtype=np.int64)
    before_N[begins] = np.diff(sums_N[begins] - step_N[begins], prepend=0)
    return counts._replace(token_N=(sums_N - np.cumsum(before_N)).astype(np.uint16))


def core_counts(counts: Counts) -> _core.Counts:
    """For the core. Raises ValueError if they are none."""
    return _core_counts(_arrays(counts))


def _core_counts(arrays: dict[str, Any]) -> _core.Counts:
    return _core.Counts(arrays, int(arrays["vocab_size"][0]), **_clusters(arrays))


def _clusters(arrays: dict[str, Any]) -> dict[str, int]:
    n_clusters, cluster_size = arrays.get(_CLUSTERS, (0, 0))
    return {"n_clusters": int(n_clusters), "cluster_size": int(cluster_size)}


def _read(data: bytes) -> dict[str, memoryview[Any]]:
    """All arrays, with their types, in memory of their own."""
    try:
        # what the header states is allocated, whatever is behind it
        size = zstandard.get_frame_parameters(data).content_size
        if size > min(_MAX_BYTES, max(_LEAST_MAX_BYTES, _MAX_EXPANSION * len(data))):
            raise ValueError(f"no counts: {len(data)} bytes that expand to {size}")
        content = bytearray(size)
        reader = zstandard.ZstdDecompressor().stream_reader(data)
        if reader.readinto(content) != size or reader.read(1):
            raise ValueError("no counts: truncated")
        arrays, _ = tensors.views(content)
        for name, code in _FORMATS.items():
            if arrays[name].format != code or arrays[name].ndim != 1:
                raise ValueError(f"no counts: {name} has another type")
        if _CLUSTERS in arrays and (arrays[_CLUSTERS].format != "i" or arrays[_CLUSTERS].shape != (2,)):
            raise ValueError("no counts: clusters are not two numbers")
        if len(arrays["vocab_size"]) != 1 or not 0 < arrays["vocab_size"][0] <= 1 << 16:
            raise ValueError("no counts: no vocabulary")
    except (zstandard.ZstdError, KeyError, ValueError, MemoryError) as error:
        raise error if str(error).startswith("no counts") else ValueError(f"no counts: {error!r}") from error
    return arrays


def _arrays(counts: Counts) -> dict[str, NDArray[Any]]:
    """As they stand in the file."""
    import numpy as np

    token_N = counts.token_N.astype(np.int64)
    step_N, begins = np.diff(token_N, prepend=0), _begins(counts)
    step_N[begins] = token_N[begins]
    clusters = {_CLUSTERS: np.array([counts.n_clusters, counts.cluster_size], dtype=np.int32)}
    return {
        "step_low_N": (step_N & 255).astype(np.uint8),
        "step_high_N": (step_N >> 8).astype(np.uint8),
        "followers_C": counts.followers_C.astype(np.uint16),
        "code_N": counts.code_N,
        "count_of_code": counts.count_of_code,
        "vocab_size": np.array([counts.vocab_size], dtype=np.int64),
        **{name: getattr(counts, name) for name in _PARAMETERS},
        **(clusters if counts.n_clusters else {}),
    }


def _begins(counts: Counts) -> NDArray[np.int64]:
    """Where the first followers of contexts stand."""
    first_C = counts.first()
    return first_C[:-1][counts.followers_C > 0]
