"""`--init-from`: folders that are no earlier run, or the run of another network, are refused before training."""

import networks
import pytest
import torch

from nbmf.neural.config import PRESETS
from train_app.neural.failure import TrainingFailed
from train_app.neural.job import TOKENIZER_FILE, split, train_network
from train_app.neural.loop import CHECKPOINT_FILE


@pytest.fixture(scope="module")
def samples():
    return networks.sample_records()[::6]


@pytest.fixture
def earlier(samples, tmp_path):
    """What a stopped run leaves behind; the network is another one than `tiny`."""
    folder = tmp_path / "earlier"
    folder.mkdir()
    vocabulary = networks.vocabulary(samples, 300)
    (folder / TOKENIZER_FILE).write_text(vocabulary.to_str())
    checkpoint = folder / "checkpoint_2026-01-01" / CHECKPOINT_FILE
    checkpoint.parent.mkdir()
    config = PRESETS["tiny"].with_(vocab_size=vocabulary.get_vocab_size(), d_model=64)
    torch.save({"config": config.to_dict()}, checkpoint)
    return folder


def start(samples, settings, folder, init_from):
    train_network(*split(samples), PRESETS["tiny"], settings, folder, lambda _line: None, init_from)


def test_a_folder_without_vocabulary_is_refused(samples, settings, tmp_path):
    for folder in (tmp_path, tmp_path / "not there"):
        with pytest.raises(TrainingFailed, match=r"holds no tokenizer\.json: name the folder of an earlier run"):
            start(samples, settings, tmp_path / "new", folder)


def test_a_folder_without_checkpoint_is_refused(samples, settings, earlier, tmp_path):
    (earlier / "checkpoint_2026-01-01" / CHECKPOINT_FILE).unlink()
    with pytest.raises(TrainingFailed, match="earlier holds no checkpoint to start from"):
        start(samples, settings, tmp_path / "new", earlier)


def test_a_network_of_other_sizes_is_refused(samples, settings, earlier, tmp_path):
    with pytest.raises(TrainingFailed, match=r"earlier has other sizes \(.*d_model=64.*d_model=32"):
        start(samples, settings, tmp_path / "new", earlier)
