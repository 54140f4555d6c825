import networks
import pytest
import torch

from nbmf.neural.codec import NeuralCodec
from nbmf.neural.weights import IntegerWeights


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Small products on several threads wait for one another more than they compute, on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def files(one_thread):
    return networks.untrained_files()


@pytest.fixture(scope="session")
def codec(files):
    return NeuralCodec.from_files(*(files[networks.FILES[part]] for part in ("tokenizer", "constants", "model")))


@pytest.fixture(scope="session")
def network(files):
    return IntegerWeights.load(files[networks.FILES["model"]])


@pytest.fixture(scope="session")
def records():
    return [(s.canonical, networks.RECORD_TYPES[s.kind]) for s in networks.sample_records()]


@pytest.fixture(scope="session")
def version(files, tmp_path_factory):
    return networks.write_neural_version(tmp_path_factory.mktemp("versions"), files)
