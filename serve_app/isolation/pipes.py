"""What the process of an isolated version and the replica that started it write to one another: lists of byte strings.

Plain bytes both ways: a process that a version's files have taken over must not be able to hand over a pickle.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO

from nbmf.errors import NbmfError


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is nothing: a code as in nbmf.errors, and a message."""

    code: str
    message: str


_COUNT = struct.Struct("<I")
_LENGTH = struct.Struct("<?I")


def write(pipe: IO[bytes], items: Sequence[bytes | Refusal]) -> None:
    """Writes a list; a refusal goes as JSON."""
    pipe.write(_COUNT.pack(len(items)))
    for item in items:
        failed = isinstance(item, Refusal)
        data = json.dumps([item.code, item.message]).encode() if isinstance(item, Refusal) else item
        pipe.write(_LENGTH.pack(failed, len(data)))
        pipe.write(data)
    pipe.flush()


def read(pipe: IO[bytes], max_items: int, max_item_bytes: int) -> list[bytes | Refusal] | None:
    """The next list; None where the other side has ended. Raises BadMessage for what is over the bounds, or cut."""
    head = pipe.read(_COUNT.size)
    if not head:
        return None
    (count,) = _COUNT.unpack(_whole(head, _COUNT.size))
    if count > max_items:
        raise BadMessage("it has too many items")
    items: list[bytes | Refusal] = []
    for _ in range(count):
        failed, size = _LENGTH.unpack(_whole(pipe.read(_LENGTH.size), _LENGTH.size))
        if size > max_item_bytes:
            raise BadMessage("one of its items is too large")
        data = _whole(pipe.read(size), size)
        items.append(_refusal(data) if failed else data)
    return items


class BadMessage(NbmfError):
    """A message that is none, or not complete."""

    code = "bad_message"


def _whole(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise BadMessage("it was cut off")
    return data


def _refusal(data: bytes) -> Refusal:
    try:
        code, message = json.loads(data)
        return Refusal(str(code), str(message))
    except ValueError as error:
        raise BadMessage("a refusal in it is none") from error
