"""`nbmf bench ablations`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.networks.cli import LearntOption, PresetOption, TestedOption, amounts, is_new
from bench.options import DataOption, EveryOption, JsonOption, SetFieldOption, check_writable, write_json
from cluster.cli.options import LOCAL, PayloadFieldOption

if TYPE_CHECKING:
    from bench.networks.ablations import Ablation
    from train_app.network.settings import NeuralTrainConfig


def ablations(
    data: DataOption,
    train: LearntOption,
    payload_field: PayloadFieldOption = None,
    set_field: SetFieldOption = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="Settings of a network more, as in the file of --network-config: 'rounding_from: 0.9', or "
            "'{muon_lr: 0.01, head_lr: 0.004}'. Repeatable."
        ),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option(
            **LOCAL, help="Folder of a larger network, as of `nbmf train`: one network more, which learns from it."
        ),
    ] = None,
    preset: PresetOption = "small",
    network_config: Annotated[
        Path | None,
        typer.Option(**LOCAL, help="YAML file of settings, as of `nbmf train`.", show_default="the preset's"),
    ] = None,
    tokens: Annotated[int, typer.Option(min=1, help="That each is trained on.")] = 1_000_000,
    every: EveryOption = 1,
    tested_bytes: TestedOption = 20_000,
    json_output: JsonOption = None,
) -> None:
    """Networks trained alike but for some settings, or with a teacher: bits a byte in floats and in integers.

    Beside one with nothing changed and one of another seed. By the code of `nbmf train`, on equally many tokens; the
    ratio is that of the streams, with adaptation as it is before it is fitted and no counts; microseconds are of
    processor time, to train. Each takes some six minutes for a million tokens of `small` on two cores. The table is
    Markdown.
    """
    check_writable(json_output, "--json")
    from bench import machine
    from bench.networks import ablations as ablating
    from bench.networks.runs import settings_of, settings_of_new
    from bench.networks.samples import read
    from cluster.progress import console
    from cluster.session import session
    from train_app.network.found import network_in

    new = is_new(preset)
    settings = (
        settings_of_new(preset, tokens) if new and not network_config else settings_of(network_config, preset, tokens)
    )
    chosen = _ablations(settings, vary or [], teacher)
    with console.status("reading records") as status:
        samples = read(train, data, payload_field, set_field, every, tested_bytes)
        start = None if new else network_in(None)
        status.update("starting Ray")
        with session(None), tempfile.TemporaryDirectory() as runs:
            rows = ablating.run(samples, chosen, preset, start, teacher, Path(runs), status.update)
    report: dict[str, Any] = {"machine": machine.facts(), **amounts(**samples._asdict())}
    write_json(json_output, report | {"preset": preset, "tokens": tokens, "rows": rows})
    for line in ablating.markdown(rows):
        typer.echo(line)
    learnt, tested = report["learnt_from"], report["tested"]
    typer.echo(
        f"\n{preset}, {tokens:,} tokens; learnt from {learnt['records']:,} records ({learnt['bytes']:,} bytes), "
        f"measured on {tested['records']:,} ({tested['bytes']:,} bytes)."
    )
    typer.echo(machine.sentence(report["machine"]))


def _ablations(settings: NeuralTrainConfig, varied: list[str], teacher: Path | None) -> list[Ablation]:
    """What is compared. Raises typer.BadParameter."""
    from bench.networks.ablations import ANOTHER_SEED, AS_IT_IS, TAUGHT, Ablation

    result = [
        Ablation(AS_IT_IS, settings),
        Ablation(ANOTHER_SEED, settings.model_copy(update={"seed": settings.seed + 1})),
        *(Ablation(text.strip("{} "), _with(settings, text)) for text in varied),
    ]
    return result + ([Ablation(TAUGHT, settings, teacher)] if teacher else [])


def _with(settings: NeuralTrainConfig, text: str) -> NeuralTrainConfig:
    import yaml

    from cluster.config import parse
    from cluster.errors import ConfigError
    from train_app.network.settings import NeuralTrainConfig

    try:
        changed = yaml.safe_load(text)
        if not isinstance(changed, dict):
            raise ValueError(f"settings as of a file, as 'rounding_from: 0.9'; not {text!r}")
        return parse(NeuralTrainConfig, settings.model_dump() | changed, text)
    except (yaml.YAMLError, ConfigError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="--vary") from error
