"""Workers of a training run without Ray: in this process, or processes of their own that gloo joins.

`python lone_worker.py FOLDER RANK` is one of several; streams and checkpoints are in the folder of the options.
"""

import json
import pickle
import subprocess
import sys
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import networks
import torch
import torch.distributed as dist

from nbmf.neural.config import PRESETS, NeuralConfig
from train_app.network.loop import Run
from train_app.network.model import load_model
from train_app.network.settings import NeuralTrainConfig
from train_app.network.worker import CHECKPOINT_FILE
from train_app.samples.split import split
from train_app.samples.tokens import tokenise_samples

CONFIG = PRESETS["tiny"].with_(layer_kinds="ca", n_clusters=12, cluster_size=32)
"""Sizes of a network for such runs."""


def steady(settings, sequences, steps, **others):
    """Settings of so many steps of so many sequences, by tokens alone; no random numbers but the order."""
    update = {"global_batch_size": sequences, "max_tokens": steps * sequences * settings.sequence_length}
    update |= {"memory_dropout": 0.0, "precision": "float32", "report_interval_steps": 1}
    return settings.model_copy(update=update | others)


def sample_streams():
    """What it learns from, and what watches."""
    samples = networks.sample_records()
    vocabulary = networks.vocabulary(samples)
    training, validation = split(samples)
    return {"train": tokenise_samples(training, vocabulary), "validation": tokenise_samples(validation, vocabulary)}


class Stopped(Exception):
    """The run was stopped after a checkpoint, as a kill would."""


class LoneWorker:
    """Keeps the last checkpoint in a folder; stops a run at the first checkpoint from a step on."""

    device = torch.device("cpu")

    def __init__(self, streams, folder, rank=0, world=1, stop_at=None):
        self.streams, self.folder = streams, folder
        self.rank, self.world, self.stop_at = rank, world, stop_at

    def stream(self, name):
        return self.streams[name]

    @contextmanager
    def checkpoint(self):
        path = self.folder / CHECKPOINT_FILE
        yield path if path.exists() else None

    def report(self, metrics, folder):
        if folder:
            (folder / CHECKPOINT_FILE).replace(self.folder / CHECKPOINT_FILE)
        if self.stop_at is not None and metrics["step"] >= self.stop_at:
            raise Stopped


def run(streams, settings, config, folder, rank=0, world=1, stop_at=None):
    """Trains in this process, until the end or the stop."""
    folder.mkdir(exist_ok=True)
    worker = LoneWorker(streams, folder, rank, world, stop_at)
    with suppress(Stopped):
        Run(worker, settings, config, folder).train()


def train_network(training, validation, begin, settings, run_folder, on_line, *_):
    """In place of train_app.network.train's, of a network to be trained on."""
    streams = {
        name: tokenise_samples(samples, begin.tokenizer)
        for name, samples in (("train", training), ("validation", validation))
    }
    folder = run_folder / "alone"
    folder.mkdir(parents=True)
    Run(LoneWorker(streams, folder), settings, begin.config, folder, begin.checkpoint).train()
    for line in log(folder):
        on_line(line)
    return load_model(folder / CHECKPOINT_FILE), begin.tokenizer, folder / CHECKPOINT_FILE


def run_together(streams, settings, config, folder, world, stop_at=None):
    """The same with so many processes."""
    folder.mkdir(exist_ok=True)
    (folder / "streams.pickle").write_bytes(pickle.dumps(streams))
    store = folder / "store"
    store.unlink(missing_ok=True)
    options = {"settings": settings.model_dump(), "config": config.to_dict(), "world": world, "stop_at": stop_at}
    (folder / "options.json").write_text(json.dumps(options))
    command = [sys.executable, __file__, str(folder)]
    processes = [subprocess.Popen([*command, str(rank)]) for rank in range(world)]
    try:
        assert [process.wait(200) for process in processes] == [0] * world
    finally:
        for process in processes:
            process.kill()


def log(folder):
    """Lines of the run's log."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def weights(folder):
    """(all weights of the last checkpoint as one vector, what else is in it)."""
    state = torch.load(folder / CHECKPOINT_FILE, weights_only=True)
    return torch.cat([tensor.flatten() for tensor in state["model"].values()]), state


def main(folder, rank):
    options = json.loads((folder / "options.json").read_text())
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "store"), options["world"])
    dist.init_process_group("gloo", store=store, rank=rank, world_size=options["world"], timeout=timedelta(seconds=120))
    run(
        pickle.loads((folder / "streams.pickle").read_bytes()),
        NeuralTrainConfig(**options["settings"]),
        NeuralConfig(**options["config"]),
        folder,
        rank,
        options["world"],
        options["stop_at"],
    )
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
