"""Small networks of both kinds of layers, with a softmax in two steps."""

import networks
import torch

from nbmf.neural.config import PRESETS, NeuralConfig
from train_app.network.model import NeuralModel
from train_app.samples.tokens import TokenStream, tokenise_samples

CONFIG = PRESETS["tiny"].with_(n_layers=4, layer_kinds="cacc", window=32, n_clusters=8, cluster_size=32)


def sample_stream() -> TokenStream:
    """Every sixth sample record."""
    samples = networks.sample_records()
    return tokenise_samples(samples[::6], networks.vocabulary(samples))


def hybrid(config: NeuralConfig = CONFIG, seed: int = 0) -> NeuralModel:
    """Untrained, with the spread of values of a trained one."""
    torch.manual_seed(seed)
    model = NeuralModel(config)
    for name, parameter in model.layers.named_parameters():
        if "out" in name or "contract" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    for linear in (model.head, model.member):
        if linear:
            torch.nn.init.normal_(linear.weight, std=0.4)
    return model.eval()
