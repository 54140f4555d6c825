"""The training loop, run in every worker of the Ray Train job: one process or many, CPU or GPU, the same code.

Data-parallel: each worker has its own share of the records, gradients are averaged after every step
(gloo on CPU, nccl on GPU). Rank 0 watches the clock and tells the others; so all stop at one step.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import ray.train
import torch
import torch.distributed as dist
from ray.train import Checkpoint
from ray.train.torch import get_device

from nbmf.neural.config import NeuralConfig
from train_app.network import model as model_module
from train_app.network.batches import StreamBatches
from train_app.network.distillation import Distillation
from train_app.network.measure import bits_per_byte
from train_app.network.model import NeuralModel, load_model
from train_app.network.run_log import RunLog
from train_app.network.schedule import learning_rate_share, make_optimisers, set_learning_rates
from train_app.network.settings import NeuralTrainConfig
from train_app.samples.tokens import TokenStream

CHECKPOINT_FILE = "checkpoint.pt"


def train_loop(options: dict[str, Any]) -> None:
    """Trains until the budget is spent; reports checkpoints and metrics through ray.train.report."""
    settings = NeuralTrainConfig(**options["settings"])
    # Divided here: an elastic run does not know before how many workers there will be.
    torch.set_num_threads(max(1, round(options["cpus"] / ray.train.get_context().get_world_size())))
    torch.manual_seed(settings.seed)
    init_from = Path(options["init_from"]) if options["init_from"] else None
    teacher = load_model(Path(options["teacher"])) if options.get("teacher") else None
    _Run(settings, NeuralConfig(**options["config"]), Path(options["run_folder"]), init_from, teacher).train()


def read_stream(dataset: Any) -> TokenStream:
    """A worker's share of the tokenised records, in memory."""
    tokens, lengths, n_bytes, sets = [], [], [], []
    for batch in dataset.iter_batches(batch_size=4096, batch_format="pyarrow", prefetch_batches=1):
        column = batch["tokens"].combine_chunks()
        tokens.append(column.flatten().to_numpy(zero_copy_only=False).astype(np.uint16))
        lengths.append(np.diff(column.offsets.to_numpy()))
        n_bytes.append(batch["n_bytes"].to_numpy())
        sets += batch["set"].to_pylist()
    if not sets:
        raise ValueError("a worker was given no records: there are fewer of them than workers")
    starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
    return TokenStream(np.concatenate(tokens), starts, np.concatenate(n_bytes), np.array(sets))


class _Run:
    def __init__(
        self,
        settings: NeuralTrainConfig,
        config: NeuralConfig,
        folder: Path,
        init_from: Path | None,
        teacher: NeuralModel | None = None,
    ) -> None:
        self.settings = settings
        self.config = config
        context = ray.train.get_context()
        self.rank, self.world = context.get_world_rank(), context.get_world_size()
        self.device = get_device()
        self.validation = read_stream(ray.train.get_dataset_shard("validation")) if self.rank == 0 else None
        self.model = NeuralModel(config, settings.memory_dropout).to(self.device)
        self.optimisers = make_optimisers(self.model, settings)
        self.epoch = self.step = self.tokens = 0
        self.minutes_before = 0.0
        self.autocast_dtype = _autocast_dtype(self.device)
        self.best: tuple[float, dict[str, Any]] | None = None  # bits of the validation records, weights
        self._restore(init_from)
        stream = read_stream(ray.train.get_dataset_shard("train"))
        self.batches = StreamBatches(stream, config, self.model.hash_ids())
        self.distillation = Distillation(teacher, stream, self.device) if teacher else None
        # Of few records, less than a batch.
        self.length = min(settings.sequence_length, max(1, len(self.batches) // 2))
        self.batch_size = min(settings.batch_size, max(1, len(self.batches) // self.length - 1))
        self.log = RunLog(folder, self.step + 1) if self.rank == 0 else None
        self._write({"step": self.step, "workers": self.world})
        self._compile()
        self.began = self.reported = time.monotonic()
        self.losses_nats: list[float] = []

    def train(self) -> None:
        last_checkpoint, progress = time.monotonic(), self._progress()
        for batch in self._endless():
            now = time.monotonic()
            due = now - last_checkpoint > self.settings.checkpoint_interval_s
            progress, due = self._agree(self._progress(), due)
            if progress >= 1:
                break
            if due:
                self._report(progress)
                self._checkpoint()
                last_checkpoint = self.reported = time.monotonic()
            self.losses_nats.append(self._train_step(batch, progress))
            waited = time.monotonic() - self.reported > self.settings.report_interval_s
            if waited or len(self.losses_nats) == self.settings.report_interval_steps:
                self._report(progress)
        self._report(progress)
        self._checkpoint(final=True)
        if self.log:
            self.log.close()

    def _report(self, progress: float) -> None:
        """The steps since the last report, if any."""
        steps, now = len(self.losses_nats), time.monotonic()
        if steps:
            loss_nats = sum(self.losses_nats) / steps
            self._write(
                {
                    "step": self.step,
                    "epoch": self.epoch,
                    "tokens": self.tokens,
                    "minutes": round(self._minutes(), 2),
                    "progress": round(min(progress, 1), 6),
                    "loss_nats": round(loss_nats, 4),
                    "bits_per_byte": round(loss_nats * self._bits_per_byte_of_loss, 4),
                    "learning_rate": self.optimisers[0].param_groups[0]["lr"],
                    "processor_s": round(time.process_time(), 1),
                    "tokens_per_s": round(steps * self._tokens_per_step / (now - self.reported)),
                }
            )
        self.losses_nats, self.reported = [], now

    @property
    def _tokens_per_step(self) -> int:
        return self.batch_size * self.length * self.world

    @property
    def _bits_per_byte_of_loss(self) -> float:
        stream = self.batches.stream
        return len(stream.tokens_N) / (float(stream.n_bytes.sum()) * np.log(2))

    def _train_step(self, batch: Any, progress: float) -> float:
        set_learning_rates(self.optimisers, learning_rate_share(progress, self.step, self.settings))
        autocast = torch.autocast(self.device.type, self.autocast_dtype) if self.autocast_dtype else nullcontext()
        with autocast:
            loss = self.distillation.loss(self.model, batch) if self.distillation else self.model.loss(batch)
        loss.backward()
        if self.world > 1:
            for parameter in self.model.parameters():
                dist.all_reduce(parameter.grad)
                parameter.grad /= self.world
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad()
        self.step += 1
        self.tokens += self._tokens_per_step
        return float(loss)

    def _endless(self) -> Any:
        while True:
            for batch in self.batches.epoch(self.epoch, self.settings.seed, self.batch_size, self.length):
                yield batch.to(self.device)
            self.epoch += 1

    def _minutes(self) -> float:
        return self.minutes_before + (time.monotonic() - self.began) / 60

    def _progress(self) -> float:
        """The share that is spent of the budget that ends first."""
        settings = self.settings
        by_time = self._minutes() / settings.max_minutes
        by_tokens = self.tokens / settings.max_tokens if settings.max_tokens else 0.0
        an_epoch = len(self.batches) * self.world
        by_epochs = self.tokens / (settings.max_epochs * an_epoch) if settings.max_epochs else 0.0
        return max(by_time, by_tokens, by_epochs)

    def _agree(self, progress: float, due: bool) -> tuple[float, bool]:
        """What rank 0 finds: clocks differ, and all must stop and report at the same step."""
        if self.world == 1:
            return progress, due
        decision = torch.tensor([progress, float(due)], device=self.device)
        dist.broadcast(decision, src=0)
        return float(decision[0]), bool(decision[1])

    def _checkpoint(self, final: bool = False) -> None:
        metrics: dict[str, Any] = {"step": self.step, "tokens": self.tokens, "minutes": round(self._minutes(), 2)}
        if self.rank != 0:
            ray.train.report(metrics)
            return
        metrics |= self._validated()
        self._write({**metrics, "final": final})
        state = {
            "config": self.config.to_dict(),
            "model": self.best[1] if final and self.best else self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "epoch": self.epoch,
            "step": self.step,
            "tokens": self.tokens,
            "minutes": self._minutes(),
        }
        folder = tempfile.mkdtemp()
        try:
            torch.save(state, Path(folder) / CHECKPOINT_FILE)
            ray.train.report(metrics, checkpoint=Checkpoint.from_directory(folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _validated(self) -> dict[str, float]:
        """Bits of the validation records, if there are any; keeps the weights where they are the fewest so far."""
        if self.validation is None or not len(self.validation.sets):
            return {}
        bits = bits_per_byte(self.model, self.validation, self.autocast_dtype)
        if self.best is None or bits < self.best[0]:
            self.best = bits, {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        return {"validation_bits_per_byte": bits}

    def _restore(self, init_from: Path | None) -> None:
        """Goes on from the run's last checkpoint within the same budget; a new run starts from `init_from`."""
        checkpoint = ray.train.get_checkpoint()
        if checkpoint is not None:
            with checkpoint.as_directory() as folder:
                state = self._load(Path(folder) / CHECKPOINT_FILE)
            self.step, self.tokens = int(state["step"]), int(state["tokens"])
            self.minutes_before = float(state["minutes"])
        elif init_from is not None:
            self._load(init_from)
            self._validated()

    def _load(self, path: Path) -> dict[str, Any]:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location=self.device)
        self.model.restore(state["model"])
        if "optimisers" not in state:  # a network that was not trained here
            return state
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            own = [{k: v for k, v in group.items() if k != "params"} for group in optimiser.param_groups]
            optimiser.load_state_dict(saved)
            for group, options in zip(optimiser.param_groups, own, strict=True):
                group.update(options)
        # The epoch is begun anew in another order: where in it the run stopped is not known.
        self.epoch = int(state["epoch"]) + 1
        return state

    def _compile(self) -> None:
        if self.settings.compile and (self.device.type == "cuda" or shutil.which("g++")):
            for layer in self.model.stack():
                layer.compile(dynamic=False)
            model_module.chunk_loss_and_gradient = torch.compile(model_module._chunk_loss_and_gradient, dynamic=False)

    def _write(self, line: dict[str, Any]) -> None:
        if self.log:
            self.log.write(line)


def _autocast_dtype(device: torch.device) -> torch.dtype | None:
    """bfloat16 where it is faster: measured, as on many CPUs it is emulated."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else None
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = (torch.ones(512, 512, dtype=dtype) for _ in range(2))
        a @ b
        start = time.perf_counter()
        for _ in range(5):
            a @ b
        seconds[dtype] = time.perf_counter() - start
    return torch.bfloat16 if seconds[torch.bfloat16] < seconds[torch.float32] else None
