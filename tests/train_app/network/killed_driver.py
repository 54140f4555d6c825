"""A driver of a training run, for tests that kill it: `python killed_driver.py RUN_FOLDER SETTINGS.json`.

Prints a line for each line of the run's log, as JSON.
"""

import json
import sys
from pathlib import Path

import networks

from cluster.session import session
from nbmf.neural.config import PRESETS
from train_app.network.settings import NeuralTrainConfig
from train_app.network.train import train_network
from train_app.samples.split import split


def main(folder, settings):
    asked = NeuralTrainConfig(**json.loads(settings.read_text()))
    with session(num_cpus=4):
        train_network(
            *split(networks.sample_records()),
            PRESETS["tiny"],
            asked,
            folder,
            lambda line: print(json.dumps(line), flush=True),
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
