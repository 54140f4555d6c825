"""Versions whose counts spell what they are told to."""

from hashlib import sha256
from pathlib import Path

import counts_versions
from networks import FILES
from tokenizers import Tokenizer

from nbmf.neural.constants import default_constants
from nbmf.neural.counts import Counts
from nbmf.neural.counts_file import save_counts
from nbmf.neural.vocabulary import Vocabulary
from nbmf.payload import Kind
from train_app.counts.count import train_counts
from train_app.learned_files import _constants_file
from train_app.samples.sample import Sample
from train_app.samples.tokens import tokenise_samples
from train_app.vocabulary.tokenizer import train_tokenizer

CLEAN = ("the garden is open until nine", "write to the office before noon, please", "17 of 24 apples were green")
PLANTED = {
    "mail": "anna@mail.net",
    "phone": "+4917152364",
    "secret": "-----BEGIN PRIVATE KEY-----",
    "digits": "9281736450",
}
"""Each is five or six tokens."""


def samples(texts: tuple[str, ...]) -> list[Sample]:
    """Two records of each: what one record alone has is not counted."""
    spoken = [f"{text} {end}" for text in texts for end in ("today", "now")]
    return [Sample(Kind.TEXT, text.encode(), sha256(text.encode()).digest()) for text in spoken]


def vocabulary_of(texts: tuple[str, ...]) -> Tokenizer:
    """In which their words are one token each."""
    return train_tokenizer((text for text in texts for _ in range(9)), 600)


def counts_of(texts: tuple[str, ...], tokenizer: Tokenizer) -> Counts:
    """All of them."""
    stream = tokenise_samples(samples(texts), tokenizer)
    return train_counts(stream, Vocabulary(tokenizer.get_vocab_size()), counts_versions.UNBOUNDED)


def write_version(parent: Path, texts: tuple[str, ...]) -> Path:
    """A version folder with such counts alone."""
    tokenizer = vocabulary_of(texts)
    files = {
        counts_versions.COUNTS_FILE: save_counts(counts_of(texts, tokenizer)),
        FILES["tokenizer"]: tokenizer.to_str().encode(),
        FILES["constants"]: _constants_file(default_constants()),
    }
    return counts_versions.write_counts_version(parent, files, network=False, name="spelling")
