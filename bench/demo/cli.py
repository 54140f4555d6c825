"""`nbmf demo`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cluster.cli.options import LOCAL, PayloadFieldOption, PayloadOption

if TYPE_CHECKING:
    from bench.demo.run import DemoResult
    from nbmf.payload import Payload

_MIN_RECORDS = 200


def demo(
    records: Annotated[
        str | None,
        typer.Option(help="Your own records (.jsonl, .parquet, a legacy store) in place of those found here."),
    ] = None,
    payload_field: PayloadFieldOption = None,
    payload: PayloadOption = None,
    out: Annotated[Path, typer.Option(**LOCAL, help="Folder for what the demo makes.")] = Path("demo-output"),
    limit: Annotated[int, typer.Option(min=_MIN_RECORDS, help="At most so many records.")] = 9000,
) -> None:
    """The whole path on real records: legacy store, training, service, migration; ends with a table.

    Without --records it takes documentation and package metadata of this Python installation.
    """
    from bench.demo.records import installation_records
    from bench.demo.run import run
    from cluster.errors import TooFewRecords
    from cluster.progress import console, results

    with console.status("gathering records"):
        payloads = _own_records(records, payload_field, payload, limit) if records else installation_records(limit)
    if len(payloads) < _MIN_RECORDS:
        raise TooFewRecords(f"{len(payloads)} records found; the demo wants at least {_MIN_RECORDS}")
    result = run(payloads, out.absolute())
    terminal = results()
    terminal.print(ratio_table(result))
    terminal.print(service_table(result))
    typer.echo(f"All of it is in {out}; to serve the version again: nbmf serve --registry {out}/registry")
    if result.http.unequal or result.read_back != result.migration.migrated:
        raise typer.Exit(1)


def ratio_table(result: DemoResult) -> Table:
    """Ratios of records that were not in the training data."""
    table = Table(title="Unseen records, each coded alone: raw bytes / coded bytes")
    for column in ("codec", "records", "bytes", "total", "mean", "p5", "min"):
        table.add_column(column, justify="left" if column == "codec" else "right")
    first = next(iter(result.ratios.values()))
    table.add_row("raw", f"{first['records']:,}", f"{first['raw_bytes']:,}", *["1.00"] * 4)
    for name, row in result.ratios.items():
        label = f"nbmf, trained here ({result.version_id[:8]})" if name == "nbmf" else name
        ratios = [f"{row[key]:.2f}" for key in ("total_ratio", "mean_ratio", "p5_ratio", "min_ratio")]
        table.add_row(label, f"{row['records']:,}", f"{row['coded_bytes']:,}", *ratios)
    return table


def service_table(result: DemoResult) -> Table:
    """Latencies and counts."""
    from bench.demo.http import percentiles_ms

    table = Table(title="Service and migration", show_header=False)
    for name, seconds in (("encode", result.http.encode_s), ("decode", result.http.decode_s)):
        p50, p95 = percentiles_ms(seconds)
        table.add_row(f"{name} over HTTP, p50 / p95", f"{p50:.1f} / {p95:.1f} ms")
    count = len(result.http.raw_bytes)
    table.add_row("round trips over HTTP that were equal", f"{count - result.http.unequal:,} of {count:,}")
    report = result.migration
    table.add_row("records migrated and verified", f"{report.migrated:,} of {report.records:,}")
    table.add_row("records read back equal to the source", f"{result.read_back:,}")
    table.add_row("legacy store / migrated blobs", f"{report.source_bytes / max(report.blob_bytes, 1):.2f}")
    return table


def _own_records(path: str, payload_field: str | None, payload: str | None, limit: int) -> list[Payload]:
    from cluster.progress import console
    from cluster.sources import BadRecord, open_source
    from cluster.sources.unread import Unread

    source = open_source(path, payload_field=payload_field, payload=payload, parse_json=True)
    payloads: list[Payload] = []
    left_out: Counter[str] = Counter()
    for item in (item for shard in source.plan() for item in source.read(shard)):
        if isinstance(item, BadRecord):
            left_out[item.reason] += 1
        elif type(item.payload) is bytes:
            left_out["bytes, which the legacy store of the demo, as JSON, cannot hold"] += 1
        else:
            payloads.append(item.payload)
        if len(payloads) == limit:
            break
    lines = Unread.of(source).lines()
    if left_out:
        counts = "; ".join(f"{count:,} {reason}" for reason, count in left_out.items())
        lines.append(f"Left out {left_out.total():,} of {len(payloads) + left_out.total():,} records: {counts}")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return payloads
