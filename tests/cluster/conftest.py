"""Shared by the tests of sources: Parquet files, and a registry with a small version."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import registries
import synthetic
import zstandard

from cluster.registry import Registry
from nbmf.payload import to_canonical


@pytest.fixture(scope="session")
def small_version(tmp_path_factory):
    """(registry, codec) of a version that has a zstd dictionary, and codes synthetic records with it."""
    samples = [to_canonical(record)[1] for record in synthetic.records(300, seed=9)]
    dictionary = zstandard.train_dictionary(4096, samples).as_bytes()
    manifest = {
        "name": "small",
        "created_at": "2026-01-01T00:00:00+00:00",
        "architecture": "zstd-dictionary",
        "dictionaries": {"text": "zstd.dict", "json": "zstd.dict", "messages": "zstd.dict"},
    }
    registry = Registry(tmp_path_factory.mktemp("small") / "registry")
    version = registries.publish(registry, manifest, {"zstd.dict": dictionary})
    return registry, registry.load(version)


@pytest.fixture
def table(tmp_path):
    """A function: writes columns to a .parquet file, returns its path."""

    def write(name="memory.parquet", row_group_size=3, **columns):
        path = tmp_path / name
        pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
        return path

    return write
