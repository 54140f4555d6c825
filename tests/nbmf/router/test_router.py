"""Writing and reading a live store: what each mode keeps, shares of keys, classes, encryption, what is counted."""

import json
import logging
import threading

import numpy as np
import pytest
from helpers import same
from old_stores import KEY, OTHER_KEY, put

from nbmf import compat, json_text, store, stub
from nbmf.client import LocalClient
from nbmf.encryption import KEY_VARIABLE, is_envelope
from nbmf.errors import BadPolicy, UnsupportedPayload
from nbmf.fidelity_policy import FidelityPolicy
from nbmf.router import Router, Routing
from nbmf.shares import fraction
from nbmf.store.errors import AmbiguousKey, KeyRequired, RecordNotFound
from nbmf.store.record_file import DamagedRecordFile, file_name

RECORD = {"role": "user", "content": "Remember to call Anna on Friday about the invoice.", "n": [1, 2.5, None]}
MODES = ["stub", "shadow", "dual", "read_through"]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    return tmp_path / "store"


def make(root, mode="read_through", percent=100, **options):
    return Router(root, routing=Routing(mode, percent), **options)


def main_of(root, key="k", record_class="note"):
    return json.loads((root / "records" / file_name(key, record_class)).read_bytes())


def copies_of(root):
    return sorted(path.name for path in (root / ".nbmf" / "copies" / "records").iterdir())


# --- modes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_what_a_mode_writes_and_reads(root, mode):
    router = make(root, mode)
    assert router.write("k", "note", RECORD, meta={"at": 5}) == mode
    file = main_of(root)
    assert list(file) == ["payload", "meta", "cls"]
    assert (file["meta"], file["cls"]) == ({"at": 5}, "note")
    assert compat.form_of(file["payload"]) == ("nbmf-2" if mode == "read_through" else "stub")
    assert copies_of(root) == (["k__note.json"] if mode == "dual" else [])
    assert same(router.read("k", "note"), RECORD)
    assert same(router.read("k"), RECORD)
    counts = router.counts
    read = "read_nbmf" if mode == "read_through" else "read_stub"
    assert (counts["writes"], counts["reads"], counts[read]) == (1, 2, 2)
    assert counts.get("encoded", 0) == counts.get("verified", 0) == (0 if mode == "stub" else 1)
    assert "failures" not in counts
    assert "fallbacks" not in counts
    if mode in ("shadow", "dual"):
        assert counts["bytes_stub"] > counts["bytes_nbmf"] > 0


@pytest.mark.parametrize("mode", MODES)
def test_both_forms_are_read_whatever_the_mode(root, mode):
    put(root, "theirs", "note", stub.encode(RECORD, "lossless"))
    put(root, "preview", "note", stub.encode("a   preview"))
    put(root, "plain", "note", RECORD)
    put(root, "ours", "note", compat.encode(RECORD))
    router = make(root, mode)
    assert [same(router.read(key, "note"), RECORD) for key in ("theirs", "plain", "ours")] == [True] * 3
    assert router.read("preview", "note") == "a preview"
    assert {n: c for n, c in router.counts.items() if n.startswith("read_")} == {
        "read_stub": 1, "read_stub_preview": 1, "read_plain": 1, "read_nbmf": 1,
    }  # fmt: skip


def test_going_on_and_going_back(root):
    router = make(root, "shadow")
    for mode in ("shadow", "dual", "read_through", "dual", "stub"):
        router.routing = Routing(mode)
        router.write("k", "note", {"by": mode})
        assert router.read("k", "note") == {"by": mode}
        assert copies_of(root) == (["k__note.json"] if mode == "dual" else [])  # never of an older record
        with store.open(root) as opened:
            assert opened.get("k", "note").payload() == {"by": mode}


def test_a_copy_is_read_where_the_record_cannot_be(root, caplog):
    alerts = []
    router = make(root, "dual", alert=alerts.append)
    router.write("k", "note", RECORD)
    path = root / "records" / "k__note.json"
    path.write_bytes(path.read_bytes()[:40])
    assert same(router.read("k", "note"), RECORD)
    path.unlink()
    assert same(router.read("k"), RECORD)
    assert router.counts["read_copies"] == 2
    assert [alert.code for alert in alerts] == ["damaged_record_file"]
    assert "copy" in caplog.text


def test_deleted_is_deleted(root):
    router = make(root, "dual")
    router.write("k", "note", RECORD)
    assert router.delete("k", "note")
    assert not router.delete("k", "note")
    with pytest.raises(RecordNotFound):
        router.read("k", "note")
    assert list((root / "records").iterdir()) == []


# --- shares -------------------------------------------------------------------------------------------------------


def test_shares_grow_and_keys_stay(root):
    keys = [f"session/{n}" for n in range(400)]
    before = set()
    for percent in (0, 10, 50, 100):
        routing = Routing("read_through", percent)
        within = {key for key in keys if routing.mode_of(key, "note") == "read_through"}
        assert before <= within
        assert within == {key for key in keys if fraction("nbmf", key.encode()) * 100 < percent}
        assert abs(len(within) / len(keys) - percent / 100) < 0.06
        before = within
    router = make(root, percent=10)
    few = [next(k for k in keys if (fraction("nbmf", k.encode()) < 0.1) is within) for within in (True, False)]
    assert [router.write(key, "note", RECORD) for key in few] == ["read_through", "stub"]
    assert [compat.form_of(main_of(root, key)["payload"]) for key in few] == ["nbmf-2", "stub"]
    assert [same(router.read(key, "note"), RECORD) for key in few] == [True, True]


def test_a_candidates_name_takes_the_keys_of_its_rollout():
    split = pytest.importorskip("serve_app.rollout.split")
    assert split.fraction is fraction
    keys = [str(n) for n in range(200)]
    routing = Routing("read_through", 50, name="c" * 64)
    assert [routing.mode_of(k, "x") == "stub" for k in keys] == [fraction("c" * 64, k.encode()) >= 0.5 for k in keys]


def test_classes_have_modes_of_their_own(root):
    router = Router(root, routing=Routing("stub", classes={"note": "read_through", "chat": "dual"}))
    assert [router.write("k", name, RECORD) for name in ("note", "chat", "other")] == ["read_through", "dual", "stub"]
    with pytest.raises(AmbiguousKey):
        router.read("k")


@pytest.mark.parametrize("options", [{"mode": "both"}, {"percent": 101}, {"percent": -1}, {"classes": {"a": "on"}}])
def test_what_is_no_routing(options):
    with pytest.raises(ValueError, match=r"mode|percent"):
        Routing(**options)


# --- fidelity -----------------------------------------------------------------------------------------------------


def test_fidelity_by_class(root, tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("default: lossless\nvector: semantic\n")
    router = make(root, policy=FidelityPolicy.load(path))
    embedding = np.sin(np.arange(96)).astype(np.float32).tolist()
    near = np.sin(np.arange(96)).astype(np.float32)
    for record_class in ("note", "vector"):
        router.write("k", record_class, {"id": 1, "embedding": embedding})
        router.write("a", record_class, near)
    found = [main_of(root, key, of)["payload"]["meta"]["fidelity"] for key in "ka" for of in ("note", "vector")]
    assert found == ["lossless", "semantic"] * 2
    assert router.read("k", "note")["embedding"] == embedding
    assert router.read("k", "vector")["embedding"] != embedding
    assert router.read("k", "vector")["embedding"] == pytest.approx(embedding, abs=0.2)
    router.write("k", "vector", {"embedding": embedding}, FidelityPolicy())
    assert router.read("k", "vector") == {"embedding": embedding}
    assert "failures" not in router.counts


@pytest.mark.parametrize("text", ["note: lossy", "- a", ":\n{", "note: lossless\nnote: semantic", "7: lossless"])
def test_what_is_no_policy(tmp_path, text):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(BadPolicy, match=r"p\.yaml"):
        FidelityPolicy.load(tmp_path / "p.yaml")
    with pytest.raises(BadPolicy):
        FidelityPolicy.load(tmp_path / "absent.yaml")


# --- payloads and keys --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", ["\ud800", b"bytes", np.arange(4.0)])
def test_what_the_stub_cannot_hold(root, payload):
    router = make(root)
    router.write("k", "note", payload)
    assert same(router.read("k", "note"), payload)
    for mode in ("stub", "shadow", "dual"):
        router.routing = Routing(mode)
        with pytest.raises(UnsupportedPayload, match="the stub"):
            router.write("k", "note", payload)
        assert same(router.read("k", "note"), payload)


def test_what_only_the_stub_accepted(root):
    router = make(root, "dual")
    router.write("k", "note", {"t": (1, 2), 3: None})
    assert router.read("k", "note") == {"t": [1, 2], "3": None}
    assert router.counts["verified"] == 1
    with pytest.raises(UnsupportedPayload):
        router.write("k", "note", {1, 2})
    assert router.read("k", "note") == {"t": [1, 2], "3": None}


@pytest.mark.parametrize("key", ["a/b", "../up", "/etc/x", "ключ 🚲", "a__b", "k" * 240])
def test_keys(root, key):
    router = make(root, "dual")
    router.write(key, "note", RECORD)
    assert same(router.read(key, "note"), RECORD)
    assert [path.name for path in (root / "records").iterdir()] == [file_name(key, "note")]
    assert sorted(path.name for path in root.iterdir()) == [".nbmf", "records"]
    assert router.delete(key, "note")


@pytest.mark.parametrize("key", ["", "k" * 300, "nul\0"])
def test_keys_that_cannot_be(root, key):
    router = make(root)
    with pytest.raises((ValueError, OSError)):
        router.write(key, "note", RECORD)
    assert list((root / "records").iterdir()) == []
    assert list((root / ".nbmf" / "new").iterdir()) == []


# --- encryption ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_an_encrypted_store(root, mode):
    put(root, "old", "note", stub.encode("old words", "lossless"), encrypt=KEY)
    router = make(root, mode, key=KEY)
    router.write("k", "note", RECORD)
    assert same(router.read("k", "note"), RECORD)
    assert router.read("old", "note") == "old words"
    files = list(root.rglob("*__note.json"))
    assert len(files) == (3 if mode == "dual" else 2)
    assert all(is_envelope(json.loads(path.read_bytes())) for path in files)
    with pytest.raises(KeyRequired):
        make(root, mode).read("k", "note")
    before = (root / "records" / "k__note.json").read_bytes()
    with pytest.raises(KeyRequired, match="plain one"):
        make(root, mode).write("k", "note", "plain")
    assert (root / "records" / "k__note.json").read_bytes() == before
    with pytest.raises(DamagedRecordFile, match="another key"):
        make(root, mode, key=OTHER_KEY).read("old", "note")


def test_the_secret_of_the_environment(root, monkeypatch):
    monkeypatch.setenv(KEY_VARIABLE, "a secret of the environment")
    router = make(root)
    router.write("k", "note", RECORD)
    assert is_envelope(main_of(root))
    assert same(router.read("k", "note"), RECORD)


# --- a service ----------------------------------------------------------------------------------------------------


class Service(LocalClient):
    """Keeps the keys and fidelities that it was asked with."""

    def __init__(self):
        super().__init__()
        self.keys, self.fidelities, self.decoded = [], [], 0

    def encode(self, payload, fidelity="lossless", *, key=None, **how):
        self.keys.append(key)
        self.fidelities.append(fidelity)
        return super().encode(payload, fidelity, key=key, **how)

    def decode(self, blob, **how):
        self.decoded += 1
        return super().decode(blob, **how)


@pytest.mark.parametrize("mode", MODES)
def test_what_the_stub_would_change_is_kept(root, mode):
    """Numbers as they were written: the stub makes floats of them."""
    record = json_text.loads('{"price": 1.50, "far": 1e400}')
    router = make(root, mode)
    router.write("a", "note", record)
    assert json_text.dumps(router.read("a", "note")) == '{"price":1.50,"far":1e400}'


def test_through_a_service(root):
    service = Service()
    router = make(root, "read_through", client=service, policy=FidelityPolicy("semantic"))
    router.write("a/b", "note", RECORD)
    assert (service.keys, service.fidelities) == (["a/b"], ["semantic"])
    assert same(router.read("a/b", "note"), RECORD)
    assert service.decoded == 2  # verified, read
    router.routing = Routing("stub")
    router.write("c", "note", RECORD)
    assert same(router.read("c", "note"), RECORD)
    assert (service.keys, service.decoded) == (["a/b"], 2)
    with pytest.raises(ValueError, match="not by both"):
        Router(root, client=service, codec="somewhere")


# --- writers at once ----------------------------------------------------------------------------------------------


def test_many_writers_of_one_key(root):
    """The file and its copy are of one writer, whoever was last, and are whole at every instant."""
    routers = [make(root, "dual", verify=False) for _ in range(4)]
    values = [[number] * 50 for number in range(4)]
    for router in routers:
        router.write("k", "note", values[0])
    seen, done = [], threading.Event()

    def write(number):
        for _ in range(12):
            routers[number].write("k", "note", values[number])

    def read():
        while not done.is_set():
            seen.append(routers[0].read("k", "note"))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    reader = threading.Thread(target=read)
    for thread in (*threads, reader):
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    reader.join()
    assert seen
    assert all(value in values for value in seen)
    copy = json.loads((root / ".nbmf" / "copies" / "records" / "k__note.json").read_bytes())
    assert compat.decode(copy["payload"]) == compat.decode(main_of(root)["payload"])
    assert list((root / ".nbmf" / "new").iterdir()) == []


def test_nothing_is_logged_where_nothing_is_wrong(root, caplog):
    caplog.set_level(logging.DEBUG, "nbmf.router")
    router = make(root, "dual")
    router.write("k", "note", RECORD)
    router.read("k", "note")
    assert caplog.records == []
