"""Numbers of a run in MLflow or Weights & Biases, by their own API, from the worker that writes the log.

Ray's callbacks for them belong to Tune, and Ray Train's jobs take none. Where the server is, which experiment or
project the run belongs to, and with what key, is in variables of theirs (MLFLOW_TRACKING_URI,
MLFLOW_EXPERIMENT_NAME, WANDB_PROJECT, WANDB_API_KEY, WANDB_MODE).
"""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from nbmf.errors import NbmfError

RUN_FILE = "mlflow-run"
"""In the run's folder: the id that the run has there, for when it is taken up again."""

_PACKAGES = {"mlflow": "mlflow-skinny", "wandb": "wandb"}
_MLFLOW_WAITS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
"""Unless the environment says otherwise: all workers wait for the one that sends, by MLflow's own ten minutes."""
_NOT_IN_NAMES = re.compile(r"[^\w\-. /]")
"""Of MLflow's metrics."""


class NoTracker(NbmfError):
    """What should track a run is not installed."""

    code = "no_tracker"


class Tracker(Protocol):
    """Where numbers go."""

    def log(self, numbers: dict[str, float], step: int) -> None:
        """Numbers by name, of a step."""

    def close(self) -> None:
        """The run is over."""


def check_tracker(name: str | None) -> None:
    """Raises NoTracker, which names the remedy, where the package cannot be imported here."""
    if name and find_spec(name) is None:
        raise NoTracker(f"--track {name} needs the package {name} on every node: pip install {_PACKAGES[name]}")


def tracker(name: str, run_folder: Path) -> Tracker:
    """The run of this folder's name, begun or gone on with. Raises what the package raises."""
    return _Mlflow(run_folder) if name == "mlflow" else _Wandb(run_folder)


class _Mlflow:
    def __init__(self, run_folder: Path) -> None:
        import mlflow  # type: ignore[import-not-found, unused-ignore]

        for variable, value in _MLFLOW_WAITS.items():
            os.environ.setdefault(variable, value)
        self._mlflow: Any = mlflow
        kept = run_folder / RUN_FILE
        if kept.exists():
            mlflow.start_run(run_id=kept.read_text())
        else:
            kept.write_text(mlflow.start_run(run_name=run_folder.name).info.run_id)

    def log(self, numbers: dict[str, float], step: int) -> None:
        self._mlflow.log_metrics({_NOT_IN_NAMES.sub("_", name): value for name, value in numbers.items()}, step=step)

    def close(self) -> None:
        self._mlflow.end_run()


class _Wandb:
    def __init__(self, run_folder: Path) -> None:
        import wandb  # type: ignore[import-not-found, unused-ignore]

        name = run_folder.name
        self._run: Any = wandb.init(id=name, name=name, resume="allow", dir=str(run_folder))

    def log(self, numbers: dict[str, float], step: int) -> None:
        self._run.log(numbers, step=step)

    def close(self) -> None:
        self._run.finish()
