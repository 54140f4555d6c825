"""API keys: who may ask for what."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from nbmf.errors import NbmfError
from serve_app.config import ApiKey, Role
from serve_app.observe.calls import Call, call_of

_BEARER = HTTPBearer(auto_error=False, scheme_name="bearer", description="an API key")
_HEADER = APIKeyHeader(name="X-Api-Key", auto_error=False, scheme_name="x-api-key", description="an API key")


class Unauthorized(NbmfError):
    """A request has no key, or none that the server knows."""

    code = "unauthorized"


class Forbidden(NbmfError):
    """A key lacks the role that a request needs."""

    code = "forbidden"


class Authenticator:
    """The keys of a configuration. Of a key only its SHA-256 is known here."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys = [(key, bytes.fromhex(key.sha256)) for key in keys]

    def find(self, presented: str) -> ApiKey | None:
        """The key that was presented in a header, or None. All are compared: time must not tell which one fits."""
        digest = hashlib.sha256(presented.encode("latin-1", "replace")).digest()  # headers are Latin-1
        found = None
        for key, expected in self._keys:
            if hmac.compare_digest(digest, expected):
                found = key
        return found

    def needs(self, *roles: Role) -> list[Any]:
        """A route's dependencies: a key with one of these roles, or nothing where the server has no keys."""
        return [Security(self._checked(roles))] if self._keys else []

    def _checked(self, roles: tuple[Role, ...]) -> Callable[..., Awaitable[None]]:
        async def check(
            request: Request,
            bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
            header: Annotated[str | None, Security(_HEADER)],
        ) -> None:
            self.authorize(call_of(request), bearer.credentials if bearer else header, roles)

        return check

    def authorize(self, call: Call, presented: str | None, roles: Sequence[Role]) -> None:
        """Raises Unauthorized, Forbidden unless a key with one of these roles was presented, or there are no keys."""
        if not self._keys:
            return
        if presented is None:
            raise Unauthorized("an API key is needed: send `Authorization: Bearer KEY`, or `X-Api-Key: KEY`")
        key = self.find(presented)
        if key is None:
            raise Unauthorized("the API key is none of this server's")
        call.api_key = key.name
        if not set(roles) & set(key.roles):
            raise Forbidden(f"API key {key.name} has not the role that this needs: {' or '.join(roles)}")
