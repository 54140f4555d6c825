"""The `nbmf` command: codec commands here, those of the apps found as entry points `nbmf.commands`."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from typing import Annotated

import typer

from cluster.cli import api_keys, codec_commands, manifest, versions
from cluster.progress import console
from nbmf.errors import MissingExtra, NbmfError
from nbmf.printable import printable
from nbmf.version import __version__

EXIT_ERROR = 1
"""Nothing, or not all, was done; usage errors exit with 2, runs in which single records failed with 3."""

app = typer.Typer(
    name="nbmf",
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


app.command()(codec_commands.encode)
app.command()(codec_commands.decode)
app.command()(codec_commands.inspect)
app.add_typer(versions.app, name="versions")
app.add_typer(api_keys.app, name="api-key")
app.add_typer(manifest.app, name="manifest")
for _entry in sorted(entry_points(group="nbmf.commands"), key=lambda e: e.name):
    _command = _entry.load()
    if isinstance(_command, typer.Typer):
        app.add_typer(_command, name=_entry.name)
    else:
        app.command(_entry.name)(_command)


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
