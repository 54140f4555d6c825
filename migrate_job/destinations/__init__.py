"""Destinations of migrations: a Parquet data set, a SQLite file, the legacy store itself."""

from __future__ import annotations

from migrate_job.destinations.base import Destination
from migrate_job.destinations.in_place import InPlace
from migrate_job.destinations.parquet import ParquetParts
from migrate_job.destinations.sqlite import SqliteFile

__all__ = ["Destination", "InPlace", "ParquetParts", "SqliteFile"]
