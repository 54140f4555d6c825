"""The file of `--fidelity-policy`."""

from __future__ import annotations

from pathlib import Path

from cluster.errors import ConfigError
from nbmf.errors import BadPolicy
from nbmf.fidelity_policy import FidelityPolicy


def load_policy(path: Path) -> FidelityPolicy:
    """The policy in a YAML file. Raises ConfigError naming the file and the class."""
    try:
        return FidelityPolicy.load(path)
    except BadPolicy as error:
        raise ConfigError(str(error)) from error
