"""The core, watched by AddressSanitizer and UndefinedBehaviorSanitizer, given damaged versions and blobs."""

import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[1] / "fuzz" / "run.py"
SECONDS = 40


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("target", ["versions", "blobs", "vocabularies", "floating"])
def test_damage(tmp_path, target):
    done = subprocess.run(
        [sys.executable, RUN, target, "--seconds", str(SECONDS), "--seed", "1"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    if "no sanitizers" in done.stdout:
        pytest.skip(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert f"{target}: " in done.stdout
    assert " 0 inputs" not in done.stdout
