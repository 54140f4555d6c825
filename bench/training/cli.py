"""`nbmf bench training`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from bench.options import JsonOption, check_writable, write_json
from cluster.cli.options import PayloadFieldOption

PRESETS = ("tiny", "small")
WORKERS = (1, 2)
RECORDS = 3000


def training(
    data: Annotated[
        str | None,
        typer.Option(
            help=f"Records to train on. [default: {RECORDS:,} of this Python installation]", show_default=False
        ),
    ] = None,
    payload_field: PayloadFieldOption = None,
    preset: Annotated[
        list[str] | None, typer.Option(help=f"A network; repeatable. [default: {', '.join(PRESETS)}]")
    ] = None,
    workers: Annotated[
        list[int] | None, typer.Option(min=1, help="How many workers; repeatable. [default: 1, 2]")
    ] = None,
    minutes: Annotated[float, typer.Option(min=0.1, help="How long each of them trains.")] = 0.75,
    global_batch_size: Annotated[int, typer.Option(min=1, help="Sequences of a step, over all workers.")] = 32,
    json_output: JsonOption = None,
) -> None:
    """How fast networks train on how many workers: tokens a second, memory, and the share of what the machine can do.

    Each is trained by a job of Ray Train, as `nbmf train` does it, with the same steps whatever the number of workers;
    what comes before the first report, compilation above all, is not counted. A worker has a GPU where there are any.
    The default takes some eight minutes.
    """
    check_writable(json_output, "--json")
    from bench import machine
    from bench.training import run as training_bench
    from cluster.progress import console, results
    from cluster.session import session
    from nbmf.neural.config import PRESETS as KNOWN

    chosen = tuple(preset or PRESETS)
    if unknown := set(chosen) - KNOWN.keys():
        raise typer.BadParameter(
            f"no such network: {min(unknown)}; there are {', '.join(KNOWN)}", param_hint="--preset"
        )
    samples = training_bench.samples(data, payload_field, RECORDS)
    with session(None), console.status("measuring the machine") as status:
        counts = tuple(workers or WORKERS)
        report = training_bench.run(samples, chosen, counts, minutes, global_batch_size, status.update)
    report = {"machine": machine.facts(), **report}
    write_json(json_output, report)
    results().print(table(report))
    results().print(machine.sentence(report["machine"]), soft_wrap=True)
    peak = report["peak"]
    typer.echo(f"Products of matrices on {peak['device']}: {peak['flops'] / 1e12:.2f} TFLOP/s in {peak['dtype']}.")


def table(report: dict[str, Any]) -> Table:
    """A line a network and number of workers."""
    result = Table(title="training", box=None, padding=(0, 2, 0, 0))
    gpu = any("gpu_peak_memory_mib" in row for row in report["rows"])
    columns = ("preset", "workers", "tokens/s", "scaling", "of peak FLOP/s", "MiB of a worker")
    for column in (*columns, *(["MiB of its GPU"] if gpu else [])):
        result.add_column(column, justify="left" if column == "preset" else "right")
    for row in report["rows"]:
        cells = [
            row["preset"],
            str(row["workers"]),
            f"{row['tokens_per_s']:,.0f}",
            f"{row['scaling']:.2f}",
            f"{row['share_of_peak']:.1%}",
            f"{row['peak_memory_mib']:,}",
        ]
        result.add_row(*cells, *([f"{row['gpu_peak_memory_mib']:,}"] if gpu else []))
    return result
