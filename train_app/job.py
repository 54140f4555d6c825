"""A training run: prepare, learn, measure, publish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import Progress

from cluster.progress import console, progress
from cluster.registry import Registry
from cluster.session import working
from cluster.sources import Source
from nbmf import golden
from nbmf.codec import Codec
from nbmf.errors import NbmfError
from nbmf.manifest import Manifest
from train_app.augment.told import copies_told
from train_app.config import TrainConfig
from train_app.dictionaries import steps, train_dictionaries
from train_app.results.evaluate import evaluate
from train_app.results.stability import InUse, MakeStable, in_use, settle
from train_app.samples import formats
from train_app.samples.prepare import Prepared, prepare, read
from train_app.samples.sample import Sample, is_held_out
from train_app.samples.split import for_learned_coders
from train_app.vector_spaces import Learned, learn_spaces

if TYPE_CHECKING:
    from train_app.learned_part import LearningPlan

ARCHITECTURE = "zstd-dictionary"


class InexactVersion(NbmfError):
    """A trained version failed to give a held-out record back; it was not published."""

    code = "inexact_version"


@dataclass(frozen=True, slots=True)
class Trained:
    """A published version, the versions it was compared with, and whether it is stable and why."""

    version_id: str
    architecture: str
    data: dict[str, Any]
    measured: dict[str, Any]
    before: InUse
    stable: bool
    verdict: str
    rejections: list[str]
    """What was left out, as lines for people."""


def run(
    sources: list[Source],
    registry: Registry,
    config: TrainConfig,
    name: str,
    network: LearningPlan | None = None,
    *,
    validation: list[Source] | None = None,
    test: list[Source] | None = None,
    dictionaries: bool = True,
    attachments: dict[str, bytes] | None = None,
    name_classes: bool = False,
    make_stable: MakeStable = MakeStable.IF_SMALLER,
    rejected_file: Path | None = None,
) -> Trained:
    """Trains a version on the sources' records, publishes it and makes it stable or not. Needs a Ray session.

    A network where there is a plan for one: watched and fitted on the records of `validation`, without
    them on some of the sources'. The version is measured on the records of `test`, without them on a share of the
    sources'. `attachments` become files of the version as they are. `name_classes`: the manifest names the classes
    that were learnt from, as it does where records name them themselves. What is left out is written to
    `rejected_file`, a JSON line each. Raises TooFewRecords, RecordsError, InexactVersion, TrainingFailed,
    TooManyWorkers, NoTracker.
    """
    if network and network.trains_network:
        from train_app.network.tracking import check_tracker
        from train_app.network.workers import check_room

        check_tracker(network.settings.track)
        check_room(network.settings)
    before = in_use(registry)
    measured: dict[str, Any] = {}
    with progress() as bars:
        reading = bars.add_task("reading records", total=None)
        with working("reading records"):
            prepared = prepare(sources, config, lambda n: bars.advance(reading, n), rejected_file, test or ())
            watching = _watching(validation, config, rejected_file) if validation else []
        bars.update(reading, total=prepared.records)
        learnt_from = for_learned_coders(prepared.training)
        if network and not learnt_from:
            console.print("No record has text to learn from: no network, no counts.", markup=False, highlight=False)
            network = None
        learning = bars.add_task("training dictionaries", total=steps(config), visible=dictionaries)
        samples = learnt_from if dictionaries else []
        for line in (*formats.lines(prepared.formats), *prepared.binary.lines()):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        name_classes = name_classes or prepared.names_classes
        data = prepared.summary(name_classes)
        manifest, files = dictionary_part(samples, config, name, data, lambda: bars.advance(learning))
        if network:
            fields, network_files, measured = _train_network(bars, learnt_from, for_learned_coders(watching), network)
            manifest |= fields
            files |= network_files
        spaces = _train_spaces(bars, prepared, config)
        manifest |= spaces.fields
        files |= spaces.files
        files |= attachments or {}
        measuring = bars.add_task("measuring on held-out records", total=len(prepared.holdout))
        with working("measuring on held-out records"):
            measured |= evaluate(
                prepared.holdout,
                Manifest.of({**manifest, "files": {}}),
                files,
                before.codecs,
                lambda n: bars.advance(measuring, n),
                name_classes,
            )
    if measured["exact"] != measured["records"]:
        raise InexactVersion(f"{measured['records'] - measured['exact']} held-out records did not decode equal")
    if spaces.measured:
        measured["vectors"] = spaces.measured
    measured["compared_with"] = {label: codec.id for label, codec in before.codecs.items()}
    files[golden.FILE] = golden.write(Codec(None, Manifest.of({**manifest, "files": {}}), files).learned)
    version_id = registry.publish({**manifest, "golden": golden.FILE, "measured": measured}, files)
    stable, verdict = settle(registry, version_id, measured, before, make_stable)
    left_out = list(prepared.rejections.lines(prepared.records))
    return Trained(version_id, manifest["architecture"], data, measured, before, stable, verdict, left_out)


def _watching(sources: list[Source], config: TrainConfig, rejected_file: Path | None) -> list[Sample]:
    """All records, or those of classes that are not learnt from."""
    samples = read(sources, config, rejected_file)
    return [sample for sample in samples if is_held_out(sample.group, config.held_out_classes)] or samples


def _train_network(
    bars: Progress, samples: list[Sample], validation: list[Sample], plan: LearningPlan
) -> tuple[dict[str, Any], dict[str, bytes], dict[str, Any]]:
    from train_app.learned_part import STEPS, train_part

    training = bars.add_task("training the network", total=100, visible=plan.trains_network)
    building = bars.add_task("counting and fitting", total=STEPS, visible=not plan.trains_network)

    priming = bars.add_task("choosing a primer", total=1, visible=False)

    def on_line(line: dict[str, Any]) -> None:
        if told := _told(line):
            console.print(told, markup=False, highlight=False, soft_wrap=True)
        elif "priming" in line:
            bars.update(priming, completed=line["priming"], visible=True)
        elif "augmenting" in line:
            bars.update(training, description=f"making altered copies: {line['augmenting']:.0%} of the records")
        elif line.get("progress"):
            bars.update(
                training,
                completed=min(100, round(100 * line["progress"])),
                description=f"training the network: {line['bits_per_byte']:.3f} bits a byte, "
                f"{line['tokens_per_s']:,} tokens/s, {line['minutes_left']:.0f} min left",
            )

    def on_step() -> None:
        bars.update(building, advance=1, visible=True)

    return train_part(samples, validation, plan, on_line, on_step)


def _told(line: dict[str, Any]) -> str:
    """What a person is told of a line of the run's log besides the progress."""
    if "waiting" in line:
        return str(line["waiting"])
    if "failure" in line:
        return f"a training worker failed ({line['failure']}); the run goes on from its last checkpoint"
    if "untracked" in line:
        return f"the run is tracked no more ({line['untracked']}); its log has all of it"
    if "rounding" in line:
        return "from here on the network is trained as its integers will round it"
    if "augmented" in line:
        return "learnt from besides: " + copies_told(line["augmented"])
    if "records_page" in line:
        return f"where records cost bits: {line['records_page']} (it holds passages of them)"
    if classes := line.get("class_bits_per_byte"):
        each = ", ".join(f"{name} {bits:.3f}" for name, bits in classes.items())
        return f"validation: {line['validation_bits_per_byte']:.3f} bits a byte; {each}"
    return ""


def _train_spaces(bars: Progress, prepared: Prepared, config: TrainConfig) -> Learned:
    looking = bars.add_task("looking for vectors", total=None, visible=config.max_vector_spaces > 0)

    def on_space(done: int, total: int) -> None:
        bars.update(looking, completed=done, total=total, description="learning vector spaces")

    learned = learn_spaces(prepared.training, prepared.holdout, config, on_space)
    bars.update(looking, completed=len(learned.measured), total=len(learned.measured), visible=bool(learned.measured))
    return learned


def dictionary_part(
    samples: list[Sample], config: TrainConfig, name: str, data: dict[str, Any], on_step: Callable[[], None]
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(manifest fields, files) of a version whose dictionaries are learnt from the samples; `on_step` as theirs."""
    dictionaries = train_dictionaries(samples, config, on_step)
    # Kinds that share a dictionary share its file.
    names: dict[bytes, str] = {}
    for kind, dictionary in dictionaries.items():
        names.setdefault(dictionary, f"zstd.{kind.label}.dict")
    manifest = {
        "name": name,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "architecture": ARCHITECTURE,
        "dictionaries": {kind.label: names[dictionary] for kind, dictionary in dictionaries.items()},
        "data": data,
    }
    return manifest, {file_name: dictionary for dictionary, file_name in names.items()}
