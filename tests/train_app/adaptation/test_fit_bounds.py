"""What is fitted on few records that are much alike: within what coding by it can bear."""

import hashlib
import random
from types import SimpleNamespace

import numpy as np
import pytest

from nbmf import Codec, golden
from nbmf.manifest import Manifest
from nbmf.neural.constants import default_constants, load_constants
from nbmf.neural.vocabulary import Vocabulary
from nbmf.payload import to_canonical
from train_app.adaptation.fit_adaptation import fit_scalars
from train_app.learned_part import COUNTS_ONLY, LearningPlan, train_part
from train_app.samples.sample import Sample


@pytest.mark.parametrize("name", ["share_S", "gate_rate_S", "discount_K"])
def test_parts_of_a_whole_stay_parts(name):
    """However much better more of it would be."""
    fit = SimpleNamespace(
        facts=SimpleNamespace(vocabulary=Vocabulary(4096, 16, 16)),
        objective=lambda constants: -float(np.sum(getattr(constants, name))),
    )
    found = getattr(fit_scalars(fit, default_constants()), name)
    assert 0.7 < np.max(found) <= 0.95
    assert np.min(found) > np.min(getattr(default_constants(), name))


WORDS = (
    "agent checkout close error file floor garden issue meeting memory open order path plan retry shipped state step "
    "ticket user value"
)


@pytest.fixture(scope="module")
def alike():
    """Records of few words in any order: nothing that one of them repeats is of use in it."""
    rng, samples = random.Random(0), []
    for number in range(260):
        content = " ".join([*rng.choices(WORDS.split(), k=10), str(number)])
        kind, canonical = to_canonical({"role": rng.choice(["user", "assistant"]), "content": content})
        samples.append(Sample(kind, canonical, hashlib.sha256(canonical).digest()))
    return sorted(samples, key=lambda sample: sample.digest)


def test_a_version_of_records_that_are_alike_codes_others(alike, settings, tmp_path):
    """Its golden records, which have tokens that it has never seen, come back."""
    fields, files, _ = train_part(alike, [], LearningPlan(COUNTS_ONLY, settings, tmp_path), print, lambda: None)
    constants = load_constants(files[fields["counts"]["constants"]])
    assert 0 < constants.share_S[0] < 1
    codec = Codec("ab" * 32, Manifest.of({"name": "alike", "created_at": "", **fields, "files": {}}), files)
    golden.check(golden.write(codec.learned), codec.learned, "alike")
