"""`nbmf versions`: what the registry holds, which version is in use, and what versions spell."""

from __future__ import annotations

import enum
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer
from rich.table import Table
from rich.text import Text

from cluster.cli.options import LOCAL, RegistryOption
from cluster.errors import QuarantinedCodec, VersionNotFound
from cluster.progress import console, progress, results
from cluster.quarantine import Quarantine
from cluster.registry import BUILTIN, NONE, STUB, Registry
from nbmf import builtin
from nbmf.errors import NbmfError
from nbmf.manifest import Manifest, is_id, read_version
from nbmf.printable import printable

if TYPE_CHECKING:
    from cluster.version_scan import PartScan, Scan

app = typer.Typer(help="List, show, scan, promote and delete codec versions of a registry.", no_args_is_help=True)

VersionArgument: TypeAlias = Annotated[
    str, typer.Argument(help="`stable`, `candidate`, or the start of an id.", show_default=False)
]


_SILENT_S = 2
"""Progress is shown from then on."""


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
    if not versions and channels.stable != STUB:
        typer.echo(f"Registry {place} has no versions; `nbmf train` makes one.")
        return
    table = Table(title=f"Codec versions in {place}")
    for column in ("id", "channel", "name", "created (UTC)", "architecture", "held-out ratio"):
        table.add_column(column)
    if channels.stable == STUB:
        table.add_row(STUB, "stable", "the zlib stub", "", "zlib", "")
    for version_id, manifest in versions:
        on = [
            name
            for name, held in (("stable", channels.stable), ("candidate", channels.candidate))
            if held == version_id
        ]
        cells = (Text("damaged", "red"),) if isinstance(manifest, NbmfError) else _cells(manifest)
        table.add_row(version_id[:12], ", ".join(on), *cells)
    results().print(table)
    for version_id, line in Quarantine(place).read().items():
        message = f"nbmf: {version_id[:12]}: {QuarantinedCodec.code}: {line.reason}"
        console.print(message, markup=False, soft_wrap=True)
    for version_id, manifest in versions:
        if isinstance(manifest, NbmfError):
            console.print(f"nbmf: {version_id[:12]}: {manifest.code}: {manifest}", markup=False, soft_wrap=True)


def _cells(manifest: Manifest) -> tuple[str, ...]:
    measured = manifest.measured.get("all", {}).get("nbmf", {}).get("total_ratio")
    ratio = f"{measured:.2f}" if measured else ""
    return printable(manifest.name), printable(manifest.created_at[:16]), printable(manifest.architecture), ratio


@app.command()
def show(version: VersionArgument, registry: RegistryOption = None) -> None:
    """Print a version's id and manifest as JSON, after checking every file of it."""
    place = Registry(registry)
    version_id = place.resolve(version)
    typer.echo(f'{{"id": "{version_id}", "manifest": {place.manifest(version_id).to_json()}}}')


@app.command()
def scan(
    version: Annotated[
        str,
        typer.Argument(
            help="`stable`, `candidate`, `builtin`, or the start of an id, also of a built-in version.",
            show_default=False,
        ),
    ],
    registry: RegistryOption = None,
    json_output: Annotated[
        Path | None, typer.Option("--json", **LOCAL, help="File for the report as JSON.", show_default=False)
    ] = None,
) -> None:
    """Look for secrets and personal strings in all that a version's vocabulary, counts and dictionaries spell.

    Examples are masked. The exit code is 1 if anything of the kinds secret, mail, phone or card is found.
    """
    from cluster.version_scan import Scan, is_shareable

    folder = _folder(version, Registry(registry))
    version_id, manifest, files = read_version(folder)
    parts = _scanned(Scan(manifest, files))
    shareable = is_shareable(parts)
    if json_output:
        report = {"id": version_id, "shareable": shareable, "parts": [part.to_dict() for part in parts]}
        json_output.write_text(json.dumps(report, indent=1) + "\n")
    _print_scan(version_id, parts)
    raise typer.Exit(0 if shareable else 1)


def _scanned(whole: Scan) -> list[PartScan]:
    """With progress where it takes long."""
    bars, start = progress("entries"), time.monotonic()
    task = bars.add_task("scanning", total=whole.entries)

    def on_entries(count: int) -> None:
        if time.monotonic() - start > _SILENT_S and not bars.live.is_started:
            bars.start()
        bars.update(task, advance=count)

    try:
        return whole.parts(on_entries)
    finally:
        if bars.live.is_started:
            bars.stop()


def _folder(name: str, place: Registry) -> Path:
    """Of a version of the registry, or of the package. Raises VersionNotFound."""
    try:
        resolved = place.resolve(name)
    except VersionNotFound:
        matches = [path for path in builtin.FOLDER.iterdir() if is_id(path.name) and path.name.startswith(name or "-")]
        if len(matches) != 1:
            raise
        return matches[0]
    if resolved not in (BUILTIN, NONE, STUB):
        return place.fetch(resolved)
    folder = builtin.default_folder() if resolved == BUILTIN else None
    if folder is None:
        raise VersionNotFound(f"{name!r} has no files to look at")
    return folder


def _print_scan(version_id: str, parts: list[PartScan]) -> None:
    from cluster.personal import FORBIDDEN, What
    from cluster.version_scan import LONG

    table = Table(title=f"What {version_id[:12]} spells")
    for column in ("file", "entries", "longest", *(f"over {limit}" for limit in LONG)):
        table.add_column(column)
    for part in parts:
        numbers = (part.entries, part.longest, *part.longer.values())
        table.add_row(part.name, *(f"{number:,}" for number in numbers))
    results().print(table)
    typer.echo("Lengths in characters.")
    for part in parts:
        for kind, found in part.to_dict()["found"].items():
            typer.echo(
                f"{part.name}: {kind}: {found['entries']:,} entries, {found['distinct']:,} distinct: "
                + ", ".join(found["examples"])
            )
    forbidden = ", ".join(what for what in FORBIDDEN if any(part.found[what] for part in parts))
    left = [what for what in What if what not in FORBIDDEN and any(part.found[what] for part in parts)]
    if forbidden:
        typer.echo(f"Not to be shared: {forbidden} found.")
    else:
        typer.echo(f"No secret, mail address, phone or card number found{'; look at the rest' if left else ''}.")


@app.command()
def promote(
    version: VersionArgument,
    channel: Annotated[ChannelName, typer.Option(help="The channel to put it on.")] = ChannelName.STABLE,
    registry: RegistryOption = None,
) -> None:
    """Put a version on a channel. Servers that run take it over when they are next started.

    `nbmf versions promote stub` makes the zlib stub stable: services then write its dicts until a rollout ends that.
    """
    place = Registry(registry)
    version_id = place.resolve(version)
    name: Literal["stable", "candidate"] = "stable" if channel is ChannelName.STABLE else "candidate"
    place.assign(name, version_id)
    typer.echo(f"{version_id[:12]} is now {name} in {place}")


@app.command()
def delete(version: VersionArgument, registry: RegistryOption = None) -> None:
    """Delete a version that was never on a channel. One that was stays: blobs may name it."""
    place = Registry(registry)
    version_id = place.resolve(version)
    place.delete(version_id)
    typer.echo(f"{version_id[:12]} is deleted from {place}")
