"""channels.json of a registry: which version is stable, which is a candidate, and which ever were."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, Field

Channel: TypeAlias = Literal["stable", "candidate"]


class Transition(BaseModel):
    """One change of a channel."""

    at: str
    channel: Channel
    version: str | None


class Channels(BaseModel):
    """What the file holds. `history` is append-only: a version in it may be named by blobs."""

    stable: str | None = None
    candidate: str | None = None
    history: list[Transition] = Field(default_factory=list)
