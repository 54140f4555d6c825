"""A router's counts as Prometheus reads them."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from nbmf.router import Router, Routing
from nbmf.router.prometheus import RouterCollector

PAGE = Path(__file__).parents[3] / "docs" / "migration.md"


@pytest.fixture
def scraped(tmp_path, monkeypatch):
    """A router, and a function for its samples by (name, labels)."""
    monkeypatch.delenv("NBMF_STORE_KEY", raising=False)
    router = Router(tmp_path / "store", routing=Routing("dual", 100))
    registry = CollectorRegistry()
    registry.register(RouterCollector(router, {"store": "chat"}))

    def scrape():
        families = text_string_to_metric_families(generate_latest(registry).decode())
        return {
            (s.name.removeprefix("nbmf_router_"), s.labels.pop("store"), *s.labels.values()): s.value
            for f in families
            for s in f.samples
        }

    return router, scrape


def test_counts_are_there_before_and_after(scraped):
    router, scrape = scraped
    assert set(scrape().values()) == {0}
    router.write("k", "note", {"text": "a few words " * 9})
    router.read("k", "note")
    found = scrape()
    counts = router.counts
    for name in ("writes", "written_stub", "written_copies", "encoded", "verified", "reads", "bytes_nbmf"):
        assert found[f"{name}_total", "chat"] == counts[name] > 0
    assert found["encode_seconds_total", "chat"] == counts["encode_us"] / 1e6


def test_failures_have_their_code(scraped, monkeypatch):
    router, scrape = scraped

    def fails(*_):
        raise OSError("no such version")

    monkeypatch.setattr(router._coding, "encode", fails)
    router.write("k", "note", {"text": "a"})
    assert scrape()["failures_total", "chat", "OSError"] == 1
    assert scrape()["fallbacks_total", "chat"] == 1


def test_every_count_of_the_page_is_one(scraped):
    _, scrape = scraped
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("| `router.counts` | |") :].split("\n\n")[0]
    names = {name for row in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    told = {name.removesuffix("_total") for name, *_ in scrape()}
    assert names - {"failures", "failure.<code>", "encode_us"} == told - {"encode_seconds"}
