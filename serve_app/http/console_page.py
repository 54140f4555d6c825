"""`/console`: a page for people. Its files are in serve_app/console; what it shows comes from the admin API."""

from __future__ import annotations

from importlib.resources import files

from fastapi import FastAPI, Response

PATH = "/console"

_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def add_routes(api: FastAPI) -> None:
    """Adds the page and its files, which anybody may read: they hold nothing of the service."""
    for file in files("serve_app").joinpath("console").iterdir():
        ending = "." + file.name.rpartition(".")[2]
        path = PATH if file.name == "index.html" else f"{PATH}/{file.name}"
        _add_file(api, path, file.read_bytes(), _MEDIA_TYPES[ending])


def _add_file(api: FastAPI, path: str, content: bytes, media_type: str) -> None:
    async def file() -> Response:
        return Response(content, 200, HEADERS, media_type)

    api.add_api_route(path, file, methods=["GET"], include_in_schema=False, response_model=None)
