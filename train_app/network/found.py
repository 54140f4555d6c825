"""A network that there is already, in floats: of an earlier run, of a version, or trained elsewhere."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from nbmf import builtin
from nbmf.manifest import MANIFEST, read_version
from nbmf.neural.weights import IntegerWeights
from train_app.network.dequantise import dequantise
from train_app.network.failure import TrainingFailed
from train_app.network.given import load_given
from train_app.network.model import NeuralModel, load_model
from train_app.network.start import last_checkpoint
from train_app.vocabulary.tokenizer import TOKENIZER_FILE


def network_in(folder: Path | None) -> tuple[NeuralModel, Tokenizer]:
    """The network, on the CPU, for evaluation, and its vocabulary; without a folder the built-in version's.

    Raises TrainingFailed where there is none, and NbmfError for a version that cannot be read.
    """
    folder = folder or builtin.default_folder()
    if folder is None:
        raise TrainingFailed("the package has no built-in version: name a folder")
    if (folder / MANIFEST).exists():
        _, manifest, files = read_version(folder)
        if manifest.neural is None:
            raise TrainingFailed(f"the version in {folder} is none with a network")
        tokenizer = Tokenizer.from_str(files[manifest.neural.tokenizer].decode())
        return dequantise(*IntegerWeights.load(files[manifest.neural.model])), tokenizer
    if (folder / "config.json").exists():
        return load_given(folder)
    checkpoint = last_checkpoint(folder)
    return load_model(checkpoint), Tokenizer.from_file(str(folder / TOKENIZER_FILE))
