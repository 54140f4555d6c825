"""Vectors of spaces that can be learnt, made here, and versions that have learnt them."""

from datetime import UTC, datetime

import numpy as np

from nbmf import golden
from nbmf.codec import Codec
from nbmf.manifest import Manifest, write_version
from nbmf.vectors import LatentCompressor


def vectors(count, dims, seed=0, space=0):
    """[count, dims] float32 of norm 1, most of whose length lies in few directions of the space."""
    mixing = np.random.default_rng(1000 + space).normal(size=(dims, dims))
    mixing *= np.exp(-np.arange(dims) / (dims / 6))[:, None]
    x = np.random.default_rng(seed).normal(size=(count, dims)) @ mixing
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def compressor(dims, space=0):
    """Fitted to such vectors."""
    return LatentCompressor(dims).fit(vectors(4 * dims, dims, seed=99, space=space))


def write(folder, compressors, **fields):
    """A version with these spaces and nothing else; returns its folder."""
    files = {f"vectors-{number}.safetensors": one.to_safetensors() for number, one in enumerate(compressors)}
    spaces = [{"file": name, "dims": one.input_dim} for name, one in zip(files, compressors, strict=True)]
    manifest = {
        "name": "spaces",
        "created_at": datetime(2026, 2, 2, tzinfo=UTC).isoformat(),
        "architecture": "vectors",
        "vectors": spaces,
        **fields,
    }
    codec = Codec(None, Manifest.of({**manifest, "files": {}}), files)
    files[golden.FILE] = golden.write(codec.learned)
    return folder / write_version(folder, {**manifest, "golden": golden.FILE}, files)
