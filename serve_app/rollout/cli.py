"""`nbmf rollout`: from one stable version to the next, through the registry; services that run follow it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.table import Table
from rich.text import Text

from cluster import config as configuration
from cluster.cli.options import LOCAL, RegistryOption
from cluster.progress import results
from cluster.quarantine import Quarantine, QuarantineLine
from cluster.registry import Registry
from serve_app.config import DEFAULT_FILE, ServeConfig
from serve_app.rollout.gates import gates
from serve_app.rollout.state import Rollout, RolloutError, Seen
from serve_app.rollout.store import RolloutStore

app = typer.Typer(help="Roll a codec version out step by step, measured against the stable one.", no_args_is_help=True)

RoundOption: TypeAlias = Annotated[
    int | None, typer.Option("--round", min=0, help="The round that `status` tells: nothing is done in another one.")
]

_BY_HAND = "by hand"
_VERDICTS: dict[bool | None, str | Text] = {True: "passed", False: Text("breached", "red"), None: "too little measured"}


@app.command()
def start(
    version: Annotated[str, typer.Argument(help="The candidate: the start of an id.", show_default=False)],
    config: Annotated[
        Path | None,
        typer.Option(**LOCAL, help="YAML file whose `rollout` holds steps and gates, in place of the packaged one."),
    ] = None,
    registry: RegistryOption = None,
) -> None:
    """Start a rollout: services encode a copy of some requests with the candidate, and measure it."""
    policy = configuration.load(ServeConfig, config, DEFAULT_FILE).rollout
    _tell(RolloutStore(Registry(registry)).start(version, policy, time.time()))


@app.command()
def advance(
    seen: RoundOption = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Become stable although not all replicas have it; the history says so."),
    ] = False,
    registry: RegistryOption = None,
) -> None:
    """Go to the next state now, whatever was measured. It has its gates as well.

    Not if it has moved since this command looked, or is not in --round: of several at once, one does it.
    """
    _move(registry, seen, lambda r: r.advanced(time.time(), _BY_HAND, force=force))


@app.command()
def pause(seen: RoundOption = None, registry: RegistryOption = None) -> None:
    """Stay in the present state. A breach still rolls back."""
    _move(registry, seen, lambda r: r.with_pause(True))


@app.command()
def resume(seen: RoundOption = None, registry: RegistryOption = None) -> None:
    """Go on after a pause."""
    _move(registry, seen, lambda r: r.with_pause(False))


@app.command()
def rollback(registry: RegistryOption = None) -> None:
    """Take the candidate's share away, and the candidate out of quarantine. Blobs that it wrote stay readable."""
    _tell(RolloutStore(Registry(registry)).roll_back(time.time(), _BY_HAND))


@app.command()
def release(
    version: Annotated[str, typer.Argument(help="The start of an id.", show_default=False)],
    registry: RegistryOption = None,
) -> None:
    """Take a version out of quarantine, where it came as it killed or hung what decoded with it."""
    place = Registry(registry)
    version_id = place.resolve(version)
    if not Quarantine(place).release(version_id, _BY_HAND, time.time()):
        raise RolloutError(f"{version_id[:12]} is not in quarantine; `nbmf versions list` names those that are")
    typer.echo(f"{version_id[:12]} is out of quarantine.")


@app.command()
def status(registry: RegistryOption = None) -> None:
    """Print the state, what was measured in it against the gates, and the transitions."""
    store = RolloutStore(Registry(registry))
    rollout = store.read()
    quarantine = Quarantine(Registry(registry)).lines()
    if rollout is None:
        typer.echo("There is no rollout; `nbmf rollout start VERSION` begins one.")
        _tell_quarantine(quarantine)
        return
    _tell(rollout)
    if rollout.is_active:
        table = Table(title=f"Gates, {'paused' if rollout.paused else 'judged by the service'}")
        for column in ("gate", "measured", "limit", "verdict"):
            table.add_column(column)
        for gate in gates(rollout.policy, rollout.measured):
            table.add_row(gate.name, gate.measured, gate.limit, _VERDICTS[gate.passed])
        results().print(table)
        if not rollout.ready:
            typer.echo("The candidate gets no share yet: not all replicas of a service have loaded it.")
    table = Table(title="History")
    for column in ("at (UTC)", "to", "why"):
        table.add_column(column)
    for line in store.history():
        if line.rollout == rollout.id:
            table.add_row(_moment(line.at), _state(line.after, line.after_percent), line.reason)
    results().print(table)
    _tell_quarantine(quarantine)


def _tell_quarantine(lines: list[QuarantineLine]) -> None:
    if not lines:
        return
    table = Table(title="Quarantine")
    for column in ("at (UTC)", "version", "", "why"):
        table.add_column(column)
    for line in lines:
        table.add_row(_moment(line.at), line.version[:12], "in" if line.quarantined else "out", line.reason)
    results().print(table)


def _move(registry: str | None, round_: int | None, next_of: Callable[[Rollout], Rollout]) -> None:
    """Changes the rollout as this command saw it, or as the caller did."""
    store = RolloutStore(Registry(registry))
    rollout = store.read()
    seen = None
    if rollout is not None:
        seen = rollout.seen if round_ is None else Seen(rollout.id, round_)
    _tell(store.change(next_of, seen))


def _tell(rollout: Rollout) -> None:
    paused = ", paused" if rollout.paused else ""
    typer.echo(
        f"{rollout.candidate[:12]}: {_state(rollout.state, rollout.percent)}{paused}, round "
        f"{rollout.round}, since {_moment(rollout.since)} UTC (stable was {rollout.stable[:12]}): {rollout.reason}"
    )


def _state(state: str, percent: float) -> str:
    return f"{state} {percent:g} %" if state == "canary" else state


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
