"""Training of the byte-level BPE vocabulary.

Sennrich et al. 2016, "Neural machine translation of rare words with subword units", on
bytes as in GPT-2. Before merging, text is cut so that no token crosses a word's start,
nor cuts a JSON key or the border between two messages: they are frequent, and one token
then stands for ten or twenty bytes.
"""

import json
from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from nbmf.neural.tokenizer import PATTERN

TOKENIZER_FILE = "tokenizer.json"


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE tokenizer of exactly `vocab_size` ids, given text enough."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    return tokenizer


def renumbered(tokenizer: Tokenizer, new_ids: Sequence[int]) -> Tokenizer:
    """The same vocabulary under other ids: `new_ids` of the old ones."""
    described = json.loads(tokenizer.to_str())
    vocabulary = {token: new_ids[old] for token, old in described["model"]["vocab"].items()}
    described["model"]["vocab"] = dict(sorted(vocabulary.items(), key=lambda item: item[1]))
    for added in described["added_tokens"]:
        added["id"] = new_ids[added["id"]]
    return Tokenizer.from_str(json.dumps(described, ensure_ascii=False))
