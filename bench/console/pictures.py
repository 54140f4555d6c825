"""A picture of the console: a service of this machine, constant load, and a canary in progress."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import httpx

from bench.console.browser import chromium
from bench.demo.records import installation_records
from bench.demo.run import write_legacy_store
from cluster import config as configuration
from cluster.registry import Registry
from cluster.session import free_port
from cluster.sources.legacy import LegacyStore
from nbmf import json_text, protocol
from nbmf.payload import Payload
from nbmf.wire import to_wire

Scheme = Literal["light", "dark"]

POLICY: dict[str, Any] = {
    "steps_percent": [10, 50, 100],
    "dwell_s": 45,
    "min_samples": 100,
    "max_p95_of_stable": 20,  # a laptop does other things too: this is about a picture
}
_VERSIONS = (("memory-july", 2000, 16384), ("memory-october", 5000, 262144))
"""Name, records to learn from, bytes of the dictionary: of stable, and of the candidate."""
_SERVED = 600
_CLIENTS = 2
_PAUSE_S = 0.05
_PATIENCE_S = 600


class Stopped(RuntimeError):
    """The rollout ended before its picture was taken."""


def train(folder: Path) -> tuple[Registry, str]:
    """A registry of two versions, the first one stable; and the id of the second."""
    from train_app import job
    from train_app.config import DEFAULT_FILE, TrainConfig
    from train_app.results.stability import MakeStable

    registry, version_id = Registry(folder / "registry"), ""
    for (name, count, dictionary_bytes), stable in zip(_VERSIONS, (MakeStable.ALWAYS, MakeStable.NEVER), strict=True):
        store = folder / name
        write_legacy_store(store, installation_records(count, seed=1))
        sizes = {"dictionary_sizes_bytes": (dictionary_bytes,)}
        config = configuration.load(TrainConfig, None, DEFAULT_FILE, sizes)
        version_id = job.run([LegacyStore(store)], registry, config, name, make_stable=stable).version_id
    return registry, version_id


@contextmanager
def service(registry: Registry) -> Iterator[str]:
    """A service of this registry under constant load; its URL."""
    from serve_app.config import DEFAULT_FILE, ServeConfig
    from serve_app.deploy.deploy import deploy, undeploy

    settings: dict[str, Any] = {"port": free_port(), "rollout": POLICY}
    url = deploy(configuration.load(ServeConfig, None, DEFAULT_FILE, settings), registry)
    stop = threading.Event()
    records = installation_records(_SERVED, seed=2)
    with ThreadPoolExecutor(_CLIENTS) as clients:
        try:
            for number in range(_CLIENTS):
                clients.submit(_load, url, records[number::_CLIENTS], stop)
            yield url
        finally:
            stop.set()
    undeploy()


def start_canary(url: str, candidate: str, percent: float) -> None:
    """Starts a rollout; returns when the candidate has had this share for a while. Raises Stopped."""
    with httpx.Client(base_url=url + protocol.ADMIN, timeout=30) as client:
        client.post("/rollout/start", json={"version": candidate}).raise_for_status()
        for _ in range(_PATIENCE_S):
            rollout = client.get("/rollout").raise_for_status().json()["rollout"]
            if not rollout["active"]:
                raise Stopped(f"the rollout is over ({rollout['state']}): {rollout['reason']}")
            if rollout["percent"] >= percent and time.time() - rollout["since"] > POLICY["dwell_s"] * 0.7:
                return
            time.sleep(1)
    raise Stopped(f"no share of {percent:g} % within {_PATIENCE_S} s")


def picture(url: str, out: Path, scheme: Scheme = "light", width: int = 1280, scale: float = 1.5) -> None:
    """Writes the whole page as PNG."""
    with chromium() as browser:
        page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme, device_scale_factor=scale
        )
        page.goto(f"{url}/console")
        page.get_by_text("Live", exact=True).first.wait_for()
        page.locator(".chart .line").first.wait_for(state="attached")
        page.wait_for_timeout(1500)  # bars move to their width
        page.screenshot(path=out, full_page=True)


def _load(url: str, records: list[Payload], stop: threading.Event) -> None:
    bodies = [json_text.dumps(to_wire(record)).encode("utf-8", "backslashreplace") for record in records]
    with httpx.Client(base_url=url, timeout=30, headers={"Content-Type": "application/json"}) as client:
        while True:
            for number, body in enumerate(bodies):
                if stop.is_set():
                    return
                client.post(protocol.ENCODE, params={"key": f"record-{number}"}, content=body)
                stop.wait(_PAUSE_S)
