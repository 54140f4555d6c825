"""The list of versions, where one of them is damaged."""

from pathlib import Path

import jsonschema
import pytest

from cluster.registry import Registry


@pytest.fixture
def registry(tmp_path):
    """Where services in this process have theirs: three versions, the second of them damaged, the third stable."""
    registry = Registry(tmp_path / "registry")
    manifest = {"created_at": "2026-01-01", "architecture": "none"}
    ids = sorted(registry.publish({"name": name, **manifest}, {"file": name.encode()}) for name in "abc")
    registry.assign("stable", ids[2])
    registry.assign("candidate", ids[1])
    (Path(registry.location) / "versions" / ids[1] / "file").write_bytes(b"altered")
    return registry


def test_a_damaged_version_has_an_error(in_process, registry):
    answer = in_process()("GET", "/v1/versions")
    assert answer.status_code == 200
    first, damaged, last = answer.json()["versions"]
    assert [row["id"] for row in (first, damaged, last)] == registry.list_ids()
    assert damaged.keys() == {"id", "channels", "share_percent", "error"}
    assert damaged["channels"] == ["candidate"]
    assert damaged["error"]["code"] == "damaged_codec"
    assert "was altered" in damaged["error"]["message"]
    for row in (first, last):
        assert row.keys() == {"id", "channels", "share_percent", "name", "created_at", "architecture", "measured"}
    assert (first["channels"], last["channels"]) == ([], ["stable"])


def test_it_is_as_described(in_process, registry):
    ask = in_process()
    api = ask("GET", "/openapi.json").json()
    schema = {"$ref": "#/components/schemas/Versions", "components": api["components"]}
    jsonschema.validate(ask("GET", "/v1/versions").json(), schema, cls=jsonschema.Draft202012Validator)
