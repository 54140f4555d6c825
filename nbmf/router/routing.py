"""Which way a record goes: by its class, and by a hash of its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from nbmf.shares import fraction

Mode: TypeAlias = Literal["stub", "shadow", "dual", "read_through"]
"""What is written: the stub's form; that, and nbmf encodes a copy which is only measured and verified; both forms; or
nbmf's. Reading takes either form, whatever the mode."""


@dataclass(frozen=True, slots=True)
class Routing:
    """`mode` for `percent` % of the keys, told by a hash, and `stub` for the others; named classes have their own mode.

    A key stays where it is while the percentage grows. Which keys go first depends on `name`: with a codec version's
    id they are those that go first in a rollout of it, too.
    """

    mode: Mode = "shadow"
    percent: float = 100
    classes: Mapping[str, Mode] = field(default_factory=dict)
    name: str = "nbmf"

    def __post_init__(self) -> None:
        for mode in (self.mode, *self.classes.values()):
            if mode not in get_args(Mode):
                raise ValueError(f"a mode is one of {', '.join(get_args(Mode))}, not {mode!r}")
        if not 0 <= self.percent <= 100:
            raise ValueError(f"percent is between 0 and 100, not {self.percent!r}")

    def mode_of(self, key: str, record_class: str) -> Mode:
        """The mode in which this record is written."""
        within = fraction(self.name, key.encode("utf-8", "surrogatepass")) * 100 < self.percent
        return self.classes.get(record_class, self.mode) if within else "stub"
