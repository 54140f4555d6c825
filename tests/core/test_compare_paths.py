"""The core's paths on ARM and x86-64, on Linux and Windows, give the same frequencies, streams and vectors:
compare_paths.c, cross-compiled."""

import os
import platform
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CORE = HERE.parents[1] / "nbmf" / "_core"
FLAGS = ["-std=gnu11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
PATHS = {"aarch64": ["neon_dot", "neon", "plain"], "x86_64": ["plain"]}
"""That must be there; of x86-64 more, as this processor has them."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(find_spec("ziglang") is None, reason="no cross-compiler: pip install ziglang"),
]


def _emulator(machine):
    if machine == platform.machine() and sys.platform == "linux":
        return []
    emulator = shutil.which(f"qemu-{machine}-static") or shutil.which(f"qemu-{machine}")
    if emulator is None:
        pytest.skip(f"programs for {machine} run here with qemu-user alone: qemu-{machine} is not installed")
    return [emulator, "-cpu", "max"]


def _digests(target, folder, emulator, environment=None):
    program = folder / f"compare-{target}.exe"
    sources = [HERE / "compare_paths.c", CORE / "vector_tables.c", *sorted(CORE.glob("path*.c"))]
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", target, "-static"]
    subprocess.run([*compiler, *FLAGS, "-I", CORE, *sources, "-o", program], check=True)
    run = subprocess.run([*emulator, program], capture_output=True, text=True, check=True, env=environment)
    digests = dict(line.split(" ", 1) for line in run.stdout.splitlines())
    assert all(len(digest) == 16 for digest in digests.values()), digests  # more than that is what went wrong
    return digests


@pytest.fixture(scope="module")
def of_linux(tmp_path_factory):
    folder = tmp_path_factory.mktemp("linux")
    return {machine: _digests(f"{machine}-linux-musl", folder, _emulator(machine)) for machine in PATHS}


def test_all_paths_of_both_kinds_of_processor_agree(of_linux):
    for machine, digests in of_linux.items():
        assert set(digests) >= set(PATHS[machine])
    assert len({digest for digests in of_linux.values() for digest in digests.values()}) == 1, of_linux


@pytest.mark.skipif(platform.machine() != "x86_64" or not shutil.which("wine"), reason="Windows' programs run by wine")
def test_they_do_on_windows(of_linux, tmp_path):
    """Where a long has 32 bits."""
    environment = os.environ | {"WINEPREFIX": str(tmp_path / "wine"), "WINEDEBUG": "-all"}
    assert _digests("x86_64-windows-gnu", tmp_path, ["wine"], environment) == of_linux["x86_64"]
