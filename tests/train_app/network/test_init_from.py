"""`--init-from`: folders that are no earlier run, or the run of another network, are refused before training."""

import networks
import pytest
import torch

from nbmf.manifest import write_version
from nbmf.neural.config import PRESETS
from train_app.learned_part import LearningPlan, train_part
from train_app.network.failure import TrainingFailed
from train_app.network.loop import CHECKPOINT_FILE
from train_app.network.settings import FINETUNE
from train_app.network.start import Start
from train_app.vocabulary.tokenizer import TOKENIZER_FILE


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


def test_a_folder_without_vocabulary_is_refused(tmp_path):
    for folder in (tmp_path, tmp_path / "not there"):
        with pytest.raises(TrainingFailed, match=r"holds no tokenizer\.json: name the folder of an earlier run"):
            Start.of_run(folder, PRESETS["tiny"])


def test_a_folder_without_checkpoint_is_refused(earlier):
    (earlier / "checkpoint_2026-01-01" / CHECKPOINT_FILE).unlink()
    with pytest.raises(TrainingFailed, match="earlier holds no checkpoint to start from"):
        Start.of_run(earlier, PRESETS["tiny"])


def test_a_network_of_other_sizes_is_refused(earlier):
    with pytest.raises(TrainingFailed, match=r"earlier has other sizes .* `network: \{.*d_model: 64.*\}`"):
        Start.of_run(earlier, PRESETS["tiny"])


def test_a_version_without_a_network_is_refused(samples, settings, tmp_path):
    manifest = {"name": "none", "created_at": "", "architecture": "zstd-dictionary"}
    folder = tmp_path / write_version(tmp_path, manifest, {})
    plan = LearningPlan(FINETUNE, settings, tmp_path / "runs", folder)
    with pytest.raises(TrainingFailed, match=f"the version in {folder} is none with a network"):
        train_part(samples, [], plan, lambda _line: None, lambda: None)
