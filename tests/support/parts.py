"""Parquet data sets that tests write without a migration."""

import json

import nbmf
from nbmf.payload import to_canonical
from nbmf.store.folder import LocalFolder
from nbmf.store.index_build import ensure_index
from nbmf.store.parts import write_part


def row(key, payload, record_class="note", *, meta=None, preview=False, encrypted=False, codec=None):
    blob = nbmf.encode(payload, codec=codec)
    return {
        "key": key,
        "class": record_class,
        "meta": json.dumps(meta),
        "blob": blob,
        "preview": preview,
        "encrypted": encrypted,
        "source_bytes": 10,
        "payload_bytes": len(to_canonical(payload)[1]),
    }


def write_parts(folder, *parts, key=None, index=True):
    folder.mkdir(exist_ok=True)
    for number, rows in enumerate(parts):
        write_part(LocalFolder(folder), f"part-{number:06}.parquet", rows, key)
    if index:
        ensure_index(LocalFolder(folder))
    return folder
