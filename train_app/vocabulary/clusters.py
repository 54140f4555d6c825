"""Clusters of tokens for a softmax in two steps: frequent tokens stand alone, the others with those of like neighbours.

Vectors of positive pointwise mutual information with the tokens around (Levy & Goldberg 2014), cut to their
largest singular values (Halko et al. 2011), and k-means in which every cluster takes as many tokens.

Shape suffixes: N tokens of records, V vocabulary, I input ids, M tokens in clusters, C clusters, E dimensions.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nbmf.neural.config import NeuralConfig

_NEIGHBOURS = ((-1, 1.0), (-2, 0.5), (1, 0.5))
"""Where they are, and what their information weighs: a cluster is foretold from what stands before."""
_DIMENSIONS, _MORE_DIMENSIONS, _POWER_STEPS = 100, 10, 2
_MOST_ROUNDS, _STILL = 25, 1e-3
_SEED = 0


def fitted(config: NeuralConfig, vocab_size: int) -> NeuralConfig:
    """For a vocabulary that came out with so many tokens: if fewer, fewer clusters, and as large a share of singles."""
    singles = -(-vocab_size * config.n_singles // config.vocab_size)
    clusters = min(config.n_clusters, (vocab_size - singles) // config.cluster_size) if config.n_clusters else 0
    return config.with_(vocab_size=vocab_size, n_clusters=clusters, cluster_size=config.cluster_size if clusters else 0)


def learn_slots(tokens_N: NDArray[np.integer], config: NeuralConfig) -> NDArray[np.int64]:
    """The id [V] that each token gets: singles first, then cluster after cluster, in each by falling frequency.

    `tokens_N` are records joined end to end, each with the id of its type first.
    """
    ids_N = tokens_N.astype(np.int64)
    count_V = np.bincount(ids_N, minlength=config.n_input_ids)[: config.vocab_size]
    by_count_V = np.argsort(-count_V, kind="stable")
    clustered_M = by_count_V[config.n_singles :]
    vectors_VE = _vectors(ids_N, config.n_input_ids, config.vocab_size)
    cluster_M = _balanced_clusters(vectors_VE[clustered_M], config.n_clusters, config.cluster_size)
    order_M = np.argsort(cluster_M, kind="stable")
    slot_V = np.empty(config.vocab_size, dtype=np.int64)
    slot_V[np.concatenate((by_count_V[: config.n_singles], clustered_M[order_M]))] = np.arange(config.vocab_size)
    return slot_V


def _vectors(tokens_N: NDArray[np.int64], n_input_ids: int, vocab_size: int) -> NDArray[np.float32]:
    """Of length one, for each token."""
    parts = [_information(tokens_N, n_input_ids, distance) for distance, _ in _NEIGHBOURS]
    rows = np.concatenate([row for row, _, _ in parts])
    columns = np.concatenate([column + index * n_input_ids for index, (_, column, _) in enumerate(parts)])
    values = np.concatenate([weight * part[2] for part, (_, weight) in zip(parts, _NEIGHBOURS, strict=True)])
    kept = (rows < vocab_size) & (values > 0)
    matrix = _sparse(rows[kept], columns[kept], values[kept], (vocab_size, len(parts) * n_input_ids))
    transposed = _sparse(columns[kept], rows[kept], values[kept], (len(parts) * n_input_ids, vocab_size))
    generator = torch.Generator().manual_seed(_SEED)
    found = min(_DIMENSIONS + _MORE_DIMENSIONS, vocab_size)
    basis_VE = torch.linalg.qr(matrix @ torch.randn(matrix.size(1), found, generator=generator)).Q
    for _ in range(_POWER_STEPS):
        basis_VE = torch.linalg.qr(matrix @ (transposed @ basis_VE)).Q
    turn_EE, singular_E, _ = torch.linalg.svd((transposed @ basis_VE).T, full_matrices=False)
    vectors_VE = ((basis_VE @ turn_EE) * singular_E.sqrt())[:, :_DIMENSIONS]
    result: NDArray[np.float32] = torch.nn.functional.normalize(vectors_VE, dim=1).numpy()
    return result


def _information(
    tokens_N: NDArray[np.int64], n_input_ids: int, distance: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """(token, neighbour, nats of mutual information), of the pairs that are there."""
    before_N, after_N = tokens_N[: -abs(distance)], tokens_N[abs(distance) :]
    token_N, neighbour_N = (after_N, before_N) if distance < 0 else (before_N, after_N)
    pair_P, count_P = np.unique(token_N * n_input_ids + neighbour_N, return_counts=True)
    token_P, neighbour_P = np.divmod(pair_P, n_input_ids)
    token_I = np.bincount(token_N, minlength=n_input_ids) + 1.0
    neighbour_I = (np.bincount(neighbour_N, minlength=n_input_ids) + 1.0) ** 0.75  # else rare ones tell too much
    expected_P = token_I[token_P] * neighbour_I[neighbour_P] / neighbour_I.sum()
    return token_P, neighbour_P, np.log(np.maximum(count_P / expected_P, 1.0))


def _sparse(
    rows: NDArray[np.int64], columns: NDArray[np.int64], values: NDArray[np.float64], shape: tuple[int, int]
) -> Tensor:
    index = torch.from_numpy(np.stack((rows, columns)))
    return torch.sparse_coo_tensor(index, torch.from_numpy(values).float(), shape, check_invariants=True).coalesce()


def _balanced_clusters(vectors_ME: NDArray[np.float32], n_clusters: int, size: int) -> NDArray[np.int64]:
    """The cluster of each, by cosine: those nearest to a centre choose first, a full cluster takes no more."""
    generator = np.random.default_rng(_SEED)
    centres_CE = vectors_ME[generator.choice(len(vectors_ME), n_clusters, replace=False)]
    cluster_M = np.zeros(len(vectors_ME), dtype=np.int64)
    for _ in range(_MOST_ROUNDS):
        near_MC = vectors_ME @ centres_CE.T
        preferred_MC = np.argsort(-near_MC, axis=1, kind="stable").tolist()
        room_C = [size] * n_clusters
        for index in np.argsort(-near_MC.max(axis=1), kind="stable").tolist():
            chosen = next(cluster for cluster in preferred_MC[index] if room_C[cluster])
            room_C[chosen] -= 1
            cluster_M[index] = chosen
        before_CE = centres_CE
        centres_CE = np.stack([vectors_ME[cluster_M == cluster].mean(axis=0) for cluster in range(n_clusters)])
        centres_CE /= np.linalg.norm(centres_CE, axis=1, keepdims=True) + 1e-9
        if np.abs(centres_CE - before_CE).max() < _STILL:
            break
    return cluster_M
