"""Which fidelity records are kept with, by their class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ConfigDict

from cluster.config import StrictModel, load
from nbmf.payload import Fidelity


class FidelityPolicy(StrictModel):
    """A fidelity for each class that is named, and `default` for the others, as the legacy policy files have it."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Fidelity]

    default: Fidelity = "lossless"

    def classes(self) -> Mapping[str, Fidelity]:
        """Those that are named."""
        return dict(self.__pydantic_extra__)


def load_policy(path: Path) -> FidelityPolicy:
    """The policy in a YAML file. Raises ConfigError naming the file and the class."""
    return load(FidelityPolicy, path, default="")
