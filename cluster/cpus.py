"""How many CPUs this process may use, of those that the machine has."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")


def usable_cpus() -> int:
    """At least one: what the affinity leaves (`taskset`, Docker's `--cpuset-cpus`), and the time that a container is
    given of them (`--cpus`, Kubernetes' limits), rounded up. As joblib's loky.cpu_count has it."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([there, *map(math.ceil, quotas(_GROUPS, _OWN_GROUP))]))


def quotas(groups: Path, own_group: Path) -> Iterator[float]:
    """CPUs that each control group around this process allows, where it says so; by version 2 of Linux's, then 1.

    `groups`: where they are mounted. `own_group`: the file that names this process's.
    """
    of_kind: dict[str, str] = {}
    for line in _text(own_group).split("\n"):
        _, kinds, path = [*line.split(":", 2), "", ""][:3]
        of_kind |= dict.fromkeys(kinds.split(","), path) if path else {}
    of_one_file = (_text(folder / "cpu.max") for folder in _from_leaf_to_root(groups, of_kind.get("", "/")))
    of_two = (
        " ".join(_text(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        for folder in _from_leaf_to_root(groups / "cpu", of_kind.get("cpu", "/"))
    )
    for text in (*of_one_file, *of_two):
        numbers = text.split()  # "max" or -1 is no limit
        if len(numbers) == 2 and all(number.isdecimal() and int(number) for number in numbers):
            yield int(numbers[0]) / int(numbers[1])


def _from_leaf_to_root(mounted: Path, path: str) -> Iterator[Path]:
    """Within a container the path is often that of outside, and not there: its own group is then the root."""
    own = Path(path.lstrip("/"))
    return (mounted / part for part in (own, *own.parents))


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except (OSError, ValueError):  # a path with a null
        return ""
