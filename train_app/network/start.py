"""What the training of a network begins with in place of random weights: an earlier run, or a version."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from nbmf.neural.config import NeuralConfig
from nbmf.neural.weights import IntegerWeights
from train_app.network.dequantise import dequantise
from train_app.network.failure import TrainingFailed
from train_app.network.loop import CHECKPOINT_FILE
from train_app.network.model import NeuralModel
from train_app.vocabulary.clusters import fitted
from train_app.vocabulary.tokenizer import TOKENIZER_FILE


def last_checkpoint(run: Path) -> Path:
    """Of a run's folder, which has its vocabulary as well. Raises TrainingFailed."""
    if not (run / TOKENIZER_FILE).exists():
        raise TrainingFailed(f"{run} holds no {TOKENIZER_FILE}: name the folder of an earlier run")
    found = sorted(run.glob(f"checkpoint_*/{CHECKPOINT_FILE}"))  # Ray Train names them by time
    if not found:
        raise TrainingFailed(f"{run} holds no checkpoint to start from: name the folder of an earlier run")
    return found[-1]


@dataclass(frozen=True, slots=True)
class Start:
    """Sizes, vocabulary, and the file with the weights; of a run with the optimisers' state as well."""

    config: NeuralConfig
    tokenizer: Tokenizer
    checkpoint: Path

    @classmethod
    def of_run(cls, run: Path, config: NeuralConfig) -> Start:
        """The last weights of the run in a folder, of a network of these sizes. Raises TrainingFailed."""
        found = last_checkpoint(run)
        theirs = NeuralConfig(**torch.load(found, weights_only=True, mmap=True)["config"])
        if theirs != fitted(config, theirs.vocab_size):
            own, wanted = theirs.to_dict(), fitted(config, theirs.vocab_size).to_dict()
            sizes = ", ".join(f"{name}: {own[name]}" for name in own if own[name] != wanted[name])
            raise TrainingFailed(
                f"the network in {run} has other sizes than the one to train: give them as `network: {{{sizes}}}` in "
                "the file of --network-config"
            )
        return cls(theirs, Tokenizer.from_file(str(run / TOKENIZER_FILE)), found)

    @classmethod
    def of_integers(cls, network: bytes, tokenizer: Tokenizer, folder: Path) -> Start:
        """The network of a version, as floats that are written into `folder`."""
        return cls.of_model(dequantise(*IntegerWeights.load(network)), tokenizer, folder)

    @classmethod
    def of_model(cls, model: NeuralModel, tokenizer: Tokenizer, folder: Path) -> Start:
        """A float network, which is written into `folder`."""
        path = folder / CHECKPOINT_FILE
        folder.mkdir(parents=True, exist_ok=True)
        torch.save({"config": model.config.to_dict(), "model": model.state_dict()}, path)
        return cls(model.config, tokenizer, path)
