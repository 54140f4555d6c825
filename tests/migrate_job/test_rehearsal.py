"""The way from the stub to nbmf and back on a live system, under load: 0 wrong, 0 lost, readable at every moment."""

import json
import random
import threading
import time
from collections import Counter

import dictionary_versions
import pytest
import synthetic

from cluster.registry import Registry
from migrate_job import job
from migrate_job.destinations import InPlace, ParquetParts
from migrate_job.destinations.in_place_end import commit, rollback
from migrate_job.destinations.in_place_files import StoreFolders
from migrate_job.destinations.in_place_source import InPlaceRecords
from nbmf import catalog, compat, store
from nbmf.catalog import PATH_VARIABLE
from nbmf.payload import to_canonical
from nbmf.router import Router, Routing
from nbmf.store.folder import LocalFolder

KEYS = 120
WRITERS, READERS = 2, 2
LONG_ENOUGH = 40
"""Writes that happen between two steps."""

TEXTS = [json.dumps(payload) for payload in synthetic.records(50, seed=17)]


def payload(key, number):
    """What is written to a key the so-manieth time."""
    return {"key": key, "number": number, "text": TEXTS[(int(key[1:]) + number) % len(TEXTS)]}


class Load:
    """Writers, each with keys of its own, and readers of all keys, which know what may be there at each moment."""

    def __init__(self, router):
        self.router = router
        self.begun, self.ended = Counter(), Counter()
        self.writes, self.reads, self.wrong = 0, 0, []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(WRITERS)]
        self._threads += [threading.Thread(target=self._read, args=(n,)) for n in range(READERS)]

    def __enter__(self):
        for number in range(KEYS):
            self._write_one(f"k{number}")
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def go_on(self):
        """Returns when there was something of the load after this was called."""
        writes, reads, until = self.writes + LONG_ENOUGH, self.reads + LONG_ENOUGH, time.monotonic() + 120
        while (self.writes < writes or self.reads < reads) and not self.wrong:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert self.wrong == []

    def _write_one(self, key):
        number = self.begun[key] = self.begun[key] + 1
        self.router.write(key, of(key), payload(key, number))
        self.ended[key] = number
        self.writes += 1

    def _write(self, writer):
        rng = random.Random(writer)
        while not self._over.is_set():
            try:
                self._write_one(f"k{rng.randrange(KEYS // WRITERS) * WRITERS + writer}")
            except Exception as error:
                self.wrong.append(error)
                return
            time.sleep(0.002)

    def _read(self, reader):
        rng = random.Random(100 + reader)
        while not self._over.is_set():
            key = f"k{rng.randrange(KEYS)}"
            least = self.ended[key]
            try:
                found = self.router.read(key, of(key))
                if not least <= found["number"] <= self.begun[key] or found != payload(key, found["number"]):
                    self.wrong.append((key, least, found, self.begun[key]))
            except Exception as error:
                self.wrong.append((key, error))
            self.reads += 1


def of(key):
    return ("chat", "note")[int(key[1:]) % 2]


def forms(root):
    """How many records have which form."""
    read = (json.loads(path.read_bytes())["payload"] for path in (root / "records").iterdir())
    return Counter(compat.form_of(held) or "plain" for held in read)


def migrate_in_place(root, registry, version):
    folder = LocalFolder(StoreFolders(root).run)
    return job.run(InPlaceRecords(root), folder, registry.location, version, target=InPlace(root))


@pytest.fixture
def registry(tmp_path, monkeypatch):
    made = Registry(tmp_path / "registry")
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "registry" / "versions"))
    catalog.default_catalog.cache_clear()
    yield made
    catalog.default_catalog.cache_clear()


def test_from_the_stub_to_nbmf_and_back_and_forward_again(registry, tmp_path):
    version = dictionary_versions.publish(registry, "rehearsed", seed=5)
    folder, away = (tmp_path / "registry" / "versions" / version, tmp_path / "away")
    root, alerts = tmp_path / "store", []

    def service(routing, codec=folder):
        """A service that is started anew."""
        return Router(root, codec=codec, routing=routing, alert=alerts.append)

    with Load(service(Routing("stub"))) as load:
        load.go_on()
        assert forms(root)["nbmf-2"] == 0
        load.router.routing = Routing("shadow")
        load.go_on()
        assert forms(root)["nbmf-2"] == 0
        assert load.router.counts["verified"] > 0
        for percent in (10, 50, 100):
            load.router.routing = Routing("read_through", percent, name=version)
            load.go_on()
        assert load.router.counts.get("fallbacks", 0) == 0
        migrated = migrate_in_place(root, registry, version)
        assert (migrated.dead_reasons.keys() or {"changed"}) == {"changed"}
        load.go_on()
        commit(root)
        migrated = migrate_in_place(root, registry, version)
        assert forms(root)["nbmf-2"] == KEYS

        load.router = service(load.router.routing, away)  # its version is gone: writes go by the stub's form
        load.go_on()
        assert load.router.counts["fallbacks"] > 0
        assert alerts
        assert {"stub", "nbmf-2"} <= set(forms(root))

        load.router.routing = Routing("stub")  # back
        load.go_on()
        rollback(root)
        load.go_on()
        load.router = service(Routing("read_through", name=version))  # forward again
        load.go_on()
        migrate_in_place(root, registry, version)
        load.go_on()
        commit(root)

    assert load.wrong == []
    last = {key: to_canonical(payload(key, number)) for key, number in load.ended.items()}
    assert load.ended == load.begun
    assert {key: to_canonical(load.router.read(key, of(key))) for key in last} == last
    with store.open(root) as opened:
        assert {record.key: to_canonical(record.payload()) for record in opened} == last
    report = job.run(InPlaceRecords(root), tmp_path / "set", registry.location, version, target=ParquetParts())
    assert report.dead == 0
