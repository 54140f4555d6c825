"""Files of the console: how they are served, and what is not in them."""

import re
from pathlib import Path

import pytest

import serve_app
from serve_app.http.console_page import HEADERS

FILES = sorted((Path(serve_app.__file__).parent / "console").iterdir())
MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def path_of(file):
    return "/console" if file.name == "index.html" else f"/console/{file.name}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file(in_process, file):
    answer = in_process()("GET", path_of(file))
    assert (answer.status_code, answer.content) == (200, file.read_bytes())
    assert answer.headers["Content-Type"].partition(";")[0] == MEDIA_TYPES[file.suffix]
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    policy = dict(part.strip().split(" ", 1) for part in HEADERS["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src", "img-src")} == {"'self'"}
    assert policy["frame-ancestors"] == "'none'"


def test_nothing_else_is_there(in_process):
    ask = in_process()
    for path in ("/console/nothing.js", "/console/../config.py", "/console/%2e%2e/config.py", "/console/__init__.py"):
        assert ask("GET", path).status_code == 404
    assert ask("POST", "/console").status_code == 405
    assert not [path for path in ask("GET", "/openapi.json").json()["paths"] if "console" in path]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_comes_from_elsewhere(file):
    text = file.read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|//[a-z0-9-]+\.[a-z]", text)
    assert "@import" not in text


@pytest.mark.parametrize("file", [f for f in FILES if f.suffix in (".js", ".html")], ids=lambda file: file.name)
def test_text_goes_in_as_text(file):
    text = file.read_text()
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(", "localStorage"):
        assert way not in text
    assert not re.search(r"\son[a-z]+=|style=|<script(?![^>]*\ssrc=)", text)
    assert "document.cookie" not in text


def test_the_page_finds_its_parts():
    """Ids that the scripts ask for are in the page, and every file is used by another."""
    page = next(file for file in FILES if file.name == "index.html").read_text()
    scripts = {file.name: file.read_text() for file in FILES if file.suffix == ".js"}
    ids = set(re.findall(r'\bid="([^"]+)"', page))
    asked = {name for text in scripts.values() for name in re.findall(r'\$\("([^"]+)"\)', text)}
    assert asked <= ids
    classes = next(file for file in FILES if file.suffix == ".css").read_text()
    for state in ("staged", "canary", "rolled_back", "passed", "breached", "too_little_measured"):
        assert f".{state}" in classes
    for file in FILES:
        assert (
            file.name == "index.html"
            or f"console/{file.name}" in page
            or any(f'"./{file.name}"' in text for text in scripts.values())
        )
