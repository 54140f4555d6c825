"""`nbmf bench contents`."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from bench.options import DataOption, EveryOption, JsonOption, SetFieldOption, check_writable, write_json
from cluster.cli.options import CodecOption, PayloadFieldOption, RegistryOption
from cluster.registry import DEFAULT


def contents(
    data: DataOption,
    payload_field: PayloadFieldOption = None,
    set_field: SetFieldOption = None,
    codec: CodecOption = DEFAULT,
    registry: RegistryOption = None,
    every: EveryOption = 1,
    json_output: JsonOption = None,
) -> None:
    """What ids, numbers and times in records cost, beside what random ones of their kind would.

    Bits of the version's network and static counts, of all distinct records that learned coders take; and of what
    share of all bits each is. A megabyte takes some two minutes.
    """
    check_writable(json_output, "--json")
    from bench import machine
    from bench.contents.run import run
    from bench.exact.comparison import version_folder
    from bench.networks.samples import to_learn_from
    from cluster.progress import console, results
    from cluster.registry import Registry

    folder = version_folder(Registry(registry), codec)
    with console.status("reading records") as status:
        samples = to_learn_from(data, payload_field, set_field)[::every]
        rows = run(folder, samples, status.update)
    write_json(json_output, {"machine": machine.facts(), "version": folder.name, "records": len(samples), "rows": rows})
    results().print(table(rows))


def table(rows: list[dict[str, Any]]) -> Table:
    """A line a kind of content, of each set that has any."""
    result = Table(title="What is in the records", box=None, pad_edge=False)
    for column in ("set", "content", "characters", "share of all bits", "bits a character", "a random one"):
        result.add_column(column, justify="left" if column in ("set", "content") else "right")
    whole: dict[str, float] = {}
    for row in rows:
        whole[row["set"]] = whole.get(row["set"], 0.0) + row["bits"]
    before = ""
    for row in rows:
        result.add_row(
            row["set"] if row["set"] != before else "",
            row["content"],
            f"{row['characters']:,}",
            f"{row['bits'] / whole[row['set']]:.1%}",
            f"{row['bits'] / row['characters']:.2f}",
            f"{row['random_bits']:.2f}" if row["random_bits"] else "",
        )
        before = row["set"]
    return result
