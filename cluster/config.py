"""Configuration files: YAML, validated strictly, with units in the names of keys."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from cluster.errors import ConfigError
from nbmf.places import local_path
from nbmf.yaml_files import read_fields


class StrictModel(BaseModel):
    """Base of configuration models: an unknown key or a wrong type is an error, never ignored.

    So is an infinite number, which JSON could not hand on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


M = TypeVar("M", bound=StrictModel)


def load(model: type[M], path: Path | None, default: str, overrides: dict[str, Any] | None = None) -> M:
    """The configuration in `path`, or in the packaged file `configs/<default>`; `overrides` that are not None win.

    Raises ConfigError naming the file and the key.
    """
    source = local_path(path) if path is not None else resources.files("configs").joinpath(default)
    try:
        fields = read_fields(source)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return parse(model, fields | {key: value for key, value in (overrides or {}).items() if value is not None}, source)


def parse(model: type[M], fields: dict[str, Any], source: object) -> M:
    """The configuration that these fields are. Raises ConfigError naming the source and the key."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(f"{source}: {problems(error.errors(), 'file')}") from error


def problems(errors: Iterable[Any], whole: str) -> str:
    """What pydantic found wrong, each with its place; `whole` is the place of what concerns everything."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or whole}: {e['msg']}" for e in errors)
