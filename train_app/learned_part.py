"""The learned part of a training run: train the network or go on, count, quantise, fit, time."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from nbmf import builtin
from nbmf.coders import CountsCoder, NeuralCoder
from nbmf.errors import NbmfError
from nbmf.manifest import READER_OF_PRIMERS, CountsPart, NeuralPart, read_version
from nbmf.neural.codec import NeuralCodec
from nbmf.neural.config import PRESETS, NeuralConfig
from nbmf.neural.constants import load_constants
from nbmf.neural.counts_file import read_counts
from nbmf.neural.primer import MAX_PRIMER_BYTES, save_primer
from nbmf.neural.tokenizer import NeuralTokenizer
from nbmf.neural.weights import IntegerWeights
from train_app.augment.copies import Augmented
from train_app.learned_files import (
    CONSTANTS_FILE,
    COUNTS_CONSTANTS_FILE,
    COUNTS_FILE,
    MODEL_FILE,
    STEPS,
    Before,
    IntegerNetwork,
    Learned,
    build,
)
from train_app.network.architectures import architecture_of
from train_app.network.augmented import copies_for
from train_app.network.failure import TrainingFailed, failed
from train_app.network.given import load_given
from train_app.network.model import NeuralModel
from train_app.network.pruning import NO_PRUNING, Pruning, pruned_start
from train_app.network.settings import BUILTIN, COUNTS_ONLY, FINETUNE, PRIMED, NeuralTrainConfig
from train_app.network.start import Start
from train_app.network.teacher import taught_by
from train_app.network.train import train_network
from train_app.primer import PRIMER_FILE, choose_primer
from train_app.samples.sample import Sample
from train_app.samples.split import split
from train_app.vocabulary.tokenizer import TOKENIZER_FILE, train_tokenizer

_READER_OF_COUNTS = 2
_TIMED_RECORDS = 40


def trains_network(preset: str) -> bool:
    """Whether it is one that trains a network, by a job of Ray Train."""
    return preset == FINETUNE or preset in PRESETS


@dataclass(frozen=True, slots=True)
class LearningPlan:
    """Which network, and how to train it; `runs_folder` holds the checkpoints and logs."""

    preset: str
    settings: NeuralTrainConfig
    runs_folder: Path
    init_from: Path | None = None  # an earlier run's folder; to fine-tune, a version's, without one the built-in's
    network: Path | None = None  # trained elsewhere, in place of the built-in version's
    pruning: Pruning = NO_PRUNING  # of what it starts with
    teacher: Path | None = None  # folder of a run, a version or a network trained elsewhere

    @property
    def trains_network(self) -> bool:
        return trains_network(self.preset)

    @property
    def trains_on(self) -> bool:
        """Whether a network is trained that there was before."""
        return self.preset == FINETUNE or (self.trains_network and self.init_from is not None)

    def run_folder(self, samples: list[Sample]) -> Path:
        """The same for the same records and settings, so that the same command goes on with a stopped run."""
        begin = builtin.default_folder() if self.preset == FINETUNE and not self.init_from else self.init_from
        what = hashlib.sha256(f"{self.settings.what_is_learnt()}{self.preset}{begin or ''}".encode())
        if self.pruning or self.teacher:
            what.update(f"{self.pruning}{self.teacher}".encode())
        for sample in samples:
            what.update(sample.digest)
        return self.runs_folder / f"{self.preset}-{what.hexdigest()[:12]}"


def train_part(
    training: list[Sample],
    validation: list[Sample],
    plan: LearningPlan,
    on_line: Callable[[dict[str, Any]], None],
    on_step: Callable[[], None],
) -> tuple[dict[str, Any], dict[str, bytes], dict[str, Any]]:
    """(manifest fields, files, measurements) of the learned part of a version. Raises TrainingFailed.

    `validation` watches the training, and the adaptation is fitted on it; where empty, it is taken from `training`.
    """
    folder = plan.run_folder(training).absolute()
    try:
        return _train_part(training, validation, plan, folder, on_line, on_step)
    except NbmfError:
        raise
    except Exception as error:
        raise failed(f"learning with preset {plan.preset}", folder, error) from error


def _train_part(
    training: list[Sample],
    validation: list[Sample],
    plan: LearningPlan,
    folder: Path,
    on_line: Callable[[dict[str, Any]], None],
    on_step: Callable[[], None],
) -> tuple[dict[str, Any], dict[str, bytes], dict[str, Any]]:
    if plan.preset == COUNTS_ONLY and not plan.settings.max_counts_bytes:
        raise TrainingFailed("nothing to learn: no network, and max_counts_bytes is 0")
    if plan.settings.frozen and not plan.trains_on:
        raise TrainingFailed("frozen: no network is trained on; choose preset finetune, or another with --init-from")
    if not validation:
        training, validation = (training[::2], training[1::2]) if plan.preset == PRIMED else split(training)
    model: NeuralModel | IntegerNetwork | None = None
    attributions: dict[str, bytes] = {}
    before, copies = None, None
    if plan.network:
        model, tokenizer = load_given(plan.network)
    elif plan.preset in (BUILTIN, FINETUNE, PRIMED):
        model, tokenizer, before, attributions = _version(plan.init_from or builtin.default_folder())
        if plan.preset == FINETUNE:
            start = _pruned(Start.of_integers(model.file, tokenizer, folder), training, plan, folder)
            copies = _copies(training, validation, plan, on_line)
            model, _ = _trained(start, training, validation, plan, folder, on_line, copies)
    elif plan.preset == COUNTS_ONLY:
        texts = (sample.canonical.decode("utf-8", "replace") for sample in training)
        tokenizer = train_tokenizer(texts, NeuralConfig().with_(**plan.settings.network).vocab_size)
    else:
        config = PRESETS[plan.preset].with_(**plan.settings.network)
        begin = _pruned(Start.of_run(plan.init_from, config), training, plan, folder) if plan.init_from else config
        copies = _copies(training, validation, plan, on_line)
        model, tokenizer = _trained(begin, training, validation, plan, folder, on_line, copies)
    if plan.preset == PRIMED and before:
        learned = Learned(before.files)
    else:
        learned = build(model, tokenizer, training, validation, plan.settings, on_step, before)
    most_bytes = plan.settings.primer_bytes
    if most_bytes is None:
        most_bytes = MAX_PRIMER_BYTES if plan.preset == PRIMED else 0
    if most_bytes:
        _prime(learned, training, validation, most_bytes, on_line)
    fields, measured = _fields(learned.files, plan.settings, validation), learned.measured
    if isinstance(model, NeuralModel):
        measured["parameters"] = model.config.n_parameters
        measured["layer_kinds"] = model.config.kinds
    if plan.pruning:
        measured["pruning"] = asdict(plan.pruning)
    if plan.teacher:
        measured["teacher"] = plan.teacher.name
    if copies:
        measured["augmentation"] = {"copies_of_a_record": plan.settings.augment_copies} | copies.to_dict()
    return fields, learned.files | attributions, measured


def _prime(
    learned: Learned,
    training: list[Sample],
    validation: list[Sample],
    most_bytes: int,
    on_line: Callable[[dict[str, Any]], None],
) -> None:
    """Adds a primer, if one of `training` makes `validation` smaller."""
    files = learned.files
    tokenizer, counts, network = files[TOKENIZER_FILE], None, None
    if COUNTS_FILE in files:
        counts = NeuralCodec.from_files(tokenizer, files[COUNTS_CONSTANTS_FILE], None, files[COUNTS_FILE])
    if MODEL_FILE in files:
        network = NeuralCodec.from_files(tokenizer, files[CONSTANTS_FILE], files[MODEL_FILE], files.get(COUNTS_FILE))
    primer = choose_primer(network, counts, training, validation, most_bytes, lambda share: on_line({"priming": share}))
    learned.measured["primer"] = {"records": len(primer), "tokens": sum(len(record.tokens_T) for record in primer)}
    if primer:
        files[PRIMER_FILE] = save_primer(primer)


def _trained(
    begin: NeuralConfig | Start,
    training: list[Sample],
    validation: list[Sample],
    plan: LearningPlan,
    folder: Path,
    on_line: Callable[[dict[str, Any]], None],
    copies: Augmented | None,
) -> tuple[NeuralModel, Tokenizer]:
    teacher = None
    if plan.teacher:
        begin, teacher = taught_by(plan.teacher, begin, folder)
    others = copies.copies if copies else ()
    model, tokenizer, _ = train_network(training, validation, begin, plan.settings, folder, on_line, teacher, others)
    return model, tokenizer


def _copies(
    training: list[Sample], validation: list[Sample], plan: LearningPlan, on_line: Callable[[dict[str, Any]], None]
) -> Augmented | None:
    """What the network learns from besides. Vocabulary, counts and dictionaries are of records as they are."""
    return copies_for(training, validation, plan.settings, on_line) if plan.settings.augment else None


def _pruned(start: Start, training: list[Sample], plan: LearningPlan, folder: Path) -> Start:
    return pruned_start(start, training, plan.pruning, folder) if plan.pruning else start


def _version(folder: Path | None) -> tuple[IntegerNetwork, Tokenizer, Before, dict[str, bytes]]:
    """The network, its vocabulary, what else is gone on from, and files that go wherever it goes: attributions.

    Raises NbmfError, and TrainingFailed if the version has no network.
    """
    _, manifest, files = read_version(folder) if folder else ("", None, {})
    if manifest is None or manifest.neural is None:
        whose = "the package has no built-in version" if manifest is None else f"the version in {folder} is none"
        raise TrainingFailed(f"{whose} with a network; choose another --preset")
    parts = [part.to_dict() for part in (manifest.neural, manifest.counts) if part]
    coding = {name for part in parts for name in part.values()} | {manifest.golden, *manifest.dictionaries.values()}
    coding |= {space.file for space in manifest.vectors}
    attributions = {name: content for name, content in files.items() if name not in coding}
    tokenizer = Tokenizer.from_str(files[manifest.neural.tokenizer].decode())
    network = manifest.neural
    named = {MODEL_FILE: network.model, TOKENIZER_FILE: network.tokenizer, CONSTANTS_FILE: network.constants}
    before = Before(constants=load_constants(files[network.constants]).numpy())
    if manifest.counts:
        constants = load_constants(files[manifest.counts.constants]).numpy()
        before = replace(before, counts=read_counts(files[manifest.counts.counts]), counts_constants=constants)
    if manifest.counts and manifest.counts.counts == network.counts:
        named |= {COUNTS_FILE: manifest.counts.counts, COUNTS_CONSTANTS_FILE: manifest.counts.constants}
    before = replace(before, files={ours: files[theirs] for ours, theirs in named.items()})
    return IntegerNetwork(files[network.model]), tokenizer, before, attributions


def _fields(files: dict[str, bytes], settings: NeuralTrainConfig, timed: list[Sample]) -> dict[str, Any]:
    tokenizer = NeuralTokenizer.from_json(files[TOKENIZER_FILE].decode())
    fields: dict[str, Any] = {"architecture": COUNTS_ONLY}
    primer = PRIMER_FILE if PRIMER_FILE in files else None
    if COUNTS_FILE in files:
        counts = CountsPart(
            counts=COUNTS_FILE,
            tokenizer=TOKENIZER_FILE,
            constants=COUNTS_CONSTANTS_FILE,
            max_payload_bytes=settings.max_counts_payload_bytes,
            decode_us_per_byte=1.0,
            primer=primer,
        )
        fields["counts"] = replace(counts, **_speed(CountsCoder(counts, files), tokenizer, timed)).to_dict()
        fields["minimum_reader"] = _READER_OF_COUNTS
    if MODEL_FILE in files:
        network = NeuralPart(
            model=MODEL_FILE,
            tokenizer=TOKENIZER_FILE,
            constants=CONSTANTS_FILE,
            counts=COUNTS_FILE if COUNTS_FILE in files else None,
            max_payload_bytes=settings.max_payload_bytes,
            decode_us_per_byte=1.0,
            primer=primer,
        )
        _, config = IntegerWeights.load(files[MODEL_FILE])
        fields["architecture"] = architecture_of(config).value
        fields["neural"] = replace(network, **_speed(NeuralCoder(network, files), tokenizer, timed)).to_dict()
    if primer:
        fields["minimum_reader"] = READER_OF_PRIMERS
    return fields


def _speed(coder: NeuralCoder | CountsCoder, tokenizer: NeuralTokenizer, samples: list[Sample]) -> dict[str, Any]:
    """Decoding's whole time over all bytes and tokens, after one record to warm up."""
    seconds, size, tokens = 0.0, 0, 0
    for index, sample in enumerate(samples[: _TIMED_RECORDS + 1]):
        body = coder.encode(sample.kind, sample.canonical)
        if body is None:
            continue
        start = time.perf_counter()
        coder.decode(sample.kind, body, len(sample.canonical))
        if index:
            seconds += time.perf_counter() - start
            size += len(sample.canonical)
            tokens += len(tokenizer.encode(sample.canonical))
    if not size:
        return {}
    return {
        "decode_us_per_byte": round(seconds * 1e6 / size, 2),
        "decode_us_per_token": round(seconds * 1e6 / tokens, 2),
    }


__all__ = ["BUILTIN", "COUNTS_ONLY", "STEPS", "LearningPlan", "train_part"]
