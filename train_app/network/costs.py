"""What single tokens of some records cost a network, for the page of train_app.network.records_page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from tokenizers import Tokenizer

from nbmf.neural.tokenizer import NeuralTokenizer
from train_app.network.batches import StreamBatches
from train_app.network.model import NeuralModel
from train_app.network.records_page import CostlyRecord
from train_app.samples.sample import Sample
from train_app.samples.tokens import set_of, tokenise_samples

PAGE_FILE = "records.html"

_RECORDS, _TOKENS = 24, 1500
"""How many records, and how many tokens of each, are shown at most."""


@torch.no_grad()
def costly_records(model: NeuralModel, tokenizer: Tokenizer, samples: list[Sample]) -> list[CostlyRecord]:
    """Some of the samples, of each class in turn. The network is on the CPU."""
    neural = NeuralTokenizer(tokenizer.to_str())
    result = []
    for sample in _of_each_class(samples):
        stream = tokenise_samples([sample], tokenizer)
        count = len(stream.tokens_N) - 1
        shown = min(count, _TOKENS)
        if not shown:
            continue
        short = replace(stream, tokens_N=stream.tokens_N[: shown + 1], starts=np.array([0, shown + 1]))
        batch = StreamBatches(short, model.config, model.hash_ids()).at(torch.zeros(1, dtype=torch.long), shown + 1)
        bits = model.token_nats(batch)[0, :shown].double().numpy() / np.log(2)
        tokens = [neural.decode(short.tokens_N[at : at + 1].astype(np.int32)) for at in range(1, shown + 1)]
        result.append(
            CostlyRecord(f"{set_of(sample)}, {sample.digest.hex()[:8]}", tokens, bits.tolist(), shown < count)
        )
    return result


def _of_each_class(samples: list[Sample]) -> list[Sample]:
    by_class: dict[str, list[Sample]] = {}
    for sample in samples:
        by_class.setdefault(set_of(sample), []).append(sample)
    chosen: list[Sample] = []
    most = max(map(len, by_class.values()), default=0)
    for number in range(most):
        chosen += [of_one[number] for of_one in by_class.values() if number < len(of_one)]
        if len(chosen) >= _RECORDS:
            break
    return chosen[:_RECORDS]
