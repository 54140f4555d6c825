"""`nbmf bench architectures` and `pruning`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from bench.options import DataOption, EveryOption, JsonOption, SetFieldOption, check_writable, write_json
from cluster.cli.options import LOCAL, PayloadFieldOption

if TYPE_CHECKING:
    from bench.networks.samples import Samples
    from train_app.network.pruning import Pruning
    from train_app.samples.sample import Sample

LearntOption = Annotated[str, typer.Option("--train", help="Records to learn from.", show_default=False)]
LayersOption = Annotated[int | None, typer.Option(min=2, help="Layers of each. [default: the preset's]")]
PresetOption = Annotated[
    str, typer.Option(help="Sizes of a new network, tiny, small or base; or finetune: the built-in version's.")
]
TestedOption = Annotated[int, typer.Option("--tested-bytes", min=1, help="Of --data, about as many bytes of each set.")]


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
    from bench.networks.runs import settings_of_new
    from bench.networks.samples import read
    from cluster.progress import console, results
    from cluster.session import session
    from nbmf.neural.config import PRESETS

    if preset not in PRESETS:
        raise typer.BadParameter(f"no such sizes: {preset}; there are {', '.join(PRESETS)}", param_hint="--preset")
    settings = settings_of_new(preset, tokens, layers)
    # One CPU, and so one thread of each: processor time is what is told of the others.
    with console.status("reading records") as status:
        samples = read(train, data, payload_field, set_field, every, tested_bytes)
        status.update("starting Ray")
        with session(None, num_cpus=1), tempfile.TemporaryDirectory() as runs:
            rows = run(*samples, preset, settings, tokens, Path(runs), status.update)
    report = _report(samples, rows) | {"preset": preset}
    write_json(json_output, report)
    for equal in ("tokens", "time"):
        chosen = [row for row in rows if row["equal"] == equal]
        names = [f"{row['architecture']} ({row['layers']})" for row in chosen]
        results().print(table(f"Bits a byte, equal {equal}", names, chosen))
    typer.echo(machine.sentence(report["machine"]))


def pruning(
    data: DataOption,
    train: LearntOption,
    payload_field: PayloadFieldOption = None,
    set_field: SetFieldOption = None,
    network: Annotated[
        Path | None,
        typer.Option(
            **LOCAL,
            help="Folder of a version, or of a network trained elsewhere.",
            show_default="the built-in version",
        ),
    ] = None,
    prune: Annotated[
        list[str] | None,
        typer.Option(
            help="Share of the feed-forward channels to leave out; with :N, the n-gram tables halved N times as well. "
            "Repeatable. [default: 0.5, 0:1, 0.5:1]"
        ),
    ] = None,
    tokens: Annotated[int, typer.Option(min=1, help="That each is trained on afterwards.")] = 300_000,
    network_config: Annotated[
        Path | None,
        typer.Option(
            **LOCAL, help="YAML file of settings, as of `nbmf train`.", show_default="configs/train/finetune.yaml"
        ),
    ] = None,
    every: EveryOption = 1,
    tested_bytes: TestedOption = 20_000,
    json_output: JsonOption = None,
) -> None:
    """A network with fewer feed-forward channels and n-gram rows: bits, bytes and time, before and after training on.

    Beside them the network as it is, and trained on as long. One thread: some ten minutes a network of 20 million
    numbers.
    """
    check_writable(json_output, "--json")
    prunings = [_pruning(one) for one in prune or ("0.5", "0:1", "0.5:1")]
    from bench import machine
    from bench.networks.pruning import run
    from bench.networks.runs import settings_of
    from bench.networks.samples import read
    from cluster.progress import console, results
    from cluster.session import session
    from train_app.network.found import network_in
    from train_app.network.settings import FINETUNE

    settings = settings_of(network_config, FINETUNE, tokens)
    given = network_in(network)
    with console.status("reading records") as status:
        samples = read(train, data, payload_field, set_field, every, tested_bytes)
        status.update("starting Ray")
        with session(None, num_cpus=1), tempfile.TemporaryDirectory() as runs:
            rows = run(given, *samples, prunings, settings, Path(runs), status.update)
    report = _report(samples, rows) | {"tokens": tokens}
    write_json(json_output, report)
    results().print(pruning_table(rows))
    typer.echo(machine.sentence(report["machine"]))


def _pruning(text: str) -> Pruning:
    """Of SHARE or SHARE:HALVINGS."""
    from train_app.network.pruning import Pruning

    share, _, halvings = text.partition(":")
    try:
        found = Pruning(float(share), int(halvings or 0))
    except ValueError:
        found = Pruning(-1.0)
    if not found or not 0 <= found.channels < 1 or found.halvings < 0:
        raise typer.BadParameter(f"a share below 1, or with halvings as 0.5:1; not {text!r}", param_hint="--prune")
    return found


def _report(samples: Samples, rows: list[dict[str, Any]]) -> dict[str, Any]:
    from bench import machine

    found = amounts(learnt_from=samples.learnt_from, tested=samples.tested)
    return {"machine": machine.facts(), **found, "rows": rows}


def is_new(preset: str) -> bool:
    """Whether it is that of a new network, not finetune. Raises typer.BadParameter where it is neither."""
    from nbmf.neural.config import PRESETS
    from train_app.network.settings import FINETUNE

    if preset not in (*PRESETS, FINETUNE):
        known = ", ".join((*PRESETS, FINETUNE))
        raise typer.BadParameter(f"no such preset: {preset}; there are {known}", param_hint="--preset")
    return preset != FINETUNE


def amounts(**samples: list[Sample]) -> dict[str, dict[str, int]]:
    """Records and canonical bytes of each."""
    return {
        name: {"records": len(some), "bytes": sum(len(sample.canonical) for sample in some)}
        for name, some in samples.items()
    }


def table(title: str, names: list[str], rows: list[dict[str, Any]]) -> Table:
    """A column a network; a line a set, and its sizes and times."""
    result = Table(title=title, box=None, pad_edge=False)
    result.add_column("set")
    for name in names:
        result.add_column(name, justify="right")
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
        ("model_bytes", "bytes of the file"),
    ):
        result.add_row(label, *[f"{row[key]:,}" for row in rows])
    return result


def pruning_table(rows: list[dict[str, Any]]) -> Table:
    """A line a network, before and after it was trained on; bits also as what they are more than those of the first."""
    result = Table(title="Bits a byte, all records", box=None, pad_edge=False)
    for column in ("network", "trained on", "bits a byte", "", "bytes", "", "µs a token", ""):
        result.add_column(column, justify="left" if column in ("network", "trained on") else "right")
    first = {row["trained"]: row for row in rows[:2]}
    for row in rows:
        cells = []
        for value, before in zip(_compared(row), _compared(first[row["trained"]]), strict=True):
            cells += [f"{value:,}", f"{value / before - 1:+.1%}"]
        result.add_row(row["network"], "yes" if row["trained"] else "no", *cells)
    return result


def _compared(row: dict[str, Any]) -> tuple[float, ...]:
    return row["sets"]["all"]["bits_per_byte"], row["model_bytes"], row["decode_us_per_token"]
