"""`nbmf train`."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.cli.options import LOCAL, AddressOption, PayloadFieldOption, PayloadOption, TableOption
from cluster.registry import default_location
from nbmf.neural.config import PRESETS
from train_app.augment.names import Augmentation
from train_app.network.architectures import Architecture, with_architecture
from train_app.options import TrainConfigOption, UnwrapOption, load_config, opened
from train_app.results.stability import MakeStable


class Preset(enum.StrEnum):
    """What can be learnt: train_app.learned_part, and networks that can be trained."""

    NONE = "none"
    COUNTS = "counts"
    PRIMED = "primed"
    BUILTIN = "builtin"
    FINETUNE = "finetune"
    TINY = "tiny"
    SMALL = "small"
    BASE = "base"


class Track(enum.StrEnum):
    """Services that the numbers of a run can go to: train_app.network.tracking."""

    MLFLOW = "mlflow"
    WANDB = "wandb"


def check_options(given: Mapping[str, Any]) -> None:
    """Raises BadParameter for options of `nbmf train`, by their parameters' names, that do not go together."""
    preset = Preset(given["preset"])
    trains_no_network = preset in (Preset.NONE, Preset.COUNTS, Preset.PRIMED, Preset.BUILTIN)
    if preset is Preset.NONE and not given["dictionaries"]:
        raise typer.BadParameter("nothing to train: needs another --preset", param_hint="--no-dictionaries")
    if preset is Preset.NONE and given["validation"]:
        raise typer.BadParameter("nothing to validate: needs another --preset", param_hint="--validation")
    for name in ("init_from", "workers", "max_minutes", "track", "teacher"):
        if given[name] is not None and trains_no_network and (name, preset) != ("init_from", Preset.PRIMED):
            raise typer.BadParameter("needs a --preset that trains a network", param_hint=_option(name))
    if given["augment"] and trains_no_network:
        raise typer.BadParameter("needs a --preset that trains a network", param_hint="--augment")
    if given["architecture"] and preset.value not in PRESETS:
        needed = f"needs a --preset that makes a new network ({', '.join(PRESETS)})"
        raise typer.BadParameter(needed, param_hint="--architecture")
    for name in ("prune", "halve_tables"):
        if given[name] is not None and preset is not Preset.FINETUNE and not given["init_from"]:
            needed = "needs a network to start with: --preset finetune, or --init-from"
            raise typer.BadParameter(needed, param_hint=_option(name))
    if given["network"] and preset is not Preset.BUILTIN:
        raise typer.BadParameter("needs --preset builtin, which trains none of its own", param_hint="--network")
    if given["workers"] and preset is not Preset.NONE:
        from train_app.network.settings import worker_range

        try:
            worker_range(given["workers"])
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--workers") from error


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def train(
    context: typer.Context,
    records: Annotated[
        list[str],
        typer.Option(
            "--records",
            "-r",
            help="Records to learn from: a .jsonl, .json or .parquet file, a folder of them, or a legacy store. "
            "Repeatable.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            "--registry",
            envvar="NBMF_REGISTRY",
            help="Registry to publish the version in.",
            default_factory=default_location,
            show_default="~/.nbmf/registry",
        ),
    ],
    name: Annotated[str, typer.Option(help="A name for people.")] = "trained",
    payload_field: PayloadFieldOption = None,
    payload: PayloadOption = None,
    table: TableOption = None,
    class_field: Annotated[
        str | None,
        typer.Option(
            help="Field or column that holds the record's class: classes weigh the same in fitting. The manifest names "
            "those that were learnt from."
        ),
    ] = None,
    unwrap: UnwrapOption = True,
    config: TrainConfigOption = None,
    preset: Annotated[
        Preset,
        typer.Option(
            help="What to learn besides zstd dictionaries. `finetune`: the network that ships with the package, "
            "trained on, and counts of token sequences beside it, in ten minutes at most. `builtin`: counts beside "
            "that network as it is, quicker to learn. `primed`: nothing but some records of yours, behind which the "
            "built-in version codes all, in seconds. `counts`: counts alone, quicker to decode. `none`: nothing. "
            "`small`: counts beside a new network, in 2-3 hours on two CPU cores; `base`: a larger one, for GPUs; "
            "`tiny`: to try it out."
        ),
    ] = Preset.FINETUNE,
    architecture: Annotated[
        Architecture | None,
        typer.Option(
            help="Layers of a new network: attention, causal dilated convolutions, or both in turns. As many as the "
            "preset has, or the file's `network: {n_layers}` says; `layer_kinds` there names each.",
            show_default="the preset's: small is hybrid, base and tiny are transformer",
        ),
    ] = None,
    make_stable: Annotated[
        MakeStable,
        typer.Option(
            help="Whether what encodes by default is the new version from now on. `if-smaller`: if it makes less of "
            "the held-out records than the registry's stable version, or without one the built-in version, does."
        ),
    ] = MakeStable.IF_SMALLER,
    max_minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Wall-clock budget of the network's training; overrides the file.")
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(
            help="Data-parallel workers of the network's training, as 2; or the fewest and the most, as 2:8, for as "
            "many as there is room for at any time. Overrides the file.",
            metavar="N or MIN:MAX",
        ),
    ] = None,
    track: Annotated[
        Track | None,
        typer.Option(
            help="Where else the numbers of the network's training go: its package is installed on every node, and its "
            "own variables say where the server is. Overrides the file.",
            show_default=False,
        ),
    ] = None,
    network_config: Annotated[
        Path | None,
        typer.Option(
            **LOCAL, help="YAML file to use in place of configs/train/neural.yaml, or of finetune.yaml to fine-tune."
        ),
    ] = None,
    validation: Annotated[
        list[str] | None,
        typer.Option(
            help="Records that the network's training is watched and its adaptation fitted by. Repeatable. "
            "Without it: a twentieth of --records.",
            show_default=False,
        ),
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(
            help="Records that the version is measured on; of --records, none of these are learnt from. Repeatable. "
            "Without it: a tenth of --records, chosen by hash.",
            show_default=False,
        ),
    ] = None,
    init_from: Annotated[
        Path | None,
        typer.Option(
            **LOCAL,
            help="What to start with: the folder of an earlier run (in --runs), for its vocabulary and weights; to "
            "fine-tune or to prime, that of a version, for its counts as well.",
            show_default="none; to fine-tune or to prime, the built-in version",
        ),
    ] = None,
    network: Annotated[
        Path | None,
        typer.Option(
            **LOCAL,
            help="Folder of a network trained elsewhere (config.json, model.safetensors, tokenizer.json), in place of "
            "the built-in one.",
            show_default=False,
        ),
    ] = None,
    prune: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=0.99,
            help="Share of the feed-forward channels to leave out of the network that is started with, those of least "
            "worth; it is trained on without them. Quicker to decode.",
            show_default=False,
        ),
    ] = None,
    halve_tables: Annotated[
        int | None,
        typer.Option(
            min=1, help="Halve the rows of that network's n-gram tables, so many times. Smaller.", show_default=False
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(
            **LOCAL,
            help="A larger network whose expectations are learnt as well as the records: the folder of an earlier run, "
            "of a version, or of a network trained elsewhere. A new network has its vocabulary.",
            show_default=False,
        ),
    ] = None,
    augment: Annotated[
        list[Augmentation] | None,
        typer.Option(
            help="The network learns from altered copies of the records as well: as of `nbmf data augment`, one a "
            "record (`augment_copies` in the file of --network-config), none of what is watched or measured by. "
            "Repeatable. Overrides the file.",
            show_default=False,
        ),
    ] = None,
    dictionaries: Annotated[
        bool,
        typer.Option(
            help="zstd dictionaries hold passages of the records as they are; without them, a version can be shared."
        ),
    ] = True,
    attach: Annotated[
        list[Path] | None,
        typer.Option(**LOCAL, help="File to keep in the version as it is: a licence, an attribution. Repeatable."),
    ] = None,
    runs: Annotated[
        Path, typer.Option(**LOCAL, help="Folder for checkpoints and logs; a stopped run goes on from there.")
    ] = Path("nbmf-runs"),
    address: AddressOption = None,
) -> None:
    """Train a codec version on your records, measure it on held-out ones, publish it.

    Records are read in parallel, validated and de-duplicated; a tenth, chosen by hash, is kept back to measure on, or
    those of --test are. In Parquet, text that is a JSON object or array is learnt as JSON. Records that cannot be read,
    or hold nothing, are left out and told of; the exit code is 0 all the same if enough are left to learn from.

    A network of your own is trained as a Ray Train job. It stops by itself when its budget of
    minutes is spent; stopped earlier, by Ctrl-C or a crash, the same command goes on from the last checkpoint.

    Example: `nbmf train -r memory.jsonl -o ./registry`, then `nbmf serve --registry ./registry`.
    """
    from cluster import config as configuration
    from cluster.progress import results
    from cluster.registry import Registry
    from cluster.session import session
    from train_app import job
    from train_app.config import FEWEST_RECORDS
    from train_app.results import report
    from train_app.samples.opening import Reading

    settings = load_config(config)
    if preset is Preset.PRIMED:
        settings = settings.model_copy(update={"min_records": min(settings.min_records, FEWEST_RECORDS)})
    registry = Registry(out)
    check_options(context.params)
    reading = Reading(payload_field, payload, class_field, table, unwrap)
    sources, _ = opened(records, reading)
    plan = None
    if preset is not Preset.NONE:
        from train_app.learned_part import LearningPlan
        from train_app.network.pruning import Pruning
        from train_app.network.settings import NeuralTrainConfig, default_file, worker_range

        count = worker_range(workers) if workers else None
        overrides: dict[str, Any] = {"max_minutes": max_minutes, "num_workers": count, "track": track and track.value}
        overrides["augment"] = augment or None
        learning = configuration.load(NeuralTrainConfig, network_config, default_file(preset.value), overrides)
        if architecture:
            try:
                sizes = with_architecture(learning.network, preset.value, architecture)
            except ValueError as error:
                raise typer.BadParameter(str(error), param_hint="--architecture") from error
            learning = learning.model_copy(update={"network": sizes})
        pruning = Pruning(prune or 0.0, halve_tables or 0)
        plan = LearningPlan(preset.value, learning, runs, init_from, network, pruning, teacher)

    now = datetime.now(UTC)
    with session(address):
        trained = job.run(
            sources,
            registry,
            settings,
            name,
            plan,
            validation=reading.open(validation or []),
            test=reading.open(test or []),
            dictionaries=dictionaries,
            attachments={path.name: path.read_bytes() for path in attach or []},
            name_classes=class_field is not None,
            make_stable=make_stable,
            rejected_file=runs / f"rejected-{now:%Y%m%dT%H%M%S}.jsonl",
        )
    for line in trained.rejections:
        typer.echo(line)
    results().print(report.ratio_table(trained.measured, trained.before))
    if "parameters" in trained.measured:
        typer.echo(report.network_line(trained.architecture, trained.measured))
    if "augmentation" in trained.measured:
        typer.echo(report.augmentation_line(trained.measured["augmentation"]))
    if trained.measured.get("classes"):
        results().print(report.class_table(trained.measured["classes"], trained.before))
    if "vectors" in trained.measured:
        results().print(report.vectors_table(trained.measured["vectors"]))
    typer.echo(f"Published {trained.version_id} in {registry}.")
    typer.echo(trained.verdict)
    if not trained.stable:
        typer.echo(f"To use it: nbmf versions promote {trained.version_id[:12]} --registry {registry}")
