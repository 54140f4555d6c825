"""The teacher of a run (distillation.py): found, checked, and put where the workers read it."""

from __future__ import annotations

from pathlib import Path

from nbmf.neural.config import NeuralConfig
from train_app.network.failure import TrainingFailed
from train_app.network.found import network_in
from train_app.network.start import Start
from train_app.vocabulary.tokenizer import TOKENIZER_FILE

_FOLDER = "teacher"


def taught_by(folder: Path, begin: NeuralConfig | Start, run_folder: Path) -> tuple[NeuralConfig | Start, Path]:
    """(what the student begins with, the teacher's file) of a run in `run_folder`; `folder` is as for network_in.

    A new network gets the teacher's vocabulary and clusters. Raises TrainingFailed where one that is trained on has
    others, or the teacher is no larger.
    """
    teacher, tokenizer = network_in(folder)
    own, config = teacher.config, begin.config if isinstance(begin, Start) else begin
    config = config.with_(vocab_size=own.vocab_size, n_clusters=own.n_clusters, cluster_size=own.cluster_size)
    if isinstance(begin, Start) and (begin.config != config or begin.tokenizer.get_vocab() != tokenizer.get_vocab()):
        raise TrainingFailed(f"the network in {folder} has another vocabulary than the one that is trained on")
    if config.n_parameters >= own.n_parameters:
        raise TrainingFailed(
            f"the network in {folder} is no larger than its student: {own.n_parameters:,} numbers, and "
            f"{config.n_parameters:,}"
        )
    checkpoint = Start.of_model(teacher, tokenizer, run_folder / _FOLDER).checkpoint
    if isinstance(begin, Start):
        return begin, checkpoint
    (run_folder / TOKENIZER_FILE).write_text(tokenizer.to_str())
    return config, checkpoint
