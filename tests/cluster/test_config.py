"""Configuration is strict: every mistake is an error that names the file and the key."""

from pathlib import Path

import pytest
import yaml

from cluster import config
from cluster.errors import ConfigError
from serve_app.config import DEFAULT_FILE as SERVE
from serve_app.config import ServeConfig
from train_app.config import DEFAULT_FILE as TRAIN
from train_app.config import TrainConfig

PRODUCTION = "serve/production.yaml"
PACKAGED = [(ServeConfig, SERVE), (TrainConfig, TRAIN)]


@pytest.fixture
def altered(tmp_path, repository):
    """A function: the packaged file with one value changed, at a dotted path; None takes the key out."""

    def write(default, dotted, value):
        fields = yaml.safe_load((repository / "configs" / default).read_text())
        *outer, last = dotted.split(".")
        place = fields
        for name in outer:
            place = place[name]
        if value is None:
            del place[last]
        else:
            place[last] = value
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(fields))
        return path

    return write


@pytest.mark.parametrize(("model", "default"), PACKAGED)
def test_packaged_files_load(model, default):
    assert isinstance(config.load(model, None, default), model)


def test_all_packaged_files_of_the_server_load(repository):
    found = sorted((repository / "configs" / "serve").glob("*.yaml"))
    assert found
    for path in found:
        assert isinstance(config.load(ServeConfig, path, SERVE), ServeConfig)


def test_a_file_replaces_the_packaged_one(altered):
    assert config.load(ServeConfig, altered(SERVE, "port", 9999), SERVE).port == 9999


def test_overrides_win_unless_they_are_none(altered):
    path = altered(SERVE, "port", 9999)
    loaded = config.load(ServeConfig, path, SERVE, {"port": 7777, "host": None})
    assert (loaded.port, loaded.host) == (7777, "127.0.0.1")


@pytest.mark.parametrize(
    ("model", "default", "dotted", "value", "named"),
    [
        (ServeConfig, SERVE, "prot", 1, "prot"),
        (ServeConfig, SERVE, "encoder.replicas", 2, "encoder.replicas"),
        (ServeConfig, SERVE, "port", "eighty", "port"),
        (ServeConfig, SERVE, "port", 70000, "port"),
        (ServeConfig, SERVE, "port", None, "port"),
        (ServeConfig, SERVE, "version", 3, "version"),
        (ServeConfig, SERVE, "max_body_bytes", 0, "max_body_bytes"),
        (ServeConfig, SERVE, "max_body_bytes", 1.5, "max_body_bytes"),
        (ServeConfig, SERVE, "latency_budget_ms", 0, "latency_budget_ms"),
        (ServeConfig, SERVE, "latency_budget_ms", float("inf"), "latency_budget_ms"),
        (ServeConfig, SERVE, "effort", "most", "effort"),
        (ServeConfig, SERVE, "engine", "gpu", "engine"),
        (ServeConfig, SERVE, "threads", 0, "threads"),
        (ServeConfig, SERVE, "decoder", [1], "decoder"),
        (ServeConfig, SERVE, "decoder.min_replicas", None, "decoder.min_replicas"),
        (ServeConfig, PRODUCTION, "ingress.min_replicas", 9, "ingress.*max_replicas is less than min_replicas"),
        (TrainConfig, TRAIN, "holdout_fraction", 0.9, "holdout_fraction"),
        (TrainConfig, TRAIN, "dictionary_sizes_bytes", [], "dictionary_sizes_bytes"),
        (TrainConfig, TRAIN, "dictionary_sizes_bytes", [1, "big"], r"dictionary_sizes_bytes\.1"),
        (TrainConfig, TRAIN, "epochs", 3, "epochs"),
    ],
)
def test_mistakes_name_file_and_key(altered, model, default, dotted, value, named):
    path = altered(default, dotted, value)
    with pytest.raises(ConfigError, match=f"{path}: {named}"):
        config.load(model, path, default)


@pytest.mark.parametrize(
    "content",
    [b"port: [1, 2", b"port: 1\n\tx: 2", b"- 1\n- 2", b"just text", b"port: \xff\xfe", b"\x00\x01"],
    ids=["open list", "tab", "a list", "text", "not UTF-8", "control characters"],
)
def test_what_is_not_yaml_names_the_file(tmp_path, content):
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=str(path)):
        config.load(ServeConfig, path, SERVE)


def test_a_key_that_is_there_twice_is_refused(tmp_path, altered):
    path = altered(SERVE, "port", 8001)
    path.write_text(path.read_text() + "port: 8002\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml: .*the key 'port' is there twice"):
        config.load(ServeConfig, path, SERVE)


def test_an_empty_file_lacks_every_key(tmp_path):
    path = tmp_path / "empty.yaml"
    path.touch()
    with pytest.raises(ConfigError, match=r"host: Field required.*decoder: Field required"):
        config.load(ServeConfig, path, SERVE)


def test_a_missing_file_is_named():
    with pytest.raises(ConfigError, match=r"/no/such\.yaml: No such file"):
        config.load(ServeConfig, Path("/no/such.yaml"), SERVE)


def test_configurations_cannot_be_changed():
    loaded = config.load(TrainConfig, None, TRAIN)
    with pytest.raises(ValueError, match="frozen"):
        loaded.min_records = 1
