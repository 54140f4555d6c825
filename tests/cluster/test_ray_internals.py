"""Private parts of Ray are named in one file only, and are those of the releases that it says."""

import inspect
import re
from pathlib import Path

import pytest
import ray

from cluster import ray_internals

ROOT = Path(__file__).parents[2]
PRIVATE = re.compile(
    r"^\s*(?:from ray[\w.]*\._\w+ |from ray[\w.]* import .*\b_[a-z]|import ray[\w.]*\._)", re.MULTILINE
)


def test_this_release_is_one_that_was_tried():
    assert ray.__version__.rpartition(".")[0] in ray_internals.RELEASES


@pytest.mark.parametrize("folder", ["cluster", "serve_app", "train_app", "migrate_job", "bench"])
def test_nobody_else_imports_them(folder):
    found = [path for path in (ROOT / folder).rglob("*.py") if PRIVATE.search(path.read_text())]
    assert [path.name for path in found] == (["ray_internals.py"] if folder == "cluster" else [])


def test_they_are_there():
    from ray.serve.api import RunTarget, _run_many
    from ray.serve.context import _get_global_client

    arguments = {"wait_for_ingress_deployment_creation", "wait_for_applications_running"}
    assert arguments <= inspect.signature(_run_many).parameters.keys()
    assert {"target", "name", "route_prefix"} <= inspect.signature(RunTarget).parameters.keys()
    assert callable(_get_global_client)
