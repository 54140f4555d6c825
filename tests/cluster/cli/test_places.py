"""The command line: a URI is where it says, or refused; never a folder called `s3:`."""

from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import pytest
import typer

from cluster.cli.main import app
from cluster.cli.options import local
from cluster.config import StrictModel, load
from cluster.errors import RecordsError, RegistryError
from cluster.registry import Registry
from cluster.sources import open_source
from nbmf.errors import NotALocalPath


def commands(command, name):
    for sub_name, sub in getattr(command, "commands", {}).items():
        yield from commands(sub, f"{name} {sub_name}")
    if not hasattr(command, "commands"):
        yield name, command.callback.__wrapped__


def paths_of(callback):
    """(name, what typer is told of it) of each parameter that is a Path."""
    for name, hint in get_type_hints(callback, include_extras=True).items():
        if get_origin(hint) is not Annotated:
            held, told = hint, None
        else:
            held, told = get_args(hint)
        if any(Path in (one, *get_args(one)) for one in (held, *get_args(held))):
            yield name, told


def test_no_command_takes_a_path_without_looking_at_it():
    found = [
        (f"{command} {name}", told)
        for command, call in commands(typer.main.get_command(app), "nbmf")
        for name, told in paths_of(call)
    ]
    assert len(found) > 30
    assert [name for name, told in found if getattr(told, "parser", None) is not local] == []


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_text("1\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert {path.name for path in tmp_path.iterdir()} == {"a.jsonl"}


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("s3:/bucket", "reads as a URI"),
        ("file://h/x", "reads as a URI"),
        ("gs://bucket/new.sqlite", "a SQLite file is written on a filesystem of this machine"),
        ("strange://key:secret@host/x", "strange://host/x: Unrecognized filesystem type"),
    ],
)
def test_a_destination_that_cannot_be(here, error_of, place, why):
    message = error_of("migrate", "a.jsonl", place, "--codec", "none")
    assert message.startswith("nbmf: destination_error:")
    assert why in message
    assert "secret" not in message


@pytest.mark.parametrize(
    "arguments",
    [
        ["encode", "s3://b/a.json"],
        ["encode", "a.jsonl", "-o", "s3://b/a"],
        ["decode", "s3:/b/a"],
        ["inspect", "gs://b/a"],
        ["migrate", "a.jsonl", "new", "--key-file", "s3://b/key"],
        ["migrate", "a.jsonl", "new", "--fidelity-policy", "s3://b/policy.yaml"],
        ["migrate", "a.jsonl", "new", "--dry-run", "--json", "s3://b/x.json"],
        ["migrate", "commit", "s3://b/store"],
        ["migrate", "rollback", "s3://b/store"],
        ["train", "-r", "a.jsonl", "--runs", "s3://b/runs"],
        ["train", "-r", "a.jsonl", "--config", "s3://b/train.yaml"],
        ["serve", "--config", "s3://b/serve.yaml"],
        ["serve", "--tls-certificate", "s3://b/cert.pem", "--tls-key", "key.pem"],
        ["demo", "--out", "s3://b/out"],
        ["bench", "ratio", "--data", "a.jsonl", "--json", "s3://b/x.json"],
    ],
    ids=" ".join,
)
def test_options_that_are_paths_refuse_uris(here, nbmf_command, arguments):
    result = nbmf_command(*arguments)
    assert result.code == 2
    assert "URI" in result.err
    assert "Traceback" not in result.err


def test_in_place_refuses_a_uri(here, error_of):
    assert "reads as a URI" in error_of("migrate", "s3://bucket/store", "--in-place")


@pytest.mark.parametrize("place", ["s3:/bucket/old", "dbfs:/x", Path("s3://bucket/old")])
def test_a_uri_with_one_slash_is_no_local_source(here, place):
    with pytest.raises(RecordsError, match="no filesystem"):
        open_source(place)
    with pytest.raises(RegistryError):
        Registry(place)


def test_configuration_files(here):
    with pytest.raises(NotALocalPath):
        load(StrictModel, Path("s3://bucket/x.yaml"), "")


def test_files_as_uris_are_paths(here, nbmf_command):
    result = nbmf_command("encode", f"file://{here}/a.jsonl")
    assert result.code == 0
    assert b'"blob"' in result.out


def test_arguments_of_a_job_are_looked_at_too(nbmf_command):
    result = nbmf_command("manifest", "rayjob", "--image", "r/nbmf:1", "--", "s3://bucket/old", "s3://bucket/new")
    assert result.code == 2
    assert "DEST is an absolute path" in result.err
    assert nbmf_command("manifest", "rayjob", "--image", "r/nbmf:1", "--", "s3://bucket/old", "/new").code == 0
