"""Contracts are written once: names in folders of stores, the wire, and types of records."""

import ast
from pathlib import Path

import grpc
import pytest

from nbmf import protocol
from nbmf.neural import record_types
from nbmf.store import layout

ROOT = Path(layout.__file__).parents[2]
FOLDERS = ["nbmf", "cluster", "migrate_job", "serve_app", "train_app", "bench"]
NAMES = {value for name, value in vars(layout).items() if name.isupper()}
PATHS = (protocol.ENCODE, protocol.DECODE, protocol.VERSIONS, protocol.ADMIN)
HEADERS = (protocol.REQUEST_ID, protocol.TIMEOUT_MS, protocol.CODE, protocol.OF_A_BLOB)


def strings(folder, home):
    """(place, value) of each string that a program of the folder uses: no docstrings, nor the contract's own file."""
    for path in (ROOT / folder).rglob("*.py"):
        if path == Path(home.__file__) or path.name.startswith("nbmf_pb2"):
            continue
        tree = ast.parse(path.read_text())
        texts = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in texts:
                yield f"{path.relative_to(ROOT)}:{node.lineno} {node.value!r}", node.value


@pytest.mark.parametrize("folder", FOLDERS)
def test_names_of_a_store_are_spelled_once(folder):
    spelled = [place for place, value in strings(folder, layout) if value in NAMES]
    assert [one for one in spelled if not one.endswith("'.parquet'")] == []  # of any Parquet file
    assert len(NAMES) >= 8


@pytest.mark.parametrize("folder", FOLDERS)
def test_paths_and_headers_are_spelled_once(folder):
    spelled = [
        place
        for place, value in strings(folder, protocol)
        if any(path in value for path in PATHS) or any(header.lower() in value.lower() for header in HEADERS)
    ]
    assert spelled == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_table_of_statuses_is_written_once(folder):
    """No other file has a table with three of its codes."""
    for path in (ROOT / folder).rglob("*.py"):
        if path == Path(protocol.__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Dict):
                keys = {key.value for key in node.keys if isinstance(key, ast.Constant)}
                assert len(keys & protocol.STATUS_OF_CODE.keys()) < 3, f"{path}:{node.lineno}"


def test_each_status_has_one_of_grpc():
    statuses = {*protocol.STATUS_OF_CODE.values(), protocol.STATUS_OF_A_RECORD}
    assert statuses == protocol.GRPC_STATUS.keys()
    assert all(hasattr(grpc.StatusCode, name) for name in protocol.GRPC_STATUS.values())


@pytest.mark.parametrize("folder", FOLDERS)
def test_types_of_records_are_spelled_once(folder):
    assert [place for place, value in strings(folder, record_types) if value == "structured"] == []
