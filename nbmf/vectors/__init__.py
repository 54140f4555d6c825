"""Vectors kept up to a cosine (docs/vectors.md): the built-in coder of any dimension, and compressors that are trained.

Decoding is exact: the same bits on every machine and whatever the batch. numpy is loaded for LatentCompressor alone.
"""

from typing import TYPE_CHECKING, Any

from nbmf.vectors.aim import Aim, Similarity

if TYPE_CHECKING:
    from nbmf.vectors.compressor import LatentCompressor

__all__ = ["Aim", "LatentCompressor", "Similarity"]


def __getattr__(name: str) -> Any:
    if name == "LatentCompressor":  # which needs numpy
        from nbmf.vectors.compressor import LatentCompressor

        return LatentCompressor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
