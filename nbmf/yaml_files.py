"""YAML files of keys and values. Importing this needs PyYAML (the extra `cli`)."""

from __future__ import annotations

from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml


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


def read_fields(source: Path | Traversable) -> dict[Any, Any]:
    """The keys and values in a file; of an empty one none. Raises ValueError, which names the file and the fault."""
    try:
        fields = yaml.load(source.read_text(encoding="utf-8"), _UniqueKeys) or {}  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ValueError(f"{source}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{source}: not YAML: {error}") from error
    if not isinstance(fields, dict):
        raise ValueError(f"{source}: expected keys and values, found {type(fields).__name__}")
    return fields
