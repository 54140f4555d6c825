"""What was read of a body as byte strings, which go from the process that read it to the one that asked."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from nbmf.errors import NbmfError
from serve_app.isolation.pipes import Refusal
from serve_app.reading.dict_blobs import DictBlob
from serve_app.reading.items import Read, Record

_ONE, _BATCH = b"one", b"batch"
_BLOB, _RECORD, _KEYED, _DICT_BLOB = 0, 1, 2, 3
_HEAD = struct.Struct("<BBI")  # which of these, kind, bytes of the key, or of the form


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
        return _HEAD.pack(_BLOB, 0, 0) + item
    if isinstance(item, DictBlob):
        form = item.form.encode()
        return _HEAD.pack(_DICT_BLOB, 0, len(form)) + form + item.data
    key = b"" if item.key is None else item.key.encode("utf-8", "surrogatepass")
    return _HEAD.pack(_RECORD if item.key is None else _KEYED, item.kind, len(key)) + key + item.canonical


def _unpacked(data: bytes) -> Record | bytes | DictBlob:
    sort, kind, key_bytes = _HEAD.unpack_from(data)
    at = _HEAD.size + key_bytes
    if sort == _BLOB:
        return data[at:]
    told = data[_HEAD.size : at].decode("utf-8", "surrogatepass")
    return (
        DictBlob(told, data[at:]) if sort == _DICT_BLOB else Record(kind, data[at:], told if sort == _KEYED else None)
    )
