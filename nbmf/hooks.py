"""Values that JSON has not, by a caller's own rule: `default` makes JSON values of them, `object_hook` takes them back.

Both are those of Python's json module, but know no limit of depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from nbmf import arrays
from nbmf.errors import UnsupportedPayload
from nbmf.json_number import JsonNumber
from nbmf.json_path import path_text

Default: TypeAlias = Callable[[Any], Any]
"""What JSON cannot hold to what it can, or to what is asked for again. Raises TypeError for what it does not know."""

ObjectHook: TypeAlias = Callable[[dict[str, Any]], Any]
"""A decoded object to what stands for it."""

_SCALARS = frozenset({str, int, float, JsonNumber, bool, type(None)})
_MAX_REPLACEMENTS = 100
"""Of one value, one after the other: then `default` is taken to go in a circle."""

_SHOWN_LEVELS = 20


def with_defaults(value: Any, default: Default, max_depth: int) -> Any:
    """A copy of `value` in which `default` was asked for all that is not JSON; bytes or an array alone are as they are.

    Dicts and lists are looked into; tuples and subclasses are asked for. Raises UnsupportedPayload, which names the
    path, for a TypeError of `default`, for what contains itself, and for what is deeper than `max_depth`.
    """
    root = _replaced(value, default, [])
    if type(root) not in (dict, list):
        return root
    root = root.copy()
    path: list[str | int] = []
    open_containers = [(root, _keys(root))]
    while open_containers:
        container, keys = open_containers[-1]
        for key in keys:
            child = container[key]
            if type(child) in _SCALARS:
                continue
            child = _replaced(child, default, [*path, key])
            if type(child) in (dict, list):
                if len(path) + 2 > max_depth:
                    problem = f"nested deeper than {max_depth} levels, or contains itself"
                    raise UnsupportedPayload(path_text(path, _SHOWN_LEVELS), problem)
                child = child.copy()
                path.append(key)
                open_containers.append((child, _keys(child)))
            container[key] = child
            if open_containers[-1][0] is child:
                break
        else:
            open_containers.pop()
            if path:
                path.pop()
    return root


def with_object_hook(value: Any, object_hook: ObjectHook) -> Any:
    """`value`, in which each dict became what the hook gives for it, the inner ones first. It is changed in place."""
    root = [value]
    places: list[tuple[Any, Any]] = []
    waiting: list[tuple[Any, Any]] = [(root, 0)]
    while waiting:
        container, key = place = waiting.pop()
        child = container[key]
        if type(child) in (dict, list):
            places.append(place)
            waiting += [(child, inner) for inner in _keys(child)]
    for container, key in reversed(places):
        if type(container[key]) is dict:
            container[key] = object_hook(container[key])
    return root[0]


def _keys(container: Any) -> Iterator[Any]:
    return iter(container if type(container) is dict else range(len(container)))


def _replaced(value: Any, default: Default, path: list[str | int]) -> Any:
    for _ in range(_MAX_REPLACEMENTS):
        if type(value) in _SCALARS or type(value) in (dict, list):
            return value
        if not path and (type(value) is bytes or arrays.is_array(value)):
            return value
        try:
            value = default(value)
        except TypeError as error:
            raise UnsupportedPayload(path_text(path), str(error)) from error
    raise UnsupportedPayload(path_text(path), f"`default` makes a {type(value).__name__} of it again and again")
