"""A group of commands one of which runs when none is named."""

from __future__ import annotations

from typing import Any, ClassVar

import typer
from typer.core import TyperGroup


class DefaultCommandGroup(TyperGroup):
    """`migrate OLD NEW` is `migrate run OLD NEW`; `migrate commit` is that command. The help shows both.

    A source that is called like a command is written `./commit`, or `run commit`.
    """

    default: ClassVar[str] = "run"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        super().format_help(ctx, formatter)
        command: Any = self.commands[self.default]
        typer.echo()
        command.format_help(command.make_context(f"[{self.default}]", [], ctx, resilient_parsing=True), formatter)
