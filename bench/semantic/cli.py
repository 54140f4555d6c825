"""`nbmf bench semantic`."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from bench.options import DataOption, EveryOption, JsonOption, check_writable, write_json
from cluster.cli.options import (
    CodecOption,
    EffortChoice,
    EffortOption,
    PayloadFieldOption,
    PayloadOption,
    RegistryOption,
)
from cluster.registry import DEFAULT


def semantic(
    data: DataOption,
    payload_field: PayloadFieldOption = None,
    payload: PayloadOption = None,
    codec: CodecOption = DEFAULT,
    registry: RegistryOption = None,
    effort: EffortOption = EffortChoice.AUTO,
    every: EveryOption = 1,
    json_output: JsonOption = None,
) -> None:
    """What fidelity semantic would bring on these records: bytes with and without it, and how near what comes back is.

    By kind of value: vectors by dimension (cosine), text (BLEU and ROUGE-L), numbers (relative error), and JSON without
    them. Each is coded alone, so the kinds add up to more than whole records. Text is compared by packages of the extra
    `bench`, which are needed only if any of it differs.
    """
    check_writable(json_output, "--json")
    from bench.records import read
    from bench.semantic import run as semantic_bench
    from cluster.progress import progress, results
    from cluster.registry import Registry
    from cluster.sources import open_source
    from nbmf.payload import from_canonical

    version = Registry(registry).load(codec)
    records = read(open_source(data, payload_field=payload_field, payload=payload, parse_json=True))[::every]
    payloads = [from_canonical(record.kind, record.canonical) for record in records]
    with progress("records") as bars:
        task = bars.add_task("coding", total=len(payloads))
        rows = semantic_bench.run(payloads, version, effort.value, lambda count: bars.advance(task, count))
    write_json(json_output, {"version": version.id, "effort": effort.value, "records": len(payloads), "rows": rows})
    results().print(table(rows))


def table(rows: list[dict[str, Any]]) -> Table:
    """A line a kind of value."""
    shown = Table(title="bytes, each kind coded alone", box=None, padding=(0, 1, 0, 0))
    for name in ("values", "count", "lossless", "semantic", "gain", "changed"):
        shown.add_column(name, justify="left" if name == "values" else "right", no_wrap=True)
    shown.add_column("similarity")
    for row in rows:
        shown.add_row(
            row["values"],
            *(f"{row[name]:,}" for name in ("count", "lossless_bytes", "semantic_bytes")),
            f"{row['gain']:.1%}",
            f"{row['changed']:,}",
            ", ".join(f"{name.replace('_', ' ')} {value:.5g}" for name, value in row["similarity"].items()),
        )
    return shown
