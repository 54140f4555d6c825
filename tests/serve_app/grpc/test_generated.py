"""The generated code is what `make proto` makes of nbmf.proto."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("name", ["nbmf_pb2.py", "nbmf_pb2.pyi", "nbmf_pb2_grpc.py"])
def test_generated_code_is_that_of_the_proto(generated, repository, name):
    assert (generated / name).read_text() == (repository / "serve_app/grpc" / name).read_text()


@pytest.fixture(scope="module")
def generated(repository, tmp_path_factory):
    folder = tmp_path_factory.mktemp("generated")
    outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{repository}", *outputs, "serve_app/grpc/nbmf.proto"]
    subprocess.run(command, check=True, cwd=repository)
    return folder / "serve_app/grpc"
