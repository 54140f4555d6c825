"""Shared by all tests: a home folder of their own, one Ray session, one small trained version, one service.

`support` is on the path (import-mode=importlib adds nothing): `import synthetic`.
"""

import gc
import io
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent / "support"))

import synthetic

from cluster.session import prepare_environment, session

gc.disable()  # until all modules are there: what they made stays

# Ray reads these when it is first imported, which a test module may do while it is collected.
prepare_environment()
# Serve's gRPC servers also take a port that is taken (Ray 2.60): those of two test runs would answer for one another.
_FIRST_PORT = 10_000 + os.getpid() % 200 * 100
os.environ["RAY_SERVE_DIRECT_INGRESS_MIN_GRPC_PORT"] = str(_FIRST_PORT)
os.environ["RAY_SERVE_DIRECT_INGRESS_MAX_GRPC_PORT"] = str(_FIRST_PORT + 99)
os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "0.2"  # the end of a run is seen at the next one, by default of 2 s

settings.register_profile(
    "nbmf", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("nbmf")

RAY_CPUS = 4
STABLE_RECORDS = 1200
LONG = {
    "test_exact", "test_presets", "test_ratio", "test_demo", "test_load_records", "test_throughput",
    "test_rehearsal", "test_isolation", "test_run", "test_object_store", "test_in_place_killed", "test_sqlite",
    "test_same_on_any_workers", "test_neural_codec", "test_hybrid_engine", "test_engines", "test_two_steps",
    "test_admin", "test_codec", "test_mutations", "test_reading", "test_extras",
}  # fmt: skip
"""Files whose tests take long. Of those that are begun last, the other workers would wait for the end."""


def pytest_collection_modifyitems(items):
    for item in items:
        if "ray_session" in item.fixturenames:
            item.add_marker("ray")
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.path.stem not in LONG)


def pytest_collection_finish():
    """Garbage is then looked for among what tests make, not among a million objects of imported modules."""
    gc.enable()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory):
    """A home folder of the tests' own: default registry and download cache are in it, never the user's."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        for name in ("NBMF_REGISTRY", "NBMF_CODEC_PATH", "RAY_ADDRESS"):
            patch.delenv(name, raising=False)
        yield folder


@pytest.fixture(scope="session", autouse=True)
def no_builtin_default(home):
    """Encoding without a codec has no learned part in tests: they are about the ladder below, and quick.

    tests/nbmf/test_builtin.py is about the version that ships with the package. Decoding finds it all the same.
    """
    from nbmf import builtin

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builtin, "_DEFAULT", home / "none")
        builtin.default_codec.cache_clear()
        yield
    builtin.default_codec.cache_clear()


@pytest.fixture(scope="session")
def ray_session(home):
    """One local Ray session for all tests; jobs inside find it initialised and use it."""
    with session(num_cpus=RAY_CPUS) as ray:
        yield ray


@dataclass(frozen=True)
class TrainedVersion:
    """A version that a real run trained, and what it was trained on."""

    registry: object
    trained: object
    config: object
    learnt_from: list
    duplicates: int
    bad_lines: int

    @property
    def id(self):
        return self.trained.version_id

    @property
    def codec(self):
        return self.registry.load(self.id)


@pytest.fixture(scope="session")
def s3_server():
    import s3

    with s3.bucket() as made:
        yield made


@pytest.fixture
def bucket(s3_server, monkeypatch):
    """A bucket of a server of S3, behind a front that does not fail unless it is told to; no pause is long."""
    monkeypatch.setattr("nbmf.store.folder._FIRST_PAUSE_S", 0.01)
    yield s3_server
    s3_server.front.share, s3_server.front.faults = 0.0, s3_server.front.FAULTS


@pytest.fixture(scope="session")
def train_config():
    from train_app.config import TrainConfig

    return TrainConfig(
        holdout_fraction=0.15,
        max_training_bytes=1_000_000,
        max_class_bytes=0,
        held_out_classes=0,
        max_holdout_bytes=200_000,
        max_record_bytes=20_000,
        min_records=50,
        min_space_vectors=100,
        max_space_vectors=2_000,
        max_vector_spaces=4,
        max_space_bytes=1_000_000,
        dictionary_sizes_bytes=(4096, 16384),
        dictionary_segments_bytes=(200,),
    )


@pytest.fixture(scope="session")
def version(ray_session, train_config, tmp_path_factory):
    """The stable version of a registry of the tests': trained through Ray on JSON Lines, some of them bad."""
    from cluster.registry import Registry
    from cluster.sources import open_source
    from train_app import job

    folder = tmp_path_factory.mktemp("training")
    learnt_from = synthetic.records(STABLE_RECORDS, seed=1)
    repeated = learnt_from[:60]
    path = synthetic.write_jsonl(folder / "memory.jsonl", [*learnt_from, *repeated, "x" * 30_000, ""])
    with path.open("ab") as file:
        file.write(b'{"cut off": \n\xff\xfe\n\n')
    registry = Registry(folder / "registry")
    trained = job.run([open_source(path)], registry, train_config, "tests")
    return TrainedVersion(registry, trained, train_config, learnt_from, len(repeated), bad_lines=2)


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(frozen=True)
class CommandResult:
    """What a command wrote and its exit code."""

    code: int
    out: bytes
    err: str


@pytest.fixture
def nbmf_command(monkeypatch, capfdbinary):
    """Runs `nbmf ARGS...` in this process, through the function that the console script calls."""
    from cluster.cli.main import main

    def run(*args, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["nbmf", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        sys.stdout.flush()
        captured = capfdbinary.readouterr()
        return CommandResult(code, captured.out, captured.err.decode())

    return run


@pytest.fixture
def error_of(nbmf_command):
    """Runs a command that must fail as a user error: exit code 1, one message with a code, nothing on stdout."""

    def run(*args, stdin=b""):
        result = nbmf_command(*args, stdin=stdin)
        assert result.code == 1, (result.out, result.err)
        assert "Traceback" not in result.err
        assert result.out == b""
        message = result.err.lstrip()  # a progress display that ends leaves a line
        assert message.startswith("nbmf: ")
        return message

    return run


@pytest.fixture(scope="session")
def console_script():
    """The installed `nbmf`."""
    return Path(sys.executable).parent / "nbmf"


@pytest.fixture(scope="session")
def repository():
    return Path(__file__).parent.parent


@pytest.fixture
def clean_environment(home):
    """For subprocesses: as this process's, Ray found by no variable."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
