"""The core's paths on ARM and x86-64 give the same frequencies, streams, vectors: compare_paths.c, cross-compiled."""

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


def _digests(machine, folder):
    emulator, program = _emulator(machine), folder / f"compare-{machine}"
    sources = [HERE / "compare_paths.c", CORE / "vector_tables.c", *sorted(CORE.glob("path*.c"))]
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", f"{machine}-linux-musl", "-static"]
    subprocess.run([*compiler, *FLAGS, "-I", CORE, *sources, "-o", program], check=True)
    run = subprocess.run([*emulator, program], capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in run.stdout.splitlines())


def test_all_paths_of_both_kinds_of_processor_agree(tmp_path):
    found = {machine: _digests(machine, tmp_path) for machine in PATHS}
    for machine, digests in found.items():
        assert set(digests) >= set(PATHS[machine])
        assert all(len(digest) == 16 for digest in digests.values()), digests  # more than that is what went wrong
    assert len({digest for digests in found.values() for digest in digests.values()}) == 1, found
