"""`nbmf bench faults`."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from bench.options import JsonOption
from cluster.cli.options import LOCAL

RECORDS = 300


def faults(
    config: Annotated[
        Path | None,
        typer.Option(**LOCAL, help="YAML file to use in place of configs/serve/local.yaml; sizes are the command's."),
    ] = None,
    json_output: JsonOption = None,
) -> None:
    """Kill parts of a service in the middle of a rollout, and a node, under traffic: what clients notice.

    Clients send each request once. Exit code 1 if an answer was wrong, or 500: what is lost may cost a 503, no more.
    A Ray cluster of three nodes is started on this machine, with two replicas of ingress, decoder and encoders, of
    which one each is killed; every record is decoded and compared. Takes two to three minutes and some 4 GB of memory.
    """
    from bench.demo.records import installation_records
    from bench.faults import run as bench
    from cluster import config as configuration
    from cluster.progress import console, results
    from serve_app.config import DEFAULT_FILE, ServeConfig

    settings = configuration.load(ServeConfig, config, DEFAULT_FILE, {"access_log": False})
    records = [record for record in installation_records(RECORDS) if type(record) is not bytes]
    with tempfile.TemporaryDirectory() as folder, console.status("starting a cluster of three nodes") as status:
        outcome = bench.run(records, settings, Path(folder), status.update)
    if json_output:
        json_output.write_text(json.dumps(asdict(outcome), indent=1) + "\n")
    table = Table(title=f"{bench.CLIENTS} clients, a rollout at 50 %")
    for column in ("killed", "requests", "failed", "wrong", "longest request, s", "replaced after, s"):
        table.add_column(column, justify="left" if column == "killed" else "right")
    for fault in outcome.faults:
        failed = ", ".join(f"{count} x {what}" for what, count in fault.failures.items()) or "0"
        seconds = (f"{fault.longest_s:.2f}", f"{fault.recovered_s:.1f}")
        table.add_row(fault.killed, f"{fault.requests:,}", failed, f"{fault.wrong}", *seconds)
    results().print(table)
    typer.echo(
        f"The rollout ended as {outcome.state} ({outcome.reason}); of {outcome.requests:,} requests "
        f"{sum(outcome.failures.values())} failed, {outcome.wrong} were wrong."
    )
    if outcome.wrong or any(what.startswith("500") for what in outcome.failures):
        raise typer.Exit(1)
