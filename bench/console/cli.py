"""`nbmf bench console`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cluster.cli.options import LOCAL


class SchemeChoice(StrEnum):
    """Colours of the page."""

    LIGHT = "light"
    DARK = "dark"


def console(
    out: Annotated[Path, typer.Option(**LOCAL, help="PNG file to write.", show_default=False)],
    scheme: Annotated[SchemeChoice, typer.Option(help="Colours of the page.")] = SchemeChoice.LIGHT,
    width: Annotated[int, typer.Option(min=320, help="Of the window, in CSS pixels.")] = 1280,
    percent: Annotated[float, typer.Option(help="Share of the candidate that is waited for.")] = 50,
) -> None:
    """Picture the console during a canary: two versions are trained, served under load, and one is rolled out.

    Takes some four minutes. Needs a Chromium on the path, and the packages of the extra `dev`.
    """
    import tempfile

    from bench.console import pictures as console_bench
    from bench.console.browser import find_chromium
    from cluster.progress import console as terminal
    from cluster.session import session

    find_chromium()  # before anything is trained
    with tempfile.TemporaryDirectory() as folder, session():
        registry, candidate = console_bench.train(Path(folder))
        with terminal.status("serving, until the candidate has its share"), console_bench.service(registry) as url:
            console_bench.start_canary(url, candidate, percent)
            console_bench.picture(url, out, scheme.value, width)
    typer.echo(f"Wrote {out}")
