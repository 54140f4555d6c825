"""What was read of a body as byte strings, which go from the process that read it to the one that asked."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import get_args

from nbmf.errors import NbmfError
from nbmf.payload import Fidelity
from serve_app.isolation.pipes import Refusal
from serve_app.reading.dict_blobs import DictBlob
from serve_app.reading.items import Read, Record, ToEncode

_ONE, _BATCH = b"one", b"batch"
_BLOB, _RECORD, _KEYED, _DICT_BLOB = 0, 1, 2, 3
_HEAD = struct.Struct("<BBBI")  # which of these, kind, fidelity, bytes of the key, or of the form
_FIDELITIES: tuple[Fidelity, ...] = get_args(Fidelity)


def packed(read: Read[Record] | Read[bytes | DictBlob]) -> list[bytes | Refusal]:
    """As `unpacked` takes it."""
    return [_BATCH if read.is_batch else _ONE, *map(_packed, read.items)]


def unpacked(answer: Sequence[bytes | Refusal]) -> tuple[bool, list[Record | bytes | DictBlob | Refusal]]:
    """Whether it is a batch, and its items."""
    return answer[0] == _BATCH, [one if isinstance(one, Refusal) else _unpacked(one) for one in answer[1:]]


def _packed(item: Record | bytes | DictBlob | NbmfError) -> bytes | Refusal:
    if isinstance(item, NbmfError):
        return Refusal(item.code, str(item))
    if isinstance(item, bytes):
        return _HEAD.pack(_BLOB, 0, 0, 0) + item
    if isinstance(item, DictBlob):
        form = item.form.encode()
        return _HEAD.pack(_DICT_BLOB, 0, 0, len(form)) + form + item.data
    (kind, canonical, fidelity), key = item
    sort, named = (_RECORD, b"") if key is None else (_KEYED, key.encode("utf-8", "surrogatepass"))
    return _HEAD.pack(sort, kind, _FIDELITIES.index(fidelity), len(named)) + named + canonical


def _unpacked(data: bytes) -> Record | bytes | DictBlob:
    sort, kind, fidelity, named_bytes = _HEAD.unpack_from(data)
    at = _HEAD.size + named_bytes
    if sort == _BLOB:
        return data[at:]
    named = data[_HEAD.size : at].decode("utf-8", "surrogatepass")
    if sort == _DICT_BLOB:
        return DictBlob(named, data[at:])
    return Record(ToEncode(kind, data[at:], _FIDELITIES[fidelity]), named if sort == _KEYED else None)
