"""What is measured: records as training takes them, and networks that there are."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from tokenizers import Tokenizer

from cluster import config as configuration
from nbmf import builtin
from nbmf.manifest import read_version
from nbmf.neural.record_types import TYPE_OF_KIND
from nbmf.neural.weights import IntegerWeights
from train_app.config import DEFAULT_FILE, TrainConfig
from train_app.network.dequantise import dequantise
from train_app.network.failure import TrainingFailed
from train_app.network.given import load_given
from train_app.network.model import NeuralModel
from train_app.samples.opening import Reading
from train_app.samples.reading import Intake, rows_of
from train_app.samples.sample import Sample
from train_app.samples.split import for_learned_coders, some


def to_learn_from(path: str, payload_field: str | None, set_field: str | None) -> list[Sample]:
    """All good and distinct records of a file or folder, less what learned coders do not take. Raises RecordsError."""
    config = configuration.load(TrainConfig, None, DEFAULT_FILE)
    intake = Intake(config.max_record_bytes)
    rows = rows_of(Reading(payload_field, class_field=set_field).open([path]))
    samples = [sample for row in rows if (sample := intake.sample(row))]
    return for_learned_coders(sorted(samples, key=lambda sample: sample.digest))


def some_of_each(samples: list[Sample], most_bytes: int) -> list[Sample]:
    """About as many bytes of each class, or kind, that a network codes."""
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.kind in TYPE_OF_KIND:
            groups[sample.group or sample.kind.label].append(sample)
    return [sample for _, group in sorted(groups.items()) for sample in some(group, most_bytes)]


def network_in(folder: Path | None) -> tuple[NeuralModel, Tokenizer]:
    """The float network and vocabulary of a version, without a folder the built-in one, or of one trained elsewhere.

    Raises NbmfError, and TrainingFailed where there is none.
    """
    if folder and (folder / "config.json").exists():
        return load_given(folder)
    version = folder or builtin.default_folder()
    _, manifest, files = read_version(version) if version else ("", None, {})
    if manifest is None or manifest.neural is None:
        raise TrainingFailed(f"{version or 'the package'} holds no network: name another --network")
    tokenizer = Tokenizer.from_str(files[manifest.neural.tokenizer].decode())
    return dequantise(*IntegerWeights.load(files[manifest.neural.model])), tokenizer
