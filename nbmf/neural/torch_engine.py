"""The integer network in PyTorch: many positions and many records at once.

This file and nbmf/_core/network.h define the same function of the tokens; tests hold them identical.
Between the exact products only operations are used that IEEE 754 rounds correctly, one at a
time: + - * / sqrt floor compare, and table look-ups. Sums over channels are sums of integers
below 2^53 (float64) or 2^31 (int32), so their order is free.

Shape suffixes: B records, T new positions, C cached positions, S = C + T (of frequencies: symbols of the first step),
D d_model, H heads, K d_head, F d_feed_forward, I input ids, Z tokens of a cluster, L layers (in names of attention: of
those with it), N rows, B * T of them unless said.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nbmf._core import INT8_LIMIT, RESIDUAL_LIMIT, TAPS
from nbmf.neural.config import ATTENTION, NeuralConfig
from nbmf.neural.hashing import bigram_rows, trigram_rows
from nbmf.neural.product import IntegerMatrix, int8_product_is_exact, int8_product_pays
from nbmf.neural.weights import ROTARY_ONE, IntegerWeights


class Predicted(NamedTuple):
    """What may follow each token of a record: distances from the likeliest, or frequencies.

    Of the second step in the cluster of the token that does follow; nothing to go by where it is in none.
    """

    symbols_TS: NDArray[np.int32]  # first step: tokens, then clusters
    members_TZ: NDArray[np.int32]

    def frequencies(self, frequency_exp: NDArray[np.int32], *, flat: bool = False) -> "Predicted":
        """Of distances, by an engine's table; flat as in nbmf/_core/network.h."""
        places = (distances * 17 // 20 if flat else distances for distances in self)
        return Predicted(*(frequency_exp[np.minimum(place, len(frequency_exp) - 1)] for place in places))


def last_distance(frequency_exp: NDArray[np.int32]) -> int:
    """From where on all distances are the same, flat or not."""
    return ((len(frequency_exp) - 1) * 20 + 16) // 17


@dataclass
class EngineState:
    """What one batch of records leaves behind for its next positions. All start together.

    Lists have an item for each layer of the kind: keys, values and shifted of attention, taps of convolution.
    """

    position: int = 0
    tokens_B2: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))
    keys_BHCK: list[Tensor] = field(default_factory=list)
    values_BHCK: list[Tensor] = field(default_factory=list)
    shifted_BD: list[Tensor] = field(default_factory=list)
    taps_BCD: list[Tensor] = field(default_factory=list)  # C: two dilations
    head_in_BTD: Tensor = field(default_factory=lambda: torch.empty(0))  # of the last step, int8

    def keep(self, rows: NDArray[np.integer]) -> None:
        """Go on with these records only."""
        if not self.position:
            return
        self.tokens_B2 = self.tokens_B2[rows]
        index = torch.from_numpy(rows)
        for tensors in (self.keys_BHCK, self.values_BHCK, self.shifted_BD, self.taps_BCD):
            tensors[:] = [tensor[index.to(tensor.device)] for tensor in tensors]
        self.head_in_BTD = self.head_in_BTD[index.to(self.head_in_BTD.device)]


def _round_int8(x: Tensor) -> Tensor:
    return (x + 0.5).floor_().clamp_(-INT8_LIMIT, INT8_LIMIT).to(torch.int8)


def _squared_relu(sums_NF: Tensor, scale_F: Tensor) -> Tensor:
    scaled_NF = (sums_NF.to(torch.float32) * scale_F).clamp_(min=0)
    return _round_int8(scaled_NF * scaled_NF)


def _padded(records: Sequence[NDArray[np.integer]], length: int, fill: int = 0) -> NDArray[np.int64]:
    padded_BT = np.full((len(records), length), fill, dtype=np.int64)
    for row, record in enumerate(records):
        padded_BT[row, : len(record)] = record
    return padded_BT


class TorchEngine:
    """What is expected after every position: how far below the likeliest each outcome is."""

    def __init__(
        self,
        weights: IntegerWeights,
        config: NeuralConfig,
        device: str = "cpu",
        exact_int8: bool | None = None,
        block: int = 256,
    ) -> None:
        weights = weights.numpy()
        self.config = config
        self.device = device
        self.block = block
        exact = int8_product_is_exact(device) and int8_product_pays(device) if exact_int8 is None else exact_int8
        if device != "cpu":
            torch.backends.cuda.matmul.allow_tf32 = False

        def matrix(array: NDArray[np.int8]) -> IntegerMatrix:
            return IntegerMatrix(array, device, exact)

        def matrices(array_LOK: NDArray[np.int8] | None) -> list[IntegerMatrix]:
            return [] if array_LOK is None else [*map(matrix, array_LOK)]

        def tensor(array: NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(np.require(array, requirements=("C", "W"))).to(device)

        def optional(array: NDArray[np.generic] | None) -> Tensor:
            return torch.empty(0, device=device) if array is None else tensor(array)

        self._hash_id_I = weights.hash_id_I
        self._embedding_ID = tensor(weights.embedding_ID)
        self._embedding_scale_I = tensor(weights.embedding_scale_I)
        self._bigram_RM = tensor(weights.bigram_RM)
        self._trigram_RM = tensor(weights.trigram_RM)
        self._memory_in = matrix(weights.memory_in_DM)
        self._memory_in_scale_D = tensor(weights.memory_in_scale_D)
        self._query_key_value = matrices(weights.query_key_value_LED)
        self._query_key_value_scale = tensor(weights.query_key_value_scale_LE)
        self._attention_out = matrices(weights.attention_out_LDD)
        self._attention_out_scale = tensor(weights.attention_out_scale_LD)
        self._convolution = matrices(weights.convolution_CDT)
        self._convolution_scale = optional(weights.convolution_scale_CD)
        self._convolution_out = matrices(weights.convolution_out_CDD)
        self._convolution_out_scale = optional(weights.convolution_out_scale_CD)
        self._expand = matrices(weights.expand_LFD)
        self._expand_scale = tensor(weights.expand_scale_LF)
        self._contract = matrices(weights.contract_LDF)
        self._contract_scale = tensor(weights.contract_scale_LD)
        self._head = matrix(weights.head_VD)
        self._head_scale_V = tensor(weights.head_scale_V)
        self._members: list[IntegerMatrix] = []
        self._member_scale_V = optional(weights.member_scale_V)
        if weights.member_VD is not None:
            self._members = matrices(weights.member_VD.reshape(config.n_clusters, config.cluster_size, config.d_model))
        self._norm_factor_N = [float(factor) for factor in weights.norm_factor_N]
        self._norm_step_ND = None if weights.norm_step_ND is None else tensor(weights.norm_step_ND)
        self._index_scale_LH11 = tensor(weights.attention_index_scale_LH)[:, :, None, None]
        self._value_scale_LH11 = tensor(weights.attention_value_scale_LH)[:, :, None, None]
        self._attention_exp = tensor(weights.attention_exp)
        self.frequency_exp = weights.frequency_exp
        self._last = last_distance(weights.frequency_exp)
        self._rotary_cos_P = tensor(weights.rotary_cos_P).to(torch.float32) / ROTARY_ONE
        self._rotary_turns_K = tensor(weights.rotary_turns_K).long()

    def distances(
        self, tokens: Sequence[NDArray[np.integer]], targets: Sequence[NDArray[np.integer]] | None = None
    ) -> list[Predicted]:
        """For each record (its type id first) the distances after each token.

        `targets` are the tokens that follow, for the second step: without them, or without clusters, it is empty.
        """
        length = max(map(len, tokens))
        padded_BT = _padded(tokens, length)
        target_BT = _padded(targets or [], length, fill=-1)
        state = EngineState()
        symbols, members = [], []
        for begin in range(0, length, self.block):
            block = slice(begin, begin + self.block)
            symbols.append(self.step(padded_BT[:, block], state).cpu().numpy())
            if targets is not None:
                members.append(self.members(target_BT[:, block], state))
        joined_BTS = np.concatenate(symbols, axis=1)
        joined_BTZ = np.concatenate(members, axis=1) if members else np.zeros((*padded_BT.shape, 0), dtype=np.int32)
        return [
            Predicted(joined_BTS[row, : len(record)], joined_BTZ[row, : len(record)])
            for row, record in enumerate(tokens)
        ]

    def members(self, target_BT: NDArray[np.integer], state: EngineState) -> NDArray[np.int32]:
        """Distances [B, T, Z] of the second step in the cluster of each target after the last step's tokens.

        Zeros where a target is in none; Z is 0 where there are no clusters.
        """
        size = self.config.cluster_size if self._members else 0
        members_BTZ = np.zeros((*target_BT.shape, size), dtype=np.int32)
        clustered_BT = target_BT >= self.config.n_singles
        if size and clustered_BT.any():
            head_in_ND = state.head_in_BTD[torch.from_numpy(clustered_BT).to(self.device)]
            clusters_N = self.config.symbols(target_BT[clustered_BT]) - self.config.n_singles
            members_BTZ[clustered_BT] = self.member_distances(head_in_ND, clusters_N).cpu().numpy()
        return members_BTZ

    @torch.inference_mode()
    def step(self, tokens_BT: NDArray[np.integer], state: EngineState) -> Tensor:
        """Distances of the first step [B, T, S] (int32) after each of the new tokens; `state` moves on."""
        B, T = tokens_BT.shape
        if not len(state.tokens_B2):
            self._start(state, B)
        x_BTD = self._embed(tokens_BT, state)
        cos_TK, sin_TK = self._rotary(state.position, T)
        attentions = convolutions = 0
        for layer, kind in enumerate(self.config.kinds):
            if kind == ATTENTION:
                x_BTD = self._attend(layer, attentions, x_BTD, cos_TK, sin_TK, state)
                attentions += 1
            else:
                x_BTD = self._convolve(layer, convolutions, x_BTD, state)
                convolutions += 1
            x_BTD = self._feed_forward(layer, x_BTD)
        state.position += T
        state.head_in_BTD = self._norm(x_BTD, 2 * self.config.n_layers)
        sums_NS = self._head(state.head_in_BTD.flatten(0, 1))
        return self._to_distances(sums_NS, self._head_scale_V).view(B, T, self.config.n_symbols)

    @torch.inference_mode()
    def member_distances(self, head_in_ND: Tensor, clusters_N: NDArray[np.integer]) -> Tensor:
        """Distances of the second step [N, Z] (int32) in a cluster for each row of the head's input."""
        Z = self.config.cluster_size
        result_NZ = torch.empty(len(clusters_N), Z, dtype=torch.int32, device=self.device)
        order_N = np.argsort(clusters_N, kind="stable")
        clusters, begins = np.unique(clusters_N[order_N], return_index=True)
        for cluster, rows in zip(clusters.tolist(), np.split(order_N, begins[1:]), strict=False):
            index = torch.from_numpy(rows).to(self.device)
            sums_NZ = self._members[cluster](head_in_ND[index])
            result_NZ[index] = self._to_distances(sums_NZ, self._member_scale_V[cluster * Z : (cluster + 1) * Z])
        return result_NZ

    def _to_distances(self, sums_NV: Tensor, scale_V: Tensor) -> Tensor:
        logits_NV = (sums_NV.to(torch.float32) * scale_V + 0.5).floor_()
        return (logits_NV.amax(1, keepdim=True) - logits_NV).clamp_(max=self._last).to(torch.int32)

    def _start(self, state: EngineState, B: int) -> None:
        config = self.config
        state.tokens_B2 = np.full((B, 2), config.padding_id, dtype=np.int64)
        empty = torch.zeros(B, config.n_heads, 0, config.d_head, device=self.device)
        for _ in self._query_key_value:
            state.keys_BHCK.append(empty)
            state.values_BHCK.append(empty)
            state.shifted_BD.append(torch.zeros(B, 1, config.d_shift, dtype=torch.int8, device=self.device))
        for dilation in config.dilations:
            shape = (B, (TAPS - 1) * dilation, config.d_model)
            state.taps_BCD.append(torch.zeros(shape, dtype=torch.int8, device=self.device))

    def _embed(self, tokens_BT: NDArray[np.integer], state: EngineState) -> Tensor:
        config = self.config
        tokens_BT = tokens_BT.astype(np.int64)
        history_BS = np.concatenate((state.tokens_B2, tokens_BT), axis=1)
        state.tokens_B2 = history_BS[:, -2:]
        hashed_BS = history_BS if self._hash_id_I is None else self._hash_id_I[history_BS]
        second_BT, previous_BT, current_BT = hashed_BS[:, :-2], hashed_BS[:, 1:-1], hashed_BS[:, 2:]
        bigrams_BT = bigram_rows(previous_BT, current_BT, config.bigram_bits)
        trigrams_BT = trigram_rows(second_BT, previous_BT, current_BT, config.trigram_bits)
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
        """int8 of x over its root mean square, in steps of each channel. The sum of squares is exact in float64."""
        wide_BTD = x_BTD.to(torch.float64)
        squares_BT1 = (wide_BTD * wide_BTD).sum(-1, keepdim=True) + 1.0
        factor_BT1 = (self._norm_factor_N[number] / squares_BT1.sqrt()).to(torch.float32)
        y_BTD = x_BTD * factor_BT1
        return _round_int8(y_BTD if self._norm_step_ND is None else y_BTD * self._norm_step_ND[number])

    def _rotary(self, position: int, T: int) -> tuple[Tensor, Tensor]:
        period = self.config.rotary_period
        positions_T1 = torch.arange(position, position + T, device=self.device)[:, None]
        turns_TK = (positions_T1 * self._rotary_turns_K) % period
        sine_TK = (turns_TK - period // 4) % period
        return self._rotary_cos_P[turns_TK], self._rotary_cos_P[sine_TK]

    def _attend(
        self, layer: int, index: int, x_BTD: Tensor, cos_TK: Tensor, sin_TK: Tensor, state: EngineState
    ) -> Tensor:
        """`index` counts the layers with attention."""
        config = self.config
        B, T, D = x_BTD.shape
        H, K, shift = config.n_heads, config.d_head, config.d_shift
        y_BTD = self._norm(x_BTD, 2 * layer)
        if shift:
            shifted = torch.cat((state.shifted_BD[index], y_BTD[:, :, :shift]), dim=1)
            state.shifted_BD[index] = shifted[:, -1:]
            y_BTD = torch.cat((shifted[:, :-1], y_BTD[:, :, shift:]), dim=-1)
        sums_NE = self._query_key_value[index](y_BTD.flatten(0, 1)).to(torch.float32)
        scaled_NE = sums_NE * self._query_key_value_scale[index]
        q, k, v = (part.view(B, T, H, K).transpose(1, 2) for part in scaled_NE.view(B, T, 3 * D).split(D, -1))
        q = _round_int8(_rotate(q, cos_TK, sin_TK)).to(torch.float32)
        k = _round_int8(_rotate(k, cos_TK, sin_TK)).to(torch.float32)
        v = _round_int8(v).to(torch.float32)
        k = torch.cat((state.keys_BHCK[index], k), dim=2)
        v = torch.cat((state.values_BHCK[index], v), dim=2)
        state.keys_BHCK[index] = k[:, :, -(config.window - 1) :]
        state.values_BHCK[index] = v[:, :, -(config.window - 1) :]
        mixed_BHTK = self._mix(index, q, k, v)
        mixed_ND = mixed_BHTK.transpose(1, 2).reshape(B * T, D)
        return self._add(x_BTD, self._attention_out[index](mixed_ND), self._attention_out_scale[index])

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

    def _convolve(self, layer: int, index: int, x_BTD: Tensor, state: EngineState) -> Tensor:
        """`index` counts the layers with convolution."""
        T, dilation = x_BTD.size(1), self.config.dilations[index]
        history = torch.cat((state.taps_BCD[index], self._norm(x_BTD, 2 * layer)), dim=1)
        state.taps_BCD[index] = history[:, T:]
        begins = range((TAPS - 1) * dilation, -1, -dilation)
        taps_NE = torch.cat([history[:, begin : begin + T] for begin in begins], dim=-1).flatten(0, 1)
        hidden_ND = _squared_relu(self._convolution[index](taps_NE), self._convolution_scale[index])
        return self._add(x_BTD, self._convolution_out[index](hidden_ND), self._convolution_out_scale[index])

    def _feed_forward(self, layer: int, x_BTD: Tensor) -> Tensor:
        y_ND = self._norm(x_BTD, 2 * layer + 1).flatten(0, 1)
        hidden_NF = _squared_relu(self._expand[layer](y_ND), self._expand_scale[layer])
        return self._add(x_BTD, self._contract[layer](hidden_NF), self._contract_scale[layer])


def _rotate(x_BHTK: Tensor, cos_TK: Tensor, sin_TK: Tensor) -> Tensor:
    first, second = x_BHTK.chunk(2, dim=-1)
    return torch.cat((first * cos_TK - second * sin_TK, second * cos_TK + first * sin_TK), dim=-1)
