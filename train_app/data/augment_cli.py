"""`nbmf data augment`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cluster.cli.options import LOCAL, PayloadFieldOption, PayloadOption, TableOption
from train_app.augment.names import Augmentation
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


def augment(
    records: Annotated[
        list[str],
        typer.Option(
            "--records",
            "-r",
            help="Records to learn from, as of `nbmf train`; of a split, `train.jsonl`. Repeatable.",
            show_default=False,
        ),
    ],
    augmentations: Annotated[
        list[Augmentation], typer.Option("--with", help="An augmentation; repeatable.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("--out", "-o", **LOCAL, help="File of JSON Lines to write.", show_default=False)],
    copies: Annotated[int, typer.Option(min=1, help="Altered copies of a record, at most.")] = 1,
    seed: Annotated[int, typer.Option(help="Of all draws.")] = 1,
    payload_field: PayloadFieldOption = None,
    payload: PayloadOption = None,
    table: TableOption = None,
    class_field: ClassFieldOption = None,
    unwrap: UnwrapOption = True,
    config: TrainConfigOption = None,
    json_output: ReportOption = None,
) -> None:
    """Write records and altered copies of them to learn from, as lines of JSON in the specification's format.

    `key-order` and `key-names` of JSON, `values` (names, ids and dates, by others of these records), `indent` of JSON
    and code in text, `roles` of conversations, and `turns`, some in place of all. A copy is altered by one of those
    that apply to its record; equal ones are left out. The same records and seed give the same copies.

    Copies of records that a version is measured on would make the measurement worthless: split first, and augment
    `train.jsonl` alone.

    Example: `nbmf data split memory.jsonl -o split`, then `nbmf data augment -r split/train.jsonl --with values --with
    key-order -o augmented.jsonl`.
    """
    from cluster.progress import progress
    from train_app.augment.copies import Augmenting, by_name
    from train_app.augment.told import copies_told
    from train_app.data import augment as augmenting
    from train_app.data.whole_file import whole_file
    from train_app.samples.opening import Reading

    refuse_among(out, records)
    if refused := next(augmenting.not_to_learn_from(records), None):
        raise typer.BadParameter(refused, param_hint="--records")
    settings = load_config(config)
    how = Augmenting(tuple(name for name in Augmentation if name in augmentations), copies, seed)
    sources, unread = opened(records, Reading(payload_field, payload, class_field, table, unwrap))
    with progress("records") as bars, whole_file(out) as file:
        task = bars.add_task("reading", total=None)

        def on_read(count: int) -> None:
            bars.update(task, description="augmenting", completed=0, total=count)

        written = augmenting.augment(sources, how, settings, file.write, lambda: bars.advance(task), on_read)
    intake, made = written.intake, by_name(written.copies)
    write_json(json_output, {"records": written.records, "duplicates": intake.duplicates, "copies": made, "seed": seed})
    for line in intake.rejections.lines(intake.records):
        typer.echo(line)
    each = {name.value: written.copies[name] for name in how.names}
    typer.echo(f"{out}: {written.records:,} records and {copies_told(each)}.")
    end(intake, unread)
