"""Shared by the tests of sources: Parquet files."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.fixture
def table(tmp_path):
    """A function: writes columns to a .parquet file, returns its path."""

    def write(name="memory.parquet", row_group_size=3, **columns):
        path = tmp_path / name
        pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
        return path

    return write
