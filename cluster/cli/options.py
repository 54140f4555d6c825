"""Options that several commands share."""

from __future__ import annotations

import enum
import math
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from nbmf.effort import DEFAULT_LATENCY_BUDGET_MS, EffortSetting
from nbmf.engine import NAME_VARIABLE, THREADS_VARIABLE
from nbmf.errors import NotALocalPath
from nbmf.places import local_path

EXIT_SOME_FAILED = 3
"""Of a command that did its work but for single records or files, each of which it names."""


def local(place: str | Path) -> Path:
    """The path on this machine that an argument names; a URI is wrong usage."""
    try:
        return local_path(place)
    except NotALocalPath as error:
        raise typer.BadParameter(str(error)) from error


LOCAL: dict[str, Any] = {"parser": local, "metavar": "PATH"}
"""Of every argument and option that is a Path: pathlib would make a local path of a URI."""


class EffortChoice(enum.StrEnum):
    """nbmf.codec.Effort, for the command line."""

    AUTO = "auto"
    FAST = "fast"
    MAX = "max"


EffortOption: TypeAlias = Annotated[
    EffortChoice,
    typer.Option(
        "--effort",
        help="`max`: the smallest blob. `fast`: without the network, larger and some ten times faster. `auto`: the "
        "smallest that is expected to be decoded within the latency budget.",
    ),
]


class FidelityChoice(enum.StrEnum):
    """nbmf.payload.Fidelity, for the command line."""

    LOSSLESS = "lossless"
    SEMANTIC = "semantic"


FidelityOption: TypeAlias = Annotated[
    FidelityChoice,
    typer.Option(
        "--fidelity",
        help="`semantic`: vectors (arrays of 64 floats and more) may become near ones; everything else is kept.",
    ),
]

LatencyBudgetOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--latency-budget-ms",
        help="With effort `auto`: how long decoding a record may take, in milliseconds.",
        show_default=f"{DEFAULT_LATENCY_BUDGET_MS:g}",
    ),
]


def effort_setting(effort: EffortChoice, latency_budget_ms: float | None) -> EffortSetting:
    """What two options ask for. A budget that is none, or that the effort ignores, is wrong usage."""
    if latency_budget_ms is None:
        return EffortSetting(effort.value)
    if effort is not EffortChoice.AUTO:
        raise typer.BadParameter(f"--latency-budget-ms is for --effort auto; effort {effort.value} has none")
    if not 0 < latency_budget_ms < math.inf:
        raise typer.BadParameter(f"--latency-budget-ms is a number of milliseconds over 0, not {latency_budget_ms:g}")
    return EffortSetting("auto", latency_budget_ms)


class EngineChoice(enum.StrEnum):
    """nbmf.engine.EngineName, for the command line."""

    AUTO = "auto"
    CPU = "cpu"
    TORCH = "torch"


EngineOption: TypeAlias = Annotated[
    EngineChoice | None,
    typer.Option(
        "--engine",
        envvar=NAME_VARIABLE,
        help="What codes batches: `cpu`, compiled loops; `torch`, PyTorch, on a GPU if there is one; `auto`, the "
        "second to encode large batches where there is a GPU, else the first. They differ in speed alone.",
        show_default=False,
    ),
]

ThreadsOption: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--threads",
        envvar=THREADS_VARIABLE,
        min=1,
        help="Threads that share a batch, in each process that codes.",
        show_default=False,
    ),
]

PayloadFieldOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--payload-field",
        help="Field or column that holds the payload. Without it: of JSON Lines the whole line; of Parquet and SQLite "
        "the column `payload`, or the only one that could be it.",
        show_default=False,
    ),
]


class PayloadChoice(enum.StrEnum):
    """cluster.sources.choice.Whole, for the command line."""

    ROW = "row"


PayloadOption: TypeAlias = Annotated[
    PayloadChoice | None,
    typer.Option(
        "--payload",
        help="`row`: the whole row is the payload, as an object, without the fields of key and class.",
        show_default=False,
    ),
]

TableOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--table", help="SQLite: the table or view.", show_default="the only table, or the only one with rows"
    ),
]

RegistryOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--registry",
        envvar="NBMF_REGISTRY",
        help="Folder or URI of the codec registry.",
        show_default="~/.nbmf/registry",
        metavar="PLACE",
    ),
]

CodecOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--codec",
        help="Codec version to encode with: `default` (the registry's stable one, else the built-in one), `stable`, "
        "`candidate`, `builtin`, `none` (no learned part), or the start of an id.",
        metavar="VERSION",
    ),
]

AddressOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--address",
        envvar="RAY_ADDRESS",
        help="A running Ray cluster, as `auto` or `ray://host:10001`. Without it a local session is started.",
        metavar="ADDRESS",
    ),
]
