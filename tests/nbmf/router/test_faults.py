"""A router whose codec is missing, damaged or refused, or whose service is down, or that is killed: nothing is lost."""

import json
import logging
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import record, same, write_version
from old_stores import KEY
from test_golden_records import altered, version_with

from nbmf import Codec, compat, golden, json_text
from nbmf.client import LocalClient
from nbmf.client.errors import Unavailable
from nbmf.encryption import KEY_VARIABLE
from nbmf.errors import UnknownCodec
from nbmf.router import Router, Routing

SUPPORT = Path(__file__).parents[2] / "support"
RECORD = record(random.Random(1))


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    return tmp_path / "store"


def form(root, key="k"):
    return compat.form_of(json.loads((root / "records" / f"{key}__note.json").read_bytes())["payload"])


def missing(_folder):
    return {"codec": _folder / "absent"}


def damaged(folder):
    version = folder / write_version(folder)
    (version / "zstd.dict").write_bytes(b"other")
    return {"codec": version}


def refused(_folder):
    written = golden.write(version_with(b"").learned)
    return {"codec": version_with(altered(written, "2"))}


class Down(LocalClient):
    def encode(self, *_, **__):
        raise Unavailable("nobody is there", status=503, request_id=None)


def down(_folder):
    return {"client": Down()}


class Wrong(LocalClient):
    """Gives the blob of another record."""

    def encode(self, payload, *_, **__):
        return super().encode([payload])


def wrong(_folder):
    return {"client": Wrong()}


class Broken(LocalClient):
    def encode(self, *_, **__):
        raise ZeroDivisionError


def broken(_folder):
    return {"client": Broken()}


FAULTS = {
    "damaged_codec": missing,
    "damaged_codec ": damaged,
    "inexact_machine": refused,
    "unavailable": down,
    "wrong_record": wrong,
    "ZeroDivisionError": broken,
}


@pytest.mark.parametrize("mode", ["shadow", "dual", "read_through"])
@pytest.mark.parametrize(("code", "fault"), FAULTS.items(), ids=[fault.__name__ for fault in FAULTS.values()])
def test_the_stubs_form_is_written(root, tmp_path, caplog, fault, code, mode):
    code, alerts, clock = code.strip(), [], Clock()
    router = Router(root, routing=Routing(mode), alert=alerts.append, clock=clock, **fault(tmp_path))
    assert router.write("k", "note", RECORD) == ("shadow" if mode == "shadow" else "stub")
    assert form(root) == "stub"
    assert same(router.read("k", "note"), RECORD)
    for _ in range(3):
        router.write("k", "note", RECORD)
    counts = router.counts
    assert counts["failures"] == counts[f"failure.{code}"] == 4
    assert counts.get("fallbacks", 0) == (0 if mode == "shadow" else 4)
    assert (counts["writes"], counts["written_stub"]) == (4, 4)
    assert [(alert.code, alert.count) for alert in alerts] == [(code, 1)]  # once a minute
    clock.now += 61
    router.write("k", "note", RECORD)
    assert [(alert.code, alert.count) for alert in alerts] == [(code, 1), (code, 4)]
    warnings = [entry for entry in caplog.records if entry.name == "nbmf.router"]
    assert [entry.levelno for entry in warnings] == [logging.WARNING] * 2
    assert code in caplog.text


def test_a_copy_of_before_is_not_kept(root):
    router = Router(root, routing=Routing("dual"))
    router.write("k", "note", "old")
    router = Router(root, routing=Routing("dual"), client=Down())
    router.write("k", "note", "new")
    assert list((root / ".nbmf" / "copies" / "records").iterdir()) == []
    assert router.read("k", "note") == "new"


@pytest.mark.parametrize("payload", ["\ud800", b"bytes"])
def test_what_the_stub_cannot_hold_needs_no_version(root, payload):
    router = Router(root, routing=Routing("read_through"), client=Down())
    assert router.write("k", "note", payload) == "stub"
    assert form(root) == "nbmf-2"
    assert same(Router(root).read("k", "note"), payload)


def test_numbers_that_the_stub_would_change(root):
    value = json_text.loads("[1.50, 1e400]")
    router = Router(root, routing=Routing("read_through"), client=Down())
    router.write("k", "note", value)
    assert json_text.dumps(router.read("k", "note")) == "[1.50,1e400]"


def test_a_version_that_comes_later_is_loaded(root, tmp_path):
    clock = Clock()
    aside = tmp_path / "aside"
    aside.mkdir()
    version = aside / write_version(aside)
    router = Router(root, routing=Routing("read_through"), codec=tmp_path / version.name, clock=clock)
    assert router.write("k", "note", RECORD) == "stub"
    shutil.copytree(version, tmp_path / version.name)
    assert router.write("k", "note", RECORD) == "stub"  # it is looked for once a minute
    clock.now += 61
    assert router.write("k", "note", RECORD) == "read_through"
    assert form(root) == "nbmf-2"
    assert same(router.read("k", "note"), RECORD)


def test_a_hook_that_fails_loses_nothing(root, caplog):
    def hook(_):
        raise RuntimeError("of the hook")

    router = Router(root, routing=Routing("read_through"), client=Down(), alert=hook)
    router.write("k", "note", RECORD)
    assert same(router.read("k", "note"), RECORD)
    assert "the alert hook failed" in caplog.text


def test_nothing_of_an_encrypted_record_is_told(root, caplog):
    class Telling(LocalClient):
        def encode(self, payload, *_, **__):
            raise ValueError(f"no {payload}")

    alerts = []
    router = Router(root, routing=Routing("read_through"), client=Telling(), key=KEY, alert=alerts.append)
    router.write("k", "note", "a secret word")
    assert router.read("k", "note") == "a secret word"
    assert "secret word" not in caplog.text + alerts[0].message


def test_a_missing_version_is_read_from_the_copy_of_the_other_form(root, tmp_path, fresh_default_catalog):
    """Records of read_through need their version; those of dual do not."""
    version = tmp_path / write_version(tmp_path)
    for mode in ("dual", "read_through"):
        router = Router(root, routing=Routing(mode), codec=Codec.load(version))
        router.write(mode, "note", RECORD)
    fresh_default_catalog()
    router = Router(root)
    assert same(router.read("dual", "note"), RECORD)
    with pytest.raises(UnknownCodec):
        router.read("read_through", "note")
    assert same(Router(root, codec=version).read("read_through", "note"), RECORD)


# --- killed -------------------------------------------------------------------------------------------------------

SCRIPT = """
import os, sys
sys.path.insert(0, {support!r})
from killed import run_killed
from nbmf.router import Router, Routing
from nbmf.encryption import StoreKey
key = StoreKey.from_secret("s") if {encrypted} else None
root = {root!r}
router = Router(root, routing=Routing("dual"), key=key)
router.write("k", "note", ["old"] * 9)
kill_at, ended = 0, False
while not ended:
    kill_at += 1
    ended = run_killed(lambda: router.write("k", "note", ["new"] * 9), kill_at)
    main = router.read("k", "note")
    path = os.path.join(root, "records", "k__note.json")
    copied = os.path.join(root, ".nbmf", "copies", "records", "k__note.json")
    whole = open(path, "rb").read()
    os.unlink(path)
    alone = router.read("k", "note") if os.path.exists(copied) else None
    open(path, "wb").write(whole)
    with open(copied, "rb") as file:
        held = file.read()
    os.unlink(copied)
    without = router.read("k", "note")
    open(copied, "wb").write(held)
    print(main[0], alone[0], without[0])
    router.write("k", "note", ["old"] * 9)
print("ended", kill_at)
"""


@pytest.mark.parametrize("encrypted", [False, True])
def test_killed_between_the_two_writes(root, encrypted):
    """At every step: each form is whole and can be read alone, and the record is the old one until both are new."""
    script = SCRIPT.format(support=str(SUPPORT), root=str(root), encrypted=encrypted)
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stderr[-2000:]
    *lines, end = [line.split() for line in run.stdout.splitlines()]
    assert end[0] == "ended"
    assert all(main == without for main, _, without in lines)
    seen = {(main, alone) for main, alone, _ in lines}
    assert seen == {("old", "old"), ("old", "new"), ("new", "new")}


def test_what_killed_processes_left_goes_away(root):
    Router(root)
    left = root / ".nbmf" / "new" / "_.tmp.1"
    left.write_bytes(b"x")
    Router(root)
    assert left.exists()  # another process may be at it
    os.utime(left, (1, 1))
    Router(root)
    assert not left.exists()
