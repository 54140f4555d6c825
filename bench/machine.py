"""What a measurement ran on: numbers without it say little."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cluster.cpus import usable_cpus
from nbmf import _core
from nbmf.version import __version__

PACKAGES = ("numpy", "zstandard", "brotli", "pyppmd")


def facts() -> dict[str, Any]:
    """Processor, cores that this process may use, system, and the releases of what codes; no date and no host name."""
    return {
        "processor": _processor(),
        "cores": usable_cpus(),
        "system": f"{platform.system()} {platform.machine()}",
        "code": _core.cpu(),
        "python": platform.python_version(),
        "nbmf": __version__,
        **{name: _release(name) for name in PACKAGES},
    }


def sentence(machine: dict[str, Any]) -> str:
    """The facts in a line."""
    cores = machine["cores"]
    return (
        f"{machine['processor']}, {cores} core{'s' if cores != 1 else ''}, {machine['system']}, "
        f"code for {machine['code']}, Python {machine['python']}, nbmf {machine['nbmf']}"
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _release(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
