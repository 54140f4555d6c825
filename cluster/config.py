"""Configuration files: YAML, validated strictly, with units in the names of keys."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from cluster.errors import ConfigError
from nbmf.places import local_path


class StrictModel(BaseModel):
    """Base of configuration models: an unknown key or a wrong type is an error, never ignored.

    So is an infinite number, which JSON could not hand on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


M = TypeVar("M", bound=StrictModel)


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that is there twice, of which YAML's loader would take the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.value != "<<":
                if key_node.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key_node.value!r} is there twice", key_node.start_mark
                    )
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def load(model: type[M], path: Path | None, default: str, overrides: dict[str, Any] | None = None) -> M:
    """The configuration in `path`, or in the packaged file `configs/<default>`; `overrides` that are not None win.

    Raises ConfigError naming the file and the key.
    """
    source = local_path(path) if path is not None else resources.files("configs").joinpath(default)
    try:
        fields = yaml.load(source.read_text(encoding="utf-8"), _UniqueKeys) or {}  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigError(f"{source}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: not YAML: {error}") from error
    if not isinstance(fields, dict):
        raise ConfigError(f"{source}: expected keys and values, found {type(fields).__name__}")
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
