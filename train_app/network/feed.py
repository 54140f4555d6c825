"""What a worker is given to train on, step by step, and how it comes to the device."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train_app.network.batches import BYTES_PER_TOKEN, Batch, StreamBatches
from train_app.network.order import Order, Portion, portions

_AHEAD = 4
_SHARE_OF_DEVICE = 0.1
"""Of a GPU's free memory, that a stream may take."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a run is: epochs that are over, and sequences of the one that is not."""

    epoch: int = 0
    sequences: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """A portion of an optimiser step, ready; `last` of the step, `sequences` of the step over all workers."""

    batch: Batch
    portion: Portion
    last: bool
    sequences: int
    counted: int
    after: Place
    """Where the run is when the step is done."""


def fits_device(n_tokens: int, device: torch.device) -> bool:
    """Whether a stream of so many tokens is better kept on the device: then nothing is copied while training."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return n_tokens * BYTES_PER_TOKEN < _SHARE_OF_DEVICE * free


class Feed:
    """Endless parts of steps, from `place` on. What is not made on the device is made ahead, by a thread."""

    def __init__(
        self,
        batches: StreamBatches,
        order: Order,
        device: torch.device,
        sizes: tuple[int, int, int],
        ranks: tuple[int, int],
        place: Place,
        ahead: bool | None = None,
    ) -> None:
        """`sizes`: length of a sequence, sequences of a step, sequences of a portion at most; `ranks`: own, and how
        many workers there are. `ahead` in place of what the device asks for."""
        self._batches = batches
        self._order = order
        self._device = device
        self.length, self.per_step, self._per_part = sizes
        self._rank, self._world = ranks
        self._place = place
        self._ahead = batches.device != device if ahead is None else ahead
        self._stop = threading.Event()

    def parts(self) -> Iterator[Part]:
        """Until it is closed. A step's last part is marked."""
        if not self._ahead:
            yield from self._made()
            return
        made: queue.Queue[Part | BaseException] = queue.Queue(_AHEAD)
        threading.Thread(target=self._fill, args=(made,), daemon=True).start()
        while not self._stop.is_set():
            part = made.get()
            if isinstance(part, BaseException):
                raise part
            yield replace(part, batch=part.batch.to(self._device))

    def close(self) -> None:
        """No more is made."""
        self._stop.set()

    def _fill(self, made: queue.Queue[Part | BaseException]) -> None:
        try:
            if self._device.type == "cuda":
                torch.cuda.set_device(self._device)  # a thread begins on the first
            for part in self._made():
                while not self._stop.is_set():
                    try:
                        made.put(part, timeout=0.5)
                        break
                    except queue.Full:
                        continue
                if self._stop.is_set():
                    return
        except BaseException as error:  # raised where the part would be taken
            made.put(error)

    def _made(self) -> Iterator[Part]:
        epoch, done = self._place.epoch, self._place.sequences
        while True:
            begins_S, counted_S = self._order.epoch(epoch)
            begins_S = begins_S.to(self._batches.device)
            # What does not fill a step is left out, but where it is all there is.
            end = done + (len(begins_S) - done) // self.per_step * self.per_step or len(begins_S)
            while done < end:
                step = slice(done, min(done + self.per_step, end))
                done = step.stop
                yield from self._step(begins_S[step], counted_S[step], Place(epoch, done))
            epoch, done = epoch + 1, 0

    def _step(self, begins_G: Tensor, counted_G: NDArray[np.int64], after: Place) -> Iterator[Part]:
        counted = int(counted_G.sum())
        of_step = portions(begins_G, counted_G, self._rank, self._world, self._per_part)
        for number, portion in enumerate(of_step, 1):
            batch = self._batches.at(portion.begins_B, self.length)
            if self._ahead and self._device.type == "cuda":
                batch = batch.pinned()
            yield Part(batch, portion, number == len(of_step), len(begins_G), counted, after)
