"""Small legacy stores with every form that a record file may have."""

import json

from nbmf import compat, json_text, stub
from nbmf.encryption import StoreKey
from nbmf.store.record_file import file_name

KEY = StoreKey.from_secret("the secret of the tests")
OTHER_KEY = StoreKey.from_secret("another secret")


def put(root, key, record_class, payload, encrypt=None, **fields):
    """Writes a record file; returns its path."""
    (root / "records").mkdir(parents=True, exist_ok=True)
    text = json_text.dumps({"payload": payload, "meta": {"of": key}, "cls": record_class} | fields)
    content = text.encode("utf-8", "backslashreplace")
    if encrypt is not None:
        content = json.dumps(encrypt.encrypt(content, context=key.encode())).encode()
    path = root / "records" / file_name(key, record_class)
    path.write_bytes(content)
    return path


def write_old_store(root, plain=6):
    """(payloads of the good records by key and class, reasons of the bad ones by file name)."""
    good = {(f"plain{n}", "note"): {"n": n, "text": f"words of {n} " * 5} for n in range(plain)}
    for name, payload in good.items():
        put(root, *name, payload)
    good["stub", "tool__call"] = ["a", -0.0]
    put(root, "stub", "tool__call", stub.encode(["a", -0.0], "lossless"))
    good["surrogate", "note"] = "\ud800"
    put(root, "surrogate", "note", "\ud800")
    good["secret", "note"] = "words that are encrypted"
    put(root, "secret", "note", good["secret", "note"], KEY)
    good["done", "note"] = "of an earlier migration"
    put(root, "done", "note", compat.encode(good["done", "note"], "lossless"))
    good["preview", "note"] = stub.encode("the beginning of a text", "semantic")
    put(root, "preview", "note", good["preview", "note"])
    put(root, "locked", "note", "words", OTHER_KEY)
    (root / "records" / "broken__note.json").write_bytes(b'{"payload": "cut o')
    return good, {"locked__note.json": "wrong_key", "broken__note.json": "not_json"}


def dict_blob_1(blob, payload):
    """The dict blob of an earlier nbmf: in hex, signed as the stub signed."""
    meta = {"fidelity": "lossless", "type": type(payload).__name__, "length_bytes": len(blob)}
    return {"meta": meta | {"encoder_version": "nbmf-1"}, "code": blob.hex(), "sig": stub.signature(payload)}
