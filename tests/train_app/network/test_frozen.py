"""Parts of a network that is trained on stay as they are, and a version's tables keep their integers."""

import hybrids
import lone_worker
import networks
import pytest
import torch
from lone_worker import CONFIG

from train_app.integers.quantise import calibrate, quantise
from train_app.learned_part import LearningPlan, train_part
from train_app.network.calibration import some_batches, step_of_integers
from train_app.network.dequantise import dequantise
from train_app.network.failure import TrainingFailed
from train_app.network.loop import Run
from train_app.network.start import Start

PARTS = {
    "memory": {"bigram_memory.weight", "trigram_memory.weight"},
    "embedding": {"embedding.weight"},
    "members": {"member.weight"},
}


@pytest.mark.parametrize("frozen", [(), ("memory",), ("memory", "embedding", "members")], ids=str)
def test_what_is_frozen_stays(frozen, settings, tmp_path):
    streams = lone_worker.sample_streams()
    model = hybrids.hybrid(CONFIG)
    start = Start.of_model(model, None, tmp_path)
    trained = lone_worker.steady(settings, 2, 3, frozen=frozen)
    worker = lone_worker.LoneWorker(streams, tmp_path / "run")
    worker.folder.mkdir()
    run = Run(worker, trained, model.config, tmp_path, start.checkpoint)
    run.train()
    stays = set().union(*(PARTS[part] for part in frozen))
    before, after = model.state_dict(), run.model.state_dict()
    same = {name for name, tensor in after.items() if torch.equal(tensor, before[name])}
    assert same == stays | {name for name in after if name == "hash_id_I"}


def test_of_a_new_network_nothing_can_be_frozen(settings, tmp_path):
    plan = LearningPlan("tiny", settings.model_copy(update={"frozen": ("memory",)}), tmp_path)
    with pytest.raises(TrainingFailed, match="frozen: no network is trained on"):
        train_part(networks.sample_records()[:60], [], plan, print, lambda: None)


def test_tables_of_a_version_keep_their_integers():
    first = hybrids.hybrid()
    stream = hybrids.sample_stream()
    version = quantise(first, calibrate(first, some_batches(stream, first))).numpy()
    model = dequantise(version, first.config)
    with torch.no_grad():
        model.head.weight += 0.01 * torch.randn_like(model.head.weight)  # as if it was trained on
    again = quantise(model, calibrate(model, some_batches(stream, model))).numpy()
    assert (again.bigram_RM == version.bigram_RM).all()
    assert (again.trigram_RM == version.trigram_RM).all()
    assert not (again.head_VD == version.head_VD).all()


@pytest.mark.parametrize(
    ("table", "step"),
    [
        ([[0.5, float("nan")]], None),
        ([[0.0, 0.5], [-1.5, 2.0]], 0.5),
        ([[0.5, 0.5], [1.2, 2.0]], None),
        ([[0.01, 5.0]], None),
        ([[0.0, 0.0]], None),
    ],
)
def test_whole_steps(table, step):
    assert step_of_integers(torch.tensor(table)) == step
