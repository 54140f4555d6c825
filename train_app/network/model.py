"""The float network that is trained, and later quantised to the integers of nbmf.neural.

A causal pre-norm transformer (Vaswani et al. 2017; RMS norm without gains, Zhang & Sennrich
2019; rotary positions, Su et al. 2021; squared ReLU, So et al. 2021; token shift, Peng et al.
2023) with hashed n-gram memory at its input, dilated convolutions in place of attention in some
layers (van den Oord et al. 2016), and a softmax in two steps (Grave et al. 2017, "Efficient
softmax approximation for GPUs") where there are clusters. Every operation has an exact integer
counterpart: no gain or bias vectors, no exp but in softmax.

Shape suffixes: B batch, T positions, D d_model, H heads, K d_head, F d_feed_forward,
M d_memory, V vocabulary, I input ids, S symbols of the first step of the softmax, C clusters,
Z tokens of a cluster, N rows; G blocks of R rows that are of one cluster.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name everyone knows
from numpy.typing import NDArray
from torch import Tensor, nn

from nbmf._core import TAPS
from nbmf.neural.config import ATTENTION, NeuralConfig
from train_app.network.batches import Batch
from train_app.network.settings import FrozenPart
from train_app.network.straight_through import rounded, rounded_rows


def rotary_frequencies(config: NeuralConfig) -> Tensor:
    """Whole numbers of turns in `rotary_period` positions, one for each pair of channels.

    Geometric from a quarter turn a position down to about one turn in four windows. Whole
    numbers make the rotation exactly periodic, so a record may have any length.
    """
    n_pairs = config.d_head // 2
    fastest = config.rotary_period / 4
    slowest = max(1.0, config.rotary_period / (4 * config.window))
    steps = torch.arange(n_pairs, dtype=torch.float64) / max(1, n_pairs - 1)
    turns = fastest * (slowest / fastest) ** steps
    return turns.round().long()


def rotary_angles(config: NeuralConfig, positions_T: Tensor) -> Tensor:
    """Angles [T, K/2], computed from whole numbers modulo the period."""
    steps = (positions_T.long()[:, None] * rotary_frequencies(config)) % config.rotary_period
    return steps.double() * (2 * math.pi / config.rotary_period)


def norm(x_BTD: Tensor) -> Tensor:
    return F.rms_norm(x_BTD, (x_BTD.size(-1),), eps=1e-6)


def rotate(x_BHTK: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
    """Rotate channel i with channel i + K/2."""
    first, second = x_BHTK.chunk(2, dim=-1)
    return torch.cat((first * cos_TK - second * sin_TK, second * cos_TK + first * sin_TK), dim=-1).type_as(x_BHTK)


def _rounded(x: Tensor, step: Tensor | None) -> Tensor:
    return x if step is None else rounded(x, step)


class Product(nn.Linear):
    """A product with weights, no bias; with `in_step_K` as integers make it: int8 inputs and weights."""

    in_step_K: Tensor | None

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__(n_inputs, n_outputs, bias=False)
        self.register_buffer("in_step_K", None, persistent=False)  # what a step of each input channel is worth

    def forward(self, x_BTK: Tensor) -> Tensor:
        return F.linear(self.taken(x_BTK), self.used_weight())

    def taken(self, x_BTK: Tensor) -> Tensor:
        """The inputs as the product takes them."""
        return _rounded(x_BTK, self.in_step_K)

    def used_weight(self) -> Tensor:
        """The weights that it multiplies by: where rounded, with one step for each row in the steps of the inputs."""
        if self.in_step_K is None:
            return self.weight
        return rounded_rows(self.weight * self.in_step_K) / self.in_step_K


class Places(NamedTuple):
    """Where the positions of a batch are: what layers ask beside activations."""

    records_BT: Tensor  # number of the record
    mask_B1TT: Tensor  # who sees whom
    not_first_BT1: Tensor  # where the token before is of the same record
    cos_TK: Tensor
    sin_TK: Tensor


class Layer(nn.Module):
    """Something that mixes positions, then the feed-forward."""

    def __init__(self, config: NeuralConfig) -> None:
        super().__init__()
        self.config = config
        self.expand = Product(config.d_model, config.d_feed_forward)
        self.contract = Product(config.d_feed_forward, config.d_model)
        nn.init.normal_(self.expand.weight, std=config.d_model**-0.5)
        nn.init.zeros_(self.contract.weight)

    def mix(self, y_BTD: Tensor, places: Places) -> Tensor:
        """What is added to the residual, of its norm."""
        raise NotImplementedError

    def forward(self, x_BTD: Tensor, places: Places) -> Tensor:
        x_BTD = x_BTD + self.mix(norm(x_BTD), places)
        hidden_BTF = F.relu(self.expand(norm(x_BTD))).square()
        return x_BTD + self.contract(hidden_BTF)


class AttentionLayer(Layer):
    query_step_H11: Tensor | None  # what a step of int8 is worth, of each head and of each channel
    key_step_H11: Tensor | None
    value_step_D: Tensor | None

    def __init__(self, config: NeuralConfig) -> None:
        super().__init__(config)
        d_model = config.d_model
        self.query_key_value = Product(d_model, 3 * d_model)
        self.attention_out = Product(d_model, d_model)
        nn.init.normal_(self.query_key_value.weight, std=d_model**-0.5)
        nn.init.zeros_(self.attention_out.weight)
        for name in ("query_step_H11", "key_step_H11", "value_step_D"):
            self.register_buffer(name, None, persistent=False)

    def mix(self, y_BTD: Tensor, places: Places) -> Tensor:
        B, T, D = y_BTD.shape
        H, K = self.config.n_heads, self.config.d_head
        if shift := self.config.d_shift:
            shifted = F.pad(y_BTD[:, :-1, :shift], (0, 0, 1, 0)) * places.not_first_BT1
            y_BTD = torch.cat((shifted, y_BTD[:, :, shift:]), dim=-1)
        q, k, v_BTD = self.query_key_value(y_BTD).chunk(3, dim=-1)
        v_BTD = _rounded(v_BTD, self.value_step_D)
        q, k, v = (part.view(B, T, H, K).transpose(1, 2) for part in (q, k, v_BTD))
        q = _rounded(rotate(q, places.cos_TK, places.sin_TK), self.query_step_H11)
        k = _rounded(rotate(k, places.cos_TK, places.sin_TK), self.key_step_H11)
        o_BHTK = F.scaled_dot_product_attention(q, k, v, attn_mask=places.mask_B1TT)
        return self.attention_out(o_BHTK.transpose(1, 2).reshape(B, T, D))


class ConvolutionLayer(Layer):
    """Taps of now, one dilation ago and two, zeros where that is before the record's start; squared ReLU."""

    def __init__(self, config: NeuralConfig, dilation: int) -> None:
        super().__init__(config)
        self.dilation = dilation
        d_model = config.d_model
        self.convolution = Product(TAPS * d_model, d_model)
        self.convolution_out = Product(d_model, d_model)
        nn.init.normal_(self.convolution.weight, std=(TAPS * d_model) ** -0.5)
        nn.init.zeros_(self.convolution_out.weight)

    def mix(self, y_BTD: Tensor, places: Places) -> Tensor:
        T, taps = y_BTD.size(1), [y_BTD]
        for distance in range(self.dilation, TAPS * self.dilation, self.dilation):
            before_BT = F.pad(places.records_BT, (distance, 0), value=-1)[:, :T]
            tap_BTD = F.pad(y_BTD, (0, 0, distance, 0))[:, :T]
            taps.append(tap_BTD * (before_BT == places.records_BT)[:, :, None])
        return self.convolution_out(F.relu(self.convolution(torch.cat(taps, dim=-1))).square())


class NeuralModel(nn.Module):
    hash_id_I: Tensor | None

    def __init__(self, config: NeuralConfig, memory_dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("hash_id_I", None)  # what stands for each id where n-grams are hashed, if not the id
        self.config = config
        self.memory_dropout = memory_dropout
        self.steps: dict[str, Tensor] = {}  # what activations are rounded to
        D, M = config.d_model, config.d_memory
        self.embedding = nn.Embedding(config.n_input_ids, D)
        self.bigram_memory = nn.Embedding(1 << config.bigram_bits, M)
        self.trigram_memory = nn.Embedding(1 << config.trigram_bits, M)
        self.memory_in = Product(2 * M, D)
        dilations = iter(config.dilations)
        self.layers = nn.ModuleList(
            AttentionLayer(config) if kind == ATTENTION else ConvolutionLayer(config, next(dilations))
            for kind in config.kinds
        )
        self.head = Product(D, config.n_symbols)
        self.member: Product | None = None
        if config.n_clusters:
            self.member = Product(D, config.n_clusters * config.cluster_size)
            nn.init.zeros_(self.member.weight)
        nn.init.normal_(self.embedding.weight, std=0.1)
        nn.init.normal_(self.bigram_memory.weight, std=0.05)
        nn.init.normal_(self.trigram_memory.weight, std=0.05)
        nn.init.normal_(self.memory_in.weight, std=(2 * M) ** -0.5)
        nn.init.zeros_(self.head.weight)

    def round_by(self, steps: dict[str, Tensor]) -> None:
        """From now on as integers compute it, by the names of calibration.input_steps; with none as floats do."""
        self.steps = steps
        for name, module in self.named_modules():
            if isinstance(module, Product):
                module.in_step_K = steps.get(name)
            elif isinstance(module, AttentionLayer):
                module.query_step_H11, module.key_step_H11, module.value_step_D = (
                    steps.get(f"{name}.{part}") for part in ("queries", "keys", "values")
                )

    def freeze(self, parts: Sequence[FrozenPart]) -> None:
        """These parts take no gradients from now on."""
        tables = (self.bigram_memory, self.trigram_memory)
        modules = {"memory": tables, "embedding": (self.embedding,), "members": (self.member,) if self.member else ()}
        for part in parts:
            for module in modules[part]:
                module.requires_grad_(False)

    def stack(self) -> list[Layer]:
        """The layers, typed."""
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def hash_ids(self) -> NDArray[np.int32] | None:
        """For StreamBatches."""
        return None if self.hash_id_I is None else self.hash_id_I.cpu().numpy()

    def restore(self, state: dict[str, Tensor]) -> None:
        """load_state_dict, of networks too that hash other ids."""
        hashed = state.get("hash_id_I")
        self.hash_id_I = None if hashed is None else torch.empty_like(hashed, device=self.head.weight.device)
        self.load_state_dict(state)

    def trunk(self, batch: Batch) -> Tensor:
        """Normalised last activations [B, T, D] as the head takes them."""
        config = self.config
        T = batch.tokens_BT.size(1)
        mask_B1TT, not_first_BT1 = attention_mask(batch.records_BT, config.window)
        angles = rotary_angles(config, torch.arange(T)).to(batch.tokens_BT.device)
        places = Places(batch.records_BT, mask_B1TT, not_first_BT1, angles.cos().float(), angles.sin().float())
        bigram_BTM = self._hide_some(self.bigram_memory(batch.bigrams_BT))
        trigram_BTM = self._hide_some(self.trigram_memory(batch.trigrams_BT))
        memory_BTM = torch.cat((bigram_BTM, trigram_BTM), dim=-1)
        embedded_BTD = self.embedding(batch.tokens_BT)
        if self.steps:
            embedded_BTD = rounded_rows(embedded_BTD)
        x_BTD = embedded_BTD + self.memory_in(memory_BTM)
        for layer in self.stack():
            x_BTD = layer(x_BTD, places)
        return self.head.taken(norm(x_BTD))

    def _hide_some(self, entries_BTM: Tensor) -> Tensor:
        """Whole entries set to zero, without scaling the others: inference sees each as it is."""
        if not (self.training and self.memory_dropout):
            return entries_BTM
        shown_BT1 = torch.rand(*entries_BTM.shape[:2], 1, device=entries_BTM.device) >= self.memory_dropout
        return entries_BTM * shown_BT1

    def loss(self, batch: Batch, chunk: int = 0) -> Tensor:
        """Mean nats of the counted targets. `chunk`: rows of logits at once, 0 for what suits the device."""
        y_ND, targets_N = self.trunk(batch).flatten(0, 1), batch.targets_BT.flatten()
        chunk = chunk or _chunk(y_ND.device)
        total: Tensor = ChunkedCrossEntropy.apply(y_ND, self.head.used_weight(), self.symbols(targets_N), chunk)
        if self.member:
            beyond_N, size = targets_N - self.config.n_singles, self.config.cluster_size
            total = total + MemberCrossEntropy.apply(y_ND, self.member.used_weight(), beyond_N, size, chunk)
        return total / (targets_N >= 0).sum()

    def symbols(self, targets_N: Tensor) -> Tensor:
        """Targets of the first step."""
        singles, size = self.config.n_singles, max(self.config.cluster_size, 1)
        return torch.where(targets_N < singles, targets_N, singles + (targets_N - singles) // size)

    def token_nats(self, batch: Batch, chunk: int = 0) -> Tensor:
        """Nats of every target [B, T], 0 where none. `chunk` as in `loss`."""
        y_ND, targets_N = self.trunk(batch).flatten(0, 1), batch.targets_BT.flatten()
        chunk = chunk or _chunk(y_ND.device)
        parts = [
            F.cross_entropy(self.head(y).float(), t, ignore_index=-1, reduction="none")
            for y, t in zip(y_ND.split(chunk), self.symbols(targets_N).split(chunk), strict=True)
        ]
        nats_N = torch.cat(parts)
        if self.member:
            beyond_N, size = targets_N - self.config.n_singles, self.config.cluster_size
            weight_CZD = self.member.used_weight().view(self.config.n_clusters, size, -1)
            for cluster_G, row_GR, place_N in member_blocks(beyond_N, size, len(weight_CZD), chunk):
                logits = y_ND[row_GR] @ weight_CZD[cluster_G].mT
                nats = F.cross_entropy(logits.flatten(0, 1).float(), place_N, ignore_index=-1, reduction="none")
                nats_N = nats_N.index_add(0, row_GR.flatten(), nats)
        return nats_N.view_as(batch.targets_BT)


def load_model(checkpoint: Path) -> NeuralModel:
    """The float model in a checkpoint, on the CPU, for evaluation."""
    state = torch.load(checkpoint, weights_only=True, map_location="cpu")
    model = NeuralModel(NeuralConfig(**state["config"]))
    model.restore(state["model"])
    return model.eval()


def _chunk(device: torch.device) -> int:
    """Rows of logits at once: as many as a cache holds, or as keep a GPU busy."""
    return 1 << 10 if device.type == "cpu" else 1 << 14


def attention_mask(records_BT: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Who sees whom [B, 1, T, T], and where the token before is of the same record [B, T, 1]."""
    T = records_BT.size(1)
    positions_T = torch.arange(T, device=records_BT.device)
    distance_TT = positions_T[:, None] - positions_T[None, :]
    near_TT = (distance_TT >= 0) & (distance_TT < window)
    same_BTT = records_BT[:, :, None] == records_BT[:, None, :]
    not_first_BT = F.pad(records_BT[:, 1:] == records_BT[:, :-1], (1, 0))
    return (same_BTT & near_TT)[:, None], not_first_BT[:, :, None]


def _chunk_loss_and_gradient(logits_NV: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
    """Summed nats, and their gradient by the logits."""
    dtype = logits_NV.dtype
    logits_NV = logits_NV.float()
    counted_N = targets_N >= 0
    safe_N1 = targets_N.clamp(min=0)[:, None]
    log_sum_N1 = torch.logsumexp(logits_NV, dim=-1, keepdim=True)
    picked_N1 = logits_NV.gather(-1, safe_N1)
    nats = ((log_sum_N1 - picked_N1)[:, 0] * counted_N).sum()
    columns_V = torch.arange(logits_NV.size(1), device=logits_NV.device)
    gradient_NV = torch.exp(logits_NV - log_sum_N1) - (columns_V == safe_N1).float()
    return nats, (gradient_NV * counted_N[:, None]).to(dtype)


chunk_loss_and_gradient = _chunk_loss_and_gradient


def _product_dtype(y_ND: Tensor) -> torch.dtype:
    """What products of activations are computed in: of autocast, if there is any."""
    kind = y_ND.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else y_ND.dtype


class ChunkedCrossEntropy(torch.autograd.Function):
    """Softmax cross-entropy of a linear head; loss and gradients computed chunk by chunk.

    The logits of a batch never exist at once, and the backward pass has nothing left to do
    (as in Hsu et al. 2024, "Liger kernel").
    """

    @staticmethod
    def forward(ctx: Any, y_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, chunk: int) -> Tensor:
        nats = torch.zeros((), dtype=torch.float32, device=y_ND.device)
        dtype = _product_dtype(y_ND)
        half_ND, half_VD = y_ND.to(dtype), weight_VD.to(dtype)
        y_gradient_ND = torch.empty_like(half_ND)
        weight_gradient_VD = torch.zeros_like(weight_VD)
        for begin in range(0, len(y_ND), chunk):
            rows = slice(begin, begin + chunk)
            part, gradient_NV = chunk_loss_and_gradient(half_ND[rows] @ half_VD.T, targets_N[rows])
            nats += part
            y_gradient_ND[rows] = gradient_NV @ half_VD
            weight_gradient_VD += gradient_NV.T @ half_ND[rows]
        ctx.save_for_backward(y_gradient_ND, weight_gradient_VD)
        ctx.y_dtype = y_ND.dtype
        return nats

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        y_gradient_ND, weight_gradient_VD = ctx.saved_tensors
        (factor,) = gradients
        return (y_gradient_ND * factor).to(ctx.y_dtype), weight_gradient_VD * factor, None, None


MEMBER_ROWS = 64  # of a block: more are wasted on filling it up, fewer make small products


def member_blocks(beyond_N: Tensor, size: int, n_clusters: int, chunk: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Rows by cluster: (cluster of each block [G], its rows [G, R], the token's place in the cluster of all of them).

    `beyond_N` counts tokens from the first in a cluster; rows with less than 0 are left out. Blocks are filled up
    with rows whose place is -1, and so is the last of the parts of about `chunk` rows: all have one shape.
    """
    blocks = max(1, chunk // MEMBER_ROWS)
    row_M = (beyond_N >= 0).nonzero()[:, 0]
    if not len(row_M):
        return
    cluster_M = beyond_N[row_M] // size
    order_M = cluster_M.argsort(stable=True)
    row_M = row_M[order_M]
    count_C = torch.bincount(cluster_M, minlength=n_clusters)
    blocks_C = (count_C + MEMBER_ROWS - 1) // MEMBER_ROWS
    cluster_G = torch.repeat_interleave(blocks_C)
    of_cluster_G = torch.arange(len(cluster_G), device=row_M.device) - (blocks_C.cumsum(0) - blocks_C)[cluster_G]
    within_GR = of_cluster_G[:, None] * MEMBER_ROWS + torch.arange(MEMBER_ROWS, device=row_M.device)
    real_GR = within_GR < count_C[cluster_G][:, None]
    index_GR = (count_C.cumsum(0) - count_C)[cluster_G][:, None] + within_GR
    row_GR = row_M[index_GR.clamp(max=len(row_M) - 1)]
    place_GR = torch.where(real_GR, beyond_N[row_GR] % size, -1)
    filling = -len(cluster_G) % blocks
    cluster_G, row_GR = F.pad(cluster_G, (0, filling)), F.pad(row_GR, (0, 0, 0, filling))
    place_GR = F.pad(place_GR, (0, 0, 0, filling), value=-1)
    for cluster, row, place in zip(cluster_G.split(blocks), row_GR.split(blocks), place_GR.split(blocks), strict=True):
        yield cluster, row, place.flatten()


class MemberCrossEntropy(torch.autograd.Function):
    """The second step, of the targets that are in clusters: each against its cluster's rows only."""

    @staticmethod
    def forward(ctx: Any, y_ND: Tensor, weight_MD: Tensor, beyond_N: Tensor, size: int, chunk: int) -> Tensor:
        nats = torch.zeros((), dtype=torch.float32, device=y_ND.device)
        dtype = _product_dtype(y_ND)
        half_ND, half_CZD = y_ND.to(dtype), weight_MD.to(dtype).view(-1, size, weight_MD.size(1))
        y_gradient_ND = torch.zeros_like(half_ND)
        weight_gradient_CZD = torch.zeros_like(weight_MD).view(half_CZD.shape)
        for cluster_G, row_GR, place_N in member_blocks(beyond_N, size, len(half_CZD), chunk):
            y_GRD, weight_GZD = half_ND[row_GR], half_CZD[cluster_G]
            part, gradient_NZ = chunk_loss_and_gradient((y_GRD @ weight_GZD.mT).flatten(0, 1), place_N)
            nats += part
            gradient_GRZ = gradient_NZ.view(*row_GR.shape, size)
            y_gradient_ND.index_add_(0, row_GR.flatten(), (gradient_GRZ @ weight_GZD).flatten(0, 1))
            weight_gradient_CZD.index_add_(0, cluster_G, (gradient_GRZ.mT @ y_GRD).to(weight_MD.dtype))
        ctx.save_for_backward(y_gradient_ND, weight_gradient_CZD.view_as(weight_MD))
        ctx.y_dtype = y_ND.dtype
        return nats

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        y_gradient_ND, weight_gradient_MD = ctx.saved_tensors
        (factor,) = gradients
        return (y_gradient_ND * factor).to(ctx.y_dtype), weight_gradient_MD * factor, None, None, None
