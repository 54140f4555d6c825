"""CPUs that a process may use."""

import os

import pytest

from cluster import cpus
from cluster.cpus import quotas, usable_cpus

QUOTA, PERIOD = "cpu.cfs_quota_us", "cpu.cfs_period_us"


def write(folder, files):
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, [1.5]),
        ("0::/\n", {"cpu.max": "max 100000\n"}, []),
        ("0::/kube/pod7\n", {"kube/pod7/cpu.max": "max 100000\n", "kube/cpu.max": "400000 100000\n"}, [4]),
        ("0::/../elsewhere\n", {"cpu.max": "200000 100000\n"}, [2]),
        ("4:cpu,cpuacct:/ab\n0::/\n", {f"cpu/ab/{QUOTA}": "250000", f"cpu/ab/{PERIOD}": "100000"}, [2.5]),
        ("4:cpu,cpuacct:/outside\n", {f"cpu/{QUOTA}": "-1\n", f"cpu/{PERIOD}": "100000\n"}, []),
        ("", {}, []),
        ("garbage\n\n0:\n0::/ab\x0b\x85\u2028\n", {"cpu.max": "100000 100000"}, [1]),
        ("0::/a\0b\n", {"cpu.max": "100000 100000"}, [1]),
        ("0::/\n", {"cpu.max": "100000\n"}, []),
        ("0::/\n", {"cpu.max": "100000 max\n"}, []),
        ("0::/\n", {"cpu.max": "100000 0\n"}, []),
        ("4:cpu:/\n", {f"cpu/{QUOTA}": "100000\n"}, []),
        ("4:cpu:/\n", {f"cpu/{QUOTA}": "100000\n", f"cpu/{PERIOD}": "0\n"}, []),
    ],
)
def test_what_control_groups_allow(own, files, expected, tmp_path):
    write(tmp_path, {"own": own} | {f"groups/{name}": text for name, text in files.items()})
    assert list(quotas(tmp_path / "groups", tmp_path / "own")) == expected


@pytest.mark.parametrize(("quota", "expected"), [("max", 3), ("150000", 2), ("10000", 1), ("900000", 3)])
def test_the_least_of_affinity_and_quota(quota, expected, tmp_path, monkeypatch):
    write(tmp_path, {"own": "0::/\n", "groups/cpu.max": f"{quota} 100000\n"})
    monkeypatch.setattr(cpus, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(cpus, "_OWN_GROUP", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 5, 7}, raising=False)
    assert usable_cpus() == expected


def test_here():
    assert 1 <= usable_cpus() <= os.cpu_count()
