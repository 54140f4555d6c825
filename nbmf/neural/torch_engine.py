"""The integer network in PyTorch: many positions and many records at once.

This file and nbmf/_core/network.h define the same function of the tokens; tests hold them identical.
Between the exact products only operations are used that IEEE 754 rounds correctly, one at a
time: + - * / sqrt floor compare, and table look-ups. Sums over channels are sums of integers
below 2^53 (float64) or 2^31 (int32), so their order is free.

Shape suffixes: B records, T new positions, C cached positions, S = C + T, D d_model, H heads,
K d_head, F d_feed_forward, V vocabulary, N = B * T rows.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nbmf._core import INT8_LIMIT, RESIDUAL_LIMIT
from nbmf.neural.config import NeuralConfig
from nbmf.neural.hashing import bigram_rows, trigram_rows
from nbmf.neural.product import IntegerMatrix, int8_product_is_exact
from nbmf.neural.weights import ROTARY_ONE, IntegerWeights


@dataclass
class EngineState:
    """What one batch of records leaves behind for its next positions. All start together."""

    position: int = 0
    tokens_B2: NDArray[np.int64] | None = None
    keys_BHCK: list[Tensor] = field(default_factory=list)
    values_BHCK: list[Tensor] = field(default_factory=list)
    shifted_BD: list[Tensor] = field(default_factory=list)

    def keep(self, rows: NDArray[np.integer]) -> None:
        """Go on with these records only."""
        if self.tokens_B2 is not None:
            self.tokens_B2 = self.tokens_B2[rows]
        index = torch.from_numpy(rows)
        for tensors in (self.keys_BHCK, self.values_BHCK, self.shifted_BD):
            tensors[:] = [tensor[index.to(tensor.device)] for tensor in tensors]


def _round_int8(x: Tensor) -> Tensor:
    return (x + 0.5).floor_().clamp_(-INT8_LIMIT, INT8_LIMIT).to(torch.int8)


class TorchEngine:
    """Frequencies of the next token after every position."""

    def __init__(
        self,
        weights: IntegerWeights,
        config: NeuralConfig,
        device: str = "cpu",
        exact_int8: bool | None = None,
        block: int = 256,
    ) -> None:
        self.config = config
        self.device = device
        self.block = block
        exact = int8_product_is_exact(device) if exact_int8 is None else exact_int8
        if device != "cpu":
            torch.backends.cuda.matmul.allow_tf32 = False

        def matrix(array: NDArray[np.int8]) -> IntegerMatrix:
            return IntegerMatrix(array, device, exact)

        def tensor(array: NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(np.require(array, requirements=("C", "W"))).to(device)

        layers = range(config.n_layers)
        self._embedding_ID = tensor(weights.embedding_ID)
        self._embedding_scale_I = tensor(weights.embedding_scale_I)
        self._bigram_RM = tensor(weights.bigram_RM)
        self._trigram_RM = tensor(weights.trigram_RM)
        self._memory_in = matrix(weights.memory_in_DM)
        self._memory_in_scale_D = tensor(weights.memory_in_scale_D)
        self._query_key_value = [matrix(weights.query_key_value_LED[i]) for i in layers]
        self._query_key_value_scale = tensor(weights.query_key_value_scale_LE)
        self._attention_out = [matrix(weights.attention_out_LDD[i]) for i in layers]
        self._attention_out_scale = tensor(weights.attention_out_scale_LD)
        self._expand = [matrix(weights.expand_LFD[i]) for i in layers]
        self._expand_scale = tensor(weights.expand_scale_LF)
        self._contract = [matrix(weights.contract_LDF[i]) for i in layers]
        self._contract_scale = tensor(weights.contract_scale_LD)
        self._head = matrix(weights.head_VD)
        self._head_scale_V = tensor(weights.head_scale_V)
        self._norm_factor_N = [float(factor) for factor in weights.norm_factor_N]
        self._index_scale_LH11 = tensor(weights.attention_index_scale_LH)[:, :, None, None]
        self._value_scale_LH11 = tensor(weights.attention_value_scale_LH)[:, :, None, None]
        self._attention_exp = tensor(weights.attention_exp)
        self._frequency_exp = tensor(weights.frequency_exp)
        self._rotary_cos_P = tensor(weights.rotary_cos_P).to(torch.float32) / ROTARY_ONE
        self._rotary_turns_K = tensor(weights.rotary_turns_K).long()

    def frequencies(self, tokens: list[NDArray[np.integer]]) -> list[NDArray[np.int32]]:
        """For each record (its type id first) the frequencies after each token: [T, V] each."""
        length = max(map(len, tokens))
        padded_BT = np.zeros((len(tokens), length), dtype=np.int64)
        for row, record in enumerate(tokens):
            padded_BT[row, : len(record)] = record
        state = EngineState()
        parts = [
            self.step(padded_BT[:, begin : begin + self.block], state).cpu().numpy()
            for begin in range(0, length, self.block)
        ]
        joined_BTV = np.concatenate(parts, axis=1)
        return [joined_BTV[row, : len(record)] for row, record in enumerate(tokens)]

    @torch.inference_mode()
    def step(self, tokens_BT: NDArray[np.integer], state: EngineState) -> Tensor:
        """Frequencies [B, T, V] (int32) after each of the new tokens; `state` moves on."""
        B, T = tokens_BT.shape
        x_BTD = self._embed(tokens_BT, state)
        cos_TK, sin_TK = self._rotary(state.position, T)
        if not state.keys_BHCK:
            self._start(state, B)
        for layer in range(self.config.n_layers):
            x_BTD = self._attend(layer, x_BTD, cos_TK, sin_TK, state)
            x_BTD = self._feed_forward(layer, x_BTD)
        state.position += T
        y_BTD = self._norm(x_BTD, 2 * self.config.n_layers)
        logits_NV = self._head(y_BTD.flatten(0, 1)).to(torch.float32) * self._head_scale_V
        logits_NV = (logits_NV + 0.5).floor_()
        index_NV = (logits_NV.amax(1, keepdim=True) - logits_NV).clamp_(max=len(self._frequency_exp) - 1)
        frequencies_NV = self._frequency_exp[index_NV.to(torch.int32)]
        return frequencies_NV.view(B, T, self.config.vocab_size)

    def _start(self, state: EngineState, B: int) -> None:
        config = self.config
        empty = torch.zeros(B, config.n_heads, 0, config.d_head, device=self.device)
        for _ in range(config.n_layers):
            state.keys_BHCK.append(empty)
            state.values_BHCK.append(empty)
            state.shifted_BD.append(torch.zeros(B, 1, config.d_shift, dtype=torch.int8, device=self.device))

    def _embed(self, tokens_BT: NDArray[np.integer], state: EngineState) -> Tensor:
        config = self.config
        tokens_BT = tokens_BT.astype(np.int64)
        if state.tokens_B2 is None:
            state.tokens_B2 = np.full((len(tokens_BT), 2), config.padding_id, dtype=np.int64)
        history_BS = np.concatenate((state.tokens_B2, tokens_BT), axis=1)
        state.tokens_B2 = history_BS[:, -2:]
        bigrams_BT = bigram_rows(history_BS[:, 1:-1], tokens_BT, config.bigram_bits)
        trigrams_BT = trigram_rows(history_BS[:, :-2], history_BS[:, 1:-1], tokens_BT, config.trigram_bits)
        ids_BT, bigrams, trigrams = (
            torch.from_numpy(array).to(self.device) for array in (tokens_BT, bigrams_BT, trigrams_BT)
        )
        memory_BTM = torch.cat((self._bigram_RM[bigrams], self._trigram_RM[trigrams]), dim=-1)
        memory_ND = self._memory_in(memory_BTM.flatten(0, 1))
        x_BTD = self._embedding_ID[ids_BT].to(torch.float32)
        x_BTD = x_BTD * self._embedding_scale_I[ids_BT][:, :, None]
        x_BTD = (x_BTD + 0.5).floor_()
        return self._add(x_BTD, memory_ND, self._memory_in_scale_D)

    def _add(self, x_BTD: Tensor, sums_ND: Tensor, scale_D: Tensor) -> Tensor:
        """Residual plus scaled product, in whole units (float32 that holds integers)."""
        update_ND = (sums_ND.to(torch.float32) * scale_D + 0.5).floor_()
        return (x_BTD + update_ND.view_as(x_BTD)).clamp_(-RESIDUAL_LIMIT, RESIDUAL_LIMIT)

    def _norm(self, x_BTD: Tensor, number: int) -> Tensor:
        """int8 of x over its root mean square. The sum of squares is exact in float64."""
        wide_BTD = x_BTD.to(torch.float64)
        squares_BT1 = (wide_BTD * wide_BTD).sum(-1, keepdim=True) + 1.0
        factor_BT1 = (self._norm_factor_N[number] / squares_BT1.sqrt()).to(torch.float32)
        return _round_int8(x_BTD * factor_BT1)

    def _rotary(self, position: int, T: int) -> tuple[Tensor, Tensor]:
        period = self.config.rotary_period
        positions_T1 = torch.arange(position, position + T, device=self.device)[:, None]
        turns_TK = (positions_T1 * self._rotary_turns_K) % period
        sine_TK = (turns_TK - period // 4) % period
        return self._rotary_cos_P[turns_TK], self._rotary_cos_P[sine_TK]

    def _attend(self, layer: int, x_BTD: Tensor, cos_TK: Tensor, sin_TK: Tensor, state: EngineState) -> Tensor:
        config = self.config
        B, T, D = x_BTD.shape
        H, K, shift = config.n_heads, config.d_head, config.d_shift
        y_BTD = self._norm(x_BTD, 2 * layer)
        if shift:
            shifted = torch.cat((state.shifted_BD[layer], y_BTD[:, :, :shift]), dim=1)
            state.shifted_BD[layer] = shifted[:, -1:]
            y_BTD = torch.cat((shifted[:, :-1], y_BTD[:, :, shift:]), dim=-1)
        sums_NE = self._query_key_value[layer](y_BTD.flatten(0, 1)).to(torch.float32)
        scaled_NE = sums_NE * self._query_key_value_scale[layer]
        q, k, v = (part.view(B, T, H, K).transpose(1, 2) for part in scaled_NE.view(B, T, 3 * D).split(D, -1))
        q = _round_int8(_rotate(q, cos_TK, sin_TK)).to(torch.float32)
        k = _round_int8(_rotate(k, cos_TK, sin_TK)).to(torch.float32)
        v = _round_int8(v).to(torch.float32)
        k = torch.cat((state.keys_BHCK[layer], k), dim=2)
        v = torch.cat((state.values_BHCK[layer], v), dim=2)
        state.keys_BHCK[layer] = k[:, :, -(config.window - 1) :]
        state.values_BHCK[layer] = v[:, :, -(config.window - 1) :]
        mixed_BHTK = self._mix(layer, q, k, v)
        mixed_ND = mixed_BHTK.transpose(1, 2).reshape(B * T, D)
        return self._add(x_BTD, self._attention_out[layer](mixed_ND), self._attention_out_scale[layer])

    def _mix(self, layer: int, q_BHTK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor) -> Tensor:
        """Attention: integer scores, weights from the table, exact weighted sums, one division."""
        T, S = q_BHTK.size(2), k_BHSK.size(2)
        scores = q_BHTK @ k_BHSK.transpose(2, 3)  # exact: d_head * 127^2 < 2^24
        distance_TS = torch.arange(S - T, S, device=self.device)[:, None] - torch.arange(S, device=self.device)[None, :]
        hidden_TS = (distance_TS < 0) | (distance_TS >= self.config.window)
        scores = scores.masked_fill_(hidden_TS, -float(1 << 24))
        index = (scores.amax(-1, keepdim=True) - scores) * self._index_scale_LH11[layer]
        index = index.clamp_(max=len(self._attention_exp) - 1).to(torch.int32)
        weights = self._attention_exp[index].masked_fill_(hidden_TS, 0).to(torch.float64)
        total = weights.sum(-1, keepdim=True).to(torch.float32)
        sums = (weights @ v_BHSK.to(torch.float64)).to(torch.float32)
        return _round_int8(sums * (self._value_scale_LH11[layer] / total))

    def _feed_forward(self, layer: int, x_BTD: Tensor) -> Tensor:
        y_ND = self._norm(x_BTD, 2 * layer + 1).flatten(0, 1)
        hidden_NF = self._expand[layer](y_ND).to(torch.float32) * self._expand_scale[layer]
        hidden_NF = hidden_NF.clamp_(min=0)
        hidden_NF = _round_int8(hidden_NF * hidden_NF)
        return self._add(x_BTD, self._contract[layer](hidden_NF), self._contract_scale[layer])


def _rotate(x_BHTK: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
    first, second = x_BHTK.chunk(2, dim=-1)
    return torch.cat((first * cos_TK - second * sin_TK, second * cos_TK + first * sin_TK), dim=-1)
