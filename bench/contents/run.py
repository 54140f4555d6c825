"""What ids, numbers and times in records cost, beside what random ones of their kind would.

Bits are those of a version's network and static counts together, before adaptation within the record. A token belongs
to the content that its last byte is of.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from bench.exact.comparison import NoNetwork
from nbmf.manifest import read_version
from nbmf.neural.constants import load_constants
from nbmf.neural.counts_file import read_counts
from nbmf.neural.tokenizer import NeuralTokenizer
from nbmf.neural.weights import IntegerWeights
from train_app.adaptation.adaptation_facts import Facts, collect_facts
from train_app.adaptation.core_engine import CoreEngine
from train_app.adaptation.counts_facts import counts_facts, joined_facts
from train_app.samples.sample import Sample
from train_app.samples.tokens import tokenise_samples

AGAIN, OTHERS = "one of these, again in its record", "all else"
_ALONE = rb"(?<![0-9A-Za-z.])(?:%s)(?![0-9A-Za-z.])"


@dataclass(frozen=True, slots=True)
class Content:
    """`random_bits`: a character, if each were drawn alike; None where they are not."""

    name: str
    pattern: re.Pattern[bytes]
    random_bits: float | None = None


def _content(name: str, pattern: bytes, random_bits: float | None = None, alone: bytes = _ALONE) -> Content:
    return Content(name, re.compile(alone % pattern), random_bits)


CONTENTS = (
    _content("UUIDs", rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", 128 / 36),
    _content("hexadecimal ids", rb"(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{12,}", 4.0),
    _content("times", rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?", alone=rb"%s"),
    _content("IPv4 addresses", rb"\d{1,3}(?:\.\d{1,3}){3}"),
    _content("numbers of 10 digits and more", rb"\d{10,}", math.log2(10)),
    _content("numbers of 4 to 9 digits", rb"\d{4,9}", math.log2(10)),
    _content("numbers of 1 to 3 digits", rb"\d{1,3}", math.log2(10)),
    _content("decimal fractions", rb"\d+\.\d+", math.log2(10)),
    _content("ids of letters and digits", rb"(?=\w*[0-9])(?=\w*[a-z])(?=\w*[A-Z])[0-9A-Za-z]{14,}", math.log2(62)),
)


def run(folder: Path, samples: list[Sample], on_step: Callable[[str], None]) -> list[dict[str, Any]]:
    """Rows {set, content, characters, bits, random_bits}, those of no character left out; set "all" first.

    Raises NoNetwork.
    """
    _, manifest, files = read_version(folder)
    if manifest.neural is None:
        raise NoNetwork(f"the version in {folder} has no network")
    stream = tokenise_samples(samples, Tokenizer.from_str(files[manifest.neural.tokenizer].decode()))
    weights, config = IntegerWeights.load(files[manifest.neural.model])
    on_step("the network")
    facts = collect_facts(CoreEngine(weights, config), stream, config, 1 << 62)
    if manifest.counts:
        on_step("static counts")
        network_share = load_constants(files[manifest.neural.constants]).numpy().network_share_SOCC
        facts = joined_facts(facts, counts_facts(read_counts(files[manifest.counts.counts]), facts), network_share)
    on_step("contents")
    return _rows(facts, NeuralTokenizer(files[manifest.neural.tokenizer].decode()).bytes_of_id)


def _rows(facts: Facts, bytes_of_id: list[bytes]) -> list[dict[str, Any]]:
    token_bits = facts.token_bits()
    found: dict[tuple[str, str], NDArray[np.float64]] = defaultdict(lambda: np.zeros(2))
    for record, (begin, end) in enumerate(pairwise(facts.starts)):
        pieces = [bytes_of_id[token] for token in facts.tokens_N[begin:end]]
        names = contents_of(b"".join(pieces))
        last_bytes = accumulate(map(len, pieces))
        for piece, last, bits in zip(pieces, last_bytes, token_bits[begin:end], strict=True):
            for group in ("all", str(facts.sets[record])):
                found[group, names[last - 1]] += len(piece), bits
    random_bits = {content.name: content.random_bits for content in CONTENTS}
    groups = dict.fromkeys(["all", *sorted({str(name) for name in facts.sets})])
    return [
        {
            "set": group,
            "content": name,
            "characters": int(found[group, name][0]),
            "bits": float(found[group, name][1]),
            "random_bits": random_bits.get(name),
        }
        for group in groups
        for name in (*random_bits, AGAIN, OTHERS)
        if (group, name) in found
    ]


def contents_of(text: bytes) -> list[str]:
    """Of each byte. Where several would do, the first of CONTENTS."""
    names = [OTHERS] * len(text)
    seen: set[bytes] = set()
    for content in CONTENTS:
        for match in content.pattern.finditer(text):
            begin, end = match.span()
            if any(name != OTHERS for name in names[begin:end]):
                continue
            names[begin:end] = [AGAIN if match.group() in seen else content.name] * (end - begin)
            seen.add(match.group())
    return names
