"""The float network that is trained, and later quantised to the integers of nbmf.neural.

A causal pre-norm transformer (Vaswani et al. 2017; RMS norm without gains, Zhang & Sennrich
2019; rotary positions, Su et al. 2021; squared ReLU, So et al. 2021; token shift, Peng et al.
2023) with hashed n-gram memory at its input. Every operation has an exact integer counterpart:
no gain or bias vectors, no exp but in softmax.

Shape suffixes: B batch, T positions, D d_model, H heads, K d_head, F d_feed_forward,
M d_memory, V vocabulary, N rows.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the name everyone knows
from torch import Tensor, nn

from nbmf.neural.config import NeuralConfig
from train_app.neural.data import Batch


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


class Layer(nn.Module):
    def __init__(self, config: NeuralConfig) -> None:
        super().__init__()
        self.config = config
        d_model = config.d_model
        self.query_key_value = nn.Linear(d_model, 3 * d_model, bias=False)
        self.attention_out = nn.Linear(d_model, d_model, bias=False)
        self.expand = nn.Linear(d_model, config.d_feed_forward, bias=False)
        self.contract = nn.Linear(config.d_feed_forward, d_model, bias=False)
        for inward in (self.query_key_value, self.expand):
            nn.init.normal_(inward.weight, std=d_model**-0.5)
        for outward in (self.attention_out, self.contract):
            nn.init.zeros_(outward.weight)

    def forward(
        self, x_BTD: Tensor, mask_B1TT: Tensor, not_first_BT1: Tensor, cos_TK: Tensor, sin_TK: Tensor
    ) -> Tensor:
        B, T, D = x_BTD.shape
        H, K = self.config.n_heads, self.config.d_head
        y_BTD = norm(x_BTD)
        if shift := self.config.d_shift:
            shifted = F.pad(y_BTD[:, :-1, :shift], (0, 0, 1, 0)) * not_first_BT1
            y_BTD = torch.cat((shifted, y_BTD[:, :, shift:]), dim=-1)
        q, k, v = (part.view(B, T, H, K).transpose(1, 2) for part in self.query_key_value(y_BTD).chunk(3, dim=-1))
        q, k = rotate(q, cos_TK, sin_TK), rotate(k, cos_TK, sin_TK)
        o_BHTK = F.scaled_dot_product_attention(q, k, v, attn_mask=mask_B1TT)
        x_BTD = x_BTD + self.attention_out(o_BHTK.transpose(1, 2).reshape(B, T, D))
        hidden_BTF = F.relu(self.expand(norm(x_BTD))).square()
        return x_BTD + self.contract(hidden_BTF)


class NeuralModel(nn.Module):
    def __init__(self, config: NeuralConfig, memory_dropout: float = 0.0) -> None:
        super().__init__()
        self.config = config
        self.memory_dropout = memory_dropout
        D, M = config.d_model, config.d_memory
        self.embedding = nn.Embedding(config.n_input_ids, D)
        self.bigram_memory = nn.Embedding(1 << config.bigram_bits, M)
        self.trigram_memory = nn.Embedding(1 << config.trigram_bits, M)
        self.memory_in = nn.Linear(2 * M, D, bias=False)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.n_layers))
        self.head = nn.Linear(D, config.vocab_size, bias=False)
        nn.init.normal_(self.embedding.weight, std=0.1)
        nn.init.normal_(self.bigram_memory.weight, std=0.05)
        nn.init.normal_(self.trigram_memory.weight, std=0.05)
        nn.init.normal_(self.memory_in.weight, std=(2 * M) ** -0.5)
        nn.init.zeros_(self.head.weight)

    def stack(self) -> list[Layer]:
        """The layers, typed."""
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def trunk(self, batch: Batch) -> Tensor:
        """Normalised last activations [B, T, D]: the head's input."""
        config = self.config
        T = batch.tokens_BT.size(1)
        mask_B1TT, not_first_BT1 = attention_mask(batch.records_BT, config.window)
        angles = rotary_angles(config, torch.arange(T)).to(batch.tokens_BT.device)
        cos_TK, sin_TK = angles.cos().float(), angles.sin().float()
        bigram_BTM = self._hide_some(self.bigram_memory(batch.bigrams_BT))
        trigram_BTM = self._hide_some(self.trigram_memory(batch.trigrams_BT))
        memory_BTM = torch.cat((bigram_BTM, trigram_BTM), dim=-1)
        x_BTD = self.embedding(batch.tokens_BT) + self.memory_in(memory_BTM)
        for layer in self.stack():
            x_BTD = layer(x_BTD, mask_B1TT, not_first_BT1, cos_TK, sin_TK)
        return norm(x_BTD)

    def _hide_some(self, entries_BTM: Tensor) -> Tensor:
        """Whole entries set to zero, without scaling the others: inference sees each as it is."""
        if not (self.training and self.memory_dropout):
            return entries_BTM
        shown_BT1 = torch.rand(*entries_BTM.shape[:2], 1, device=entries_BTM.device) >= self.memory_dropout
        return entries_BTM * shown_BT1

    def loss(self, batch: Batch, chunk: int = 1024) -> Tensor:
        """Mean nats of the counted targets."""
        y_BTD = self.trunk(batch)
        total: Tensor = ChunkedCrossEntropy.apply(
            y_BTD.flatten(0, 1), self.head.weight, batch.targets_BT.flatten(), chunk
        )
        return total / (batch.targets_BT >= 0).sum()

    def token_nats(self, batch: Batch, chunk: int = 1024) -> Tensor:
        """Nats of every target [B, T], 0 where none."""
        y_ND = self.trunk(batch).flatten(0, 1)
        targets_N = batch.targets_BT.flatten()
        parts = [
            F.cross_entropy(self.head(y).float(), t, ignore_index=-1, reduction="none")
            for y, t in zip(y_ND.split(chunk), targets_N.split(chunk), strict=True)
        ]
        return torch.cat(parts).view_as(batch.targets_BT)


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
    """Summed nats, and their gradient by the logits in bfloat16."""
    logits_NV = logits_NV.float()
    counted_N = targets_N >= 0
    safe_N1 = targets_N.clamp(min=0)[:, None]
    log_sum_N1 = torch.logsumexp(logits_NV, dim=-1, keepdim=True)
    picked_N1 = logits_NV.gather(-1, safe_N1)
    nats = ((log_sum_N1 - picked_N1)[:, 0] * counted_N).sum()
    columns_V = torch.arange(logits_NV.size(1), device=logits_NV.device)
    gradient_NV = torch.exp(logits_NV - log_sum_N1) - (columns_V == safe_N1).float()
    return nats, (gradient_NV * counted_N[:, None]).to(torch.bfloat16)


chunk_loss_and_gradient = _chunk_loss_and_gradient


class ChunkedCrossEntropy(torch.autograd.Function):
    """Softmax cross-entropy of a linear head; loss and gradients computed chunk by chunk.

    The logits of a batch never exist at once, and the backward pass has nothing left to do
    (as in Hsu et al. 2024, "Liger kernel").
    """

    @staticmethod
    def forward(ctx: Any, y_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, chunk: int) -> Tensor:
        nats = torch.zeros((), dtype=torch.float32, device=y_ND.device)
        half_ND, half_VD = y_ND.to(torch.bfloat16), weight_VD.to(torch.bfloat16)
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
