import pytest

from cluster import config
from train_app.network.settings import NeuralTrainConfig, default_file

SMALL = {
    "max_tokens": 15_000,
    "max_minutes": 5.0,
    "batch_size": 4,
    "sequence_length": 64,
    "report_interval_steps": 10,
    "report_interval_s": 600.0,
    "checkpoint_interval_s": 600.0,
    "warmup_steps": 5,
    "cpus_per_worker": 0.5,
    "compile": False,
}


@pytest.fixture(scope="session")
def settings():
    return config.load(NeuralTrainConfig, None, default_file("tiny"), SMALL)
