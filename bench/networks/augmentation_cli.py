"""`nbmf bench augmentation`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.networks.cli import LearntOption, PresetOption, TestedOption, amounts, is_new
from bench.options import DataOption, EveryOption, JsonOption, SetFieldOption, check_writable, write_json
from cluster.cli.options import PayloadFieldOption


def augmentation(
    data: DataOption,
    train: LearntOption,
    other: Annotated[
        str, typer.Option(help="Records to measure on of sources that --train has none of.", show_default=False)
    ],
    payload_field: PayloadFieldOption = None,
    set_field: SetFieldOption = None,
    preset: PresetOption = "small",
    tokens: Annotated[int, typer.Option(min=1, help="That each is trained on.")] = 1_000_000,
    copies: Annotated[int, typer.Option(min=1, help="Altered copies of a record, at most.")] = 1,
    every: EveryOption = 1,
    tested_bytes: TestedOption = 20_000,
    json_output: JsonOption = None,
) -> None:
    """What a network gains from altered copies of the records it learns from: none, those of each augmentation, all.

    Trained by the code of `nbmf train`, on equally many tokens; bits a byte of the network alone, in floats, on --data
    and on --other, of each about as many bytes a set. Copies stand for records that are not there: with fewer tokens
    than --train has, which --every bounds, they only take the place of others. Nine networks, each in some six minutes
    for a million tokens of `small` on two cores. The tables are Markdown.
    """
    check_writable(json_output, "--json")
    from bench import machine
    from bench.networks import augmentation as augmenting
    from bench.networks.runs import settings_of, settings_of_new
    from bench.networks.samples import read, some_of_each, to_learn_from
    from cluster.progress import console
    from cluster.session import session
    from train_app.network.found import network_in

    new = is_new(preset)
    settings = settings_of_new(preset, tokens) if new else settings_of(None, preset, tokens)
    settings = settings.model_copy(update={"augment_copies": copies})
    with console.status("reading records") as status:
        samples = read(train, data, payload_field, set_field, every, tested_bytes)
        others = some_of_each(to_learn_from(other, payload_field, set_field), tested_bytes)
        start = None if new else network_in(None)
        status.update("starting Ray")
        with session(None), tempfile.TemporaryDirectory() as runs:
            rows = augmenting.run(samples, others, preset, start, settings, Path(runs), status.update)
    report: dict[str, Any] = {"machine": machine.facts(), **amounts(**samples._asdict(), other=others)}
    report |= {"preset": preset, "tokens": tokens, "copies_of_a_record": copies, "rows": rows}
    write_json(json_output, report)
    for lines in (augmenting.markdown(rows), [""], augmenting.markdown_by_set(rows), [""]):
        for line in lines:
            typer.echo(line)
    typer.echo(_amount_line(report))
    typer.echo(machine.sentence(report["machine"]))


def _amount_line(report: dict[str, Any]) -> str:
    learnt, tested, other = (report[name] for name in ("learnt_from", "tested", "other"))
    return (
        f"{report['preset']}, {report['tokens']:,} tokens; learnt from {learnt['records']:,} records "
        f"({learnt['bytes']:,} bytes), measured on {tested['records']:,} ({tested['bytes']:,} bytes) and "
        f"{other['records']:,} of other sources ({other['bytes']:,} bytes)."
    )
