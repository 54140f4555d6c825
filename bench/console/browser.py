"""A headless Chromium of this machine, driven by playwright (extra `dev`), which downloads none of its own here."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nbmf.errors import NbmfError

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ARGUMENTS = (
    "--no-sandbox",  # which root, as in a container, cannot have; it only sees this machine's own pages
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class BrowserMissing(NbmfError):
    """There is no browser, or nothing that drives it."""

    code = "browser_missing"


def find_chromium() -> str:
    """The path of a Chromium: NBMF_CHROMIUM, else the first on the path. Raises BrowserMissing."""
    path = os.environ.get("NBMF_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        raise BrowserMissing("no Chromium on the path; `apt-get install chromium`, or name one by NBMF_CHROMIUM")
    if importlib.util.find_spec("playwright") is None:
        raise BrowserMissing("playwright is not installed; `pip install 'nbmf[dev]'`")
    return path


@contextmanager
def chromium() -> Iterator[Any]:
    """A playwright browser. Raises BrowserMissing."""
    path = find_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()
