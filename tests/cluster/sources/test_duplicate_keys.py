"""JSON objects with a key twice: a reader would keep one of the values only, so they are left where they are."""

import base64
import hashlib
import json
import zlib

import pytest
from items import read

from cluster.sources import BadRecord, open_source

TWICE = '{"a": {"b": 1, "b": 2}}'
DEEP = "[" * 3000 + TWICE + "]" * 3000


@pytest.mark.parametrize("text", [TWICE, DEEP], ids=["shallow", "deep"])
def test_a_key_that_is_there_twice(tmp_path, text):
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "a.jsonl").write_text(text)
    old = tmp_path / "old"
    (old / "records").mkdir(parents=True)
    (old / "records" / "k__note.json").write_text(f'{{"payload": {text}, "cls": "note"}}')
    (old / "a_1.json").write_text(json.dumps({"blob": base64.b64encode(zlib.compress(text.encode())).decode()}))
    (old / hashlib.sha256(text.encode()).hexdigest()).write_text(text)
    for place, count in ((tmp_path / "lines", 1), (old, 3)):
        found = read(open_source(place))
        assert len(found) == count
        for item in found:
            assert isinstance(item, BadRecord)
            assert (item.reason, "'b'" in item.detail) == ("duplicate_key", True)
