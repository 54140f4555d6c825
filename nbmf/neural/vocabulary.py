"""How a vocabulary is predicted: all tokens in one step, or frequent ones and clusters of the others first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Vocabulary:
    """Tokens are numbered in the order in which they are predicted: singles first, then cluster after cluster.

    The first step predicts a symbol, that is a single token or a cluster; the second a token of the cluster (Grave
    et al. 2017, "Efficient softmax approximation for GPUs"). Without clusters every token is a symbol.
    """

    vocab_size: int = 4096
    n_clusters: int = 0
    cluster_size: int = 0  # tokens of each: a power of two, from 16 on

    @property
    def n_singles(self) -> int:
        """Tokens that are predicted in one step."""
        return self.vocab_size - self.n_clusters * self.cluster_size

    @property
    def n_symbols(self) -> int:
        """What the first step predicts: tokens and clusters."""
        return self.n_singles + self.n_clusters

    def empty_predictions(self, count: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Room for `count` predictions: of symbols, and of the tokens of a cluster (0 wide where there are none)."""
        import numpy as np

        size = self.cluster_size if self.n_clusters else 0
        return np.zeros((count, self.n_symbols), dtype=np.int32), np.zeros((count, size), dtype=np.int32)

    def clusters(self, tokens_N: NDArray[np.integer]) -> NDArray[np.int64]:
        """The cluster of each token, -1 for a single one."""
        import numpy as np

        beyond_N = tokens_N.astype(np.int64) - self.n_singles
        return np.where(beyond_N < 0, -1, beyond_N // max(self.cluster_size, 1))

    def symbols(self, tokens_N: NDArray[np.integer]) -> NDArray[np.int64]:
        """What the first step predicts for each token: itself, or its cluster."""
        import numpy as np

        return np.where(tokens_N < self.n_singles, tokens_N, self.n_singles + self.clusters(tokens_N))
