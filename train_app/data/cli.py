"""`nbmf data`: what training would make of records, splits of them, and pairs of what a version makes of them."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from cluster.cli.options import (
    LOCAL,
    CodecOption,
    EffortChoice,
    EffortOption,
    FidelityChoice,
    FidelityOption,
    LatencyBudgetOption,
    PayloadFieldOption,
    PayloadOption,
    RegistryOption,
    TableOption,
    effort_setting,
)
from cluster.registry import DEFAULT
from train_app.data.augment_cli import augment
from train_app.options import (
    ClassFieldOption,
    ReportOption,
    TrainConfigOption,
    UnwrapOption,
    end,
    load_config,
    opened,
    refuse_among,
    write_json,
)

app = typer.Typer(
    help="Look at records before training, split, augment and pair them, estimate what more of them would bring.",
    no_args_is_help=True,
)

FilesArgument: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        help="A .jsonl, .json or .parquet file, SQLite, a folder of them, or a legacy store.", show_default=False
    ),
]


class EstimatePreset(enum.StrEnum):
    """Presets of `nbmf train` that are learnt in minutes at most."""

    COUNTS = "counts"
    BUILTIN = "builtin"


@app.callback()
def _group() -> None:
    pass


@app.command()
def check(
    files: FilesArgument,
    payload_field: PayloadFieldOption = None,
    payload: PayloadOption = None,
    table: TableOption = None,
    class_field: ClassFieldOption = None,
    unwrap: UnwrapOption = True,
    config: TrainConfigOption = None,
    json_output: ReportOption = None,
) -> None:
    """Tell what `nbmf train` would make of records: how many, of which classes, kinds and sizes, what it leaves out.

    The exit code is 3 where records are left out, or files could not be read.
    """
    from cluster.progress import progress, results
    from train_app.data import check as checking
    from train_app.data.tables import check_lines, sizes_table
    from train_app.samples import formats
    from train_app.samples.opening import Reading

    settings = load_config(config)
    sources, unread = opened(files, Reading(payload_field, payload, class_field, table, unwrap))
    with progress("records") as bars:
        task = bars.add_task("checking", total=None)
        found = checking.check(sources, settings, lambda: bars.advance(task))
    report = found.to_dict() | {"not_read": unread.to_dict()}
    write_json(json_output, report)
    intake = found.intake
    told = (*formats.lines(intake.formats), *check_lines(report), *intake.binary.lines())
    for line in (*told, *intake.rejections.lines(intake.records)):
        typer.echo(line)
    if report["kinds"]:
        results().print(sizes_table("Distinct records by kind, sizes in bytes", "kind", report["kinds"]))
    if report["classes"]:
        results().print(sizes_table("By class", "class", report["classes"]))
    end(intake, unread)


@app.command()
def split(
    files: FilesArgument,
    out: Annotated[Path, typer.Option("--out", "-o", **LOCAL, help="Folder to write to.", show_default=False)],
    test_share: Annotated[
        float | None,
        typer.Option(min=0.0, max=0.5, help="Share to measure on.", show_default="as `nbmf train` holds out, 0.1"),
    ] = None,
    val_share: Annotated[float, typer.Option(min=0.0, max=0.5, help="Share to watch training by.")] = 0.05,
    packed: Annotated[bool, typer.Option("--zstd", help="Compress the files: `.jsonl.zst`.")] = False,
    payload_field: PayloadFieldOption = None,
    payload: PayloadOption = None,
    table: TableOption = None,
    class_field: ClassFieldOption = None,
    unwrap: UnwrapOption = True,
    config: TrainConfigOption = None,
) -> None:
    """Split records into train, val and test, as lines of JSON in the specification's format.

    The hash decides by which `nbmf train` holds records out, and near-duplicates stay together. Run again with more
    records into the same folder, those that are there keep their side. What is left out is a line of `rejected.jsonl`,
    and the exit code 3.

    Example: `nbmf data split memory.jsonl -o split`, then `nbmf train -r split/train.jsonl --validation split/val.jsonl
    --test split/test.jsonl`.
    """
    from cluster.progress import progress
    from train_app.data.split import split as split_records
    from train_app.samples import formats
    from train_app.samples.opening import Reading

    settings = load_config(config)
    sources, unread = opened(files, Reading(payload_field, payload, class_field, table, unwrap))
    with progress("records") as bars:
        task = bars.add_task("splitting", total=None)
        report, intake = split_records(
            sources,
            out,
            settings,
            test_share=settings.holdout_fraction if test_share is None else test_share,
            val_share=val_share,
            packed=packed,
            on_record=lambda: bars.advance(task),
        )
    for line in (*formats.lines(intake.formats), *intake.rejections.lines(intake.records)):
        typer.echo(line)
    for one in report["sides"].values():
        typer.echo(f"{out / one['file']}: {one['records']:,} records, {one['bytes']:,} bytes")
    typer.echo(
        f"{report['duplicates']:,} duplicates are left out; {report['moved']:,} records went with one that they are "
        f"nearly the same as; {report['kept']:,} were there before."
    )
    if report["gone"]:
        typer.echo(f"{report['gone']:,} that were there before are not among these records, and in no file now.")
    end(intake, unread)


app.command()(augment)


@app.command()
def pairs(
    files: FilesArgument,
    out: Annotated[Path, typer.Option("--out", "-o", **LOCAL, help="File of JSON Lines to write.", show_default=False)],
    codec: CodecOption = DEFAULT,
    registry: RegistryOption = None,
    fidelity: FidelityOption = FidelityChoice.LOSSLESS,
    effort: EffortOption = EffortChoice.AUTO,
    latency_budget_ms: LatencyBudgetOption = None,
    payload_field: PayloadFieldOption = None,
    payload: PayloadOption = None,
    table: TableOption = None,
    class_field: ClassFieldOption = None,
    unwrap: UnwrapOption = True,
    config: TrainConfigOption = None,
) -> None:
    """Write what a version makes of records, a line each: `original`, `compressed` (the blob in base64),
    `reconstructed`, `compression_ratio` and `similarity_score`.

    Every blob is decoded and compared. The score is 1 where what comes back is equal, else the mean cosine of the
    vectors that `--fidelity semantic` changed. What is left out is named, and the exit code 3.
    """
    from cluster.progress import progress
    from cluster.registry import STUB, Registry
    from train_app.data.pairs import How, write_pairs
    from train_app.data.whole_file import whole_file
    from train_app.samples.opening import Reading

    refuse_among(out, files)
    place, settings = Registry(registry), load_config(config)
    how = How(fidelity.value, effort_setting(effort, latency_budget_ms))
    if (version := place.resolve(codec)) == STUB:
        raise typer.BadParameter("the stub writes no blobs", param_hint="--codec")
    sources, unread = opened(files, Reading(payload_field, payload, class_field, table, unwrap))
    with progress("records") as bars, whole_file(out) as file:
        task = bars.add_task("encoding and decoding", total=None)
        written = write_pairs(sources, place.load(version), how, settings, file.write, lambda: bars.advance(task))
    intake, found = written.intake, written.to_dict()
    for line in intake.rejections.lines(intake.records):
        typer.echo(line)
    typer.echo(
        f"{found['records']:,} pairs in {out} by {version[:12]}: ratio {found['total_ratio']:.2f} in total, "
        f"{found['mean_ratio']:.2f} in the mean, {found['p5_ratio']:.2f} at p5; similarity "
        f"{found['similarity_mean']:g} in the mean, {found['similarity_min']:g} at least."
    )
    end(intake, unread)


@app.command()
def estimate(
    files: FilesArgument,
    more: Annotated[int, typer.Option(min=1, help="How many more records to tell of.")] = 10_000,
    preset: Annotated[
        EstimatePreset,
        typer.Option(
            help="What is learnt three times: counts alone, in seconds to a minute, or beside the built-in network, in "
            "minutes."
        ),
    ] = EstimatePreset.COUNTS,
    payload_field: PayloadFieldOption = None,
    payload: PayloadOption = None,
    table: TableOption = None,
    class_field: ClassFieldOption = None,
    unwrap: UnwrapOption = True,
    config: TrainConfigOption = None,
    json_output: ReportOption = None,
) -> None:
    """Estimate what more records would bring: learn from a quarter, a half and all of those there are, and go on with
    what each doubling saved on records that are held out.
    """
    from cluster.progress import progress, results
    from train_app.fit.curve import PARTS, learning_curve
    from train_app.fit.measure import held_out
    from train_app.fit.tables import curve_lines, curve_table
    from train_app.samples.opening import Reading

    settings = load_config(config)
    sources, unread = opened(files, Reading(payload_field, payload, class_field, table, unwrap))
    with progress() as bars:
        task = bars.add_task("reading records", total=None)
        intake, training, holdout = held_out(sources, settings, lambda: bars.advance(task))
        task = bars.add_task("learning", total=len(PARTS))
        curve = learning_curve(training, holdout, preset.value, settings, lambda: bars.advance(task))
    write_json(json_output, curve.to_dict(more))
    for line in intake.rejections.lines(intake.records):
        typer.echo(line)
    results().print(curve_table(curve))
    for line in curve_lines(curve, more):
        typer.echo(line)
    end(intake, unread)
