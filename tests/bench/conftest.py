"""Shared by the tests of measurements: a small version with a network and counts, and records for it."""

from dataclasses import dataclass
from pathlib import Path

import counts_versions
import networks
import pytest
import synthetic


@dataclass(frozen=True)
class SmallVersion:
    """A registry's folder and the id of the version in it."""

    registry: Path
    id: str

    @property
    def options(self):
        return ("--registry", self.registry, "--codec", self.id[:8])


@pytest.fixture(scope="session")
def small_version(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small-version")
    files = networks.untrained_files()
    files = counts_versions.add_counts(files, counts_versions.sample_counts(files))
    return SmallVersion(folder, counts_versions.write_counts_version(folder / "versions", files, network=True).name)


@pytest.fixture(scope="session")
def training_file(tmp_path_factory):
    """Enough for a dictionary, and little for PPMd to read before each record."""
    lines = [{"set": "s", "payload": payload} for payload in synthetic.records(400, seed=3)]
    return synthetic.write_jsonl(tmp_path_factory.mktemp("training") / "train.jsonl", lines)
