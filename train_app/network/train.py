"""Training of the network as a Ray Train job: vocabulary, tokenised data set, TorchTrainer, progress."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ray.train import UserCallback
from tokenizers import Tokenizer

from nbmf.neural.config import NeuralConfig
from train_app.network.costs import PAGE_FILE, costly_records
from train_app.network.failure import TrainingFailed, failed, last_line
from train_app.network.loop import CHECKPOINT_FILE, train_loop
from train_app.network.model import NeuralModel, load_model
from train_app.network.records_page import to_html
from train_app.network.run_log import LOG_FILE, append
from train_app.network.settings import NeuralTrainConfig
from train_app.network.start import Start
from train_app.network.workers import resources_per_worker, waiting_for
from train_app.samples.sample import Sample
from train_app.samples.split import WATCHED_BYTES, some
from train_app.samples.tokens import as_table, tokenise, tokenise_samples
from train_app.vocabulary.clusters import fitted, learn_slots
from train_app.vocabulary.tokenizer import TOKENIZER_FILE, renumbered, train_tokenizer

_CLUSTERED_BYTES = 6_000_000
_BLOCK_RECORDS = 2000
_POLL_S, _NOTICE_INTERVAL_S = 1.0, 30.0


def train_network(
    training: list[Sample],
    validation: list[Sample],
    begin: NeuralConfig | Start,
    settings: NeuralTrainConfig,
    run_folder: Path,
    on_line: Callable[[dict[str, Any]], None],
    teacher: Path | None = None,
    copies: Sequence[Sample] = (),
) -> tuple[NeuralModel, Tokenizer, Path]:
    """(float model, tokenizer, checkpoint file) of a run in `run_folder`, which is taken up again if it was stopped.

    A new run begins with random weights of the sizes given, and a vocabulary learnt from `training`, or with what a
    Start has. `copies` are learnt from beside `training`, but for the vocabulary. `validation` watches: of the weights
    at checkpoints, those that need the fewest bits for it are given. `on_line` is told each line of the run's log, and
    {"records_page": where records cost, a page}. Raises TrainingFailed.
    """
    import ray
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    run_folder.mkdir(parents=True, exist_ok=True)
    if isinstance(begin, Start):
        config, tokenizer = begin.config, begin.tokenizer
        (run_folder / TOKENIZER_FILE).write_text(tokenizer.to_str())
    else:
        tokenizer = _tokenizer(training, begin, run_folder)
        config = fitted(begin, tokenizer.get_vocab_size())
    resources = resources_per_worker(settings)
    trainer = TorchTrainer(
        train_loop,
        train_loop_config={
            "settings": settings.model_dump(),
            "config": config.to_dict(),
            "cpus": ray.cluster_resources().get("CPU", 1.0),
            "run_folder": str(run_folder),
            "init_from": str(begin.checkpoint.absolute()) if isinstance(begin, Start) else None,
            "teacher": str(teacher.absolute()) if teacher else None,
        },
        scaling_config=ScalingConfig(
            num_workers=settings.num_workers,  # type: ignore[arg-type]
            use_gpu="GPU" in resources,
            resources_per_worker=resources,
        ),
        run_config=RunConfig(
            name=run_folder.name,
            storage_path=str(run_folder.parent),
            failure_config=FailureConfig(max_failures=settings.max_failures),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
            callbacks=[_FailureNotice(str(run_folder / LOG_FILE))],  # type: ignore[list-item]
        ),
        datasets={
            "train": _dataset([*training, *copies], tokenizer),
            "validation": _dataset(some(validation, WATCHED_BYTES), tokenizer),
        },
        dataset_config=ray.train.DataConfig(datasets_to_split=[]),  # workers share each step's sequences
    )
    with _LogFollower(run_folder / LOG_FILE, on_line, lambda: waiting_for(settings)):
        try:
            result = trainer.fit()
        except Exception as error:
            raise failed(f"the run in {run_folder}", run_folder, error) from error
    if result.checkpoint is None:
        raise TrainingFailed(f"the run in {run_folder} ended without a checkpoint")
    with result.checkpoint.as_directory() as folder:
        checkpoint = Path(folder) / CHECKPOINT_FILE
        model = load_model(checkpoint)
    if validation:
        page = run_folder / PAGE_FILE
        page.write_text(to_html(costly_records(model, tokenizer, validation)), encoding="utf-8")
        on_line({"records_page": str(page)})
    return model, tokenizer, checkpoint


def _tokenizer(samples: list[Sample], config: NeuralConfig, run_folder: Path) -> Tokenizer:
    """Made once for a run: a resumed run must not get another vocabulary."""
    path = run_folder / TOKENIZER_FILE
    if not path.exists():
        texts = (s.canonical.decode("utf-8", "replace") for s in samples)
        tokenizer = train_tokenizer(texts, config.vocab_size)
        path.write_text(_clustered(tokenizer, samples, config).to_str())
    return Tokenizer.from_file(str(path))


def _clustered(tokenizer: Tokenizer, samples: list[Sample], config: NeuralConfig) -> Tokenizer:
    """Its ids in the order of the clusters, if the network has any."""
    config = fitted(config, tokenizer.get_vocab_size())
    if not config.n_clusters:
        return tokenizer
    stream = tokenise_samples(some(samples, _CLUSTERED_BYTES), tokenizer)
    return renumbered(tokenizer, learn_slots(stream.tokens_N, config).tolist())


def _dataset(samples: list[Sample], tokenizer: Tokenizer) -> Any:
    """Rows as of `tokenise`, by Ray Data; all of it now, while the CPUs are free.

    Workers may take all CPUs there are: what then needed one, to give them their records, would wait for ever.
    """
    import ray

    table = as_table(samples)
    blocks = [table.slice(at, _BLOCK_RECORDS) for at in range(0, len(table), _BLOCK_RECORDS)]
    tokenised = ray.data.from_arrow(blocks).map_batches(
        tokenise,  # type: ignore[arg-type]
        fn_kwargs={"tokenizer_json": tokenizer.to_str()},
        batch_format="pyarrow",
    )
    return tokenised.materialize()


class _FailureNotice(UserCallback):
    """Workers that failed, as a line of the log. Ray Train calls it in its controller process."""

    def __init__(self, log: str) -> None:
        self._log = Path(log)

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        """The workers write their reports themselves."""

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        append(self._log, {"failure": last_line(next(iter(worker_exceptions.values())))})


class _LogFollower:
    """Reads the run's log while the job runs: workers write it, this process shows it.

    While no workers are running, a line {"waiting": what for} comes every half minute.
    """

    def __init__(self, path: Path, on_line: Callable[[dict[str, Any]], None], waiting_for: Callable[[], str]) -> None:
        self._path = path
        self._on_line = on_line
        self._waiting_for = waiting_for
        self._running = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._offset = path.stat().st_size if path.exists() else 0

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._read()

    def _follow(self) -> None:
        told = time.monotonic()
        while not self._stop.wait(_POLL_S):
            self._read()
            if self._running:
                told = time.monotonic()
            elif time.monotonic() - told > _NOTICE_INTERVAL_S:
                self._on_line({"waiting": self._waiting_for()})
                told = time.monotonic()

    def _read(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                found = json.loads(line)
                self._running = "failure" not in found
                self._on_line(found)
