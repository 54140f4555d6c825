"""`nbmf versions`: what the registry holds and which version is in use."""

from __future__ import annotations

import enum
from typing import Annotated, TypeAlias

import typer
from rich.table import Table
from rich.text import Text

from cluster.cli.options import RegistryOption
from cluster.progress import console, results
from cluster.registry import Channel, Registry
from nbmf.errors import NbmfError
from nbmf.manifest import Manifest

app = typer.Typer(help="List, show, promote and delete codec versions of a registry.", no_args_is_help=True)

VersionArgument: TypeAlias = Annotated[
    str, typer.Argument(help="`stable`, `candidate`, or the start of an id.", show_default=False)
]


class ChannelName(enum.StrEnum):
    """Channels of a registry."""

    STABLE = "stable"
    CANDIDATE = "candidate"


@app.command("list")
def list_versions(registry: RegistryOption = None) -> None:
    """List all versions: id, channel, name, age, ratio on held-out records; of damaged ones, what is wrong."""
    place = Registry(registry)
    channels = place.channels()
    versions = list(place.manifests())
    if not versions:
        typer.echo(f"Registry {place.location} has no versions; `nbmf train` makes one.")
        return
    table = Table(title=f"Codec versions in {place.location}")
    for column in ("id", "channel", "name", "created (UTC)", "architecture", "held-out ratio"):
        table.add_column(column)
    for version_id, manifest in versions:
        on = [
            name
            for name, held in (("stable", channels.stable), ("candidate", channels.candidate))
            if held == version_id
        ]
        cells = (Text("damaged", "red"),) if isinstance(manifest, NbmfError) else _cells(manifest)
        table.add_row(version_id[:12], ", ".join(on), *cells)
    results().print(table)
    for version_id, manifest in versions:
        if isinstance(manifest, NbmfError):
            console.print(f"nbmf: {version_id[:12]}: {manifest.code}: {manifest}", markup=False, soft_wrap=True)


def _cells(manifest: Manifest) -> tuple[str, ...]:
    measured = manifest.measured.get("all", {}).get("nbmf", {}).get("total_ratio")
    ratio = f"{measured:.2f}" if measured else ""
    return manifest.name, manifest.created_at[:16], manifest.architecture, ratio


@app.command()
def show(version: VersionArgument, registry: RegistryOption = None) -> None:
    """Print a version's id and manifest as JSON, after checking every file of it."""
    place = Registry(registry)
    version_id = place.resolve(version)
    typer.echo(f'{{"id": "{version_id}", "manifest": {place.manifest(version_id).to_json()}}}')


@app.command()
def promote(
    version: VersionArgument,
    channel: Annotated[ChannelName, typer.Option(help="The channel to put it on.")] = ChannelName.STABLE,
    registry: RegistryOption = None,
) -> None:
    """Put a version on a channel. Servers that run take it over when they are next started."""
    place = Registry(registry)
    version_id = place.resolve(version)
    name: Channel = "stable" if channel is ChannelName.STABLE else "candidate"
    place.assign(name, version_id)
    typer.echo(f"{version_id[:12]} is now {name} in {place.location}")


@app.command()
def delete(version: VersionArgument, registry: RegistryOption = None) -> None:
    """Delete a version that was never on a channel. One that was stays: blobs may name it."""
    place = Registry(registry)
    version_id = place.resolve(version)
    place.delete(version_id)
    typer.echo(f"{version_id[:12]} is deleted from {place.location}")
