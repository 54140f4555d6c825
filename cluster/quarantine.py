"""Versions that killed or hung what loaded them, or decoded with them: quarantine.jsonl beside the registry's channels.

Each line puts a version there or takes it out again; the last one of a version says where it is.
"""

from __future__ import annotations

from pydantic import BaseModel

from cluster.errors import QuarantinedCodec, RegistryError
from cluster.registry import Registry

DOCUMENT = "quarantine.jsonl"


class QuarantineLine(BaseModel):
    """A version came into quarantine, or out of it; `at` is seconds since the epoch."""

    at: float
    version: str
    quarantined: bool
    reason: str


class Quarantine:
    """Of one registry. Nobody encodes with a version that is in it, and its blobs are refused until it is out again."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def lines(self) -> list[QuarantineLine]:
        """All of them, oldest first. Raises RegistryError."""
        content = self._registry.read_document(DOCUMENT) or b""
        try:
            return [QuarantineLine.model_validate_json(line) for line in content.splitlines()]
        except ValueError as error:
            raise RegistryError(f"registry {self._registry}: {DOCUMENT} is not readable: {error}") from error

    def read(self) -> dict[str, QuarantineLine]:
        """The versions in quarantine, by id. Raises RegistryError."""
        latest = {line.version: line for line in self.lines()}
        return {version: line for version, line in latest.items() if line.quarantined}

    def check(self, version: str) -> None:
        """Raises QuarantinedCodec, RegistryError."""
        if line := self.read().get(version):
            raise QuarantinedCodec(
                f"version {version[:12]} is in quarantine: {line.reason}; `nbmf rollout release` takes it out"
            )

    def add(self, version: str, reason: str, now: float) -> None:
        """Puts a version into quarantine, once."""
        self._change(QuarantineLine(at=now, version=version, quarantined=True, reason=reason))

    def release(self, version: str, reason: str, now: float) -> bool:
        """Takes a version out; whether it was in."""
        return self._change(QuarantineLine(at=now, version=version, quarantined=False, reason=reason))

    def _change(self, line: QuarantineLine) -> bool:
        with self._registry.locked():
            if (line.version in self.read()) == line.quarantined:
                return False
            self._registry.append_to_document(DOCUMENT, line.model_dump_json().encode() + b"\n")
        return True
