"""The core's vocabularies: the tokens of the package `tokenizers`, and any text in linear time."""

import json
import random
import re
import sys
import unicodedata

import networks
import numpy as np
import pytest
from tokenizers import Regex, Tokenizer, pre_tokenizers

from nbmf import Codec, _core, builtin
from nbmf.errors import DamagedCodec
from nbmf.neural.tokenizer import PATTERN, NeuralTokenizer

TEXTS = [
    "It's what we'll say: they've, you're, I'd, I'm, 'tis 'S ''s don't",
    '[{"role":"user","content":"Hi."},{"role":"tool","content":"{\\"a\\":1}"},{"role":"other","content":""}]',
    '!?."role":"system","content":"x" ,"role":"assistant","content":',
    '{"a":{"b_c":[{"d.e-f":"g","$h":[1,22,333,4444]},{"@i":null}],"9j":0,"":1,"k l":2}}',
    'see ="key":1, ..."key":2 "key: "key":[["x" ;;{"key" :3 --"a":"b"--"c":"d"',
    "  two  spaces,\ttabs\t\t x\n\n  lines \r\n\r\n end  ",
    " \u00a0\u2003x\u2028\u3000 y\u0085 z\x1c\x1d \x0b\x0c",
    "naïve Ünïcödé 日本語のテキスト、\uff11\uff12\uff13 ٤٥٦ Ⅷ½² русский текст עברית हिन्दी ไทย 한국어",
    "emoji 👩‍👩‍👧 ☕️ → ∑ €5.99 — “quoted” … a\u0301 ǅ ʰ \U0001d7d8\U000e0001\U0010ffff\ue000",
    "0x1F4a9 1e-5 3.14159 2026-11-26T16:03:13Z 550e8400-e29b-41d4-a716-446655440000",
    "snake_case __dunder__ $var @user #tag path/to/file.py C:\\dir a=b&c=d <b>x</b>",
    "",
]
PIECES = [
    *TEXTS,
    *(
        '"',
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        ".",
        "?",
        "'",
        " ",
        "\n",
        "_",
        "$",
        "-",
        "0",
        "é",
        "日",
        "\u0301",
        "\x00",
        "\x1f",
    ),
    *('"key":', '":"', '"},{"', "s", "ll", "user", '"role":"user","content":"', "\u00a0", "½"),
]


LONG_RUN = re.compile(r"(?:[^\w\s]|_){64}")


@pytest.fixture(scope="module")
def builtin_text():
    version = (builtin.FOLDER / "DEFAULT").read_text().strip()
    return (builtin.FOLDER / version / "tokenizer.json").read_text()


@pytest.fixture(scope="module", params=["built-in", "made here"])
def both(request, builtin_text):
    text = builtin_text
    if request.param == "made here":
        text = networks.vocabulary(networks.sample_records(), 700).to_str()
    return NeuralTokenizer(text), Tokenizer.from_str(text)


@pytest.fixture(scope="module")
def tokenizer(builtin_text):
    return NeuralTokenizer(builtin_text)


def _same(both, text):
    ours, theirs = both
    assert ours.encode(text.encode()).tolist() == theirs.encode(text).ids, text
    assert ours.decode(ours.encode(text.encode())) == text.encode()


def test_the_tokens_are_those_of_tokenizers(both):
    for text in TEXTS:
        _same(both, text)
    for sample in networks.sample_records():
        _same(both, sample.canonical.decode())


def test_and_of_made_up_texts(both):
    rng = random.Random(7)
    for _ in range(1500):
        text = "".join(rng.choice(PIECES) * rng.choice((1, 1, 2, 3, 20)) for _ in range(rng.randrange(1, 12)))
        if not LONG_RUN.search(text):
            _same(both, text)
    for last in (0x7F, 0x7FF, 0xD7FF, 0x10FFFF):
        for _ in range(200):
            characters = (chr(rng.randrange(last + 1)) for _ in range(40))
            _same(both, "".join(c for c in characters if not "\ud800" <= c <= "\udfff" and _is_assigned(c)))


def _is_assigned(character: str) -> bool:
    """What is not, here, may be by now."""
    return unicodedata.category(character) != "Cn"


def test_letters_numbers_and_spaces_are_those_of_the_pattern():
    """Of a vocabulary that merges a letter, number or mark with any first byte: those that stand in a piece with it."""
    codes = (*range(0x80, 0x3400), *range(0x3400, sys.maxunicode, 29))
    characters = [chr(code) for code in codes if not 0xD800 <= code <= 0xDFFF and _is_assigned(chr(code))]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    split = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    for before in "a1!":
        pieces = {piece for piece, _ in split.pre_tokenize_str("\n\n".join(before + c for c in characters))}
        tokens = alphabet + [before + byte for byte in alphabet]
        merges = [[before, byte] for byte in alphabet]
        described = {"type": "BPE", "vocab": {token: index for index, token in enumerate(tokens)}, "merges": merges}
        ours = NeuralTokenizer(json.dumps({"model": described}))
        joined = {c for c in characters if ours.encode((before + c).encode())[0] >= len(alphabet)}
        assert joined == {c for c in characters if before + c in pieces}
        assert 100 < len(joined) < len(characters) - 100


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
        "a" * 1_000_000,
        " " * 1_000_000,
        '{"a' * 300_000,
        "日" * 300_000,
    ],
    ids=lambda text: text[:3],
)
def test_long_runs(tokenizer, text):
    """The pattern, as a regular expression, gives up on some, and takes minutes over others."""
    data = text.encode(errors="surrogateescape")
    assert tokenizer.decode(tokenizer.encode(data)) == data


@pytest.mark.parametrize("run", ['"', "-", "═", "_", '{"'])
def test_texts_are_cut_behind_long_runs(both, run):
    """Of 64 marks: as if what follows were another text."""
    ours, theirs = both
    marks = (run * 64)[:64]
    text = "word " + marks + marks[:9] + '"key":' + "word"
    assert ours.encode(text.encode()).tolist() == [
        token for part in ("word " + marks, marks[:9] + '"key":' + "word") for token in theirs.encode(part).ids
    ]
    _same(both, "word " + marks[:63] + " " + marks[:60] + '"key":')


def test_and_behind_long_names(both):
    ours, theirs = both
    name = "ab_c.d-9" * 128
    parts = '{"' + name, name[:20] + '":[1'
    assert ours.encode("".join(parts).encode()).tolist() == [t for part in parts for t in theirs.encode(part).ids]
    _same(both, '{"' + name[:-1] + '":[1')


def test_bytes_that_are_no_text_are_tokens_of_their_own(both):
    ours, theirs = both
    single = {data: index for index, data in enumerate(ours.bytes_of_id) if len(data) == 1}
    for bad in (b"\xff", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80", b"\xf5", b"\x80"):
        expected = [*theirs.encode('the "a":').ids, *(single[bytes([b])] for b in bad), *theirs.encode(" theé").ids]
        assert ours.encode(b'the "a":' + bad + " theé".encode()).tolist() == expected
    for seed in range(300):
        data = random.Random(seed).randbytes(seed)
        assert ours.decode(ours.encode(data)) == data


def test_no_tokens(tokenizer):
    for ids in ([-1], [tokenizer.vocab_size]):
        with pytest.raises(ValueError, match="is no token"):
            tokenizer.decode(np.array(ids, np.int32))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(normalizer={"type": "NFC"}), "normalizer is"),
        (lambda d: d["pre_tokenizer"]["pretokenizers"][0].update(pattern={"Regex": r"\w+"}), "pre_tokenizer is"),
        (lambda d: d.update(pre_tokenizer=None), "pre_tokenizer is None"),
        (lambda d: d.update(added_tokens=[{"id": 0, "content": "!"}]), "added_tokens is"),
        (lambda d: d["model"].update(type="Unigram"), "type is Unigram"),
        (lambda d: d["model"].update(ignore_merges=True), "ignore_merges is True"),
        (lambda d: d["model"].pop("merges"), "KeyError"),
        (lambda d: d["model"]["vocab"].update(ab=99_999), "ids that are not"),
        (lambda d: d["model"]["vocab"].update({"\x00": len(d["model"]["vocab"])}), "stands for no byte"),
        (lambda d: d["model"]["vocab"].update({"Ж": len(d["model"]["vocab"])}), "stands for no byte"),
        (lambda d: d["model"]["vocab"].update({"": len(d["model"]["vocab"])}), "a token of no bytes"),
        (lambda d: d["model"]["merges"].append(["a", "b", "c"]), "KeyError|pair_R2"),
        (lambda d: d["model"]["merges"].append(d["model"]["merges"][0]), "two merges of the same"),
        (lambda d: d["model"].update(vocab={"a": 0}, merges=[]), "a byte without a token"),
        (lambda d: d["model"].update(vocab=[]), "AttributeError|TypeError"),
    ],
)
def test_what_the_core_does_not_do_is_refused(builtin_text, change, said):
    described = json.loads(builtin_text)
    change(described)
    with pytest.raises(ValueError, match=said):
        NeuralTokenizer(json.dumps(described))


def test_a_version_with_another_vocabulary_is_damaged(tmp_path):
    files = networks.untrained_files()
    name = networks.FILES["tokenizer"]
    described = json.loads(files[name])
    described["normalizer"] = {"type": "NFC"}
    codec = Codec.load(networks.write_neural_version(tmp_path, files | {name: json.dumps(described).encode()}))
    with pytest.raises(DamagedCodec, match="normalizer"):
        codec.encode("hello " * 20)


def test_older_files_have_merges_as_text(both):
    ours, theirs = both
    described = json.loads(theirs.to_str())
    described["model"]["merges"] = [" ".join(pair) for pair in described["model"]["merges"]]
    again = NeuralTokenizer(json.dumps(described))
    for text in TEXTS:
        assert again.encode(text.encode()).tolist() == ours.encode(text.encode()).tolist()


def test_a_merge_that_would_change_bytes_is_refused():
    token_bytes, begin = bytes(range(256)) + b"abac", np.array([*range(257), 258, 260], np.int32)
    pair, merged = np.array([ord("a"), ord("b")], np.int32), np.array([256], np.int32)
    assert _core.Tokenizer(token_bytes, begin, pair, merged).n_bytes(merged) == 2
    with pytest.raises(ValueError, match="not the two tokens"):
        _core.Tokenizer(token_bytes, begin, pair, merged + 1)
