"""Whether a trained version becomes stable: by default where it is smaller than what would be used without it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from cluster.fit import OURS
from cluster.registry import STUB, Registry
from nbmf.builtin import default_codec
from nbmf.codec import Codec

BUILT_IN, STABLE = "built-in", "stable"
"""Names of the versions that a trained one is compared with, in its measurements."""


class MakeStable(enum.StrEnum):
    """When a trained version becomes the registry's stable one."""

    IF_SMALLER = "if-smaller"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class InUse:
    """What would be used without a new version: the registry's stable one, or else the built-in one."""

    stable: str | None
    codecs: dict[str, Codec]
    """By their names in the measurements; the built-in version is always there."""

    @property
    def name(self) -> str:
        return STABLE if STABLE in self.codecs else BUILT_IN

    @property
    def title(self) -> str:
        return (
            f"the stable version {self.stable[:12]}" if self.stable and self.name == STABLE else "the built-in version"
        )


def in_use(registry: Registry) -> InUse:
    """Before anything is learnt. Raises RegistryError, VersionNotFound, DamagedCodec."""
    stable = registry.channels().stable
    codecs = {BUILT_IN: default_codec()}
    return InUse(stable, {**codecs, STABLE: registry.load(stable)} if stable and stable != STUB else codecs)


def settle(
    registry: Registry, version_id: str, measured: dict[str, Any], before: InUse, wanted: MakeStable
) -> tuple[bool, str]:
    """Makes a published version stable or not: whether it is now, and why, as a sentence. Raises RegistryError."""
    ours, theirs = (measured["all"][name] for name in (OURS, before.name))
    smaller = ours["coded_bytes"] < theirs["coded_bytes"]
    result = _compared(ours["coded_bytes"], theirs["coded_bytes"])
    result = f"{result} {before.title} on {ours['records']:,} held-out records"
    name = f"Version {version_id[:12]}"
    with registry.locked():
        channels = registry.channels()
        if wanted is MakeStable.NEVER or (wanted is MakeStable.IF_SMALLER and not smaller):
            return False, f"{name} was not made stable{', as asked' if smaller else ''}: {result}."
        if wanted is MakeStable.IF_SMALLER and channels.stable == STUB:
            return (
                False,
                f"{name} was not made stable, as the stub is: `nbmf rollout start` brings it in; it is {result}.",
            )
        if wanted is MakeStable.IF_SMALLER and channels.candidate:
            return (
                False,
                f"{name} was not made stable, as {channels.candidate[:12]} is being rolled out; it is {result}.",
            )
        if wanted is MakeStable.IF_SMALLER and channels.stable != before.stable:
            return False, f"{name} was not made stable, as another was meanwhile; it is {result}."
        registry.assign("stable", version_id)
    replaced = f" in place of {before.stable[:12]}" if before.stable else ""
    return True, f"{name} is stable{replaced}{', as asked' if not smaller else ''}: {result}."


def _compared(ours_bytes: int, theirs_bytes: int) -> str:
    if ours_bytes == theirs_bytes:
        return "as large as"
    percent = 100 * abs(ours_bytes / theirs_bytes - 1)
    digits = 0 if percent >= 1 else 2
    return f"{percent:.{digits}f} % {'smaller' if ours_bytes < theirs_bytes else 'larger'} than"
