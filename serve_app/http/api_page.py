"""`/docs`: the OpenAPI description as a page. It runs no script: FastAPI's own pages load theirs from other hosts, and
what runs on this origin could read the key that the console keeps.
"""

from __future__ import annotations

import base64
import json
from functools import cache
from hashlib import sha256
from html import escape
from typing import Any

from fastapi import FastAPI, Response

from serve_app.http.console_page import HEADERS

PATH = "/docs"

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 3rem; border-bottom: 1px solid #8886; }
h2 code { font-size: 1em; }
h4 { margin: .8rem 0 0; font-weight: 500; }
table { border-collapse: collapse; }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }
pre { overflow: auto; padding: .8rem; background: #8881; border-radius: 6px; font-size: .85rem; }
"""
_POLICY = f"default-src 'none'; style-src 'sha256-{base64.b64encode(sha256(_STYLE.encode()).digest()).decode()}'"


def add_route(api: FastAPI) -> None:
    """Adds the page, which anybody may read, as openapi.json."""

    @cache
    def page() -> bytes:
        return _page(api.openapi()).encode()

    async def docs() -> Response:
        headers = HEADERS | {"Content-Security-Policy": f"{_POLICY}; frame-ancestors 'none'; base-uri 'none'"}
        return Response(page(), 200, headers, "text/html; charset=utf-8")

    api.add_api_route(PATH, docs, methods=["GET"], include_in_schema=False, response_model=None)


def _page(described: dict[str, Any]) -> str:
    info = described["info"]
    title = f"{escape(info['title'])} {escape(info['version'])}"
    operations = "".join(
        _operation(method, path, operation, described)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
        f"<h1>{title}</h1><p>{escape(info['description'])}</p>"
        f"<p>For programs: <a href=openapi.json>openapi.json</a></p>{operations}</html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any], described: dict[str, Any]) -> str:
    parts = [f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation.get('description', ''))}</p>"]
    if parameters := operation.get("parameters"):
        parts.append("<h3>Parameters</h3>" + _table(("name", "in", "", ""), map(_parameter, parameters)))
    if body := operation.get("requestBody"):
        parts.append("<h3>Body</h3>" + _contents(body.get("content", {}), described))
    parts.append("<h3>Answers</h3>")
    for status, answer in operation["responses"].items():
        parts.append(f"<h4>{escape(status)} {escape(answer.get('description', ''))}</h4>")
        parts.append(_contents(answer.get("content", {}), described))
    return "".join(parts)


def _parameter(parameter: dict[str, Any]) -> tuple[str, ...]:
    schema = {name: value for name, value in parameter["schema"].items() if name not in ("title", "description")}
    return parameter["name"], parameter["in"], parameter.get("description", ""), json.dumps(schema)


def _contents(content: dict[str, Any], described: dict[str, Any]) -> str:
    return "".join(
        f"<details><summary><code>{escape(media_type)}</code></summary>"
        f"<pre>{escape(json.dumps(_resolved(of.get('schema', {}), described), indent=1))}</pre></details>"
        for media_type, of in content.items()
    )


def _resolved(value: Any, described: dict[str, Any], within: tuple[str, ...] = ()) -> Any:
    """With what it refers to in place, but for a schema within itself."""
    if isinstance(value, list):
        return [_resolved(item, described, within) for item in value]
    if not isinstance(value, dict):
        return value
    name = str(value.get("$ref", "")).rpartition("/")[2]
    if name and name not in within:
        return _resolved(described["components"]["schemas"][name], described, (*within, name))
    return {key: _resolved(item, described, within) for key, item in value.items()}


def _table(heads: tuple[str, ...], rows: Any) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
