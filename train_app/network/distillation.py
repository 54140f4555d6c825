"""Distillation: a network learns what a larger one expects, beside what came (Hinton et al. 2015).

The targets of its cross-entropy are a mix of the token that came and of the teacher's distribution, in both steps of
the softmax; in the second, among the tokens of the cluster that came.

Shape suffixes as in train_app.network.model.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from train_app.network.batches import Batch, StreamBatches
from train_app.network.model import NeuralModel, member_blocks
from train_app.samples.tokens import TokenStream

TEACHER_SHARE = 0.5
"""Of the targets, that is the teacher's distribution; the rest is the token that came."""
_CHUNK = 1024


class Distillation:
    """A teacher's network beside a stream of tokens in the vocabulary of both."""

    def __init__(self, teacher: NeuralModel, stream: TokenStream, device: torch.device) -> None:
        self._teacher = teacher.to(device).eval()
        self._batches = StreamBatches(stream, teacher.config, teacher.hash_ids())

    def loss(self, student: NeuralModel, batch: Batch, share: float = TEACHER_SHARE) -> Tensor:
        """Mean nats of the counted targets, of which `share` is the teacher's: NeuralModel.loss is that with none."""
        device, length = batch.tokens_BT.device, batch.tokens_BT.size(1)
        theirs = self._batches.at(batch.begins_B, length).to(device)
        with torch.no_grad():
            taught_ND = self._teacher.trunk(theirs).flatten(0, 1)
        y_ND, targets_N = student.trunk(batch).flatten(0, 1), batch.targets_BT.flatten()
        counted_N = targets_N >= 0
        total = self._symbols(student, y_ND[counted_N], taught_ND[counted_N], targets_N[counted_N], share)
        if student.member:
            total = total + self._members(student, y_ND, taught_ND, targets_N, share)
        return total / counted_N.sum()

    def _symbols(
        self, student: NeuralModel, y_ND: Tensor, taught_ND: Tensor, targets_N: Tensor, share: float
    ) -> Tensor:
        total = y_ND.new_zeros((), dtype=torch.float32)
        parts = (y_ND.split(_CHUNK), taught_ND.split(_CHUNK), student.symbols(targets_N).split(_CHUNK))
        for y, taught, symbols in zip(*parts, strict=True):
            with torch.no_grad():
                expected_NS = _mixed(self._teacher.head(taught), symbols, share)
            total = total + checkpoint(_head_nats, student.head.used_weight(), y, expected_NS, use_reentrant=False)
        return total

    def _members(
        self, student: NeuralModel, y_ND: Tensor, taught_ND: Tensor, targets_N: Tensor, share: float
    ) -> Tensor:
        config = student.config
        weight_CZD, theirs_CZD = (
            member.used_weight().view(config.n_clusters, config.cluster_size, -1)
            for member in (student.member, self._teacher.member)
            if member
        )
        # Nothing, with a gradient: workers wait for that of each parameter, and no target may be of a cluster.
        total = weight_CZD.sum().float() * 0.0
        beyond_N = targets_N - config.n_singles
        for cluster_G, row_GR, place_N in member_blocks(beyond_N, config.cluster_size, config.n_clusters, _CHUNK):
            filled_N = place_N >= 0
            with torch.no_grad():
                logits_NZ = (taught_ND[row_GR] @ theirs_CZD[cluster_G].mT).flatten(0, 1)
                expected_NZ = _mixed(logits_NZ, place_N.clamp(min=0), share) * filled_N[:, None]
            logits_NZ = (y_ND[row_GR] @ weight_CZD[cluster_G].mT).flatten(0, 1)
            total = total - (expected_NZ * torch.log_softmax(logits_NZ.float(), dim=-1)).sum()
        return total


def _head_nats(weight_SD: Tensor, y_ND: Tensor, expected_NS: Tensor) -> Tensor:
    return -(expected_NS * torch.log_softmax((y_ND @ weight_SD.T).float(), dim=-1)).sum()


def _mixed(logits_NS: Tensor, came_N: Tensor, share: float) -> Tensor:
    """The distribution to learn: `share` of the teacher's, the rest of what came."""
    expected_NS = share * torch.softmax(logits_NS.float(), dim=-1)
    return expected_NS.scatter_add(-1, came_N[:, None], expected_NS.new_full((len(came_N), 1), 1 - share))
