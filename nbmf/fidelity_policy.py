"""Which fidelity records are kept with, by their class, as the legacy policy files have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from nbmf.errors import BadPolicy
from nbmf.extras import require
from nbmf.payload import Fidelity
from nbmf.places import local_path

_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class FidelityPolicy:
    """A fidelity for each class that is named, and `default` for the others."""

    default: Fidelity = "lossless"
    classes: Mapping[str, Fidelity] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path) -> FidelityPolicy:
        """The policy in a YAML file. Raises BadPolicy naming the file and the class, MissingExtra without PyYAML."""
        require("a policy file", "yaml")
        from nbmf.yaml_files import read_fields

        source = local_path(path)
        try:
            return cls.of_fields(read_fields(source))
        except BadPolicy as error:
            raise BadPolicy(f"{source}: {error}") from None
        except ValueError as error:
            raise BadPolicy(str(error)) from error

    @classmethod
    def of_fields(cls, fields: Mapping[Any, Any]) -> FidelityPolicy:
        """The policy that these keys and values are. Raises BadPolicy."""
        for name, fidelity in fields.items():
            if type(name) is not str or fidelity not in get_args(Fidelity):
                raise BadPolicy(f"{name}: a class has a fidelity, {' or '.join(get_args(Fidelity))}, not {fidelity!r}")
        classes = {name: fidelity for name, fidelity in fields.items() if name != _DEFAULT}
        return cls(fields.get(_DEFAULT, "lossless"), classes)

    def of(self, record_class: str) -> Fidelity:
        """The fidelity of a class."""
        return self.classes.get(record_class, self.default)
