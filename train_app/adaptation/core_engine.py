"""The integer network in the compiled core, as training asks it: what follows each token of a whole record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nbmf import _core
from nbmf.neural.config import NeuralConfig
from nbmf.neural.constants import default_constants
from nbmf.neural.core import make_model, make_network
from nbmf.neural.torch_engine import Predicted
from nbmf.neural.weights import IntegerWeights


class Engine(Protocol):
    """CoreEngine, or nbmf.neural.torch_engine.TorchEngine: the same integers."""

    @property
    def config(self) -> NeuralConfig: ...

    @property
    def frequency_exp(self) -> NDArray[np.int32]:
        """Frequencies by distance."""
        ...

    def distances(
        self, tokens: Sequence[NDArray[np.integer]], targets: Sequence[NDArray[np.integer]]
    ) -> list[Predicted]:
        """For each record (its type id first) how far each outcome is from the likeliest, before each target."""
        ...


class CoreEngine:
    """On one thread; on processors without a GPU beside them several times as fast as PyTorch."""

    def __init__(self, weights: IntegerWeights, config: NeuralConfig) -> None:
        self.config = config
        self.frequency_exp = np.asarray(weights.frequency_exp)
        of_any_bytes = [b"."] * config.vocab_size
        self._model = make_model(of_any_bytes, default_constants(), make_network(weights, config), None, config)

    def distances(
        self, tokens: Sequence[NDArray[np.integer]], targets: Sequence[NDArray[np.integer]]
    ) -> list[Predicted]:
        """For each record (its type id first) how far each outcome is from the likeliest, before each target."""
        found = []
        for inputs_T, targets_T in zip(tokens, targets, strict=True):
            predicted = Predicted(*self.config.empty_predictions(len(inputs_T)))
            self._model.distances(inputs_T.astype(np.int32), targets_T.astype(np.int32), _core.AT_ONCE, *predicted)
            found.append(predicted)
        return found
