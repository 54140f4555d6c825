"""`nbmf bench architectures`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from bench.options import DataOption, EveryOption, JsonOption, SetFieldOption, check_writable, write_json
from cluster.cli.options import PayloadFieldOption

LearntOption = Annotated[str, typer.Option("--train", help="Records to learn from.", show_default=False)]
LayersOption = Annotated[int | None, typer.Option(min=2, help="Layers of each. [default: the preset's]")]
TestedOption = Annotated[int, typer.Option("--tested-bytes", min=1, help="Of --data, about as many bytes of each set.")]

_UNBOUNDED_MINUTES = 1e6
_UNBOUNDED_S = 1e9


def architectures(
    data: DataOption,
    train: LearntOption,
    payload_field: PayloadFieldOption = None,
    set_field: SetFieldOption = None,
    preset: Annotated[str, typer.Option(help="Sizes: tiny, small or base.")] = "small",
    layers: LayersOption = None,
    tokens: Annotated[int, typer.Option(min=1, help="That each is trained on.")] = 2_000_000,
    every: EveryOption = 1,
    tested_bytes: TestedOption = 20_000,
    json_output: JsonOption = None,
) -> None:
    """Attention, convolutions and both in turns: what each makes of records, trained alike.

    On equally many tokens, and for as much processor time as both in turns take for those. Bits a byte by set of the
    network alone, in integers; what the streams come to, with adaptation as it is before it is fitted and no counts;
    and processor time to decode a token. One thread: 2 million tokens of `small` take some ten minutes in all.
    """
    check_writable(json_output, "--json")
    from bench import machine
    from bench.networks.architectures import run
    from bench.networks.samples import some_of_each, to_learn_from
    from cluster import config as configuration
    from cluster.progress import console, results
    from cluster.session import session
    from nbmf.neural.config import PRESETS
    from train_app.network.settings import NeuralTrainConfig, default_file
    from train_app.samples.split import split

    if preset not in PRESETS:
        raise typer.BadParameter(f"no such sizes: {preset}; there are {', '.join(PRESETS)}", param_hint="--preset")
    overrides = {
        "network": {"n_layers": layers or PRESETS[preset].n_layers},
        "max_minutes": _UNBOUNDED_MINUTES,
        "checkpoint_interval_s": _UNBOUNDED_S,
        "report_interval_steps": 2,
        "compile": False,
    }
    settings = configuration.load(NeuralTrainConfig, None, default_file(preset), overrides)
    # One CPU, and so one thread of each: processor time is what is told of the others.
    with session(None, num_cpus=1), console.status("reading records") as status, tempfile.TemporaryDirectory() as runs:
        learnt_from, watched = split(to_learn_from(train, payload_field, set_field)[::every])
        tested = some_of_each(to_learn_from(data, payload_field, set_field), tested_bytes)
        rows = run(learnt_from, watched, tested, preset, settings, tokens, Path(runs), status.update)
    facts = machine.facts()
    report = {
        "machine": facts,
        "preset": preset,
        "learnt_from": _amount(learnt_from),
        "tested": _amount(tested),
        "rows": rows,
    }
    write_json(json_output, report)
    for equal in ("tokens", "time"):
        results().print(table([row for row in rows if row["equal"] == equal], equal))
    typer.echo(machine.sentence(facts))


def _amount(samples: list[Any]) -> dict[str, int]:
    return {"records": len(samples), "bytes": sum(len(sample.canonical) for sample in samples)}


def table(rows: list[dict[str, Any]], equal: str) -> Table:
    """A column an architecture; a line a set, and its sizes and times."""
    result = Table(title=f"Bits a byte, equal {equal}", box=None, pad_edge=False)
    result.add_column("set")
    for row in rows:
        result.add_column(f"{row['architecture']} ({row['layers']})", justify="right")
    for name in rows[0]["sets"]:
        result.add_row(name, *[f"{row['sets'][name]['bits_per_byte']:.3f}" for row in rows])
    result.add_row()
    result.add_row("ratio of all streams", *[f"{row['sets']['all']['ratio']:.2f}" for row in rows])
    for key, label in (
        ("tokens", "tokens learnt from"),
        ("train_us_per_token", "training, µs a token"),
        ("decode_us_per_token", "decoding, µs a token"),
        ("parameters", "parameters"),
        ("macs_per_token", "multiply-adds a token"),
    ):
        result.add_row(label, *[f"{row[key]:,}" for row in rows])
    return result
