"""`nbmf bench load`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.options import JsonOption, check_writable, write_json
from cluster.cli.options import LOCAL, CodecOption, PayloadFieldOption, PayloadOption, RegistryOption
from cluster.registry import BUILTIN

if TYPE_CHECKING:
    from bench.load.run import LoadPlan
    from bench.load.worker import Target
    from nbmf.payload import Payload

_RECORDS = 300


def load(
    data: Annotated[
        str | None,
        typer.Option("--data", help="Records to send (.jsonl, .parquet, a folder) in place of those found here."),
    ] = None,
    payload_field: PayloadFieldOption = None,
    payload: PayloadOption = None,
    limit: Annotated[int, typer.Option(min=1, help="So many records, of --data evenly spaced.")] = _RECORDS,
    codec: CodecOption = BUILTIN,
    registry: RegistryOption = None,
    config: Annotated[
        Path | None, typer.Option(**LOCAL, help="YAML file of the service, in place of configs/serve/local.yaml.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="A service that runs, in place of one that is started here.")] = None,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="NBMF_API_KEY", help="For --url: a key that may encode and decode.", show_envvar=True),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.5, help="How long each rate is kept up.")] = 10,
    start_rps: Annotated[float, typer.Option(min=0.1, help="The first rate, in requests a second.")] = 10,
    factor: Annotated[float, typer.Option(min=1.05, help="From one rate to the next.")] = 1.3,
    max_rps: Annotated[float, typer.Option(help="No higher rate, but for the last step.")] = 5000,
    refine: Annotated[
        int, typer.Option(min=0, help="Rates tried between the last that was kept up with and the first that was not.")
    ] = 2,
    decode_share: Annotated[float, typer.Option(min=0, max=1, help="Share of requests that decode.")] = 0.5,
    json_output: JsonOption = None,
    plot: Annotated[Path | None, typer.Option(**LOCAL, help="Draw latency and rate there, as a PNG.")] = None,
) -> None:
    """How many requests a second the service keeps up with, and how long they take: rising rates until saturation.

    Requests arrive at random, whether earlier ones are answered or not, and latency counts from when each was due.
    A rate is kept up with if 95 % of it is answered with 200 in time, and no more than 1 % fails. Then half of the
    highest such rate, and twice as much. Every answer is compared with the record.

    The client is a process of its own; without --url it shares the machine's cores with the service. Needs the packages
    of the extra `bench`.
    """
    from bench.extra import require

    require("aiohttp", *(["matplotlib"] if plot else []))
    check_writable(json_output, "--json")
    check_writable(plot, "--plot")
    if max_rps < start_rps:
        raise typer.BadParameter("--max-rps is less than --start-rps")
    from bench.load.run import LoadPlan
    from bench.load.search import SearchPlan
    from bench.load.service import started
    from bench.load.tables import conclusions, latency_table, rate_table
    from bench.load.worker import Target
    from cluster.progress import results

    payloads = _payloads(data, payload_field, payload, limit)
    plan = LoadPlan(SearchPlan(start_rps, factor, max_rps, refine), seconds, decode_share)
    with nullcontext(url) if url else started(config, codec, registry) as place:
        report = _measured(Target(place, api_key if url else None), payloads, plan)
    report["codec"] = None if url else codec
    write_json(json_output, report)
    if plot:
        from bench.load import plot as load_plot

        load_plot.write(report, plot)
    results().print(rate_table(report))
    results().print(latency_table(report))
    for line in conclusions(report):
        typer.echo(line)
    if report["unequal"]:
        raise typer.Exit(1)


def _payloads(data: str | None, payload_field: str | None, payload: str | None, limit: int) -> list[Payload]:
    if data is None:
        from bench.load.records import mixed_records

        return mixed_records(limit)
    from bench.records import read, spaced
    from cluster.sources import open_source
    from nbmf.payload import from_canonical

    source = open_source(data, payload_field=payload_field, payload=payload, parse_json=True)
    return [from_canonical(record.kind, record.canonical) for record in spaced(read(source), limit)]


def _measured(target: Target, payloads: list[Payload], plan: LoadPlan) -> dict[str, Any]:
    from bench.load.run import run
    from cluster.progress import progress

    with progress("s") as bars:
        task = bars.add_task("", total=None)

        def on_phase(description: str, total_s: float) -> None:
            bars.reset(task, description=description, total=round(total_s) or None)

        return run(target, payloads, plan, on_phase, lambda s: bars.update(task, completed=round(s)))
