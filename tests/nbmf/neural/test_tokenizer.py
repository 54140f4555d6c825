"""The built-in vocabulary on texts that its pattern for JSON keys was not made for: any text, in linear time."""

import pytest

from nbmf import builtin
from nbmf.neural.tokenizer import NeuralTokenizer


@pytest.fixture(scope="module")
def tokenizer():
    version = (builtin.FOLDER / "DEFAULT").read_text().strip()
    return NeuralTokenizer.from_json((builtin.FOLDER / version / "tokenizer.json").read_text())


@pytest.mark.parametrize(
    "text",
    [
        '"' * 20_000,
        "[" * 20_000,
        "[]" * 10_000 + '"role":"user","content":"',
        ('"' * 63 + "_") * 400,
        '"' * 63 + "k" * 20_000,
        "═" * 20_000 + '"' * 20_000,
        "\udc80".join(["{" * 5_000] * 4),
    ],
    ids=lambda text: text[:3],
)
def test_long_runs_of_punctuation(tokenizer, text):
    """The pattern gives up on the first, and takes minutes over the second, unless they are cut."""
    data = text.encode(errors="surrogateescape")
    assert tokenizer.decode(tokenizer.encode(data)) == data


def test_texts_without_long_runs_are_not_cut(tokenizer):
    for text in ('{"a":[' + '{"b":1},' * 2000, "-" * 63 + " " + "word " * 500, "日本語。" * 900, "name_" * 300):
        assert tokenizer.encode(text.encode()) == tokenizer._text_tokenizer.encode(text).ids
