"""A legacy store with every kind of damage, and what must become of each file."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import synthetic

from cluster.sources import legacy
from migrate_job.coding import run
from migrate_job.coding.shard import migrate_shard
from nbmf import stub
from nbmf.store.record_file import file_name as record_file_name

GOOD_RECORDS = 60
WITH_CHILDREN = ("test_isolation", "test_run", "test_rehearsal", "test_killed", "test_job")
MAX_RECORD_BYTES = 30_000


@dataclass
class OldStore:
    """The store, the payloads by key and class that must be migrated, and the reason for each bad file."""

    root: Path
    good: dict = field(default_factory=dict)
    previews: dict = field(default_factory=dict)
    bad: dict = field(default_factory=dict)

    def put(self, key, record_class, content, name=None):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        name = name or record_file_name(key, record_class)
        (self.root / "records" / name).write_bytes(data)
        return name


def write_store(root):
    old = OldStore(root)
    (root / "records").mkdir(parents=True)
    (root / "a_notes.json").write_text("{}")  # no record, and no cold artefact
    payloads = [
        *synthetic.records(GOOD_RECORDS, seed=21),
        "",
        "\ud800",
        None,
        10**5000,
        {"z": -0.0, "n": float("nan"), "e": []},
        synthetic.nested(900),
        {"__meta__": {"a": 1}, "x": 2},
    ]
    for number, payload in enumerate(payloads):
        key, record_class = f"agent{number % 3}__{number}", ("note", "tool__call", "")[number % 3]
        held = payload
        if number % 2 and number < GOOD_RECORDS:
            held = stub.encode(payload, "lossless")
        from nbmf import json_text

        text = json_text.dumps({"payload": held, "meta": {"n": number, "s": "\u00fc"}, "cls": record_class})
        old.put(key, record_class, text.encode("utf-8", "backslashreplace"))
        old.good[key, record_class] = payload
    for number in range(5):
        blob = stub.encode(f"the beginning of text {number} " * 9, "semantic")
        old.put(f"preview{number}", "note", {"payload": blob, "meta": None, "cls": "note"})
        old.previews[f"preview{number}", "note"] = blob
    whole = stub.encode({"a": 1}, "lossless")
    damaged = [
        ("not_json", b'{"payload": "cut o'),
        ("not_json", b""),
        ("not_utf8", bytes(range(256))),
        ("encrypted", {"__encrypted__": {"alg": "AESGCM", "nonce": "AA==", "ciphertext": "AA=="}}),
        ("too_large", {"payload": "x" * MAX_RECORD_BYTES, "cls": "note"}),
        ("no_payload", [1, 2]),
        ("no_payload", {"payloads": 1}),
        ("bad_class", {"payload": 1, "cls": ["note"]}),
        ("damaged_stub_blob", {"payload": whole | {"code": whole["code"][:-2]}, "cls": "note"}),
        ("not_json", b'{"payload": {"n": [' + b"[" * 9_998 + b"]" * 9_998 + b']}, "cls": "note"}'),
        ("bad_meta", b'{"payload": 1, "cls": "note", "meta": ' + b"[" * 3000 + b"]" * 3000 + b"}"),
        ("bad_key", {"payload": 1, "cls": "\ud800"}),
    ]
    for number, (reason, content) in enumerate(damaged):
        old.bad[old.put(f"damaged{number:02}", "note", content)] = reason
    old.bad[old.put("", "", {"payload": 1}, name="nokey.json")] = "bad_name"
    (root / "records" / "folder__note.json").mkdir()
    (root / "records" / "link__note.json").symlink_to("nowhere")
    old.bad |= {"folder__note.json": "unreadable", "link__note.json": "unreadable"}
    return old


@pytest.fixture
def small_shards(monkeypatch):
    """So that few files make many shards. Plans are made in this process; workers read what they are told."""
    monkeypatch.setattr(legacy, "_SHARD_FILES", 20)


@pytest.fixture(scope="module")
def old_store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("legacy") / "old")


class CoderHere:
    """Codes shards in this process, as the child of a ShardCoder would."""

    def __init__(self, plan):
        self._plan = plan

    def migrate(self, index, shard):
        return migrate_shard(replace(self._plan, shards={index: shard}), index)

    def close(self):
        pass


@pytest.fixture(autouse=True)
def without_children(request, monkeypatch):
    """A child takes a second to start; WITH_CHILDREN is about what they do, or has them as users have."""
    if request.path.stem not in WITH_CHILDREN:
        monkeypatch.setattr(run, "ShardCoder", CoderHere)
