"""A store that is migrated in place, killed by SIGKILL anywhere, and read meanwhile."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def run_script(name, *arguments):
    """What a script of this folder prints, run in a process of its own."""
    ended = subprocess.run(
        [sys.executable, HERE / name, *map(str, arguments)],
        cwd=HERE.parents[2],
        capture_output=True,
        timeout=800,
        check=False,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout)


@pytest.mark.parametrize(("scenario", "stride"), [("migrate", 13), ("commit", 9), ("rollback", 9)])
def test_killed_at_some_steps_and_gone_on_with(tmp_path, scenario, stride):
    """Each time every record is readable, a way back is open, and what comes of it is the same to the byte."""
    assert run_script("in_place_kills.py", tmp_path, scenario, 5, stride) > 4


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", ["migrate", "commit", "rollback"])
def test_killed_at_every_step_and_gone_on_with(tmp_path, scenario):
    assert run_script("in_place_kills.py", tmp_path, scenario, 1, 1) > 50


def test_every_record_is_readable_at_every_instant(tmp_path):
    """A reader beside migrations that are killed at random, gone on with, rolled back and committed."""
    assert run_script("in_place_reader.py", tmp_path) > 3
