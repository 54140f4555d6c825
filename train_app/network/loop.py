"""The training loop, run in every worker of the Ray Train job: one process or many, CPU or GPU, the same code.

Data-parallel: all workers know the order of all records, each takes its part of every optimiser step, and gradients are
averaged (DistributedDataParallel: gloo on CPU, nccl on GPU). Rank 0 watches the clock and tells the others; so all stop
at one step.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nbmf.neural.config import NeuralConfig
from train_app.network import checkpoints, muon
from train_app.network import model as model_module
from train_app.network.batches import StreamBatches
from train_app.network.calibration import measured, rounding_steps, some_batches
from train_app.network.distillation import Distillation
from train_app.network.feed import Feed, Part, Place, fits_device
from train_app.network.measure import bits
from train_app.network.memory import peak_memory
from train_app.network.model import NeuralModel, load_model
from train_app.network.order import Order, by_class
from train_app.network.precision import autocast_dtype
from train_app.network.run_log import RunLog
from train_app.network.schedule import learning_rate_share, make_optimisers, set_learning_rates
from train_app.network.settings import NeuralTrainConfig
from train_app.network.step import Gradients
from train_app.network.worker import CHECKPOINT_FILE, RayWorker, Together, Worker

__all__ = ["CHECKPOINT_FILE", "Run", "train_loop"]


def train_loop(options: dict[str, Any]) -> None:
    """Trains until the budget is spent; reports checkpoints and metrics through ray.train.report."""
    settings = NeuralTrainConfig(**options["settings"])
    worker = RayWorker()
    # Divided here: an elastic run does not know before how many workers there will be.
    torch.set_num_threads(max(1, round(options["cpus"] / worker.world)))
    init_from = Path(options["init_from"]) if options["init_from"] else None
    teacher = load_model(Path(options["teacher"])) if options.get("teacher") else None
    Run(worker, settings, NeuralConfig(**options["config"]), Path(options["run_folder"]), init_from, teacher).train()


class Run:
    """A worker's share of a run."""

    def __init__(
        self,
        worker: Worker,
        settings: NeuralTrainConfig,
        config: NeuralConfig,
        folder: Path,
        init_from: Path | None = None,
        teacher: NeuralModel | None = None,
    ) -> None:
        """Goes on from the run's last checkpoint within the same budget; a new run starts from `init_from`."""
        torch.manual_seed(settings.seed)
        self.worker = worker
        self.settings = settings
        self.device = worker.device
        self.together = Together(worker)
        self.autocast_dtype = autocast_dtype(settings, self.device, self.together)
        self.model = NeuralModel(config, settings.memory_dropout).to(self.device)
        self.model.freeze(settings.frozen)
        self.optimisers = make_optimisers(self.model, settings, self.autocast_dtype or torch.float32)
        self.validation = worker.stream("validation") if worker.rank == 0 else None
        self.best: checkpoints.Best | None = None
        self.stream, self.classes = by_class(worker.stream("train"), settings.sampling_temperature)
        # Of few records, less than a batch.
        n_tokens = len(self.stream.tokens_N)
        self.length = min(settings.sequence_length, max(1, n_tokens // 2))
        self.per_step = min(settings.step_size(worker.world), max(1, n_tokens // self.length - 1))
        self.order = {
            "tokens": n_tokens,
            "length": self.length,
            "seed": settings.seed,
            "temperature": settings.sampling_temperature,
        }
        self.step = self.tokens = 0
        self.minutes_before = 0.0
        self.place = self._restore(init_from)
        self.feed = self._feed()
        self.log = RunLog(folder, self.step + 1, settings.track) if worker.rank == 0 else None
        process = f"{os.getpid()} on {platform.node()}"
        self._write({"step": self.step, "workers": worker.world, "process": process})
        self._compile()
        distillation = Distillation(teacher, self.stream, self.device) if teacher else None
        self.gradients = Gradients(self.model, self.together, self.autocast_dtype, distillation)
        self.began = self.reported = self.kept = time.monotonic()
        self.steps = self.counted = self.taken = 0  # since the last report

    def train(self) -> None:
        """Until the budget is spent."""
        try:
            self._train()
            self._checkpoint(final=True)
        finally:
            self.feed.close()
            if self.log:
                self.log.close()

    def _train(self) -> None:
        progress, begins_step = 0.0, True
        for part in self.feed.parts():
            if begins_step:
                progress, reports, keeps = self._decided()
                if reports or keeps or progress >= 1:
                    self._report(progress)
                if progress >= 1:
                    break
                if keeps:
                    self._checkpoint()
                    self.kept = self.reported = time.monotonic()
                self._begin_step(progress)
            self.gradients.add(part)
            begins_step = part.last
            if part.last:
                self._end_step(part)

    def _decided(self) -> tuple[float, bool, bool]:
        """(share of the budget that is spent, whether to report, whether to keep a checkpoint), as rank 0 finds."""
        now, settings = time.monotonic(), self.settings
        reports = self.steps >= settings.report_interval_steps or now - self.reported > settings.report_interval_s
        keeps = now - self.kept > settings.checkpoint_interval_s
        progress, reports_, keeps_ = self.together.of_first(self._progress(), reports, keeps)
        return progress, bool(reports_), bool(keeps_)

    def _begin_step(self, progress: float) -> None:
        if progress >= self.settings.rounding_from and not self.model.steps:
            self._begin_rounding()
        set_learning_rates(self.optimisers, learning_rate_share(progress, self.step, self.settings))
        if self.settings.memory_dropout:  # other entries are hidden in each step and by each worker
            torch.manual_seed((self.settings.seed * 1_000_003 + self.step) * 4096 + self.worker.rank)

    def _begin_rounding(self) -> None:
        """From here on the network is what its integers will be; weights that were best in floats are not kept."""
        steps = None
        if self.worker.rank == 0:
            alone = NeuralModel(self.model.config)
            alone.restore({name: tensor.cpu() for name, tensor in self.model.state_dict().items()})
            steps = rounding_steps(alone, measured(alone, some_batches(self.stream, alone)))
        steps = self.together.object_of_first(steps)
        self.model.round_by({name: step.to(self.device) for name, step in steps.items()})
        self.best = None
        self._write({"step": self.step, "rounding": True})

    def _end_step(self, part: Part) -> None:
        self.gradients.step(self.optimisers)
        self.place = part.after
        self.step += 1
        self.steps += 1
        self.counted += part.counted
        self.taken += part.sequences * self.length
        self.tokens += part.sequences * self.length

    def _report(self, progress: float) -> None:
        """The steps since the last report, if any."""
        if self.steps:
            nats, norm = self.gradients.taken()
            loss_nats = self.together.total(nats) / self.counted
            now, minutes = time.monotonic(), self._minutes()
            self._write(
                {
                    "step": self.step,
                    "epoch": self.place.epoch,
                    "tokens": self.tokens,
                    "minutes": round(minutes, 2),
                    "minutes_left": round(minutes * max(0.0, 1 / progress - 1), 2) if progress else None,
                    "progress": round(min(progress, 1), 6),
                    "loss_nats": round(loss_nats, 4),
                    "bits_per_byte": round(loss_nats * self._bits_per_byte_of_loss, 4),
                    "gradient_norm": norm,
                    "learning_rate": self.optimisers[0].param_groups[0]["lr"],
                    "processor_s": round(time.process_time(), 1),
                    "tokens_per_s": round(self.taken / (now - self.reported)),
                    **peak_memory(self.device),
                }
            )
        self.steps = self.counted = self.taken = 0
        self.reported = time.monotonic()

    @property
    def _bits_per_byte_of_loss(self) -> float:
        return len(self.stream.tokens_N) / (float(self.stream.n_bytes.sum()) * np.log(2))

    def _feed(self) -> Feed:
        """With the whole stream on the device, where it fits."""
        place = self.device if fits_device(len(self.stream.tokens_N), self.device) else torch.device("cpu")
        return Feed(
            StreamBatches(self.stream, self.model.config, self.model.hash_ids(), place),
            Order(self.stream, self.classes, self.length, self.settings.seed),
            self.device,
            (self.length, self.per_step, self.settings.batch_size),
            (self.worker.rank, self.worker.world),
            self.place,
        )

    def _minutes(self) -> float:
        return self.minutes_before + (time.monotonic() - self.began) / 60

    def _progress(self) -> float:
        """The share that is spent of the budget that ends first."""
        settings = self.settings
        by_time = self._minutes() / settings.max_minutes
        by_tokens = self.tokens / settings.max_tokens if settings.max_tokens else 0.0
        an_epoch = len(self.stream.tokens_N)
        by_epochs = self.tokens / (settings.max_epochs * an_epoch) if settings.max_epochs else 0.0
        return max(by_time, by_tokens, by_epochs)

    def _checkpoint(self, final: bool = False) -> None:
        spent = {"step": self.step, "tokens": self.tokens, "minutes": self._minutes()}
        metrics: dict[str, Any] = {**spent, "minutes": round(spent["minutes"], 2)}
        if self.worker.rank != 0:
            self.worker.report(metrics, None)
            return
        metrics |= self._validated()
        self._write({**metrics, "final": final})
        folder = Path(tempfile.mkdtemp())
        try:
            path = folder / CHECKPOINT_FILE
            checkpoints.save(path, self.model, self.optimisers, spent, self.place, self.order, self.best, final)
            self.worker.report(metrics, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _validated(self) -> dict[str, Any]:
        """Bits of the validation records, if there are any; keeps the weights where they are the fewest so far."""
        if self.validation is None or not len(self.validation.sets):
            return {}
        found = bits(self.model, self.validation, self.autocast_dtype)
        if self.best is None or found.per_byte < self.best[0]:
            self.best = found.per_byte, {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        by_class = {"class_bits_per_byte": found.by_class} if found.by_class else {}
        return {"validation_bits_per_byte": found.per_byte, **by_class}

    def _restore(self, init_from: Path | None) -> Place:
        with self.worker.checkpoint() as path:
            if path is not None:
                state = checkpoints.load(path, self.model, self.optimisers, self.device)
                self.step, self.tokens = int(state["step"]), int(state["tokens"])
                self.minutes_before = float(state["minutes"])
                self.best = checkpoints.best_of(state, self.model)
                return checkpoints.place_of(state, self.order)
        if init_from is None:
            return Place()
        state = checkpoints.load(init_from, self.model, self.optimisers, self.device)
        self.model.round_by({})
        self._validated()
        return checkpoints.place_of(state, {})

    def _compile(self) -> None:
        if self.settings.compile and (self.device.type == "cuda" or shutil.which("g++")):
            layers = self.model.stack()
            # Layers of a kind share their code, and each has a graph of its own, in floats and rounded.
            limit = "recompile_limit" if hasattr(torch._dynamo.config, "recompile_limit") else "cache_size_limit"
            setattr(torch._dynamo.config, limit, max(getattr(torch._dynamo.config, limit), 4 * len(layers)))
            for layer in layers:
                layer.compile(dynamic=False)
            model_module.chunk_loss_and_gradient = torch.compile(model_module._chunk_loss_and_gradient, dynamic=False)
            if self.device.type == "cuda":  # many small products, which cost more to start than to work out
                muon.orthogonalise = torch.compile(muon._orthogonalise, dynamic=False)

    def _write(self, line: dict[str, Any]) -> None:
        if self.log:
            self.log.write(line)
