"""`nbmf migrate commit` and `nbmf migrate rollback`: the end of a migration in place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from cluster.cli.options import LOCAL

StoreArgument: TypeAlias = Annotated[
    Path, typer.Argument(**LOCAL, help="The legacy store that was migrated in place.", show_default=False)
]


def commit(store: StoreArgument) -> None:
    """Make a migration in place final: remove the originals. There is no way back from it."""
    from migrate_job.destinations import in_place_end

    removed = in_place_end.commit(store.expanduser().absolute())
    typer.echo(f"Committed; the originals of {removed:,} records were removed.")


def rollback(store: StoreArgument) -> None:
    """Take a migration in place back, finished or not: put the originals back.

    Records that the application wrote or removed since they were migrated stay as they are; they are named, and their
    originals kept aside.
    """
    from migrate_job.destinations import in_place_end

    found = in_place_end.rollback(store.expanduser().absolute())
    typer.echo(f"Rolled back; {found.restored:,} records are as they were.")
    for did, names in (("written", found.written_since), ("removed", found.removed_since)):
        for name in names:
            typer.echo(f"left as it is, {did} since: {name}")
    if found.originals:
        typer.echo(f"The originals of those are in {found.originals}")
