"""The log of a training run, written by one worker: lines of JSON, and the same numbers as TensorBoard events."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from train_app.network.tracking import Tracker, tracker

LOG_FILE, EVENTS_FOLDER = "log.jsonl", "tensorboard"


class RunLog:
    """Every line is in both places when `write` returns: a run that is killed loses none."""

    def __init__(self, run_folder: Path, first_step: int, track: str | None = None) -> None:
        """`first_step` is the run's next: steps from there on that an earlier part of the run wrote are void.

        `track`: where numbers go besides, as train_app.network.tracking has it.
        """
        # Not its SummaryWriter: a thread of that writes, and what it has not got to is not flushed.
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto import event_pb2

        self._path = run_folder / LOG_FILE
        events = run_folder / EVENTS_FOLDER
        events.mkdir(parents=True, exist_ok=True)
        self._events = EventsWriter(str(events / "events"), f".{time.time_ns()}")  # a file of its own
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._events.write_event(event_pb2.Event(wall_time=time.time(), step=first_step, session_log=start))
        self._tracker: Tracker | None = None
        self._step = first_step - 1
        if track:
            try:
                self._tracker = tracker(track, run_folder)
            except Exception as error:  # of a service that is not there; the run needs none
                self._lost(self._step, error)

    def write(self, line: dict[str, Any]) -> None:
        """`line` has a step; its other numbers are scalars of TensorBoard by the same names.

        Those of a dictionary by its name and theirs, as name/key.
        """
        from tensorboardX.proto import event_pb2, summary_pb2

        now = time.time()
        append(self._path, {"time": round(now, 1), **line})
        numbers = scalars(line)
        values = [summary_pb2.Summary.Value(tag=name, simple_value=value) for name, value in numbers.items()]
        summary = summary_pb2.Summary(value=values)
        self._events.write_event(event_pb2.Event(wall_time=now, step=line["step"], summary=summary))
        self._events.flush()
        if numbers:
            self._track(line["step"], lambda tracker: tracker.log(numbers, line["step"]))
        self._step = line["step"]

    def close(self) -> None:
        """No more lines."""
        self._events.close()
        self._track(self._step, lambda tracker: tracker.close())

    def _track(self, step: int, call: Callable[[Tracker], None]) -> None:
        if self._tracker:
            try:
                call(self._tracker)
            except Exception as error:
                self._lost(step, error)

    def _lost(self, step: int, error: Exception) -> None:
        """Training goes on without the tracker: all of its numbers are in the log as well."""
        self._tracker = None
        append(self._path, {"step": step, "untracked": f"{type(error).__name__}: {error}"})


def scalars(line: dict[str, Any]) -> dict[str, float]:
    """The numbers of a line, less its step."""
    found: dict[str, float] = {}
    for name, value in line.items():
        if isinstance(value, dict):
            found |= {f"{name}/{key}": number for key, number in scalars(value).items()}
        elif name != "step" and isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = value
    return found


def append(path: Path, line: dict[str, Any]) -> None:
    """A line of the log; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
