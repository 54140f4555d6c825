"""The `nbmf` command: codec commands here, those of the apps found as entry points `nbmf.commands`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, MutableMapping
from functools import cached_property
from importlib import import_module
from typing import Annotated, Any, TypeAlias

import typer
from typer.core import TyperGroup

from cluster.progress import console
from nbmf.errors import MissingExtra, NbmfError
from nbmf.printable import printable
from nbmf.version import __version__

EXIT_ERROR = 1
"""Nothing, or not all, was done; usage errors exit with 2, runs in which single records failed with 3."""

_OURS = {
    "encode": "cluster.cli.codec_commands:encode",
    "decode": "cluster.cli.codec_commands:decode",
    "inspect": "cluster.cli.codec_commands:inspect",
    "versions": "cluster.cli.versions:app",
    "api-key": "cluster.cli.api_keys:app",
    "manifest": "cluster.cli.manifest:app",
}

_Command: TypeAlias = Any
"""Click's, of which typer carries a copy of its own."""


class _Commands(MutableMapping[str, _Command]):
    """Those of `nbmf` by name, each imported when it is asked for: `nbmf decode` does not wait for the others."""

    def __init__(self) -> None:
        self._made: dict[str, _Command] = {}

    @cached_property
    def _of_apps(self) -> dict[str, Callable[[], Any]]:
        from importlib.metadata import entry_points

        return {entry.name: entry.load for entry in sorted(entry_points(group="nbmf.commands"), key=lambda e: e.name)}

    def __getitem__(self, name: str) -> _Command:
        if name not in self._made:
            self._made[name] = _command(name, _load(_OURS[name]) if name in _OURS else self._of_apps[name]())
        return self._made[name]

    def __setitem__(self, name: str, command: _Command) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter([*_OURS, *self._of_apps])

    def __len__(self) -> int:
        return len(_OURS) + len(self._of_apps)


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def _command(name: str, loaded: Any) -> _Command:
    holder = typer.Typer(add_completion=False, rich_markup_mode=app.rich_markup_mode)
    holder.callback()(lambda: None)
    if isinstance(loaded, typer.Typer):
        holder.add_typer(loaded, name=name)
    else:
        holder.command(name)(loaded)
    return typer.main.get_group(holder).commands[name]


class _Group(TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings | {"commands": None})
        self.commands = _Commands()


app = typer.Typer(
    name="nbmf",
    cls=_Group,
    help="A learned codec for the memory of AI agents: train it on your records, serve it, migrate stores to it.",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but for single records (each is named).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nbmf {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Runs the command; errors that a user can mend are one message, never a traceback."""
    try:
        app()
    except MissingExtra:
        raise  # to cluster.cli.entry
    except NbmfError as error:
        console.print(f"[red]nbmf: {error.code}:[/red] ", end="")
        console.print(printable(str(error)), markup=False, highlight=False, soft_wrap=True)
        sys.exit(EXIT_ERROR)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(EXIT_ERROR)
    except OSError as error:
        told = f"nbmf: {error.filename or 'input/output'}: {error.strerror or error}"
        console.print(printable(told), markup=False, highlight=False, soft_wrap=True)
        sys.exit(EXIT_ERROR)


if __name__ == "__main__":
    main()
