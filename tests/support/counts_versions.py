"""Small versions with static counts, alone or beside the network that networks.py makes."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import networks
import numpy as np
from networks import FILES, sample_records
from tokenizers import Tokenizer

from nbmf._core import STEPS
from nbmf.manifest import CountsPart, NeuralPart, write_version
from nbmf.neural.constants import SHARES, default_constants
from nbmf.neural.counts import Counts
from nbmf.neural.counts_file import save_counts
from nbmf.neural.primer import PrimerRecord, save_primer
from nbmf.neural.tokenizer import NeuralTokenizer
from nbmf.neural.weights import IntegerWeights
from train_app.counts.count import train_counts
from train_app.learned_files import _constants_file
from train_app.primer import PRIMER_FILE
from train_app.samples.tokens import TokenStream, tokenise_samples

COUNTS_FILE, MIXED_CONSTANTS_FILE = "counts.zst", "adaptation.mixed.safetensors"
UNBOUNDED = 1 << 30
COUNTS_LIMIT, NETWORK_LIMIT = 4096, 1024  # max_payload_bytes


def sample_stream(tokenizer: Tokenizer) -> TokenStream:
    """The sample records as tokens."""
    return tokenise_samples(sample_records(), tokenizer)


def sample_counts(files: dict[str, bytes]) -> Counts:
    """Counts of all sample records in the vocabulary of a network's files."""
    tokenizer = Tokenizer.from_str(files[FILES["tokenizer"]].decode())
    _, config = IntegerWeights.load(files[FILES["model"]])
    return train_counts(sample_stream(tokenizer), config, UNBOUNDED)


def add_counts(files: dict[str, bytes], counts: Counts) -> dict[str, bytes]:
    """The network's files, the counts', and constants with another share of the network in each situation."""
    shares = np.random.default_rng(0).uniform(0.02, 0.98, (STEPS, *SHARES))
    constants = default_constants()._replace(network_share_SOCC=shares)
    return {**files, COUNTS_FILE: save_counts(counts), MIXED_CONSTANTS_FILE: _constants_file(constants)}


@cache
def two_step_files() -> dict[str, bytes]:
    """Of a network with both kinds of layers and a softmax in two steps, with counts of the sample records."""
    plain = networks.untrained_files(**networks.TWO_STEPS)
    return add_counts(plain, sample_counts(plain))


def parts(files: dict[str, bytes], *, network: bool) -> tuple[bytes | None, ...]:
    """What NeuralCodec.from_files takes: vocabulary, constants, network, counts."""
    names = (FILES["tokenizer"], MIXED_CONSTANTS_FILE if network else FILES["constants"], FILES["model"], COUNTS_FILE)
    return tuple(files[name] if network or name != FILES["model"] else None for name in names)


def write_counts_version(
    parent: Path,
    files: dict[str, bytes],
    *,
    network: bool,
    name: str = "counts",
    primer: Sequence[tuple[str, bytes]] = (),
) -> Path:
    """A version folder of such files: coder `counts`, and with a network `neural` with counts beside it; both behind
    `primer`."""
    named = {"primer": PRIMER_FILE} if primer else {}
    limit = {"max_payload_bytes": COUNTS_LIMIT, "decode_us_per_byte": 5.0, **named}
    counts = CountsPart(counts=COUNTS_FILE, tokenizer=FILES["tokenizer"], constants=FILES["constants"], **limit)
    manifest = {
        "name": name,
        "created_at": "2026-01-01T00:00:00Z",
        "architecture": "counts",
        "minimum_reader": 3 if primer else 2,
        "counts": counts.to_dict(),
    }
    if network:
        limit = {"max_payload_bytes": NETWORK_LIMIT, "decode_us_per_byte": 50.0, **named}
        of_network = {**FILES, "constants": MIXED_CONSTANTS_FILE}
        manifest["neural"] = NeuralPart(**of_network, counts=COUNTS_FILE, **limit).to_dict()
    else:
        files = {file: files[file] for file in (COUNTS_FILE, FILES["tokenizer"], FILES["constants"])}
    told = {PRIMER_FILE: primer_file(files, primer)} if primer else {}
    return parent / write_version(parent, manifest, files | told)


def primer_file(files: dict[str, bytes], primer: Sequence[tuple[str, bytes]]) -> bytes:
    """Of records (type, bytes), in the vocabulary of a version's files."""
    tokenizer = NeuralTokenizer.from_json(files[FILES["tokenizer"]].decode())
    return save_primer([PrimerRecord(record_type, tokenizer.encode(data)) for record_type, data in primer])
