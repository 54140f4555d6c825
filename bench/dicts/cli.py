"""`nbmf bench dicts`."""

from __future__ import annotations

import typer
from rich.table import Table

from bench.options import DataOption, EveryOption, JsonOption, check_writable, write_json
from cluster.cli.options import CodecOption, PayloadFieldOption, PayloadOption, RegistryOption
from cluster.registry import DEFAULT
from nbmf.payload import Canonical


def dicts(
    data: DataOption,
    payload_field: PayloadFieldOption = None,
    payload: PayloadOption = None,
    codec: CodecOption = DEFAULT,
    registry: RegistryOption = None,
    every: EveryOption = 1,
    json_output: JsonOption = None,
) -> None:
    """What dict blobs, as `nbmf.compat` makes them, save in a store of JSON: bytes of `{"payload": …}` against raw.

    Beside them the stub's lossless dicts. Every record is encoded alone, decoded, and compared.
    """
    check_writable(json_output, "--json")
    from bench.dicts import run as dicts_bench
    from bench.records import read
    from cluster.progress import results
    from cluster.registry import Registry
    from cluster.sources import open_source

    place = Registry(registry)
    version = place.load(place.resolve(codec))
    records = read(open_source(data, payload_field=payload_field, payload=payload, parse_json=True))[::every]
    report = dicts_bench.run((Canonical(record.kind, record.canonical) for record in records), version)
    write_json(json_output, report)
    table = Table("as stored JSON", "records", "raw, kB", "kB", "total ratio", "mean", "p5", "worst")
    for form, of in report["forms"].items():
        sizes = (f"{of[f'{what}_bytes'] / 1000:,.1f}" for what in ("raw", "coded")) if of["records"] else ("", "")
        ratios = (f"{of[f'{what}_ratio']:.2f}" if of["records"] else "" for what in ("total", "mean", "p5", "min"))
        table.add_row(form, f"{of['records']:,}", *sizes, *ratios)
    results().print(table)
    if report["left_out"]:
        typer.echo(f"{report['left_out']:,} records that JSON or the stub cannot hold are left out.")
