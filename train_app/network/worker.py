"""A worker of a training run, as the loop sees it: its place among the others, its records, its checkpoints.

One process or many, CPU or GPU, the same code. What is of Ray is in RayWorker; another one may be put in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from train_app.samples.tokens import TokenStream

CHECKPOINT_FILE = "checkpoint.pt"


class Worker(Protocol):
    """What the loop asks of whoever runs it."""

    rank: int
    world: int
    device: torch.device

    def stream(self, name: str) -> TokenStream:
        """All records of `train` or `validation`, in the order in which they were given."""

    def checkpoint(self) -> AbstractContextManager[Path | None]:
        """The file of the run's last checkpoint, if there is one."""

    def report(self, metrics: dict[str, Any], folder: Path | None) -> None:
        """Called by all workers at the same step; rank 0 has a folder to keep as checkpoint."""


class RayWorker:
    """A worker of Ray Train."""

    def __init__(self) -> None:
        import ray.train
        from ray.train.torch import get_device

        context = ray.train.get_context()
        self.rank, self.world = context.get_world_rank(), context.get_world_size()
        self.device = get_device()

    def stream(self, name: str) -> TokenStream:
        import ray.train

        return read_stream(ray.train.get_dataset_shard(name))

    @contextmanager
    def checkpoint(self) -> Iterator[Path | None]:
        import ray.train

        last = ray.train.get_checkpoint()
        if last is None:
            yield None
            return
        with last.as_directory() as folder:
            yield Path(folder) / CHECKPOINT_FILE

    def report(self, metrics: dict[str, Any], folder: Path | None) -> None:
        import ray.train

        kept = ray.train.Checkpoint.from_directory(str(folder)) if folder else None
        ray.train.report(metrics, checkpoint=kept)


def read_stream(dataset: Any) -> TokenStream:
    """All tokenised records of a data set, in memory, in the order of their index: blocks come as they are ready."""
    pieces = []
    for block in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1):
        if not len(block):
            continue
        tokens = block["tokens"].combine_chunks()
        pieces.append(
            (
                block["index"].to_numpy(),
                tokens.flatten().to_numpy(zero_copy_only=False).astype(np.uint16),
                np.diff(tokens.offsets.to_numpy()),
                block["n_bytes"].to_numpy(),
                np.array(block["set"].to_pylist()),
            )
        )
    pieces.sort(key=lambda piece: int(piece[0][0]))
    if not pieces:
        return TokenStream(np.zeros(0, np.uint16), np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0, np.str_))
    index, tokens, lengths, n_bytes, sets = (np.concatenate(column) for column in zip(*pieces, strict=True))
    if not np.array_equal(index, np.arange(len(index))):
        raise RuntimeError("records came in pieces that cannot be put in order")
    starts = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    return TokenStream(tokens, starts, n_bytes, sets)


class Together:
    """What workers do together: gradients on the devices; decisions and sums on CPUs, so that no GPU is waited for."""

    def __init__(self, worker: Worker) -> None:
        self.rank, self.world = worker.rank, worker.world
        self._device = worker.device
        self._group = dist.new_group(backend="gloo") if self.world > 1 else None

    def parallel(self, module: nn.Module) -> nn.Module:
        """The module with gradients that are averaged over the workers in each backward pass, beside it."""
        if self.world == 1:
            return module
        return nn.parallel.DistributedDataParallel(
            module,
            device_ids=[self._device] if self._device.type == "cuda" else None,
            gradient_as_bucket_view=True,
        )

    def of_first(self, *numbers: float) -> list[float]:
        """What rank 0 has: clocks differ, and all must do the same at the same step."""
        if self._group is None:
            return list(numbers)
        decided = torch.tensor(numbers, dtype=torch.float64)
        dist.broadcast(decided, src=0, group=self._group)
        return decided.tolist()

    def object_of_first(self, found: Any) -> Any:
        """What rank 0 has."""
        if self._group is None:
            return found
        told = [found]
        dist.broadcast_object_list(told, src=0, group=self._group)
        return told[0]

    def total(self, number: float) -> float:
        """The sum over the workers."""
        if self._group is None:
            return number
        total: Tensor = torch.tensor(number, dtype=torch.float64)
        dist.all_reduce(total, group=self._group)
        return float(total)
