"""The core, built with AddressSanitizer and UndefinedBehaviorSanitizer, given damaged versions and streams."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 40
FLAGS = (
    "-std=gnu11",
    "-O1",
    "-g",
    "-fPIC",
    "-shared",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=undefined",
)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("gcc") is None or sys.platform != "linux", reason="needs gcc, on Linux")
def test_damaged_versions_and_streams(tmp_path):
    package = tmp_path / "nbmf"
    shutil.copytree(ROOT / "nbmf", package, ignore=shutil.ignore_patterns("builtin_versions", "*.so", "__pycache__"))
    sources = [str(path) for path in sorted((package / "_core").glob("*.c"))]
    include = f"-I{sysconfig.get_paths()['include']}"
    target = str(package / "_core.abi3.so")
    subprocess.run(
        ["gcc", *FLAGS, "-ffp-contract=off", "-fno-math-errno", include, *sources, "-lm", "-o", target], check=True
    )
    libraries = [
        subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    if not all(Path(library).is_absolute() for library in libraries):
        pytest.skip("gcc has no sanitizers here")
    environment = os.environ | {
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python's own
        "PYTHONPATH": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "core" / "fuzz.py", str(SECONDS), "1"],
        env=environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "'batches'" in done.stdout
    assert "'vocabularies'" in done.stdout
