"""Requests of pages in a browser on this machine: those that come from elsewhere, or lead elsewhere, are refused.

A service without API keys on a loopback address trusts whoever reaches it. A page of any site could, by a name of its
own that was made to lead to this machine (DNS rebinding), or by a request that it sends blindly.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from fastapi import Depends, Request

from serve_app.admission.api_keys import Forbidden
from serve_app.config import ServeConfig, is_loopback


def own_pages_only(config: ServeConfig) -> list[Any]:
    """Dependencies of all routes: none for a service with keys, or that other machines reach."""
    if config.api_keys or not is_loopback(config.host):
        return []

    async def check(request: Request) -> None:
        check_origin(request, config.allowed_hosts)

    return [Depends(check)]


def check_origin(request: Request, allowed_hosts: tuple[str, ...] = ()) -> None:
    """Raises Forbidden unless the request names this machine, or one of these, and is of no page of another origin."""
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    if not is_loopback(_name(host)) and _name(host) not in allowed_hosts:
        raise Forbidden(
            f"without API keys the service is for this machine; {host!r} is not a name of it: configure api_keys, or "
            "add the name to allowed_hosts"
        )
    if origin not in (None, f"http://{host}", f"https://{host}"):
        raise Forbidden("without API keys the service takes nothing that a page of another origin sends")


def _name(host: str) -> str:
    """Of a Host header, without its port; empty if it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
