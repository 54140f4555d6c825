"""`nbmf bench migration`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, TypeAlias

import typer

from bench.options import JsonOption
from cluster.cli.options import LOCAL, CodecOption, EffortChoice, EffortOption, RegistryOption
from cluster.registry import DEFAULT

migration = typer.Typer(invoke_without_command=True)

FolderOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        **LOCAL,
        help="An existing folder to work in; what is made there is deleted.",
        show_default="temporary",
    ),
]


@migration.callback()
def migration_damaged(
    context: typer.Context,
    records: Annotated[int, typer.Option(min=1, help="Records of the store that is built.")] = 10_000,
    damaged: Annotated[float, typer.Option(min=0, max=1, help="Share of them that cannot be read.")] = 0.01,
    codec: CodecOption = DEFAULT,
    effort: EffortOption = EffortChoice.AUTO,
    registry: RegistryOption = None,
    folder: FolderOption = None,
    json_output: JsonOption = None,
) -> None:
    """Migrate a generated legacy store of which some records are damaged, and look at every record.

    Damaged are: cut off, not text, encrypted with another key, oversized, not readable, without payload, or a damaged
    blob of the stub. Every other record has to be equal at the destination, each of these a dead letter with its reason
    and untouched at the source. Exit code 1 if anything differs.
    """
    if context.invoked_subcommand:
        return
    from bench.migration import damaged as bench
    from bench.migration.tables import damaged_table
    from cluster.progress import progress, results
    from cluster.registry import Registry
    from cluster.session import session

    place = Registry(registry)
    version = place.resolve(codec)
    with _workplace(folder) as work, session(), progress() as bars:
        task = bars.add_task("starting", total=None)

        def advance(step: str, done: int, total: int) -> None:
            bars.update(task, description=step, completed=done, total=total)

        report = bench.run(work, records, damaged, place, version, effort.value, advance)
    _write(json_output, report)
    results().print(damaged_table(report))
    for problem in report["first_problems"]:
        typer.echo(problem)
    if report["problems"]:
        raise typer.Exit(1)


@migration.command()
def scale(
    records: Annotated[
        int, typer.Option(min=1, help="Records for the speed of the version; ten times as many for zstd alone.")
    ] = 20_000,
    memory_records: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Lines of a store to watch memory of; repeatable. [default: 10,000, 1,000,000]",
        ),
    ] = None,
    legacy_records: Annotated[
        list[int] | None,
        typer.Option(min=1, metavar="N", help="The same with a file a record; repeatable. [default: none]"),
    ] = None,
    codec: CodecOption = DEFAULT,
    effort: EffortOption = EffortChoice.AUTO,
    registry: RegistryOption = None,
    folder: FolderOption = None,
    json_output: JsonOption = None,
) -> None:
    """Speed with 1 and 2 workers, memory of small and large stores, and what they say of 10^9 records.

    With the version and with the zstd coder alone (version `none`). Records are generated, of some 250 bytes. Each run
    is a process of its own with a Ray session of its own. Needs the packages of the extra `bench`.
    """
    from bench.extra import require

    require("psutil")
    from bench.machine import sentence
    from bench.migration import scale as bench
    from bench.migration import tables
    from cluster.progress import progress, results
    from cluster.registry import Registry

    place = Registry(registry)
    version = place.resolve(codec)
    with _workplace(folder) as work, progress() as bars:
        task = bars.add_task("", total=None)
        report = bench.run(
            work,
            records,
            tuple(memory_records or (10_000, 1_000_000)),
            tuple(legacy_records or ()),
            place.location,
            version,
            effort.value,
            lambda step: bars.update(task, description=step),
        )
    _write(json_output, report)
    console = results()
    for table in (tables.speed_table, tables.memory_table, tables.target_table):
        console.print(table(report))
    typer.echo(sentence(report["machine"]))


@contextmanager
def _workplace(folder: Path | None) -> Iterator[Path]:
    with TemporaryDirectory(prefix="nbmf-bench-", dir=folder) as work:
        yield Path(work)


def _write(path: Path | None, report: dict[str, Any]) -> None:
    if path:
        path.write_text(json.dumps(report, indent=1) + "\n")
