"""Options that several commands share."""

from __future__ import annotations

import enum
from typing import Annotated, TypeAlias

import typer


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
        "smallest that is expected to be decoded within 100 ms.",
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
