"""Which records a version codes all others behind: those that make held-out ones smallest, found one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cluster.personal import FORBIDDEN, find
from nbmf.neural.codec import NeuralCodec, TokensDiffer
from nbmf.neural.core import make_model, make_network
from nbmf.neural.primer import PrimerRecord
from nbmf.neural.record_types import TYPE_OF_KIND
from nbmf.payload import Kind
from train_app.samples.sample import Sample
from train_app.samples.split import some

PRIMER_FILE = "primer.json"
_TRIED = 8
"""Records tried for each place; for the next others, before the same again."""
_MEASURED_BYTES, _MEASURED_BYTES_BY_NETWORK = 40_000, 10_000
_LEAST_GAIN = 0.002
"""Of the bytes of what is measured, by the last record; the first rounds may find none of use."""
_VAIN_ROUNDS = 2
_DRAWN = 2000

Tokens = tuple[memoryview, int]


class _Measure:
    """Bytes of some records' streams behind a primer, by one codec."""

    def __init__(self, codec: NeuralCodec, samples: Sequence[Sample]) -> None:
        self._codec = codec
        self._network = make_network(*codec.network) if codec.network else None
        self._records = [found for sample in samples if (found := tokens_of(codec, sample))]

    def bytes_behind(self, primer: Sequence[Tokens]) -> int:
        codec = self._codec
        model = make_model(
            codec.tokenizer.bytes_of_id, codec.constants, self._network, codec.counts, codec.vocabulary, primer
        )
        return sum(len(model.encode(tokens_T, type_id)) for tokens_T, type_id in self._records)


def tokens_of(codec: NeuralCodec, sample: Sample) -> Tokens | None:
    """As the core takes a record; None for one that learned coders do not take."""
    if sample.kind not in TYPE_OF_KIND or not sample.canonical:
        return None
    try:
        return codec.tokens(sample.canonical), codec.type_id(TYPE_OF_KIND[sample.kind])
    except TokensDiffer:
        return None


def choose_primer(
    network: NeuralCodec | None,
    counts: NeuralCodec | None,
    training: Sequence[Sample],
    held_out: Sequence[Sample],
    most_bytes: int,
    on_progress: Callable[[float], None] = lambda _share: None,
) -> list[PrimerRecord]:
    """Records of `training`, of `most_bytes` together, that make `held_out` smaller when these are coded behind them;
    none if no such are found. Of a few that are drawn the best is taken, then of others the next, by the quicker of the
    codecs; the network, if there is one, has the last word."""
    codec = counts or network
    drawn = _in_any_order(training, most_bytes)
    if codec is None or not drawn:
        return []
    measured = list(held_out)
    by_quicker = _Measure(codec, some(measured, _MEASURED_BYTES if counts else _MEASURED_BYTES_BY_NETWORK))
    chosen: list[tuple[Sample, Tokens]] = []
    smallest, room, vain = by_quicker.bytes_behind([]), most_bytes, 0
    while drawn and vain < _VAIN_ROUNDS:
        on_progress(1 - room / most_bytes)
        drawn = [sample for sample in drawn if len(sample.canonical) <= room]
        tried = [(s, tokens) for s in drawn[:_TRIED] if (tokens := tokens_of(codec, s))]
        drawn = drawn[_TRIED:] + [sample for sample, _ in tried]
        sizes = [by_quicker.bytes_behind([*(tokens for _, tokens in chosen), tokens]) for _, tokens in tried]
        best = min(range(len(tried)), key=sizes.__getitem__, default=None)
        if best is None or sizes[best] >= smallest * (1 - _LEAST_GAIN):
            vain += 1
            continue
        chosen.append(tried[best])
        drawn.remove(tried[best][0])
        smallest, vain = sizes[best], 0
        room -= len(tried[best][0].canonical)
    on_progress(1)
    if network and counts and chosen:
        by_network = _Measure(network, some(measured, _MEASURED_BYTES_BY_NETWORK))
        if by_network.bytes_behind([tokens for _, tokens in chosen]) >= by_network.bytes_behind([]):
            return []
    return [PrimerRecord(TYPE_OF_KIND[sample.kind], tokens_T) for sample, (tokens_T, _) in chosen]


def _in_any_order(training: Sequence[Sample], most_bytes: int) -> list[Sample]:
    """Those that fit into half of the room, so that one alone is not all; else that fit. None with a secret or what is
    somebody's: they would be in the version as they are."""
    texts = [
        s for s in training if s.kind in TYPE_OF_KIND and s.kind is not Kind.BYTES and len(s.canonical) <= most_bytes
    ]
    fitting = [s for s in texts if len(s.canonical) <= most_bytes // 2]
    drawn = sorted(fitting or texts, key=lambda sample: sample.digest)[:_DRAWN]
    return [s for s in drawn if not any(finding.what in FORBIDDEN for finding in find(s.canonical))]
