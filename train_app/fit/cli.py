"""`nbmf evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer

from cluster.cli.options import PayloadFieldOption, PayloadOption, RegistryOption, TableOption
from train_app.options import (
    ClassFieldOption,
    ReportOption,
    TrainConfigOption,
    UnwrapOption,
    end,
    load_config,
    opened,
    write_json,
)


def evaluate(
    version: Annotated[
        str,
        typer.Argument(
            help="`stable`, `candidate`, `builtin`, or the start of an id.", show_default=False, metavar="VERSION"
        ),
    ],
    records: Annotated[
        list[str],
        typer.Option(
            "--records", "-r", help="Records to measure it on, as of `nbmf train`. Repeatable.", show_default=False
        ),
    ],
    registry: RegistryOption = None,
    payload_field: PayloadFieldOption = None,
    payload: PayloadOption = None,
    table: TableOption = None,
    class_field: ClassFieldOption = None,
    unwrap: UnwrapOption = True,
    config: TrainConfigOption = None,
    json_output: ReportOption = None,
) -> None:
    """Tell where a version does not fit records: what it makes of them, by class and kind, beside what it made of the
    records that were held out when it was trained.

    Every record is decoded and compared. The exit code is 3 where records are left out, 1 where one does not come back.
    """
    from cluster.fit import OURS
    from cluster.progress import progress, results
    from cluster.registry import NONE, STUB, Registry
    from train_app.fit import measure
    from train_app.fit.tables import advice_lines, fit_table
    from train_app.fit.verdicts import own_ratio
    from train_app.samples.opening import Reading

    place, settings = Registry(registry), load_config(config)
    if (version_id := place.resolve(version)) in (NONE, STUB):
        raise typer.BadParameter("what learnt nothing has nothing to fit", param_hint="VERSION")
    codec = place.load(version_id)
    if codec.manifest is None:
        raise typer.BadParameter("this installation has no built-in version", param_hint="VERSION")
    sources, unread = opened(records, Reading(payload_field, payload, class_field, table, unwrap))
    with progress("records") as bars:
        task = bars.add_task("reading", total=None)
        intake, samples = measure.read(sources, settings, lambda: bars.advance(task))
        task = bars.add_task("encoding and decoding", total=len(samples))
        found = measure.evaluate(intake, samples, codec, codec.manifest, lambda count: bars.advance(task, count))
    measured = found.measured
    write_json(
        json_output,
        {
            "version": codec.id,
            "records": intake.records,
            "rejected": dict(sorted(intake.rejections.counts.items())),
            "measured": measured,
            "classes": [fit.to_dict() for fit in found.classes],
            "kinds": [fit.to_dict() for fit in found.kinds],
        },
    )
    for line in intake.rejections.lines(intake.records):
        typer.echo(line)
    own = own_ratio(codec.manifest)
    typer.echo(
        f"Version {(codec.id or '')[:12]} on {measured['records']:,} records: ratio "
        f"{measured['all'][OURS]['total_ratio']:.2f}{f', of its own held-out ones {own:.2f}' if own else ''}."
    )
    for first, fits in (("class", found.classes), ("kind", found.kinds)):
        if fits:
            results().print(fit_table(first, fits))
            for line in advice_lines(first, fits):
                typer.echo(line)
    if measured["exact"] != measured["records"]:
        typer.echo(f"{measured['records'] - measured['exact']} records did not decode equal.", err=True)
        raise typer.Exit(1)
    end(intake, unread)
