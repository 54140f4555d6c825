import counts_versions
import networks
import pytest
import torch

from nbmf import _core
from nbmf.neural.codec import NeuralCodec
from nbmf.neural.record_types import TYPE_OF_KIND
from nbmf.neural.weights import IntegerWeights


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Small products on several threads wait for one another more than they compute, on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(params=_core.paths())
def path(request):
    """Each kind of processor that this one can run code for."""
    _core.use(request.param)
    yield request.param
    _core.use(None)


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
    return [(s.canonical, TYPE_OF_KIND[s.kind]) for s in networks.sample_records()]


@pytest.fixture(scope="session")
def version(files, tmp_path_factory):
    return networks.write_neural_version(tmp_path_factory.mktemp("versions"), files)


@pytest.fixture(scope="session")
def counts(files):
    return counts_versions.sample_counts(files)


@pytest.fixture(scope="session")
def files_with_counts(files, counts):
    return counts_versions.add_counts(files, counts)


@pytest.fixture(scope="session")
def counts_codec(files_with_counts):
    return NeuralCodec.from_files(*counts_versions.parts(files_with_counts, network=False))


@pytest.fixture(scope="session")
def mixed_codec(files_with_counts):
    return NeuralCodec.from_files(*counts_versions.parts(files_with_counts, network=True))
