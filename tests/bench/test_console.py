"""`nbmf bench console`: the picture of a canary, made by a real browser; and what it says where there is none."""

import os
import subprocess

import pytest

from bench.console.browser import BrowserMissing, find_chromium


def test_without_a_browser(error_of, monkeypatch, tmp_path):
    """It says so at once, not after the training."""
    monkeypatch.delenv("NBMF_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    message = error_of("bench", "console", "--out", tmp_path / "console.png")
    assert "apt-get install chromium" in message
    assert not (tmp_path / "console.png").exists()


def test_a_browser_that_is_named(monkeypatch):
    monkeypatch.setenv("NBMF_CHROMIUM", "/opt/browser")
    assert find_chromium() == "/opt/browser"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_picture(tmp_path, console_script, clean_environment):
    """In a Ray session of its own, as in test_load."""
    try:
        find_chromium()
    except BrowserMissing as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    out = tmp_path / "console.png"
    command = [console_script, "bench", "console", "--out", out, "--width", "800", "--percent", "10"]
    result = subprocess.run(command, env=clean_environment, capture_output=True, text=True, timeout=800, check=False)
    assert result.returncode == 0, result.stderr
    content = out.read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    assert (width, height > 1000) == (1200, True)
