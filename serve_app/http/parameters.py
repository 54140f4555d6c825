"""Query parameters: one that has no effect is refused, never ignored."""

from __future__ import annotations

from collections import Counter

from fastapi import Depends, Request

from nbmf.wire import BadWire


async def _known_only(request: Request) -> None:
    known = [field.alias for field in request.scope["route"].dependant.query_params]
    given = Counter(name for name, _ in request.query_params.multi_items())
    if unknown := sorted(given.keys() - set(known)):
        takes = f"there are {', '.join(known)}" if known else "there are none"
        raise BadWire(f"unknown query parameters: {', '.join(map(repr, unknown))}; {takes}")
    if repeated := sorted(name for name, count in given.items() if count > 1):
        raise BadWire(f"query parameters that are there more than once: {', '.join(map(repr, repeated))}")


KNOWN_ONLY = Depends(_known_only)
"""A route's dependency."""


def of_octets_only(request: Request, *names: str) -> None:
    """For a request with a JSON body. Raises BadWire for parameters that say how octets are to be read."""
    if given := [name for name in names if name in request.query_params]:
        raise BadWire(f"query parameters of octets, and this body is JSON: {', '.join(map(repr, given))}")
