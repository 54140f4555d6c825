"""The demo: a legacy store, a version trained on it, the service, a migration; and what all of it measured."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.demo.http import HttpResult, round_trips
from cluster import config as configuration
from cluster.measure import BASELINES, ratio_statistics
from cluster.progress import console, progress
from cluster.registry import Registry
from cluster.session import free_port, session
from cluster.sources import BadRecord, LegacyStore
from migrate_job import job as migration
from nbmf import Codec, store, stub
from nbmf.builtin import default_codec
from nbmf.payload import Payload, to_canonical
from nbmf.store.record_file import RECORDS_FOLDER
from nbmf.store.record_file import file_name as record_file_name

BUILTIN = "nbmf, built-in version"
_MARKER = ".nbmf-demo"
_HELD_BACK = 10
"""Every tenth record is kept out of the store, and so out of training: the table is of these."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the final table shows. `ratios` are of records that were not in the training data."""

    version_id: str
    ratios: dict[str, dict[str, Any]]
    http: HttpResult
    migration: migration.Report
    read_back: int


def run(records: list[Payload], folder: Path) -> DemoResult:
    """Everything, with progress. `folder` is emptied if an earlier demo made it."""
    _claim(folder)
    unseen, stored = records[::_HELD_BACK], [r for i, r in enumerate(records) if i % _HELD_BACK]
    old, registry = folder / "legacy-store", Registry(folder / "registry")
    with session():
        _step(1, f"writing a legacy store of {len(stored):,} records with the stub's encoder")
        write_legacy_store(old, stored)
        _step(2, "training a codec version on it")
        version_id = _train(old, registry)
        _step(3, f"serving it, and {len(unseen):,} unseen records there and back over HTTP")
        http = _serve(registry, unseen)
        _step(4, "migrating the store")
        report = _migrate(old, folder / "migrated", registry, version_id)
        read_back = count_equal(LegacyStore(old), folder / "migrated", registry.load(version_id))
    return DemoResult(version_id, _ratios(unseen, http), http, report, read_back)


def write_legacy_store(root: Path, payloads: list[Payload]) -> None:
    """A legacy store whose payloads are the stub's lossless blobs."""
    (root / RECORDS_FOLDER).mkdir(parents=True)
    with progress("records") as bars:
        for number, payload in enumerate(bars.track(payloads, description="writing")):
            fields = {"payload": stub.encode(payload, "lossless"), "meta": {"number": number}, "cls": "memory"}
            path = root / RECORDS_FOLDER / record_file_name(f"agent/{number:06}", "memory")
            path.write_text(json.dumps(fields, ensure_ascii=False))


def count_equal(source: LegacyStore, destination: Path, codec: Codec) -> int:
    """How many records of a source, read again, equal those of the migrated store, decoded; by key and class."""
    migrated = {(r.key, r.record_class): r for r in store.iterate(destination)}
    equal = 0
    for shard in source.plan():
        for item in source.read(shard):
            if not isinstance(item, BadRecord) and (item.key, item.record_class) in migrated:
                found = migrated[item.key, item.record_class].payload(codec)
                equal += to_canonical(found) == to_canonical(item.payload)
    return equal


def _step(number: int, text: str) -> None:
    console.print(f"[bold]{number}/4[/bold] {text}")


def _claim(folder: Path) -> None:
    if folder.exists() and not (folder / _MARKER).exists() and any(folder.iterdir()):
        from cluster.errors import DestinationError

        raise DestinationError(f"{folder} is not empty and not an earlier demo's; choose another with --out")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / _MARKER).touch()


def _train(old: Path, registry: Registry) -> str:
    from train_app import job
    from train_app.config import DEFAULT_FILE, TrainConfig
    from train_app.learned_part import LearningPlan
    from train_app.network.settings import COUNTS_ONLY, NeuralTrainConfig, default_file
    from train_app.results.stability import MakeStable

    config = configuration.load(TrainConfig, None, DEFAULT_FILE)
    learning = configuration.load(NeuralTrainConfig, None, default_file(COUNTS_ONLY))
    plan = LearningPlan(COUNTS_ONLY, learning, old.parent / "runs")
    # It is what the demo shows, smaller or not: the table at the end has the built-in version beside it.
    always = MakeStable.ALWAYS
    return job.run([LegacyStore(old)], registry, config, "demo", plan, make_stable=always).version_id


def _serve(registry: Registry, unseen: list[Payload]) -> HttpResult:
    from serve_app.config import DEFAULT_FILE, ServeConfig
    from serve_app.deploy.deploy import deploy, undeploy

    with console.status("starting the service"):
        config = configuration.load(ServeConfig, None, DEFAULT_FILE, {"port": free_port()})
        url = deploy(config, registry)
    try:
        with progress("records") as bars:
            task = bars.add_task("encoding and decoding", total=len(unseen))
            return round_trips(url, unseen, lambda: bars.advance(task))
    finally:
        with console.status("stopping the service"):
            undeploy()


def _migrate(old: Path, destination: Path, registry: Registry, version_id: str) -> migration.Report:
    from migrate_job.cli.migrate import run_with_progress

    return run_with_progress(LegacyStore(old), destination, registry.location, version_id)


def _ratios(unseen: list[Payload], http: HttpResult) -> dict[str, dict[str, Any]]:
    canonical = [to_canonical(record)[1] for record in unseen]
    sizes = {name: [measure(data) for data in canonical] for name, measure in BASELINES.items()}
    sizes["nbmf"] = http.blob_bytes
    with progress("records") as bars:
        builtin = default_codec()
        tracked = bars.track(unseen, description="encoding with the built-in version")
        sizes[BUILTIN] = [len(builtin.encode(record)) for record in tracked]
    return {name: ratio_statistics(http.raw_bytes, coded) for name, coded in sizes.items()}
