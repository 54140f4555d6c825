"""A smaller network out of one that is trained: fewer feed-forward channels, and n-gram tables with fewer rows.

It has forgotten something, and is to be trained on. Heads stay: their channels are the residual's, so fewer of them
would be no smaller network.

Shape suffixes: N tokens, F feed-forward channels, K of them kept, D d_model, R rows of a table, M d_memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from nbmf.neural.config import NeuralConfig
from train_app.network.batches import Batch, StreamBatches
from train_app.network.failure import TrainingFailed
from train_app.network.model import NeuralModel, load_model
from train_app.network.start import Start
from train_app.samples.sample import Sample
from train_app.samples.split import some
from train_app.samples.tokens import TokenStream, tokenise_samples

_LOOKED_AT_BYTES = 1_000_000
_BATCH_SIZE, _LENGTH, _BATCHES = 8, 256, 16
_IN_MULTIPLES_OF = 16
_DAMPING = 1e-3  # of the mean square of channels, in least squares
_UNREAD = 0.1  # reads that a row is taken to have beside those counted


@dataclass(frozen=True, slots=True)
class Pruning:
    """What is left out: a share of the channels of each feed-forward, and half of the rows so many times."""

    channels: float = 0.0
    halvings: int = 0

    def __bool__(self) -> bool:
        return bool(self.channels or self.halvings)

    def sizes(self, config: NeuralConfig) -> NeuralConfig:
        """Of the smaller network: channels in sixteens. Raises ValueError where nothing would be left."""
        step = min(_IN_MULTIPLES_OF, config.d_feed_forward)
        kept = max(1, round(config.d_feed_forward * (1 - self.channels) / step)) * step
        return config.with_(
            d_feed_forward=min(kept, config.d_feed_forward),
            bigram_bits=config.bigram_bits - self.halvings,
            trigram_bits=config.trigram_bits - self.halvings,
        )


NO_PRUNING = Pruning()


def pruned_start(start: Start, samples: list[Sample], pruning: Pruning, folder: Path) -> Start:
    """To begin with the smaller network, whose weights are written into `folder`. Raises TrainingFailed."""
    stream = tokenise_samples(some(samples, _LOOKED_AT_BYTES), start.tokenizer)
    try:
        model = prune(load_model(start.checkpoint), stream, pruning)
    except ValueError as error:
        raise TrainingFailed(f"cannot prune the network that far: {error}") from error
    return Start.of_model(model, start.tokenizer, folder)


@torch.no_grad()
def prune(model: NeuralModel, stream: TokenStream, pruning: Pruning) -> NeuralModel:
    """The smaller network, for evaluation; `model` stays as it is. Raises ValueError where nothing would be left.

    Of each feed-forward those channels go that add least to the residual in the records of `stream`; what the others
    can make good of it, they do, by least squares. Two rows of a table become their mean, weighted by how often each
    is read.
    """
    config = pruning.sizes(model.config)
    batches = StreamBatches(stream, model.config, model.hash_ids())
    state = dict(model.state_dict())
    if config.d_feed_forward < model.config.d_feed_forward:
        state |= _fewer_channels(model, _some_batches(batches), config.d_feed_forward)
    if pruning.halvings:
        for name, reads_R in zip(("bigram_memory.weight", "trigram_memory.weight"), _reads(batches), strict=True):
            state[name] = _folded(state[name], reads_R, pruning.halvings)
    smaller = NeuralModel(config)
    smaller.restore(state)
    return smaller.eval()


def _reads(batches: StreamBatches) -> tuple[Tensor, Tensor]:
    """How often each row of the tables, of bigrams and of trigrams, is read in the stream."""
    whole, config = batches.at(torch.zeros(1, dtype=torch.long), len(batches)), batches.config
    return (
        torch.bincount(whole.bigrams_BT[0], minlength=1 << config.bigram_bits),
        torch.bincount(whole.trigrams_BT[0], minlength=1 << config.trigram_bits),
    )


def _some_batches(batches: StreamBatches) -> list[Batch]:
    length = min(_LENGTH, max(1, len(batches) // 2))
    size = max(1, min(_BATCH_SIZE, len(batches) // length - 1))
    return [batch for batch, _ in zip(batches.epoch(0, 0, size, length), range(_BATCHES), strict=False)]


def _fewer_channels(model: NeuralModel, batches: list[Batch], n_kept: int) -> dict[str, Tensor]:
    """Weights of the feed-forwards with the channels of most worth."""
    found: dict[str, Tensor] = {}
    for number, moments_FF in enumerate(_moments(model, batches)):
        layer = model.stack()[number]
        contract_DF = layer.contract.weight.double()
        worth_F = moments_FF.diag() * contract_DF.square().sum(dim=0)
        kept_K = worth_F.topk(n_kept).indices.sort().values
        found[f"layers.{number}.expand.weight"] = layer.expand.weight[kept_K]
        among_KK = moments_FF[kept_K][:, kept_K]
        among_KK = among_KK + _DAMPING * among_KK.diag().mean() * torch.eye(n_kept, dtype=among_KK.dtype)
        lost_DF = contract_DF.clone()
        lost_DF[:, kept_K] = 0
        made_good_DK = torch.linalg.solve(among_KK, (lost_DF @ moments_FF[:, kept_K]).T).T
        found[f"layers.{number}.contract.weight"] = (contract_DF[:, kept_K] + made_good_DK).float()
    return found


def _moments(model: NeuralModel, batches: list[Batch]) -> list[Tensor]:
    """Of each layer, sums of products of its channels [F, F]."""
    F = model.config.d_feed_forward
    sums = [torch.zeros(F, F, dtype=torch.float64) for _ in model.stack()]

    def add(moments_FF: Tensor) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            hidden_NF = inputs[0].flatten(0, 1)
            moments_FF.add_(hidden_NF.T @ hidden_NF)

        return hook

    handles = [
        layer.contract.register_forward_pre_hook(add(moments_FF))
        for layer, moments_FF in zip(model.stack(), sums, strict=True)
    ]
    model.eval()
    for batch in batches:
        model.trunk(batch)
    for handle in handles:
        handle.remove()
    return sums


def _folded(table_RM: Tensor, reads_R: Tensor, halvings: int) -> Tensor:
    """With rows halved so often. A row's number is the top bits of a hash: neighbours are one row with fewer bits."""
    weight_R1 = (reads_R.double() + _UNREAD)[:, None]
    grouped = (-1, 1 << halvings, table_RM.size(1))
    sums_RM = (table_RM.double() * weight_R1).view(grouped).sum(dim=1)
    return (sums_RM / weight_R1.view(-1, 1 << halvings, 1).sum(dim=1)).float()
