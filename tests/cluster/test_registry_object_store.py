"""A registry on an object store: two who change it at once, and a network that fails now and then."""

import threading
from contextlib import suppress

import pytest

from cluster.errors import RegistryError
from cluster.registry import Registry
from nbmf.store import conditional_writes


@pytest.fixture
def registry(bucket, tmp_path):
    made = Registry(bucket.uri(f"registries/{tmp_path.name}"))
    made._cache = tmp_path / "cache"
    return made


@pytest.fixture
def versions(registry, monkeypatch):
    """Ids that are taken for versions: what is in them is of no importance here."""
    ids = ["a" * 64, "b" * 64]
    monkeypatch.setattr(Registry, "list_ids", lambda _: ids)
    return ids


def test_two_who_promote_at_once(registry, versions):
    """Both have read the channels before either writes: one is refused, and what the other did is there."""
    one, two = Registry(registry.location), Registry(registry.location)
    one.assign("candidate", versions[0])
    met, refused = threading.Barrier(2), []
    read = Registry.channels

    def promote(registry, version_id):
        def channels(self):
            found = read(self)
            if not met.broken and met.n_waiting < 2:
                with suppress(threading.BrokenBarrierError):
                    met.wait(5)
                met.abort()
            return found

        registry.channels = channels.__get__(registry)
        try:
            registry.assign("stable", version_id)
        except RegistryError as error:
            refused.append((version_id, str(error)))

    threads = [threading.Thread(target=promote, args=pair) for pair in ((one, versions[0]), (two, versions[1]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ((loser, why),) = refused
    assert "another process changed channels.json at the same time; nothing was written" in why
    assert "secret" not in why
    channels = registry.channels()
    assert channels.stable == next(version for version in versions if version != loser)
    assert [(t.channel, t.version) for t in channels.history] == [
        ("candidate", versions[0]),
        ("stable", channels.stable),
    ]


def test_one_after_the_other(registry, versions):
    registry.assign("candidate", versions[0])
    registry.assign("stable", versions[0])
    Registry(registry.location).assign("stable", versions[1])
    assert registry.channels().stable == versions[1]
    assert len(registry.channels().history) == 3


def test_a_document_that_is_written_twice_under_one_lock(registry):
    with registry.locked():
        for line in (b"one\n", b"two\n"):
            registry.append_to_document("lines.jsonl", line)
        with registry.locked():
            registry.append_to_document("lines.jsonl", b"three\n")
    assert registry.read_document("lines.jsonl") == b"one\ntwo\nthree\n"


def test_a_document_that_came_meanwhile(registry):
    with registry.locked():
        assert registry.read_document("rollout.json") is None
        other = threading.Thread(target=Registry(registry.location).write_document, args=("rollout.json", b"theirs"))
        other.start()  # outside of this one's lock
        other.join()
        with pytest.raises(RegistryError, match="nothing was written"):
            registry.write_document("rollout.json", b"mine")
    assert registry.read_document("rollout.json") == b"theirs"


def test_without_obstore_it_is_as_before(registry, versions, monkeypatch):
    conditional_writes._store.cache_clear()
    monkeypatch.setattr(conditional_writes, "find_spec", lambda _: None)
    try:
        registry.assign("stable", versions[0])
        assert registry.channels().stable == versions[0]
    finally:
        conditional_writes._store.cache_clear()


def test_a_network_that_fails(registry, versions, bucket):
    bucket.front.share, before = 0.2, len(bucket.front.happened)
    for number in range(10):
        registry.assign("stable", versions[number % 2])
    assert len(bucket.front.happened) > before + 3
    assert [transition.version for transition in registry.channels().history] == [versions[n % 2] for n in range(10)]
