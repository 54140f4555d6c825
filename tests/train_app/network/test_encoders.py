"""The specification's models: each trains, becomes integers, is published, and codes exactly."""

import networks
import pytest
import steps

from nbmf import Codec, inspect
from nbmf.manifest import read_version
from nbmf.neural.config import PRESETS, NeuralConfig
from nbmf.neural.constants import default_constants
from nbmf.payload import from_canonical
from train_app.learned_files import MODEL_FILE, _constants_file, made_integer, model_file
from train_app.network.encoders import CNNNBMFEncoder, LatentCompressor, TransformerNBMFEncoder
from train_app.network.settings import NeuralTrainConfig
from train_app.samples.tokens import tokenise_samples
from train_app.vocabulary.tokenizer import TOKENIZER_FILE

FEW = {"d_memory": 16, "bigram_bits": 8, "trigram_bits": 8, "window": 32}


@pytest.fixture(scope="module")
def samples():
    return networks.sample_records()[::4]


@pytest.fixture(scope="module")
def tokenizer(samples):
    return networks.vocabulary(samples, 400)


MODELS = {
    "transformer": lambda sizes: TransformerNBMFEncoder(32, 2, 2, 48, **sizes),
    "cnn": lambda sizes: CNNNBMFEncoder([16, 24, 32], **sizes),
}


@pytest.mark.parametrize("name", MODELS)
def test_it_trains_becomes_integers_and_is_published(name, samples, tokenizer, settings, tmp_path):
    model = MODELS[name]({"vocab_size": tokenizer.get_vocab_size(), **FEW})
    losses = steps.train(model, tokenise_samples(samples, tokenizer), settings, 40)
    assert losses[-1] < losses[0] - 0.7
    weights = made_integer(model, samples[:60], tokenizer)
    files = {
        MODEL_FILE: model_file(weights, model.config),
        TOKENIZER_FILE: tokenizer.to_str().encode(),
        networks.FILES["constants"]: _constants_file(default_constants()),
    }
    codec = Codec(*read_version(networks.write_neural_version(tmp_path, files)))
    payloads = [from_canonical(s.kind, s.canonical) for s in samples[::9] if len(s.canonical) < 4000]
    blobs = codec.encode_batch(payloads, effort="max")
    assert [codec.decode(blob) for blob in blobs] == payloads
    assert "neural" in {inspect(blob).coder for blob in blobs}


def test_the_transformers_defaults_are_the_preset_base():
    assert TransformerNBMFEncoder.__init__.__defaults__ == (768, 12, 6, 3072)
    base = PRESETS["base"]
    assert (base.d_model, base.n_heads, base.n_layers, base.d_feed_forward) == (768, 12, 6, 3072)
    small = TransformerNBMFEncoder(64, 4, 3, 96, **FEW)
    assert small.config.kinds == "aaa"
    assert (small.config.d_head, small.config.d_feed_forward) == (16, 96)


def test_convolutions_have_the_largest_width():
    model = CNNNBMFEncoder(**FEW)
    assert (model.config.kinds, model.config.d_model, model.config.dilations) == ("ccc", 256, [1, 2, 4])
    assert CNNNBMFEncoder([64, 32], **FEW).config.d_model == 64
    with pytest.raises(ValueError, match="hidden_channels is empty"):
        CNNNBMFEncoder([])


def test_its_sizes_are_those_of_a_file(settings):
    sizes = CNNNBMFEncoder([16, 32], **FEW).network
    checked = NeuralTrainConfig(**{**settings.model_dump(), "network": sizes})
    assert PRESETS["base"].with_(**checked.network) == NeuralConfig(**sizes)


def test_the_compressor_is_that_of_vectors():
    from nbmf import vectors

    assert LatentCompressor is vectors.LatentCompressor
