"""`nbmf api-key`: keys for the service."""

from __future__ import annotations

import enum
import hashlib
import re
import secrets
from typing import Annotated

import typer
import yaml

from cluster.progress import console

_PREFIX = "nbmf_"
"""By which people, and programs that look for leaked keys, know one."""
_RANDOM_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")

app = typer.Typer(help="Make API keys for the service.", no_args_is_help=True)


class RoleChoice(enum.StrEnum):
    """serve_app.config.Role, for the command line."""

    ENCODE = "encode"
    DECODE = "decode"
    ADMIN = "admin"


@app.callback()
def _group() -> None:
    pass


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Who will use it, for the log: letters, digits, `.`, `_`, `-`.")],
    role: Annotated[list[RoleChoice], typer.Option(help="What it is for; may be repeated.")],
) -> None:
    """Make a key: print it, this once, and the lines for the service's configuration, which hold only its hash.

    Example: `nbmf api-key new agents --role encode --role decode`.
    """
    if not _NAME.fullmatch(name):
        raise typer.BadParameter(f"a name is 1 to 64 letters, digits, `.`, `_` or `-`; {name!r} is not")
    key = _PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    fields = {
        "name": name,
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
        "roles": list(dict.fromkeys(choice.value for choice in role)),
    }
    console.print("For the client, as `Authorization: Bearer KEY`; it is not kept anywhere:", markup=False)
    typer.echo(key)
    console.print("For the file that `nbmf serve --config` reads:", markup=False)
    typer.echo(yaml.safe_dump({"api_keys": [fields]}, sort_keys=False, default_flow_style=None), nl=False)
